//! Between a container and whoever started it: what is typed goes in, what is written comes out, signals are passed on.
//!
//! The container never has a descriptor of ours, only pipes or a terminal of its own: it could open anew what it is
//! given, and a file or the terminal of the host would then be its to write to.

use super::Failed;
use crate::{
    pipeline::Container,
    progress::Output,
    sandbox::{self, Connection, Input, SandboxError, Stream, TerminalSize},
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

/// Signals that are passed on.
const PASSED_ON: [(SignalKind, Signal); 6] = [
    (SignalKind::interrupt(), Signal::SIGINT),
    (SignalKind::terminate(), Signal::SIGTERM),
    (SignalKind::hangup(), Signal::SIGHUP),
    (SignalKind::quit(), Signal::SIGQUIT),
    (SignalKind::user_defined1(), Signal::SIGUSR1),
    (SignalKind::user_defined2(), Signal::SIGUSR2),
];

/// Why there is no exit code.
#[derive(Debug)]
pub(super) enum Error {
    /// The container could not run.
    Sandbox(SandboxError),
    /// It could not be connected.
    Input(io::Error),
    /// Something before that.
    Failed(Failed),
}

impl From<SandboxError> for Error {
    fn from(error: SandboxError) -> Self {
        Self::Sandbox(error)
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Input(error)
    }
}

impl From<Failed> for Error {
    fn from(failed: Failed) -> Self {
        Self::Failed(failed)
    }
}

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

/// Runs a container to its end; its exit code.
pub(super) async fn attend(container: Container, input: Input) -> Result<i32, Error> {
    match input {
        Input::Terminal(_) => at_terminal(container).await,
        Input::Given | Input::Nothing => over_pipes(container).await,
    }
}

async fn over_pipes(container: Container) -> Result<i32, Error> {
    let (theirs, ours) = io::pipe()?;
    pump("input", io::stdin(), File::from(OwnedFd::from(ours)))?;
    let reader_left = Arc::new(Notify::new());
    let (mut out, mut err) = (Output::stdout(), Output::stderr());
    let write = |stream: Stream, bytes: &[u8]| {
        let to = match stream {
            Stream::Stdout => &mut out,
            Stream::Stderr => &mut err,
        };
        if to.write_all(bytes).and_then(|()| to.flush()).is_err() || to.is_closed() {
            reader_left.notify_one();
        }
    };
    let connection = Connection { input: Some(theirs.into()), signals: Some(signals()?) };
    match container.run(connection, write, reader_left.notified()).await {
        Err(SandboxError::Cancelled) => Ok(READER_LEFT),
        other => Ok(other?.status.code()),
    }
}

async fn at_terminal(container: Container) -> Result<i32, Error> {
    let (ours, theirs) = UnixStream::pair()?;
    let connection = Connection { input: Some(theirs.into()), signals: Some(signals()?) };
    let relayed = tokio::task::spawn_blocking(move || relay(&ours));
    // What comes this way was written before there was a terminal.
    let exit = container.run(connection, |_, _| (), std::future::pending()).await;
    let relayed = relayed.await.map_err(io::Error::other)?;
    let code = exit?.status.code();
    relayed?;
    Ok(code)
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
fn signals() -> io::Result<UnboundedReceiver<Signal>> {
    let (sender, receiver) = unbounded_channel();
    for (kind, passed) in PASSED_ON {
        let mut heard = signal(kind)?;
        let sender = sender.clone();
        tokio::spawn(async move { while heard.recv().await.is_some() && sender.send(passed).is_ok() {} });
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
