//! What to run, and what came of it: plain data.

use super::binfmt::Emulator;
use super::failure::Failure;
use super::limits::Limits;
use super::mount::{Appended, MountSource, StepMount};
use super::overlay::Folders;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// A process to run in a root file system, complete: nothing is taken from the environment of the caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// The layers below, lowest first, at most [`Spec::MAX_LOWERS`]. None at all is a tree that is empty but for `upper`.
    pub lowers: Vec<PathBuf>,
    /// Where changes go: an existing folder, in overlayfs' own format afterwards.
    pub upper: PathBuf,
    /// An empty folder on the file system of `upper`. Afterwards it is overlayfs' debris, to be removed by the caller.
    pub work: PathBuf,
    /// Program and arguments. A program without a slash is looked up in `PATH` of `env`, inside the tree.
    pub args: Vec<String>,
    /// `NAME=value`, complete.
    pub env: Vec<String>,
    /// Working directory: a path inside the tree, made if it is absent.
    pub cwd: PathBuf,
    /// Who the process is.
    pub user: User,
    /// What the process reads, and whether it is at a terminal.
    pub input: Input,
    /// Host name, also in `/etc/hostname` and `/etc/hosts`.
    pub hostname: String,
    /// More lines for `/etc/hosts`.
    pub hosts: Vec<HostEntry>,
    /// What the process reaches.
    pub network: Network,
    /// Files shown over the tree while the process runs; they are never part of `upper`.
    pub files: Vec<ShownFile>,
    /// Text appended to files of the tree, to be taken out of `upper` by the caller.
    pub appended: Vec<Appended>,
    /// What else is mounted over the tree, in this order; never part of `upper`.
    pub mounts: Vec<StepMount>,
    /// How to run programs of a foreign architecture, if the tree holds such and the host cannot run them itself.
    pub emulator: Option<Emulator>,
    /// What it may do to the machine.
    pub hardening: Hardening,
    /// What keeps it apart.
    pub isolation: Isolation,
    /// How much of the machine it may use.
    pub limits: Limits,
    /// Whether the caller hears of each path that its processes ask for ([`Connection::paths`](super::Connection)).
    pub observed: bool,
    /// An OCI runtime to run it, in place of our own code: a program such as `/usr/bin/crun`.
    pub runtime: Option<PathBuf>,
}

impl Spec {
    /// As many lower layers as overlayfs takes (`OVL_MAX_STACK`).
    pub const MAX_LOWERS: usize = 500;

    /// Makes it a specification for another run on what a run has left: overlayfs takes no work folder twice. The new
    /// ones lie beside the old ones, with `suffix` at the end of their names, and must not be there yet.
    pub fn renew_work(&mut self, suffix: &str) -> std::io::Result<()> {
        let trees = self.mounts.iter_mut().filter_map(|mount| match &mut mount.source {
            MountSource::Tree(tree) => Some(&mut tree.work),
            MountSource::Folder(_)
            | MountSource::Tmpfs { .. }
            | MountSource::File(_)
            | MountSource::Socket(_)
            | MountSource::Host(_)
            | MountSource::HostTree(_) => None,
        });
        for work in trees.chain([&mut self.work]) {
            let mut name = work.file_name().unwrap_or_default().to_owned();
            name.push("-");
            name.push(suffix);
            work.set_file_name(name);
            std::fs::create_dir(work)?;
        }
        Ok(())
    }

    /// The folders of the tree.
    pub(super) fn folders(&self) -> Folders<'_> {
        Folders { lowers: &self.lowers, upper: &self.upper, work: &self.work }
    }
}

/// What a process has as its descriptor 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Input {
    /// Nothing: reading ends at once.
    #[default]
    Nothing,
    /// The descriptor of the [`Connection`](super::Connection), best a pipe: a file of the host could be opened anew
    /// by the process, for writing.
    Given,
    /// A terminal of the sandbox's own, which is its output as well. The descriptor of the
    /// [`Connection`](super::Connection) is a socket, over which the caller gets the other end
    /// ([`receive_terminal`](super::receive_terminal)).
    Terminal(TerminalSize),
}

/// The size of a terminal, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalSize {
    /// Lines.
    pub rows: u16,
    /// Characters of a line.
    pub columns: u16,
}

/// Another program to run beside that of a [`Spec`], as the same user and held in the same way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// As [`Spec::args`].
    pub args: Vec<String>,
    /// As [`Spec::env`].
    pub env: Vec<String>,
    /// As [`Spec::cwd`].
    pub cwd: PathBuf,
}

/// Numeric identity of a process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// User.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

/// What keeps a process apart from the machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Isolation {
    /// Namespaces and mounts.
    #[default]
    Namespaces,
    /// Its root folder alone, for where namespaces and mounts are refused: [`Spec::lowers`] is empty then and
    /// [`Spec::upper`] the whole tree, which must be on one file system with [`Spec::work`] and all that is mounted.
    Chroot,
}

/// What a process may do to the machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hardening {
    /// How far it is kept from the machine.
    pub security: Security,
    /// Whether executing a program can never give it more than it has (`PR_SET_NO_NEW_PRIVS`): `sudo` does not work then.
    pub no_new_privileges: bool,
}

/// How far a process is kept from the machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Security {
    /// As container engines do by default: their capabilities, their filter of system calls, their view of `/proc` and
    /// `/sys`.
    #[default]
    Sandbox,
    /// Not at all but for namespaces: root has every capability that the caller has, no system call is refused, nothing
    /// of `/proc` and `/sys` is hidden or read-only. Such a process can take over the machine if the caller is its root.
    Insecure,
}

/// A name of an address, for `/etc/hosts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostEntry {
    /// Where it leads.
    pub address: IpAddr,
    /// The name.
    pub name: String,
}

/// A text that is no [`HostEntry`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected NAME:ADDRESS or NAME=ADDRESS, with the address of a machine")]
pub struct HostEntryError;

impl FromStr for HostEntry {
    type Err = HostEntryError;

    /// Reads `NAME:ADDRESS` or `NAME=ADDRESS`; an address of IPv6 may be in brackets.
    fn from_str(text: &str) -> Result<Self, HostEntryError> {
        let (name, address) = text.split_once('=').or_else(|| text.split_once(':')).ok_or(HostEntryError)?;
        let address = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
        let valid = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        if name.is_empty() || !name.chars().all(valid) {
            return Err(HostEntryError);
        }
        Ok(Self { address: address.parse().map_err(|_| HostEntryError)?, name: name.to_owned() })
    }
}

/// What a process reaches of the network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Network {
    /// Everything that the host reaches, in the host's own network namespace.
    #[default]
    Host,
    /// A loopback interface of its own and nothing else.
    None,
    /// What the host reaches but not the host, from a namespace lent by
    /// [`OutboundNetworks`](super::OutboundNetworks).
    Outbound(OutboundNamespace),
}

/// A network namespace with a way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboundNamespace {
    /// A process that is in it.
    pub(super) process: u32,
    /// Where it finds a name server that asks those of the host.
    pub(super) name_server: IpAddr,
}

/// A read-only file placed over the tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownFile {
    /// Where, inside the tree.
    pub path: PathBuf,
    /// The bytes.
    pub content: Vec<u8>,
    /// Permission bits.
    pub mode: u32,
}

/// Where output came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Descriptor 1.
    Stdout,
    /// Descriptor 2.
    Stderr,
}

/// A process that ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// How it ended.
    pub status: Status,
    /// What it used, together with the descendants that it waited for.
    pub usage: Usage,
    /// What was made in `upper` only to mount something on, parents first, relative to the root of the tree.
    ///
    /// They are not the step's doing and belong in no layer, unless the step filled them: drop the files, and those of
    /// the folders that are otherwise empty. Times of the folders above them are as they were.
    pub stubs: Vec<PathBuf>,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// By itself.
    Code(i32),
    /// By a signal.
    Signal(i32),
}

impl Status {
    /// Whether the process ended well.
    pub fn success(self) -> bool {
        self == Self::Code(0)
    }

    /// The number that a shell shows: 128 and the signal for a process that was killed.
    pub fn code(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => 128 + signal,
        }
    }
}

/// What a process used of the machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// The largest resident set of any of its processes, in bytes.
    pub peak_memory: u64,
    /// Time spent on processors, by the programs and by the kernel for them.
    pub cpu_time: Duration,
}

/// Why there is no [`Exit`].
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The specification cannot be met by any kernel.
    #[error("{0}")]
    Spec(String),
    /// The helper could not be started or spoken to.
    #[error("cannot start a sandbox: {0}")]
    Helper(#[from] std::io::Error),
    /// The helper ended without a word.
    #[error("the sandbox ended without a report ({0})")]
    Silent(std::process::ExitStatus),
    /// The sandbox could not be set up.
    #[error("{0}")]
    Setup(Failure),
    /// The program could not be executed. The sandbox is to blame for nothing.
    #[error("{message}")]
    Program {
        /// What a shell would say.
        message: String,
        /// What a shell would exit with: 127 for a program that is not there, 126 for one that cannot be executed.
        code: i32,
    },
    /// Somebody cancelled the run; all processes are gone.
    #[error("cancelled")]
    Cancelled,
}

#[cfg(test)]
mod tests {
    use super::HostEntry;

    #[test]
    fn names_of_addresses_are_read() {
        for (text, expected) in [
            ("db:10.1.2.3", Some(("db", "10.1.2.3"))),
            ("db=10.1.2.3", Some(("db", "10.1.2.3"))),
            ("db:::1", Some(("db", "::1"))),
            ("db=[fd00::1]", Some(("db", "fd00::1"))),
            ("db", None),
            (":10.1.2.3", None),
            ("db:10.1.2", None),
            ("d\nb:10.1.2.3", None),
            ("d b:10.1.2.3", None),
        ] {
            let entry = text.parse::<HostEntry>().ok();
            let expected = expected.map(|(name, address)| (name.to_owned(), address.parse().unwrap()));
            assert_eq!(entry.map(|entry| (entry.name, entry.address)), expected, "{text:?}");
        }
    }
}
