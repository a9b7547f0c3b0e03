//! Process 1 of the sandbox, from its first instruction to the one before the program's first.
//!
//! 1. Die with the helper; be the leader of a session without a terminal; enter the control group, and a namespace of
//!    which that is the root.
//! 2. Keep mounts to this namespace.
//! 3. Mount the tree over its upper folder, and a hidden file system for files of ours over its work folder.
//! 4. Show `/etc/resolv.conf`, `/etc/hosts`, `/etc/hostname`; mount `/proc`, `/sys`, `/dev`; show the step's own files.
//!    Last, mount what the step asked for, in its order and resolved by the same [`Tree`].
//! 5. Open the emulator on the host, make the tree the root, and let go of the host's.
//! 6. Name the host; turn on the loopback interface of a network namespace of our own.
//! 7. With an emulator: enter a user namespace with the same ids and register it there.
//! 8. Enter the working directory, resolved inside the root (CVE-2024-21626).
//! 9. Leave the session key ring; connect input and output, or a terminal of our own; mark every descriptor above 2 to
//!    be closed.
//! 10. Set the limits of each process; give up new privileges if asked to; be observed if asked to; filter system calls, which without
//!     `no_new_privs` takes the capabilities that the next step drops.
//! 11. Drop capabilities and become the user.
//! 12. Reset signals and the umask, report, execute.

use super::binfmt::{self, Request};
use super::capabilities;
use super::control_group;
use super::devices;
use super::failure::{Doing, Failure};
use super::kernel_views;
use super::mount;
use super::mounts::Mount;
use super::network;
use super::observer;
use super::oci_runtime::{self, Shown};
use super::overlay;
use super::program::{self, NotExecuted};
use super::protocol::{self, Message};
use super::seccomp;
use super::shown::{self, Hidden};
use super::spec::{Input, Isolation, Network, Security, Spec, User};
use super::terminal;
use super::tree::Tree;
use super::ulimit;
use nix::libc;
use nix::sched::CloneFlags;
use nix::unistd::{Gid, Uid};
use rustix::fs::{Mode, OFlags};
use rustix::mount::{MountPropagationFlags, UnmountFlags};
use rustix::process::Signal;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// What process 1 is born with.
pub(super) struct Init {
    /// What to run.
    pub(super) spec: Spec,
    /// Where to say how it goes.
    pub(super) messages: UnixStream,
    /// What the program reads, or where its terminal goes.
    pub(super) input: Option<OwnedFd>,
    /// The list of processes of the control group that it is to belong to.
    pub(super) group: Option<File>,
    /// Where to send what it takes to observe the program.
    pub(super) observer: Option<UnixStream>,
    /// For asking the helper to map the ids of a user namespace; present if there is an emulator.
    pub(super) user_namespace: Option<Request>,
}

/// Runs the step in the place of this process. Returns only with the exit code of a failure, which has been reported.
pub(super) fn main(init: Init) -> i32 {
    let Init { spec, messages, input, group, observer, user_namespace } = init;
    let (message, code) = match set_up(&spec, input, group, observer.as_ref(), user_namespace) {
        Err(failure) => (Message::Failed(failure), 1),
        Ok(stubs) => {
            if protocol::write(&messages, &Message::Started { stubs }).is_err() {
                // Nobody is left to run it for.
                return 1;
            }
            let NotExecuted { message, code } = match &spec.runtime {
                None => program::execute(&spec.args, &spec.env),
                Some(runtime) => oci_runtime::execute(runtime, &spec.work),
            };
            (Message::NotExecuted { message, code }, code)
        }
    };
    // A caller that is gone needs no message.
    let _ = protocol::write(&messages, &message);
    code
}

fn set_up(
    spec: &Spec,
    input: Option<OwnedFd>,
    group: Option<File>,
    observer: Option<&UnixStream>,
    user_namespace: Option<Request>,
) -> Result<Vec<PathBuf>, Failure> {
    die_with_parent()?;
    rustix::process::setsid().doing(|| "start a session".to_owned())?;
    if let Some(group) = group {
        control_group::enter(group)?;
    }
    if spec.runtime.is_none() {
        nix::sched::unshare(CloneFlags::CLONE_NEWCGROUP).doing(|| "enter a new cgroup namespace".to_owned())?;
    }
    rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .doing(|| "keep mounts private".to_owned())?;

    // Modes of what is made from here on are exact.
    rustix::process::umask(Mode::empty());
    let root = overlay::mount_tree(spec.folders())?;
    let mut hidden = Hidden::over(&spec.work)?;
    let mut tree = Tree::new(open_root(&root)?);
    for appended in &spec.appended {
        mount::append(appended, &tree)?;
    }
    shown::show_etc(spec, &mut tree, &mut hidden)?;
    if spec.runtime.is_some() {
        return set_up_for_runtime(spec, input, tree, hidden);
    }
    kernel_views::mount_proc(spec.hardening.security, &mut tree, &mut hidden)?;
    kernel_views::mount_sys(spec.hardening.security, &mut tree, &mut hidden)?;
    devices::mount_dev(&mut tree, &spec.limits)?;
    for file in &spec.files {
        shown::show(file, &mut tree, &mut hidden)?;
    }

    for asked in &spec.mounts {
        mount::attach(asked, &mut tree, &mut hidden)?;
    }

    let emulator = spec.emulator.as_ref().map(binfmt::open).transpose()?;
    enter_root(&root)?;
    drop((root, hidden));

    nix::unistd::sethostname(&spec.hostname).doing(|| format!("name the host {:?}", spec.hostname))?;
    if spec.network == Network::None {
        network::loopback_up()?;
    }
    if let (Some(emulator), Some(request)) = (emulator, user_namespace) {
        binfmt::register(&emulator, request)?;
        // The mounts of the new namespace are copies; what the tree was opened by is a mount of the old one.
        tree.reopen(open("/")?);
    }
    let cwd = tree.folder(&spec.cwd)?;
    rustix::process::fchdir(cwd).doing(|| format!("enter {}", spec.cwd.display()))?;

    leave_key_ring();
    connect(spec, input)?;
    close_on_execute()?;
    give_up_privileges(spec, observer)?;
    Ok(tree.into_stubs())
}

/// Steps 10 to 12: from root of the sandbox to what the program may be.
pub(super) fn give_up_privileges(spec: &Spec, observer: Option<&UnixStream>) -> Result<(), Failure> {
    ulimit::set(&spec.limits.ulimits)?;
    if spec.hardening.no_new_privileges {
        rustix::thread::set_no_new_privs(true).doing(|| "give up new privileges".to_owned())?;
    }
    // Both filters stand; this one first, because the other may refuse the call that installs one.
    observer.map(observer::be_observed).transpose()?;
    match (spec.hardening.security, spec.isolation) {
        (Security::Sandbox, Isolation::Namespaces) => seccomp::install()?,
        // Who may not administrate may only install a filter without new privileges (`seccomp(2)`).
        (Security::Sandbox, Isolation::Chroot)
            if spec.hardening.no_new_privileges || capabilities::is_administrator() =>
        {
            seccomp::install()?;
        }
        (Security::Sandbox, Isolation::Chroot) | (Security::Insecure, _) => {}
    }
    capabilities::become_user(&spec.user, spec.hardening.security, spec.isolation)?;
    // A change of ids makes the kernel forget it.
    die_with_parent()?;
    reset_signals();
    rustix::process::umask(Mode::from_raw_mode(0o022));
    Ok(())
}

/// The rest of the way where an OCI runtime goes on: it makes the file systems of the kernel and the process.
fn set_up_for_runtime(
    spec: &Spec,
    input: Option<OwnedFd>,
    mut tree: Tree,
    mut hidden: Hidden,
) -> Result<Vec<PathBuf>, Failure> {
    for name in ["proc", "sys", "dev"] {
        tree.kernel_folder(name)?;
    }
    let mut shown = Vec::new();
    for file in &spec.files {
        // What is below a file system of the runtime's has no place of its own yet.
        if !file.path.starts_with("/dev") {
            tree.file_to_cover(&file.path)?;
        }
        let source = spec.work.join(hidden.put(&file.content, file.mode)?);
        shown.push(Shown { source, target: file.path.clone() });
    }
    // The runtime binds the tree with all mounts in it; one below a file system of its own is covered by that.
    for asked in &spec.mounts {
        mount::attach(asked, &mut tree, &mut hidden)?;
    }
    tree.folder(&spec.cwd)?;
    oci_runtime::prepare(spec, &shown, &spec.work)?;
    if spec.network == Network::None {
        network::loopback_up()?;
    }
    leave_key_ring();
    connect(spec, input)?;
    close_on_execute()?;
    reset_signals();
    rustix::process::umask(Mode::from_raw_mode(0o022));
    Ok(tree.into_stubs())
}

pub(super) fn die_with_parent() -> Result<(), Failure> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .doing(|| "tie a process to its parent".to_owned())
}

fn open_root(root: &Mount) -> Result<OwnedFd, Failure> {
    root.root().try_clone_to_owned().doing(|| "copy a descriptor".to_owned())
}

fn open(folder: impl AsRef<Path>) -> Result<OwnedFd, Failure> {
    let folder = folder.as_ref();
    rustix::fs::open(folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .doing(|| format!("open {}", folder.display()))
}

/// Makes a mount the root of this process. The old root comes to lie on top of the new one, and is taken off.
fn enter_root(root: &Mount) -> Result<(), Failure> {
    let enter = || {
        rustix::process::fchdir(root.root())?;
        rustix::process::pivot_root(".", ".")?;
        rustix::mount::unmount(".", UnmountFlags::DETACH)?;
        rustix::process::chdir("/")
    };
    enter().doing(|| "make the tree the root".to_owned())
}

/// Starts a session key ring of the step's own, so that it cannot read the keys of whoever started the build.
pub(super) fn leave_key_ring() {
    const JOIN_SESSION_KEYRING: libc::c_int = 1;
    // SAFETY: the name may be null, for an anonymous key ring (keyctl(2)); nothing else is passed.
    #[expect(unsafe_code, reason = "a system call without a safe wrapper")]
    let _ = unsafe { libc::syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, std::ptr::null::<libc::c_char>()) };
    // Where there are no key rings, or a container forbids the call, there is nothing to read either.
}

/// Connects the program to what it reads and writes.
pub(super) fn connect(spec: &Spec, input: Option<OwnedFd>) -> Result<(), Failure> {
    match (spec.input, input) {
        (Input::Terminal(size), Some(console)) => return terminal::take(console, size, &spec.user),
        (Input::Given, Some(input)) => {
            nix::unistd::dup2_stdin(&input).doing(|| "connect a process to what it reads".to_owned())?;
            give_to(&spec.user, &[input.as_fd()]);
        }
        // The empty one is of the host, and stays its own.
        (Input::Nothing | Input::Given | Input::Terminal(_), _) => {}
    }
    give_to(&spec.user, &[std::io::stdout().as_fd(), std::io::stderr().as_fd()]);
    Ok(())
}

/// Lets a user who is not root open `/dev/stdout` and the like, which are pipes that the caller made.
fn give_to(user: &User, pipes: &[BorrowedFd<'_>]) {
    for output in pipes {
        // An id without a mapping is reported where it is taken on; a pipe can be written to without being opened.
        let _ = nix::unistd::fchown(output, Some(Uid::from_raw(user.uid)), Some(Gid::from_raw(user.gid)));
    }
}

/// Marks every descriptor but 0, 1 and 2. They are closed by the execution itself, because until then the socket to
/// the caller is needed.
pub(super) fn close_on_execute() -> Result<(), Failure> {
    // SAFETY: no descriptor is closed, so that no owner of one is deceived.
    #[expect(unsafe_code, reason = "a system call without a safe wrapper")]
    let result = unsafe { libc::close_range(3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC.cast_signed()) };
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()).doing(|| "close descriptors".to_owned()) }
}

/// `_NSIG / 8` of the kernel, on all architectures that we know but MIPS, which has no host of ours.
const SIGNAL_SET_SIZE: usize = 8;

/// Gives every signal its default again: Rust's runtime ignores `SIGPIPE`, and who started us may ignore others.
fn reset_signals() {
    // A `struct sigaction` of the kernel's, and more: no handler, no flags, no mask.
    let default = [0_u64; 8];
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: the structure lives across the call and names no function. The C library's own call would refuse the
        // two signals that it keeps to itself, and that it ignores in what it spawns.
        #[expect(unsafe_code, reason = "what happens on a signal has no safe form")]
        let _ = unsafe {
            let none = std::ptr::null_mut::<u64>();
            libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), none, SIGNAL_SET_SIZE)
        };
    }
    let none = nix::sys::signal::SigSet::empty();
    // Cannot fail: the set is valid.
    let _ = none.thread_set_mask();
}
