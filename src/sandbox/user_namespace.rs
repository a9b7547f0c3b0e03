//! An ordinary user becomes root, of a user namespace.
//!
//! It happens once, at the start of the process, because only a process with one thread may enter a user namespace:
//!
//! 1. Fork. The child enters a user namespace and a mount namespace owned by it, and says so.
//! 2. The parent maps ids: the user itself to root, and every subordinate id that the system gives the user, by
//!    `newuidmap` and `newgidmap`. Without those there is the one id: files of other owners cannot be made then, and
//!    [`Privilege::OneId`] is to be told to the user.
//! 3. The child takes on the ids and executes our own binary again, which finds itself marked by an environment
//!    variable.
//! 4. The parent stays, only to pass signals on and to end as the child ends. It never returns.

use super::capabilities;
use super::failure::{Doing, Failure};
use super::id_map::{self, IdMap, Ids};
use nix::libc;
use nix::sched::CloneFlags;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Gid, Pid, Uid, User};
use rustix::fs::{Mode, OFlags};
use rustix::mount::MountPropagationFlags;
use std::convert::Infallible;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Marks the process in the namespace, with how many ids it has.
const MARK: &str = "FLASHBUILD_USER_NAMESPACE";

/// What a process may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Privilege {
    /// Root of the machine, or of a container that lets its root mount.
    Root,
    /// Root of a user namespace that has the subordinate ids of the user.
    SubordinateIds,
    /// Root of a user namespace that has one id: only root's files can be made and only root can run.
    OneId,
}

impl Privilege {
    fn mark(self) -> &'static str {
        match self {
            Self::Root => "none",
            Self::SubordinateIds => "subordinate-ids",
            Self::OneId => "one-id",
        }
    }
}

/// Makes sure that this process may set up sandboxes; for an ordinary user, by going on in a user namespace.
///
/// To be called before there is a second thread. In the process that the user started it returns only an error.
pub fn enter_user_namespace() -> Result<Privilege, Failure> {
    if capabilities::is_administrator() && Uid::effective().is_root() {
        let mark = std::env::var(MARK).unwrap_or_default();
        let marked =
            [Privilege::SubordinateIds, Privilege::OneId].into_iter().find(|privilege| privilege.mark() == mark);
        return Ok(marked.unwrap_or(Privilege::Root));
    }
    let (ours, theirs) = UnixStream::pair().doing(|| "make a socket".to_owned())?;
    // SAFETY: this process has one thread, so that the child may do whatever its parent may.
    #[expect(unsafe_code, reason = "fork has no safe form")]
    let fork = unsafe { nix::unistd::fork() }.doing(|| "start a process".to_owned())?;
    match fork {
        ForkResult::Child => {
            drop(ours);
            let Err(failure) = become_root(&theirs);
            let _ = say(&theirs, &Err(failure));
            std::process::exit(1)
        }
        ForkResult::Parent { child } => {
            drop(theirs);
            if let Err(failure) = attend(&ours, child) {
                // It has ended, or is about to: its side of the socket is closed next.
                drop(ours);
                let _ = waitpid(child, None);
                return Err(failure);
            }
            stand_in_for(child)
        }
    }
}

/// The child: from an ordinary user to our own binary as root.
fn become_root(parent: &UnixStream) -> Result<Infallible, Failure> {
    nix::sched::unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS)
        .doing(|| "enter a user namespace".to_owned())
        .map_err(|failure| {
            failure.hint("see sysctl user.max_user_namespaces and kernel.unprivileged_userns_clone; or run as root")
        })?;
    say(parent, &Ok(()))?;
    let privilege = if hear_byte(parent)? == 0 { Privilege::OneId } else { Privilege::SubordinateIds };

    nix::unistd::setresgid(Gid::from_raw(0), Gid::from_raw(0), Gid::from_raw(0)).doing(|| "become root".to_owned())?;
    nix::unistd::setresuid(Uid::from_raw(0), Uid::from_raw(0), Uid::from_raw(0)).doing(|| "become root".to_owned())?;
    if privilege == Privilege::SubordinateIds {
        nix::unistd::setgroups(&[]).doing(|| "leave groups".to_owned())?;
    }
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
        .doing(|| "tie a process to its parent".to_owned())?;
    // Distributions that restrict user namespaces let one be made, but not be used.
    rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .doing(|| "use a user namespace".to_owned())
        .map_err(|failure| failure.hint("see sysctl kernel.apparmor_restrict_unprivileged_userns; or run as root"))?;
    say(parent, &Ok(()))?;

    let mut args = std::env::args_os();
    let name = args.next().unwrap_or_default();
    let error = Command::new(own_program()).arg0(name).args(args).env(MARK, privilege.mark()).exec();
    Err(error).doing(|| "execute our own binary again".to_owned())
}

/// Our own binary, by its path: `/proc/self/exe` is the file on a mount of the namespace that was left, of which no
/// sandbox could have a read-only copy.
fn own_program() -> PathBuf {
    let link = PathBuf::from("/proc/self/exe");
    let identity = |path: &Path| rustix::fs::stat(path).map(|stat| (stat.st_dev, stat.st_ino)).ok();
    let path = std::fs::read_link(&link).ok();
    // The file may have been replaced meanwhile.
    path.filter(|path| identity(path) == identity(&link)).unwrap_or(link)
}

/// The parent, until the child is root.
fn attend(socket: &UnixStream, child: Pid) -> Result<(), Failure> {
    hear(socket)?;
    let privilege = map_ids(child)?;
    let byte = u8::from(privilege == Privilege::SubordinateIds);
    (&mut &*socket).write_all(&[byte]).doing(|| "answer a process".to_owned())?;
    hear(socket)
}

/// Maps as many ids as the system lets the user have.
fn map_ids(child: Pid) -> Result<Privilege, Failure> {
    let (uid, gid) = (Uid::current().as_raw(), Gid::current().as_raw());
    if map_subordinates(child, uid, gid).is_some() {
        return Ok(Privilege::SubordinateIds);
    }
    let process = open_process(child)?;
    // The kernel's condition for mapping a group without privileges (CVE-2014-8989).
    id_map::write_file(&process, "setgroups", "deny")?;
    IdMap::single(0, uid).write(&process, Ids::Users)?;
    IdMap::single(0, gid).write(&process, Ids::Groups)?;
    Ok(Privilege::OneId)
}

/// `None` if a range or a helper is missing, or the helper is not let: nothing is mapped then.
fn map_subordinates(child: Pid, uid: u32, gid: u32) -> Option<()> {
    let name = User::from_uid(Uid::from_raw(uid)).ok().flatten().map(|user| user.name).unwrap_or_default();
    let map = |root, file| {
        let text = std::fs::read_to_string(file).ok()?;
        IdMap::root_and_subordinates(root, &name, uid, &text)
    };
    let (users, groups) = (map(uid, "/etc/subuid")?, map(gid, "/etc/subgid")?);
    for (program, ids) in [("newuidmap", users), ("newgidmap", groups)] {
        let done =
            Command::new(program).arg(child.to_string()).args(ids.to_string().split_whitespace()).output().ok()?;
        if !done.status.success() {
            return None;
        }
    }
    Some(())
}

fn open_process(child: Pid) -> Result<OwnedFd, Failure> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(format!("/proc/{child}"), flags, Mode::empty()).doing(|| format!("open /proc/{child}"))
}

fn say(mut socket: &UnixStream, outcome: &Result<(), Failure>) -> Result<(), Failure> {
    super::protocol::write(&mut socket, outcome).doing(|| "speak to the parent process".to_owned())
}

/// Hears one outcome, byte by byte, because what follows it is not ours to read.
fn hear(mut socket: &UnixStream) -> Result<(), Failure> {
    let mut line = Vec::new();
    loop {
        let mut byte = [0];
        socket.read_exact(&mut byte).doing(|| "enter a user namespace".to_owned())?;
        if byte == *b"\n" {
            break;
        }
        line.extend(byte);
    }
    serde_json::from_slice(&line).doing(|| "enter a user namespace".to_owned())?
}

fn hear_byte(mut socket: &UnixStream) -> Result<u8, Failure> {
    let mut byte = [0];
    socket.read_exact(&mut byte).doing(|| "wait for the ids of a user namespace".to_owned())?;
    Ok(byte[0])
}

/// Passes signals on to the child until it ends, and ends in the same way.
fn stand_in_for(child: Pid) -> ! {
    let signals: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGCHLD]
        .into_iter()
        .chain([Signal::SIGUSR1, Signal::SIGUSR2])
        .collect();
    // Blocked before the first look at the child, so that no end of it is missed between looking and waiting.
    let _ = signals.thread_block();
    let waiting = SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC);
    loop {
        match waitpid(child, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(_, code)) => std::process::exit(code),
            Ok(WaitStatus::Signaled(_, signal, _)) => end_by(signal),
            Ok(_) => {}
            Err(_) => std::process::exit(1),
        }
        let Ok(Ok(Some(info))) = waiting.as_ref().map(SignalFd::read_signal) else { continue };
        // The terminal sends Ctrl-C to both of us; only what was meant for this process alone is passed on.
        let sent_by_process = info.ssi_code <= 0;
        if let (true, Ok(signal)) = (sent_by_process, Signal::try_from(info.ssi_signo.cast_signed())) {
            let _ = nix::sys::signal::kill(child, signal);
        }
    }
}

fn end_by(signal: Signal) -> ! {
    let _ = SigSet::all().thread_unblock();
    // SAFETY: the default action is no function of ours.
    #[expect(unsafe_code, reason = "what happens on a signal has no safe form")]
    let _ = unsafe { libc::signal(signal as i32, libc::SIG_DFL) };
    let _ = nix::sys::signal::raise(signal);
    // For a signal whose default is to go on.
    std::process::exit(128 + signal as i32)
}
