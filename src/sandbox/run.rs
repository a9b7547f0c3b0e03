//! The caller's side: starts a helper, passes output on, and collects what it reports.

use super::ahead::Helpers;
use super::chroot;
use super::descriptor;
use super::failure::Failure;
use super::helper;
use super::mounts::{Mount, READ_ONLY};
use super::protocol::{self, Message, Order};
use super::spec::{Exit, Input, Isolation, Program, SandboxError, Spec, Status, Stream, Usage};
use nix::sys::signal::Signal;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::{
    Semaphore,
    mpsc::{UnboundedReceiver, UnboundedSender},
    oneshot,
};

/// As much as a pipe holds.
const OUTPUT_CHUNK: usize = 64 << 10;

/// Runs a process in a tree, to its end.
///
/// `output` is called with every piece of what it writes to standard output and standard error, which are one pipe: in
/// the order in which it wrote. A slow one slows the process down. When `cancel` is
/// ready, every process of the sandbox is killed, and [`SandboxError::Cancelled`] returned once they are gone. Dropping
/// the future kills them as well, but does not wait.
///
/// `helpers` are those of the build that it is a step of. Needs the privileges that [`enter_user_namespace`](super::enter_user_namespace) gives.
pub async fn run(
    spec: &Spec,
    helpers: &Arc<Helpers>,
    mut output: impl FnMut(&[u8]),
    cancel: impl Future<Output = ()>,
) -> Result<Exit, SandboxError> {
    let connection = Connection { joins_outputs: true, ..Connection::default() };
    check(spec, &connection)?;
    run_by(helpers.take()?, spec, connection, |_, bytes| output(bytes), cancel).await
}

/// What a process is connected to besides who hears its output.
#[derive(Debug, Default)]
pub struct Connection {
    /// What it reads, unless [`Spec::input`] is [`Input::Nothing`].
    pub input: Option<OwnedFd>,
    /// Whether its standard error is the pipe of its standard output, and said to come from there.
    pub joins_outputs: bool,
    /// What is asked of the sandbox while it runs, as it comes.
    pub requests: Option<UnboundedReceiver<Request>>,
    /// Who hears which paths are asked for, if [`Spec::observed`]: each once, from the root of the tree, in the spelling of who
    /// asked. What they ask before a request is answered, or before they end, is heard before that.
    pub paths: Option<UnboundedSender<Vec<u8>>>,
}

/// What can be asked of a running sandbox.
#[derive(Debug)]
pub enum Request {
    /// A signal to its process.
    ///
    /// The kernel keeps from process 1 of a namespace every signal that it has no handler for. What would have ended
    /// any other process ends this one too: the sandbox sees to it.
    Signal(Signal),
    /// Another program beside the process, and how it ended: nothing is said of it if the process ends first. Its output
    /// is heard like that of the process. One runs at a time: the next one asked for kills it.
    RunBeside(Program, oneshot::Sender<Status>),
}

/// [`run`], with something to read and requests.
pub async fn run_connected(
    spec: &Spec,
    connection: Connection,
    output: impl FnMut(Stream, &[u8]),
    cancel: impl Future<Output = ()>,
) -> Result<Exit, SandboxError> {
    check(spec, &connection)?;
    run_by(start_helper(spec.isolation, connection.joins_outputs)?, spec, connection, output, cancel).await
}

async fn run_by(
    Helper { process: mut helper, socket }: Helper,
    spec: &Spec,
    connection: Connection,
    output: impl FnMut(Stream, &[u8]),
    cancel: impl Future<Output = ()>,
) -> Result<Exit, SandboxError> {
    let finished = tokio::select! {
        biased;
        () = cancel => None,
        outcome = attend(&mut helper, socket, spec, connection, output) => Some(outcome?),
    };
    // Whichever it was, the socket is closed by now, and the helper ends.
    let status = helper.wait().await?;
    let report = finished.ok_or(SandboxError::Cancelled)?;
    report.conclude(status)
}

fn check(spec: &Spec, connection: &Connection) -> Result<(), SandboxError> {
    if spec.isolation == Isolation::Chroot
        && let Some(refused) = chroot::refuses(spec)
    {
        return Err(SandboxError::Spec(refused));
    }
    if spec.observed && (spec.runtime.is_some() || spec.isolation == Isolation::Chroot) {
        let message =
            "a program can be observed only in namespaces of our own: do without --oci-runtime and --isolation chroot";
        return Err(SandboxError::Spec(message.to_owned()));
    }
    if (spec.input == Input::Nothing) != connection.input.is_none() {
        return Err(SandboxError::Spec("what a process reads is announced and not there, or the reverse".to_owned()));
    }
    if let (Some(runtime), Input::Terminal(_)) = (&spec.runtime, spec.input) {
        let message = format!("{} is given no terminal: do without one, or without --oci-runtime", runtime.display());
        return Err(SandboxError::Spec(message));
    }
    if spec.lowers.len() > Spec::MAX_LOWERS {
        let message =
            format!("a tree of {} layers cannot be run on: overlayfs takes {}", spec.lowers.len(), Spec::MAX_LOWERS);
        return Err(SandboxError::Spec(message));
    }
    if let (Some(runtime), Some(emulator)) = (&spec.runtime, &spec.emulator) {
        let message = format!(
            "{} cannot bring an emulator of {}: register one with the host, or do without --oci-runtime",
            runtime.display(),
            emulator.arch
        );
        return Err(SandboxError::Spec(message));
    }
    Ok(())
}

/// A helper that waits for what it is to do.
#[derive(Debug)]
pub(super) struct Helper {
    process: Child,
    socket: std::os::unix::net::UnixStream,
}

impl Helper {
    /// Its process, for as long as that was not waited for.
    #[cfg(test)]
    pub(super) fn id(&self) -> Option<u32> {
        self.process.id()
    }
}

pub(super) fn start_helper(isolation: Isolation, joins_outputs: bool) -> Result<Helper, SandboxError> {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let program = match isolation {
        Isolation::Namespaces => own_program().map_err(SandboxError::Setup)?,
        // Nothing can be mounted, and the step has no `/proc` to see it by.
        Isolation::Chroot => Path::new("/proc/self/exe"),
    };
    let mut command = Command::new(program);
    command
        .arg0("flashbuild")
        .arg(helper::ARGUMENT)
        .env_clear()
        .current_dir("/")
        // Ctrl-C is for the caller, which then cancels in good order.
        .process_group(0)
        .stdin(OwnedFd::from(theirs))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if !joins_outputs {
        return Ok(Helper { process: command.spawn()?, socket: ours });
    }
    let (output, theirs) = io::pipe()?;
    let mut helper = command.stdout(theirs.try_clone()?).stderr(theirs).spawn()?;
    let output = std::process::ChildStdout::from(OwnedFd::from(output));
    helper.stdout = Some(ChildStdout::from_std(output)?);
    Ok(Helper { process: helper, socket: ours })
}

/// The binary of this process, on a mount that cannot be written to.
///
/// A step that gets hold of `/proc/self/exe` of process 1 (an interpreter line is enough) could otherwise, as root,
/// write into the file that the host executes next (CVE-2019-5736).
pub(super) fn own_program() -> Result<&'static Path, Failure> {
    static PROGRAM: OnceLock<Result<(PathBuf, Mount), Failure>> = OnceLock::new();
    let program = PROGRAM.get_or_init(|| {
        let mount = Mount::of_host(Path::new("/proc/self/exe"), false)
            .and_then(|mount| mount.restrict(READ_ONLY, false))
            .map_err(|failure| failure.hint("needs root, or a user namespace"))?;
        // Opened by the new process, before the execution closes its copy of the descriptor.
        Ok((PathBuf::from(format!("/proc/self/fd/{}", mount.root().as_raw_fd())), mount))
    });
    program.as_ref().map(|(path, _)| path.as_path()).map_err(Clone::clone)
}

/// What was heard from a helper.
#[derive(Debug, Default)]
struct Report {
    stubs: Vec<PathBuf>,
    error: Option<SandboxError>,
    exit: Option<(Status, Usage)>,
}

impl Report {
    fn hear(&mut self, message: Message, beside: &Beside) {
        match message {
            Message::Started { stubs } => {
                self.stubs = stubs;
                beside.started.add_permits(1);
            }
            Message::Asked { path } => {
                // Who has stopped listening need not hear.
                let _ = beside.paths.as_ref().map(|paths| paths.send(path));
            }
            Message::BesideEnded { status } => {
                let waiting = beside.waiting.lock().expect("no panic while waiting").pop_front();
                // Who has stopped waiting need not hear.
                let _ = waiting.map(|waiting| waiting.send(status));
            }
            Message::Failed(failure) => self.error = self.error.take().or(Some(SandboxError::Setup(failure))),
            Message::NotExecuted { message, code } => self.error = Some(SandboxError::Program { message, code }),
            Message::Exited { status, usage } => self.exit = Some((status, usage)),
        }
    }

    fn conclude(self, helper: ExitStatus) -> Result<Exit, SandboxError> {
        match (self.error, self.exit) {
            (Some(error), _) => Err(error),
            (None, Some((status, usage))) => Ok(Exit { status, usage, stubs: self.stubs }),
            (None, None) => Err(SandboxError::Silent(helper)),
        }
    }
}

/// Says the specification, then hears output and messages until there will be no more of either.
async fn attend(
    helper: &mut Child,
    socket: std::os::unix::net::UnixStream,
    spec: &Spec,
    connection: Connection,
    output: impl FnMut(Stream, &[u8]),
) -> Result<Report, SandboxError> {
    let line = protocol::encode(spec).map_err(|error| SandboxError::Spec(error.to_string()))?;
    let Connection { input, requests, paths, joins_outputs: _ } = connection;
    descriptor::send(&socket, input.as_ref().map(AsFd::as_fd))?;
    // The process's end of a pipe has to be the only one.
    drop(input);
    let (reader, mut writer) = UnixStream::from_std(socket)?.into_split();
    match writer.write_all(&line).await {
        // A helper that is gone already may have said why.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error.into()),
        _ => {}
    }
    let (stdout, stderr) = (helper.stdout.take(), helper.stderr.take());
    let beside = Beside { paths, ..Beside::default() };
    let (heard, passed) = tokio::select! {
        ended = async { tokio::join!(hear(BufReader::new(reader), &beside), pass_on(stdout, stderr, output)) } => ended,
        never = pass_requests(requests, &beside, &mut writer) => match never {},
    };
    passed?;
    // Closed only here: to close it is to kill.
    drop(writer);
    Ok(heard?)
}

/// The programs that run beside the process.
#[derive(Debug)]
struct Beside {
    /// Has a permit once the process has started: there is nothing to run beside before.
    started: Semaphore,
    /// Who waits for their ends, in the order in which they were asked for.
    waiting: Mutex<VecDeque<oneshot::Sender<Status>>>,
    /// Who hears of paths.
    paths: Option<UnboundedSender<Vec<u8>>>,
}

impl Default for Beside {
    fn default() -> Self {
        Self { started: Semaphore::new(0), waiting: Mutex::default(), paths: None }
    }
}

/// Passes requests on for as long as there are any, and then waits for ever.
async fn pass_requests(
    requests: Option<UnboundedReceiver<Request>>,
    beside: &Beside,
    helper: &mut (impl AsyncWriteExt + Unpin),
) -> Infallible {
    if let Some(mut requests) = requests {
        while let Some(request) = requests.recv().await {
            let order = match request {
                Request::Signal(signal) => Order::Signal(signal as i32),
                Request::RunBeside(program, ended) => {
                    drop(beside.started.acquire().await);
                    beside.waiting.lock().expect("no panic while waiting").push_back(ended);
                    Order::RunBeside(program)
                }
            };
            let line = protocol::encode(&order).expect("orders are plain data");
            // A helper that is gone needs none.
            let _ = helper.write_all(&line).await;
        }
    }
    std::future::pending().await
}

async fn hear(mut socket: impl AsyncBufReadExt + Unpin, beside: &Beside) -> io::Result<Report> {
    let mut report = Report::default();
    let mut line = Vec::new();
    loop {
        match socket.read_until(b'\n', &mut line).await {
            Ok(0) => break,
            Ok(_) => {}
            // A helper that ends before it has heard an order ends like this, after its last word.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => break,
            Err(error) => return Err(error),
        }
        report.hear(serde_json::from_slice(&line)?, beside);
        line.clear();
    }
    Ok(report)
}

async fn pass_on(
    mut stdout: Option<impl AsyncRead + Unpin>,
    mut stderr: Option<impl AsyncRead + Unpin>,
    mut output: impl FnMut(Stream, &[u8]),
) -> io::Result<()> {
    let (mut from_stdout, mut from_stderr) = (Vec::new(), Vec::new());
    while stdout.is_some() || stderr.is_some() {
        tokio::select! {
            read = read_some(&mut stdout, &mut from_stdout) => {
                read?;
                output(Stream::Stdout, &from_stdout);
                from_stdout.clear();
            }
            read = read_some(&mut stderr, &mut from_stderr) => {
                read?;
                output(Stream::Stderr, &from_stderr);
                from_stderr.clear();
            }
        }
    }
    Ok(())
}

/// Reads a piece, and forgets the source at its end. Never ready without a source.
async fn read_some(source: &mut Option<impl AsyncRead + Unpin>, piece: &mut Vec<u8>) -> io::Result<()> {
    let Some(open) = source else { return std::future::pending().await };
    piece.reserve(OUTPUT_CHUNK);
    if open.read_buf(piece).await? == 0 {
        *source = None;
    }
    Ok(())
}
