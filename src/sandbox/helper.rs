//! The helper: enters namespaces, starts process 1, and sees to it that nothing outlives the caller.

use super::binfmt;
use super::control_group;
use super::descriptor;
use super::failure::{Doing, Failure};
use super::init::{self, Init};
use super::outbound;
use super::protocol::{self, Message, Order};
use super::signal_delivery::{Delivered, Target};
use super::spec::{Network, Spec, Status, Usage};
use nix::sched::CloneFlags;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::ForkResult;
use rustix::event::{PollFd, PollFlags};
use rustix::process::{PidfdFlags, Signal};
use std::fs::File;
use std::io::BufReader;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// First argument of a process that is to be the helper. Hidden: it is of no use to people.
pub(super) const ARGUMENT: &str = "sandbox-init";

/// Becomes the helper if this process was started to be one, and then never returns.
///
/// To be called at the very start of `main`, before there is a second thread.
pub fn run_helper_if_asked() {
    let Some(argument) = std::env::args_os().nth(1) else { return };
    if argument == ARGUMENT {
        std::process::exit(i32::from(help().is_err()));
    }
    if argument == outbound::ARGUMENT {
        std::process::exit(i32::from(outbound::hold().is_err()));
    }
}

/// The whole life of the helper. An error means that the caller cannot be spoken to: there is nobody to tell.
fn help() -> std::io::Result<()> {
    let caller = UnixStream::from(take_stdin()?);
    let input = descriptor::receive(&caller)?;
    let mut orders = BufReader::new(&caller);
    let spec: Spec = protocol::read_next(&mut orders)?.ok_or(std::io::ErrorKind::UnexpectedEof)?;
    let outcome = start(spec, input, &caller).and_then(|target| supervise(&mut orders, &target));
    match outcome {
        Ok((status, usage)) => protocol::write(&caller, &Message::Exited { status, usage }),
        Err(failure) => protocol::write(&caller, &Message::Failed(failure)),
    }
}

/// Moves descriptor 0, the socket to the caller, out of the reach of the step, which gets an empty one in its place.
pub(super) fn take_stdin() -> std::io::Result<OwnedFd> {
    let socket = std::io::stdin().as_fd().try_clone_to_owned()?;
    nix::unistd::dup2_stdin(File::open("/dev/null")?)?;
    Ok(socket)
}

/// Starts process 1 in new namespaces.
fn start(spec: Spec, input: Option<OwnedFd>, caller: &UnixStream) -> Result<Target, Failure> {
    let namespaces = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS
        | match spec.network {
            Network::Host | Network::Outbound(_) => CloneFlags::empty(),
            Network::None => CloneFlags::CLONE_NEWNET,
        };
    // Opened here, because a process may not leave the control groups of its namespace.
    let group = spec.limits.group.as_deref().map(control_group::open).transpose()?;
    let processes = Target::processes_of_host()?;
    nix::sched::unshare(namespaces)
        .doing(|| "enter new namespaces".to_owned())
        .map_err(|failure| failure.hint("needs root, or a kernel that lets an ordinary user make namespaces"))?;

    if let Network::Outbound(namespace) = spec.network {
        nix::sched::setns(outbound::open(namespace)?, CloneFlags::CLONE_NEWNET)
            .doing(|| "enter a network namespace".to_owned())?;
    }

    let emulation = spec.emulator.as_ref().map(|_| binfmt::Handshake::new()).transpose()?;
    let (for_init, for_helper) = emulation.unzip();
    let message_socket = caller.try_clone().doing(|| "copy a descriptor".to_owned())?;

    // SAFETY: this process has one thread, so that the child may do whatever its parent may.
    #[expect(unsafe_code, reason = "fork has no safe form")]
    let fork = unsafe { nix::unistd::fork() }.doing(|| "start a process".to_owned())?;
    match fork {
        ForkResult::Child => {
            drop(for_helper);
            let init = Init { spec, messages: message_socket, input, group, user_namespace: for_init };
            std::process::exit(init::main(init));
        }
        ForkResult::Parent { child } => {
            drop(for_init);
            let raw = rustix::process::Pid::from_raw(child.as_raw()).expect("a child has a positive number");
            let process = rustix::process::pidfd_open(raw, PidfdFlags::empty())
                .doing(|| "watch the process of the sandbox".to_owned())?;
            if let Some(handshake) = for_helper {
                handshake.map_ids(child)?;
            }
            Ok(Target { child, process, processes })
        }
    }
}

/// Waits for the end of process 1, and brings it about when the caller is gone.
fn supervise(orders: &mut BufReader<&UnixStream>, target: &Target) -> Result<(Status, Usage), Failure> {
    let mut ended_by = None;
    while ended_by.is_none() {
        if orders.buffer().is_empty() {
            let mut watched =
                [PollFd::new(&target.process, PollFlags::IN), PollFd::new(orders.get_ref(), PollFlags::IN)];
            rustix::io::retry_on_intr(|| rustix::event::poll(&mut watched, None))
                .doing(|| "wait for the process of the sandbox".to_owned())?;
            if !watched[0].revents().is_empty() {
                break;
            }
        }
        match protocol::read_next(orders) {
            Ok(Some(Order::Signal(number))) => {
                if target.deliver(number) == Delivered::Ended {
                    ended_by = Some(number);
                }
            }
            Ok(None) | Err(_) => {
                // A failure means that the process has just ended by itself.
                let _ = rustix::process::pidfd_send_signal(&target.process, Signal::KILL);
                break;
            }
        }
    }
    let status = match waitpid(target.child, None).doing(|| "wait for the process of the sandbox".to_owned())? {
        WaitStatus::Signaled(_, nix::sys::signal::Signal::SIGKILL, _) if ended_by.is_some() => {
            Status::Signal(ended_by.unwrap_or_default())
        }
        WaitStatus::Exited(_, code) => Status::Code(code),
        WaitStatus::Signaled(_, signal, _) => Status::Signal(signal as i32),
        // Never asked for.
        other @ (WaitStatus::Stopped(..)
        | WaitStatus::PtraceEvent(..)
        | WaitStatus::PtraceSyscall(_)
        | WaitStatus::Continued(_)
        | WaitStatus::StillAlive) => {
            return Err(Failure::new("wait for the process of the sandbox", format!("it is {other:?}")));
        }
    };
    Ok((status, usage_of_children()?))
}

/// The helper has had one child, so that this is the usage of process 1 and of those that it waited for.
fn usage_of_children() -> Result<Usage, Failure> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).doing(|| "read the usage of the sandbox".to_owned())?;
    let time = |value: nix::sys::time::TimeVal| {
        let micros = value.tv_sec() * 1_000_000 + value.tv_usec();
        Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    };
    Ok(Usage {
        peak_memory: u64::try_from(usage.max_rss()).unwrap_or(0) * 1024,
        cpu_time: time(usage.user_time()) + time(usage.system_time()),
    })
}
