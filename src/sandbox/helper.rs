//! The helper: enters namespaces, starts process 1, and sees to it that nothing outlives the caller.

use super::beside;
use super::binfmt;
use super::chroot::{self, Placed};
use super::control_group;
use super::descriptor;
use super::failure::{Doing, Failure};
use super::init::{self, Init};
use super::observer::Observer;
use super::outbound;
use super::protocol::{self, Message, Order};
use super::signal_delivery::{Delivered, Target};
use super::spec::{Isolation, Network, Program, Spec, Status, Usage};
use nix::sched::CloneFlags;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid};
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
    let outcome = match spec.isolation {
        Isolation::Namespaces => run_in_namespaces(&spec, input, &mut orders),
        Isolation::Chroot => run_in_chroot(&spec, input, &mut orders),
    };
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

fn run_in_namespaces(
    spec: &Spec,
    input: Option<OwnedFd>,
    orders: &mut BufReader<&UnixStream>,
) -> Result<(Status, Usage), Failure> {
    let mut observer = spec.observed.then(Observer::new).transpose()?;
    let target = start(spec, input, orders.get_ref(), observer.as_ref())?;
    supervise(orders, spec, &target, &mut observer)
}

/// Starts process 1 in new namespaces.
fn start(
    spec: &Spec,
    input: Option<OwnedFd>,
    caller: &UnixStream,
    observer: Option<&Observer>,
) -> Result<Target, Failure> {
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
    let observer = observer.map(|observer| observer.door().try_clone()).transpose();
    let observer = observer.doing(|| "copy a descriptor".to_owned())?;

    // SAFETY: this process has one thread, so that the child may do whatever its parent may.
    #[expect(unsafe_code, reason = "fork has no safe form")]
    let fork = unsafe { nix::unistd::fork() }.doing(|| "start a process".to_owned())?;
    match fork {
        ForkResult::Child => {
            drop(for_helper);
            let init =
                Init { spec: spec.clone(), messages: message_socket, input, group, observer, user_namespace: for_init };
            std::process::exit(init::main(init));
        }
        ForkResult::Parent { child } => {
            drop(for_init);
            let process = watch(child)?;
            if let Some(handshake) = for_helper {
                handshake.map_ids(child)?;
            }
            Ok(Target { child, process, processes, group })
        }
    }
}

/// The same without namespaces and mounts, from the beginning to the end.
fn run_in_chroot(
    spec: &Spec,
    input: Option<OwnedFd>,
    orders: &mut BufReader<&UnixStream>,
) -> Result<(Status, Usage), Failure> {
    chroot::adopt_descendants()?;
    let mut placed = Placed::new(spec)?;
    let outcome = start_in_chroot(spec, &placed, input, orders.get_ref())
        .and_then(|target| supervise(orders, spec, &target, &mut None))
        .map(|(status, _)| status);
    chroot::end_descendants();
    placed.undo();
    Ok((outcome?, usage_of_children()?))
}

fn start_in_chroot(
    spec: &Spec,
    placed: &Placed,
    input: Option<OwnedFd>,
    caller: &UnixStream,
) -> Result<Target, Failure> {
    let group = spec.limits.group.as_deref().map(control_group::open).transpose()?;
    let processes = Target::processes_of_host()?;
    let messages = caller.try_clone().doing(|| "copy a descriptor".to_owned())?;
    let (root, stubs) = placed.for_child()?;
    // SAFETY: this process has one thread, so that the child may do whatever its parent may.
    #[expect(unsafe_code, reason = "fork has no safe form")]
    let fork = unsafe { nix::unistd::fork() }.doing(|| "start a process".to_owned())?;
    match fork {
        ForkResult::Child => {
            std::process::exit(chroot::main(chroot::Born { spec, root, stubs, messages, input, group }))
        }
        ForkResult::Parent { child } => Ok(Target { child, process: watch(child)?, processes, group }),
    }
}

/// Waits for the end of process 1, and brings it about when the caller is gone. Meanwhile it does as the caller says.
fn supervise(
    orders: &mut BufReader<&UnixStream>,
    spec: &Spec,
    target: &Target,
    observer: &mut Option<Observer>,
) -> Result<(Status, Usage), Failure> {
    let mut ended_by = None;
    let mut beside: Option<Child> = None;
    while ended_by.is_none() {
        if orders.buffer().is_empty() {
            let caller: &UnixStream = orders.get_ref();
            let mut watched = vec![PollFd::new(&target.process, PollFlags::IN), PollFd::new(caller, PollFlags::IN)];
            let listeners: Vec<_> = observer.iter().flat_map(Observer::watched).collect();
            watched.extend(listeners.iter().map(|listener| PollFd::new(listener, PollFlags::IN)));
            let after = watched.len();
            watched.extend(beside.as_ref().map(|beside| PollFd::new(&beside.process, PollFlags::IN)));
            rustix::io::retry_on_intr(|| rustix::event::poll(&mut watched, None))
                .doing(|| "wait for the process of the sandbox".to_owned())?;
            let happened: Vec<PollFlags> = watched.iter().map(PollFd::revents).collect();
            if !happened[0].is_empty() {
                break;
            }
            if let Some(observer) = observer {
                let tell = |path| protocol::write(caller, &Message::Asked { path });
                // A failure means that nobody is left to be told, which is seen below.
                let _ = observer.attend(&happened[2..after], &target.processes, tell);
            }
            if happened.get(after).is_some_and(|beside| !beside.is_empty()) {
                report_end(beside.take(), caller)?;
            }
            if happened[1].is_empty() {
                continue;
            }
        }
        match protocol::read_next(orders) {
            Ok(Some(Order::Signal(number))) => {
                if target.deliver(number) == Delivered::Ended {
                    ended_by = Some(number);
                }
            }
            Ok(Some(Order::RunBeside(program))) => {
                report_end(beside.take(), orders.get_ref())?;
                beside = match run_beside(spec, &program, target, observer.as_ref()) {
                    Ok(beside) => Some(beside),
                    // The namespace of a process that ends takes no new one.
                    Err(_) if is_ending(target) => break,
                    Err(failure) => return Err(failure),
                };
            }
            Ok(None) | Err(_) => {
                // A failure means that the process has just ended by itself.
                let _ = rustix::process::pidfd_send_signal(&target.process, Signal::KILL);
                break;
            }
        }
    }
    let status = match (wait(target.child)?, ended_by) {
        (Status::Signal(KILLED), Some(number)) => Status::Signal(number),
        (status, _) => status,
    };
    Ok((status, usage_of_children()?))
}

/// Whether process 1 ends within a moment.
fn is_ending(target: &Target) -> bool {
    let moment = rustix::event::Timespec { tv_sec: 1, tv_nsec: 0 };
    let mut watched = [PollFd::new(&target.process, PollFlags::IN)];
    rustix::event::poll(&mut watched, Some(&moment)).is_ok_and(|ended| ended > 0)
}

/// `SIGKILL`
const KILLED: i32 = 9;

/// A program that runs beside process 1.
struct Child {
    pid: Pid,
    process: OwnedFd,
}

fn run_beside(spec: &Spec, program: &Program, target: &Target, observer: Option<&Observer>) -> Result<Child, Failure> {
    let group = target.group.as_ref().map(File::try_clone).transpose();
    let group = group.doing(|| "copy a descriptor".to_owned())?;
    // SAFETY: this process has one thread, so that the child may do whatever its parent may.
    #[expect(unsafe_code, reason = "fork has no safe form")]
    let fork = unsafe { nix::unistd::fork() }.doing(|| "start a process".to_owned())?;
    match fork {
        ForkResult::Child => {
            let observer = observer.map(Observer::door);
            std::process::exit(beside::main(spec, program, &target.process, group, observer))
        }
        ForkResult::Parent { child } => Ok(Child { pid: child, process: watch(child)? }),
    }
}

/// Ends a program that runs beside process 1, if it has not ended, and says how.
fn report_end(beside: Option<Child>, caller: &UnixStream) -> Result<(), Failure> {
    let Some(beside) = beside else { return Ok(()) };
    // Without effect on one that has ended: it is not yet waited for.
    let _ = rustix::process::pidfd_send_signal(&beside.process, Signal::KILL);
    let status = wait(beside.pid)?;
    protocol::write(caller, &Message::BesideEnded { status }).doing(|| "report the end of a program".to_owned())
}

fn watch(child: Pid) -> Result<OwnedFd, Failure> {
    let raw = rustix::process::Pid::from_raw(child.as_raw()).expect("a child has a positive number");
    rustix::process::pidfd_open(raw, PidfdFlags::empty()).doing(|| "watch the process of the sandbox".to_owned())
}

fn wait(child: Pid) -> Result<Status, Failure> {
    match waitpid(child, None).doing(|| "wait for the process of the sandbox".to_owned())? {
        WaitStatus::Exited(_, code) => Ok(Status::Code(code)),
        WaitStatus::Signaled(_, signal, _) => Ok(Status::Signal(signal as i32)),
        // Never asked for.
        other @ (WaitStatus::Stopped(..)
        | WaitStatus::PtraceEvent(..)
        | WaitStatus::PtraceSyscall(_)
        | WaitStatus::Continued(_)
        | WaitStatus::StillAlive) => {
            Err(Failure::new("wait for the process of the sandbox", format!("it is {other:?}")))
        }
    }
}

/// The usage of process 1 and of those that it waited for, and of what ran beside it.
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
