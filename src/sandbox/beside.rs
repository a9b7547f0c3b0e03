//! Another program beside the one that a sandbox runs: in the same namespaces, held in the same way.
//!
//! The helper's root became that of the sandbox when process 1 made it, and what the helper starts is in the pid
//! namespace of process 1. What is left is to enter the namespaces that process 1 alone entered.

use super::control_group;
use super::failure::{Doing, Failure};
use super::init;
use super::program::{self, NotExecuted};
use super::spec::{Isolation, Program, Spec};
use super::tree::Tree;
use nix::sched::CloneFlags;
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

/// What engines exit with when a second process cannot be started.
const NOT_STARTED: i32 = 125;

/// Runs the program in the place of this process, a new child of the helper. Returns only with the exit code of a
/// failure, which has been said on standard error, as a shell would.
pub(super) fn main(
    spec: &Spec,
    program: &Program,
    process: &OwnedFd,
    group: Option<File>,
    observer: Option<&UnixStream>,
) -> i32 {
    let NotExecuted { message, code } = match set_up(spec, program, process, group, observer) {
        Ok(()) => program::execute(&program.args, &program.env),
        Err(failure) => NotExecuted { message: failure.to_string(), code: NOT_STARTED },
    };
    // Nobody can be told that nobody listens.
    let _ = writeln!(std::io::stderr(), "{message}");
    code
}

fn set_up(
    spec: &Spec,
    program: &Program,
    process: &OwnedFd,
    group: Option<File>,
    observer: Option<&UnixStream>,
) -> Result<(), Failure> {
    init::die_with_parent()?;
    if spec.runtime.is_some() || spec.isolation == Isolation::Chroot {
        return Err(Failure::new("run a program beside another", "there are no namespaces of ours to enter"));
    }
    rustix::process::setsid().doing(|| "start a session".to_owned())?;
    if let Some(group) = group {
        control_group::enter(group)?;
    }
    let own = match spec.emulator {
        None => CloneFlags::CLONE_NEWCGROUP,
        Some(_) => CloneFlags::CLONE_NEWCGROUP | CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS,
    };
    nix::sched::setns(process, own).doing(|| "enter the namespaces of the sandbox".to_owned())?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open("/", flags, Mode::empty()).doing(|| "open /".to_owned())?;
    let cwd = Tree::new(root).folder(&program.cwd)?;
    rustix::process::fchdir(cwd).doing(|| format!("enter {}", program.cwd.display()))?;
    init::leave_key_ring();
    init::close_on_execute()?;
    init::give_up_privileges(spec, observer)
}
