//! Between a container and whoever started it: what is typed goes in, what is written comes out, signals are passed on.
//!
//! The container never has a descriptor of ours, only pipes or a terminal of its own: it could open anew what it is
//! given, and a file or the terminal of the host would then be its to write to.

use super::{Failed, interruption};
use crate::{
    pipeline::{Container, TrialEnd},
    progress::Output,
    sandbox::{self, Connection, Input, Request, SandboxError, Spec, Stream, TerminalSize},
};
use nix::sys::signal::Signal;
use rustix::termios::{OptionalActions, Termios};
use std::{
    fs::File,
    io::{self, IsTerminal as _, Read, Write},
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::net::UnixStream,
    },
    sync::Arc,
    time::Duration,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{
        Notify,
        mpsc::{UnboundedReceiver, unbounded_channel},
    },
};

/// What a shell says of a program whose reader has left: 128 and `SIGPIPE`.
const READER_LEFT: i32 = 128 + 13;

/// What `timeout(1)` says of a program whose time was over.
const TIME_OVER: i32 = 124;

/// Signals that are passed on.
const PASSED_ON: [(SignalKind, Signal); 6] = [
    (SignalKind::interrupt(), Signal::SIGINT),
    (SignalKind::terminate(), Signal::SIGTERM),
    (SignalKind::hangup(), Signal::SIGHUP),
    (SignalKind::quit(), Signal::SIGQUIT),
    (SignalKind::user_defined1(), Signal::SIGUSR1),
    (SignalKind::user_defined2(), Signal::SIGUSR2),
];

/// The size of the terminal that a container gets: with `always`, one even where there is none to take the size of.
/// `None` if it gets no terminal.
pub(super) fn terminal_size(always: bool) -> Option<TerminalSize> {
    let watched = io::stdin().is_terminal() && io::stdout().is_terminal();
    (always || watched).then(|| own_size().unwrap_or(TerminalSize { rows: 24, columns: 80 }))
}

fn own_size() -> Option<TerminalSize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    (size.ws_row > 0 && size.ws_col > 0).then_some(TerminalSize { rows: size.ws_row, columns: size.ws_col })
}

/// Runs a sandbox to its end, or until its time is over; its exit code.
pub(super) async fn attend(spec: &Spec, limit: Option<Duration>) -> Result<i32, SandboxError> {
    let over = async {
        match limit {
            Some(limit) => tokio::time::sleep(limit).await,
            None => std::future::pending().await,
        }
    };
    match spec.input {
        Input::Terminal(_) => at_terminal(spec, over).await,
        Input::Given | Input::Nothing => over_pipes(spec, over).await,
    }
}

/// Starts a container, and ends it when its health check succeeds; the exit code says whether it did.
pub(super) async fn check(container: Container, limit: Duration) -> Result<(), Failed> {
    let mut written = Written::new();
    let end = tokio::select! {
        end = container.watch(limit, |stream, bytes| _ = written.write(stream, bytes)) => end.map_err(Failed::environment)?,
        () = interruption() => return Err(Failed::interrupted()),
    };
    let problem = match end {
        TrialEnd::Healthy => return Ok(()),
        TrialEnd::Exited(code) => format!("it ended with exit code {code} before its health check succeeded"),
        TrialEnd::Unhealthy(Some(code)) => {
            format!("not healthy after {} s: its check ended with exit code {code}", limit.as_secs())
        }
        TrialEnd::Unhealthy(None) | TrialEnd::StillRunning => {
            format!("not healthy after {} s: its check did not end", limit.as_secs())
        }
    };
    Err(Failed::build(problem))
}

/// What a container writes, written on.
struct Written {
    out: Output,
    err: Output,
}

impl Written {
    fn new() -> Self {
        Self { out: Output::stdout(), err: Output::stderr() }
    }

    /// Whether somebody still reads it.
    fn write(&mut self, stream: Stream, bytes: &[u8]) -> bool {
        let to = match stream {
            Stream::Stdout => &mut self.out,
            Stream::Stderr => &mut self.err,
        };
        to.write_all(bytes).and_then(|()| to.flush()).is_ok() && !to.is_closed()
    }
}

async fn over_pipes(spec: &Spec, over: impl Future<Output = ()>) -> Result<i32, SandboxError> {
    let (theirs, ours) = io::pipe()?;
    pump("input", io::stdin(), File::from(OwnedFd::from(ours)))?;
    let reader_left = Notify::new();
    let mut written = Written::new();
    let write = |stream: Stream, bytes: &[u8]| {
        if !written.write(stream, bytes) {
            reader_left.notify_one();
        }
    };
    let mut code = TIME_OVER;
    let enough = async {
        tokio::select! {
            () = reader_left.notified() => code = READER_LEFT,
            () = over => {}
        }
    };
    let connection = Connection { input: Some(theirs.into()), requests: Some(signals()?), ..Connection::default() };
    match sandbox::run_connected(spec, connection, write, enough).await {
        Err(SandboxError::Cancelled) => Ok(code),
        other => Ok(other?.status.code()),
    }
}

async fn at_terminal(spec: &Spec, over: impl Future<Output = ()>) -> Result<i32, SandboxError> {
    let (ours, theirs) = UnixStream::pair()?;
    let connection = Connection { input: Some(theirs.into()), requests: Some(signals()?), ..Connection::default() };
    let relayed = tokio::task::spawn_blocking(move || relay(&ours));
    // What comes this way was written before there was a terminal.
    let exit = sandbox::run_connected(spec, connection, |_, _| (), over).await;
    let relayed = relayed.await.map_err(io::Error::other)?;
    relayed?;
    match exit {
        Err(SandboxError::Cancelled) => Ok(TIME_OVER),
        other => Ok(other?.status.code()),
    }
}

/// Passes on what is typed and what is written, until the terminal is closed.
fn relay(console: &UnixStream) -> io::Result<()> {
    let Some(terminal) = sandbox::receive_terminal(console)? else { return Ok(()) };
    let _raw = Raw::enter();
    let terminal = Arc::new(File::from(terminal));
    pump("input", io::stdin(), Shared(Arc::clone(&terminal)))?;
    resize_with_ours(&terminal)?;
    let mut out = Output::stdout();
    let mut bytes = [0; 4096];
    loop {
        match (&*terminal).read(&mut bytes) {
            Ok(0) => return Ok(()),
            Ok(count) => out.write_all(&bytes[..count]).and_then(|()| out.flush())?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // EIO: nobody has the other end any more.
            Err(_) => return Ok(()),
        }
    }
}

/// A terminal that several threads use.
struct Shared(Arc<File>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self.0).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Copies until either side ends, on a thread of its own: reading what a person types cannot be cut short.
fn pump(name: &str, mut from: impl Read + Send + 'static, mut to: impl Write + Send + 'static) -> io::Result<()> {
    let copy = move || drop(io::copy(&mut from, &mut to));
    std::thread::Builder::new().name(name.to_owned()).spawn(copy).map(drop)
}

fn resize_with_ours(terminal: &Arc<File>) -> io::Result<()> {
    let terminal = Arc::clone(terminal);
    let runtime = tokio::runtime::Handle::current();
    let _inside = runtime.enter();
    let mut changed = signal(SignalKind::window_change())?;
    runtime.spawn(async move {
        while changed.recv().await.is_some() {
            if let Some(size) = own_size() {
                let _ = sandbox::resize_terminal(terminal.as_fd(), size);
            }
        }
    });
    Ok(())
}

/// Signals to this process, for the container.
fn signals() -> io::Result<UnboundedReceiver<Request>> {
    let (sender, receiver) = unbounded_channel();
    for (kind, passed) in PASSED_ON {
        let mut heard = signal(kind)?;
        let sender = sender.clone();
        tokio::spawn(
            async move { while heard.recv().await.is_some() && sender.send(Request::Signal(passed)).is_ok() {} },
        );
    }
    Ok(receiver)
}

/// Our own terminal, while it does nothing itself with what is typed.
struct Raw(Termios);

impl Raw {
    /// `None` where standard input is no terminal.
    fn enter() -> Option<Self> {
        let before = rustix::termios::tcgetattr(io::stdin()).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        rustix::termios::tcsetattr(io::stdin(), OptionalActions::Now, &raw).ok()?;
        Some(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = rustix::termios::tcsetattr(io::stdin(), OptionalActions::Drain, &self.0);
    }
}
