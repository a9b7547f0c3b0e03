//! An emulator for one step, registered in a user namespace of the step's own.
//!
//! Since Linux 6.7 every user namespace can have a `binfmt_misc` of its own, which rules over programs executed in that
//! namespace and its children. So process 1, when all that takes the privileges of its present namespace is done:
//!
//! 1. enters a new user namespace, and a mount namespace owned by it;
//! 2. asks the helper, which stayed outside, to map every id onto itself;
//! 3. mounts `binfmt_misc` and registers the emulator by a descriptor that it opened before it left the host;
//! 4. covers `binfmt_misc`, which must stay mounted to stay in force, by an empty folder. A step cannot take that off:
//!    it has no capability to, and in a user namespace made by it the two mounts are locked together.
//!
//! The flags of the registration: `F` holds the emulator open, so that the root file system need not have it; `O` and
//! `C` pass the program as a descriptor and give it its own set-id bits, so that `sudo` works and a program that may be
//! executed but not read is; `P` keeps `argv[0]`, which programs that look at their own name (busybox) need.

use super::elf::Header;
use super::failure::{Doing, Failure};
use super::id_map::{IdMap, Ids};
use super::mounts::{FileSystem, INERT, READ_ONLY};
use nix::sched::CloneFlags;
use nix::unistd::Pid;
use rustix::fs::{Mode, OFlags, ResolveFlags};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

/// A program of the host that runs programs of another architecture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Emulator {
    /// The other architecture, as OCI names it.
    pub arch: String,
    /// A static executable on the host, such as `/usr/bin/qemu-aarch64-static`.
    pub program: PathBuf,
}

/// An emulator opened on the host.
#[derive(Debug)]
pub(super) struct Opened {
    program: OwnedFd,
    header: Header,
    arch: String,
}

/// The side of process 1: asks for ids.
#[derive(Debug)]
pub(super) struct Request(UnixStream);

/// The side of the helper: maps ids.
#[derive(Debug)]
pub(super) struct Handshake {
    asked: UnixStream,
    proc: OwnedFd,
}

/// Opens an emulator while the host is still there.
pub(super) fn open(emulator: &Emulator) -> Result<Opened, Failure> {
    let Some(header) = Header::of_arch(&emulator.arch) else {
        return Err(Failure::new("emulate", format!("unknown architecture {}", emulator.arch)));
    };
    let program = rustix::fs::open(&emulator.program, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .doing(|| format!("open the emulator {}", emulator.program.display()))?;
    Ok(Opened { program, header, arch: emulator.arch.clone() })
}

/// Enters a user namespace where the emulator is in force.
pub(super) fn register(emulator: &Opened, request: Request) -> Result<(), Failure> {
    nix::sched::unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS)
        .doing(|| "enter a user namespace for the emulator".to_owned())
        .map_err(|failure| failure.hint("see sysctl user.max_user_namespaces"))?;
    request.wait_for_ids()?;

    let handlers = FileSystem::open("binfmt_misc").and_then(|kind| kind.mount(INERT)).map_err(|failure| {
        failure.hint("emulators of a sandbox's own need Linux 6.7; on an older kernel, register one with the host")
    })?;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS;
    let place = rustix::fs::openat2(
        rustix::fs::CWD,
        "/proc/sys/fs/binfmt_misc",
        OFlags::PATH | OFlags::CLOEXEC,
        Mode::empty(),
        resolve,
    )
    .doing(|| "open /proc/sys/fs/binfmt_misc".to_owned())?;
    let handlers = handlers.attach(place.as_fd())?;

    // The emulator has no path in this root, but its descriptor has.
    let program = format!("/proc/self/fd/{}", emulator.program.as_raw_fd());
    let line = emulator.header.registration(&emulator.arch, &program);
    let write = || {
        let register =
            rustix::fs::openat(handlers.root(), "register", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
        File::from(register).write_all(line.as_bytes())
    };
    write().doing(|| format!("register the emulator of {}", emulator.arch))?;

    FileSystem::open("tmpfs")?.mount(INERT | READ_ONLY)?.attach(handlers.root())?;
    Ok(())
}

impl Request {
    fn wait_for_ids(mut self) -> Result<(), Failure> {
        let mut answer = [0];
        let mut ask = || {
            self.0.write_all(&[0])?;
            self.0.read_exact(&mut answer)
        };
        ask().doing(|| "map the ids of the emulator's user namespace".to_owned())
    }
}

impl Handshake {
    /// Both sides. To be called before process 1 changes the root of both.
    pub(super) fn new() -> Result<(Request, Self), Failure> {
        let (ours, theirs) = UnixStream::pair().doing(|| "make a socket".to_owned())?;
        let proc = rustix::fs::open("/proc", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .doing(|| "open /proc".to_owned())?;
        Ok((Request(theirs), Self { asked: ours, proc }))
    }

    /// Waits until process 1 is in its user namespace, and gives it every id that this process has.
    ///
    /// If it fails before that, there is nothing to do: it reports so itself.
    pub(super) fn map_ids(mut self, child: Pid) -> Result<(), Failure> {
        if self.asked.read_exact(&mut [0]).is_err() {
            return Ok(());
        }
        let folder = rustix::fs::openat(
            self.proc.as_fd(),
            child.to_string(),
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .doing(|| "open the /proc of the sandbox".to_owned())?;
        for ids in [Ids::Groups, Ids::Users] {
            IdMap::identity(&self.proc, ids)?.write(&folder, ids)?;
        }
        self.asked.write_all(&[0]).doing(|| "answer process 1".to_owned())
    }
}
