//! A terminal for a process of the sandbox: one of the sandbox's own, so that what the process does to it is done to
//! nothing of the host.
//!
//! The sandbox makes the pair from its own `devpts`, keeps the one end as the controlling terminal of the process, and
//! sends the other to the caller ([`receive_terminal`]), who passes on what is typed and what is written.

use super::descriptor;
use super::failure::{Doing, Failure};
use super::spec::{TerminalSize, User};
use nix::libc;
use nix::unistd::{Gid, Uid};
use rustix::fs::{Mode, OFlags};
use rustix::termios::Winsize;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

/// The caller's end of the terminal; `None` if the sandbox came to nothing. Blocks until one of these is known.
///
/// `console` is the other end of the socket that was given as the process's input.
pub fn receive_terminal(console: &UnixStream) -> io::Result<Option<OwnedFd>> {
    descriptor::receive(console)
}

/// Tells a terminal that it has changed its size: the processes at it hear of it (`SIGWINCH`).
pub fn resize_terminal(terminal: BorrowedFd<'_>, size: TerminalSize) -> io::Result<()> {
    Ok(rustix::termios::tcsetwinsize(terminal, size.into())?)
}

impl From<TerminalSize> for Winsize {
    fn from(size: TerminalSize) -> Self {
        Self { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 }
    }
}

/// Makes a terminal, and makes it descriptors 0, 1 and 2 and the controlling terminal of this session. To be called
/// inside the root of the sandbox, by the leader of a session that has no terminal.
pub(super) fn take(console: OwnedFd, size: TerminalSize, user: &User) -> Result<(), Failure> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let ours = rustix::fs::open("/dev/pts/ptmx", flags, Mode::empty()).doing(|| "open a terminal".to_owned())?;
    let theirs = other_end(&ours).doing(|| "open the other end of a terminal".to_owned())?;
    resize_terminal(ours.as_fd(), size).doing(|| "set the size of a terminal".to_owned())?;
    // An id without a mapping is reported where it is taken on.
    let _ = nix::unistd::fchown(&theirs, Some(Uid::from_raw(user.uid)), Some(Gid::from_raw(user.gid)));
    // SAFETY: the request takes a number, and the descriptor is open.
    #[expect(unsafe_code, reason = "a system call without a safe wrapper")]
    let taken = unsafe { libc::ioctl(theirs.as_raw_fd(), libc::TIOCSCTTY, 0) };
    if taken != 0 {
        return Err(io::Error::last_os_error()).doing(|| "take a terminal".to_owned());
    }
    let connect = || {
        nix::unistd::dup2_stdin(&theirs)?;
        nix::unistd::dup2_stdout(&theirs)?;
        nix::unistd::dup2_stderr(&theirs)
    };
    connect().doing(|| "connect a process to its terminal".to_owned())?;
    descriptor::send(&UnixStream::from(console), Some(ours.as_fd())).doing(|| "hand over a terminal".to_owned())
}

/// Unlocks the end that programs use, and opens it by the one that we have: its name could lie.
fn other_end(ours: &OwnedFd) -> io::Result<OwnedFd> {
    let unlocked: libc::c_int = 0;
    // SAFETY: the number lives across the call.
    #[expect(unsafe_code, reason = "a system call without a safe wrapper")]
    let result = unsafe { libc::ioctl(ours.as_raw_fd(), libc::TIOCSPTLCK, &raw const unlocked) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: the request takes flags, and gives a descriptor that nobody else knows, or an error.
    #[expect(unsafe_code, reason = "a system call without a safe wrapper")]
    unsafe {
        let number = libc::ioctl(ours.as_raw_fd(), libc::TIOCGPTPEER, flags);
        if number < 0 { Err(io::Error::last_os_error()) } else { Ok(OwnedFd::from_raw_fd(number)) }
    }
}
