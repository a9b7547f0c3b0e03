//! Network namespaces from which a step reaches what the host reaches, but not the host itself.
//!
//! The way out is a program of the host's that speaks for the namespace with ordinary sockets, which takes no
//! privileges and changes nothing of the host's own network: `pasta` or else `slirp4netns`. To start it takes longer
//! than a short step, so that namespaces are lent: after a step no process is left in one, and a step has no capability
//! to change its interfaces, routes or settings, so that the next step finds it as the first one did.
//!
//! ```text
//! caller           helper               process 1                   the namespace
//! ---------------  -------------------  --------------------------  ----------------------
//! spawn own    --> enter a pid      --> fork                    --> enter a new network
//! binary           namespace            start pasta for it          namespace, give up all
//! hear number  <-- (socket)         <-- say its number              capabilities, and wait
//! close socket --> kill process 1       (dies with all of them)
//! ```
//!
//! That the process in the namespace has no capabilities lets `pasta`, which gives up most of its own, open it.

use super::failure::{Doing, Failure};
use super::helper;
use super::network;
use super::protocol;
use super::run::own_program;
use super::spec::{Network, OutboundNamespace, SandboxError};
use nix::sched::CloneFlags;
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid};
use rustix::event::{PollFd, PollFlags};
use rustix::process::{PidfdFlags, Signal};
use rustix::thread::{CapabilitySet, CapabilitySets};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

/// First argument of a process that is to hold a network namespace. Hidden: it is of no use to people.
pub(super) const ARGUMENT: &str = "sandbox-network";

/// Programs that give a namespace a way out, the better one first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Way {
    Pasta,
    Slirp4netns,
}

impl Way {
    const ALL: [Self; 2] = [Self::Pasta, Self::Slirp4netns];

    fn program(self) -> &'static str {
        match self {
            Self::Pasta => "pasta",
            Self::Slirp4netns => "slirp4netns",
        }
    }

    /// Where a namespace finds a name server that asks those of the host, also if they listen on its loopback only.
    fn name_server(self) -> IpAddr {
        match self {
            Self::Pasta => Ipv4Addr::new(169, 254, 1, 1).into(),
            Self::Slirp4netns => Ipv4Addr::new(10, 0, 2, 3).into(),
        }
    }
}

/// Namespaces of a build, each lent to one step at a time.
#[derive(Debug, Clone)]
pub struct OutboundNetworks(Arc<Pool>);

#[derive(Debug)]
struct Pool {
    way: Way,
    program: PathBuf,
    idle: Mutex<Vec<Held>>,
}

/// A namespace lent to a step. It goes back when this is dropped.
#[derive(Debug)]
pub struct Lease {
    held: Option<Held>,
    pool: Arc<Pool>,
}

/// A namespace, for as long as the socket is open.
#[derive(Debug)]
struct Held {
    process: u32,
    _socket: UnixStream,
}

/// What to do, as the helper is told it.
#[derive(Debug, Serialize, Deserialize)]
struct Order {
    way: Way,
    program: PathBuf,
}

impl OutboundNetworks {
    /// The programs that one of is needed, as packages of Debian and what derives from it.
    pub const PACKAGES: &str = "passt or slirp4netns";

    /// Those of the program found on `PATH`, if there is one.
    pub fn find() -> Option<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let find = |way: Way| {
            let program =
                std::env::split_paths(&path).map(|folder| folder.join(way.program())).find(|file| file.is_file())?;
            Some(Self(Arc::new(Pool { way, program, idle: Mutex::default() })))
        };
        Way::ALL.into_iter().find_map(find)
    }

    /// Lends a namespace, a new one if all are lent.
    ///
    /// Blocks its thread for as long as that takes.
    pub fn lease(&self) -> Result<Lease, SandboxError> {
        let idle = self.0.idle.lock().expect("no panic while lending").pop();
        let held = match idle {
            Some(held) => held,
            None => start(&self.0)?,
        };
        Ok(Lease { held: Some(held), pool: Arc::clone(&self.0) })
    }
}

impl Lease {
    /// What to say in a [`Spec`](super::Spec), while this exists.
    pub fn network(&self) -> Network {
        let process = self.held.as_ref().map_or(0, |held| held.process);
        Network::Outbound(OutboundNamespace { process, name_server: self.pool.way.name_server() })
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.pool.idle.lock().expect("no panic while lending").extend(self.held.take());
    }
}

fn start(pool: &Pool) -> Result<Held, SandboxError> {
    let (ours, theirs) = UnixStream::pair()?;
    let mut helper = Command::new(own_program().map_err(SandboxError::Setup)?)
        .arg0("flashbuild")
        .arg(ARGUMENT)
        .env_clear()
        .current_dir("/")
        .process_group(0)
        .stdin(OwnedFd::from(theirs))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let order = Order { way: pool.way, program: pool.program.clone() };
    // It ends when the socket is closed, and who started it has to take note of that.
    std::thread::Builder::new().name("network".to_owned()).spawn(move || helper.wait())?;
    protocol::write(&ours, &order)?;
    let answer: Result<u32, Failure> = protocol::read_one(&ours)?;
    Ok(Held { process: answer.map_err(SandboxError::Setup)?, _socket: ours })
}

/// Becomes the holder of a namespace, until the caller closes the socket.
pub(super) fn hold() -> std::io::Result<()> {
    let caller = UnixStream::from(helper::take_stdin()?);
    let order: Order = protocol::read_one(&caller)?;
    match hold_until_closed(&order, &caller) {
        Ok(()) => Ok(()),
        Err(failure) => protocol::write(&caller, &Err::<u32, _>(failure)),
    }
}

fn hold_until_closed(order: &Order, caller: &UnixStream) -> Result<(), Failure> {
    nix::sched::unshare(CloneFlags::CLONE_NEWPID).doing(|| "enter a new pid namespace".to_owned())?;
    let child = fork(|| {
        let answer = set_up(order);
        let ready = answer.is_ok();
        let said = protocol::write(caller, &answer);
        while ready && said.is_ok() && waitpid(None::<Pid>, None).is_ok() {}
        1
    })?;
    let raw = rustix::process::Pid::from_raw(child.as_raw()).expect("a child has a positive number");
    let process = rustix::process::pidfd_open(raw, PidfdFlags::empty()).doing(|| "watch a process".to_owned())?;
    let mut watched = [PollFd::new(&process, PollFlags::IN), PollFd::new(caller, PollFlags::IN)];
    rustix::io::retry_on_intr(|| rustix::event::poll(&mut watched, None)).doing(|| "wait for a process".to_owned())?;
    // A failure means that it has ended by itself. With it every process of its namespace ends.
    let _ = rustix::process::pidfd_send_signal(&process, Signal::KILL);
    waitpid(child, None).doing(|| "wait for a process".to_owned())?;
    Ok(())
}

/// The work of process 1: the number of the process in the namespace, once there is a way out.
fn set_up(order: &Order) -> Result<u32, Failure> {
    let (mut ours, theirs) = UnixStream::pair().doing(|| "make a socket".to_owned())?;
    fork(|| {
        let answer = enter_namespace();
        let ready = answer.is_ok();
        if protocol::write(&theirs, &answer).is_err() || !ready {
            return 1;
        }
        loop {
            nix::unistd::pause();
        }
    })?;
    let process: Result<u32, Failure> = protocol::read_one(&mut ours).doing(|| "hear from a process".to_owned())?;
    let process = process?;
    match order.way {
        Way::Pasta => start_pasta(&order.program, process, order.way.name_server())?,
        Way::Slirp4netns => start_slirp4netns(&order.program, process)?,
    }
    Ok(process)
}

/// Enters a new network namespace and gives up all capabilities. The number is that of the host's `/proc`.
fn enter_namespace() -> Result<u32, Failure> {
    nix::sched::unshare(CloneFlags::CLONE_NEWNET).doing(|| "enter a new network namespace".to_owned())?;
    network::loopback_up()?;
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    rustix::thread::set_capabilities(None, sets).doing(|| "drop capabilities".to_owned())?;
    let number = std::fs::read_link("/proc/self").doing(|| "read /proc/self".to_owned())?;
    let number = number.to_str().and_then(|text| text.parse().ok());
    number.ok_or_else(|| Failure::new("read /proc/self", "it is no number"))
}

/// Starts `pasta`, which goes into the background when the namespace is ready.
fn start_pasta(program: &Path, process: u32, name_server: IpAddr) -> Result<(), Failure> {
    let mut command = Command::new(program);
    command
        .args(["--quiet", "--config-net", "--netns-only", "--netns"])
        .arg(format!("/proc/{process}/ns/net"))
        // As root it would become nobody, who may not enter the namespace of root.
        .args(["--runas", "0"])
        // No port of either side is forwarded, and the host is not reached by the address of its gateway.
        .args(["--tcp-ports", "none", "--udp-ports", "none", "--tcp-ns", "none", "--udp-ns", "none", "--no-map-gw"])
        .args(["--dns-forward", &name_server.to_string()]);
    let (mut said, for_pasta) = std::io::pipe().doing(|| "make a pipe".to_owned())?;
    let mut pasta = silent(&mut command).stderr(for_pasta).spawn().doing(|| "start pasta".to_owned())?;
    drop(command);
    let status = pasta.wait().doing(|| "wait for pasta".to_owned())?;
    if status.success() { Ok(()) } else { Err(explain(program, status, &mut said)) }
}

/// Starts `slirp4netns`, which stays in the foreground and says that it is ready.
fn start_slirp4netns(program: &Path, process: u32) -> Result<(), Failure> {
    let (mut ready, tell) = std::io::pipe().doing(|| "make a pipe".to_owned())?;
    rustix::io::fcntl_setfd(&tell, rustix::io::FdFlags::empty()).doing(|| "pass a descriptor on".to_owned())?;
    let mut command = Command::new(program);
    command
        .args(["--configure", "--mtu=65520", "--disable-host-loopback", "--enable-sandbox", "--enable-seccomp"])
        .arg(format!("--ready-fd={}", tell.as_raw_fd()))
        .arg(process.to_string())
        .arg("tap0");
    let (mut said, for_slirp) = std::io::pipe().doing(|| "make a pipe".to_owned())?;
    let mut slirp = silent(&mut command).stderr(for_slirp).spawn().doing(|| "start slirp4netns".to_owned())?;
    drop((command, tell));
    if ready.read(&mut [0]).doing(|| "wait for slirp4netns".to_owned())? == 1 {
        // What it says later is for nobody, but writing must not fail.
        std::mem::forget(said);
        return Ok(());
    }
    let status = slirp.wait().doing(|| "wait for slirp4netns".to_owned())?;
    Err(explain(program, status, &mut said))
}

fn silent(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::null()).stdout(Stdio::null())
}

/// Its last line, for the first ones are not about what stopped it.
fn explain(program: &Path, status: ExitStatus, said: &mut impl Read) -> Failure {
    let mut text = String::new();
    // Bytes that are no text explain nothing.
    let _ = said.read_to_string(&mut text);
    let line = text.lines().rfind(|line| !line.trim().is_empty() && !line.contains("syslog"));
    let cause = line.map_or_else(|| status.to_string(), ToOwned::to_owned);
    Failure::new(format!("open a way out of a network namespace by {}", program.display()), cause)
}

/// Starts a process that dies with this one, whose exit code is what `child` returns.
fn fork(child: impl FnOnce() -> i32) -> Result<Pid, Failure> {
    // SAFETY: this process has one thread, so that the child may do whatever its parent may.
    #[expect(unsafe_code, reason = "fork has no safe form")]
    let fork = unsafe { nix::unistd::fork() }.doing(|| "start a process".to_owned())?;
    match fork {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            let tied = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
            std::process::exit(if tied.is_ok() { child() } else { 1 })
        }
    }
}

/// Opens a lent namespace.
pub(super) fn open(namespace: OutboundNamespace) -> Result<File, Failure> {
    let path = format!("/proc/{}/ns/net", namespace.process);
    File::open(&path).doing(|| format!("open the network namespace {path}"))
}
