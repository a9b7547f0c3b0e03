//! Running where a container refuses namespaces and mounts: the root of the tree is the root of the process
//! (`chroot(2)`), and that is all that keeps it from its surroundings.
//!
//! | what a sandbox does | here |
//! |---|---|
//! | an overlay of layers | the caller has made the whole tree, as [`Spec::upper`] |
//! | mounts | renames before and after the process (`placed.rs`) |
//! | a pid namespace that ends every process | the helper adopts what the process leaves behind, and kills it |
//! | `/proc` and `/sys` | empty folders |
//! | the filter of system calls | only without new privileges; that of the surrounding container stays |
//! | capabilities | the default ones that this process has, less `chroot`: with that the tree would be no border |
//!
//! Not kept apart: the processes of the surroundings, which a step of root can end; their network, their shared memory
//! and their host name. What mounting alone can do is refused: secrets as files, which would lie on the disk, devices
//! and folders of the host, and a network of the step's own.

mod placed;

use super::capabilities;
use super::control_group;
use super::failure::{Doing, Failure};
use super::init;
use super::mount::MountSourceKind;
use super::program;
use super::protocol::{self, Message};
use super::spec::{Input, Network, Spec};
use super::tree::Tree;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

pub(super) use placed::Placed;

/// Why a specification cannot be met without namespaces and mounts, if it cannot.
pub(super) fn refuses(spec: &Spec) -> Option<String> {
    let what = match (spec.network, spec.input, &spec.emulator, &spec.runtime) {
        (Network::None | Network::Outbound(_), ..) => "a network of its own",
        (_, Input::Terminal(_), ..) => "a terminal",
        (.., Some(_), _) => "an emulator that the host has not registered",
        (.., Some(_)) => "an OCI runtime",
        (Network::Host, Input::Nothing | Input::Given, None, None) => {
            spec.mounts.iter().find_map(|mount| match mount.source.kind() {
                MountSourceKind::Placeable => None,
                MountSourceKind::Secret => {
                    Some("a secret as a file, which would lie on the disk (env=NAME gives it as a variable)")
                }
                MountSourceKind::OfHost => Some("a device, file or folder of the host"),
            })?
        }
    };
    Some(format!("{what} cannot be had with --isolation chroot, which mounts nothing"))
}

/// What the child of the helper is born with.
pub(super) struct Born<'a> {
    pub(super) spec: &'a Spec,
    pub(super) root: OwnedFd,
    pub(super) stubs: Vec<PathBuf>,
    pub(super) messages: UnixStream,
    pub(super) input: Option<OwnedFd>,
    pub(super) group: Option<File>,
}

/// Runs the step in the place of this process. Returns only with the exit code of a failure, which has been reported.
pub(super) fn main(born: Born<'_>) -> i32 {
    let Born { spec, root, stubs, messages, input, group } = born;
    let (message, code) = match set_up(spec, &root, input, group) {
        Err(failure) => (Message::Failed(failure), 1),
        Ok(()) if protocol::write(&messages, &Message::Started { stubs }).is_err() => return 1,
        Ok(()) => {
            let program::NotExecuted { message, code } = program::execute(&spec.args, &spec.env);
            (Message::NotExecuted { message, code }, code)
        }
    };
    // A caller that is gone needs no message.
    let _ = protocol::write(&messages, &message);
    code
}

fn set_up(spec: &Spec, root: &OwnedFd, input: Option<OwnedFd>, group: Option<File>) -> Result<(), Failure> {
    init::die_with_parent()?;
    rustix::process::setsid().doing(|| "start a session".to_owned())?;
    if let Some(group) = group {
        control_group::enter(group)?;
    }
    let enter = || {
        rustix::process::fchdir(root)?;
        rustix::process::chroot(".")?;
        rustix::process::chdir("/")
    };
    enter()
        .doing(|| "make the tree the root".to_owned())
        .map_err(|failure| failure.hint("--isolation chroot needs the capability to do so, CAP_SYS_CHROOT"))?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open("/", flags, Mode::empty()).doing(|| "open /".to_owned())?;
    let cwd = Tree::new(root).folder(&spec.cwd)?;
    rustix::process::fchdir(cwd).doing(|| format!("enter {}", spec.cwd.display()))?;
    init::leave_key_ring();
    init::connect(spec, input)?;
    init::close_on_execute()?;
    init::give_up_privileges(spec, None)
}

/// Makes this process, the helper, the parent of what process 1 would be the parent of.
pub(super) fn adopt_descendants() -> Result<(), Failure> {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .doing(|| "adopt what a step leaves behind".to_owned())
}

/// Ends every process that the step has left behind. They are children of this process by now, or become it.
pub(super) fn end_descendants() {
    let list = format!("/proc/self/task/{}/children", nix::unistd::gettid());
    loop {
        match waitpid(None::<Pid>, Some(WaitPidFlag::WNOHANG)) {
            Err(_) => return,
            Ok(WaitStatus::StillAlive) => {
                for child in std::fs::read_to_string(&list).unwrap_or_default().split_whitespace() {
                    if let Ok(number) = child.parse() {
                        let _ = nix::sys::signal::kill(Pid::from_raw(number), nix::sys::signal::Signal::SIGKILL);
                    }
                }
                // One that is about to end is no reason to burn a processor.
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            Ok(_) => {}
        }
    }
}

/// Whether this process may do what a sandbox of this kind takes: it is root, and may change its root and make devices.
pub fn can_chroot() -> bool {
    nix::unistd::geteuid().is_root() && capabilities::may_chroot()
}

/// Opens the tree.
pub(super) fn open_tree(spec: &Spec) -> Result<OwnedFd, Failure> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(&spec.upper, flags, Mode::empty()).doing(|| format!("open {}", spec.upper.display()))
}

/// A second descriptor of something.
fn copy(of: &OwnedFd) -> Result<OwnedFd, Failure> {
    of.as_fd().try_clone_to_owned().doing(|| "copy a descriptor".to_owned())
}

impl Placed {
    /// What the child needs of it.
    pub(super) fn for_child(&self) -> Result<(OwnedFd, Vec<PathBuf>), Failure> {
        Ok((copy(&self.root)?, self.stubs.clone()))
    }
}
