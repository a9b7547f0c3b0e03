//! A process tree in a root file system.
//!
//! [`run()`] takes a [`Spec`] and gives an [`Exit`]. Three processes take part:
//!
//! ```text
//! caller (many threads)         helper (one thread)             process 1 of the sandbox
//! ------------------------      ------------------------        ------------------------------------
//! spawn own binary (`ahead`) -> enter new namespaces
//! say the spec           -->    fork                     -->    build and enter the root file system
//! hear messages          <--    watch caller and child          give up privileges
//! hear output            <--------------------------------      execute the program
//! ```
//!
//! 1. The caller ([`run()`]) executes its own binary again, as the *helper*: nothing is cloned in a process that has
//!    threads. The helper's descriptor 0 is a socket to the caller, 1 and 2 are the pipes that the step will write to.
//! 2. The helper ([`run_helper_if_asked`], the first thing that `main` does) reads the specification from the socket,
//!    leaves the namespaces of the host (mount, pid, ipc, uts, cgroup, and net unless the step is to have the host's;
//!    one with a way out is lent by [`OutboundNetworks`]) and forks.
//! 3. Its child is process 1 of the new pid namespace. It sets up all that the step sees, in the numbered steps of
//!    `init.rs`, and executes the program in its own place, as container engines do.
//! 4. The helper waits for whichever comes first: its child ends, and it reports how; or the caller closes the socket,
//!    by cancelling, by dropping the future, or by dying of `kill -9`, and it kills its child. With process 1 the
//!    kernel kills every process of the namespace, and with the last process go all mounts. When the helper ends
//!    without having done so, the kernel kills process 1 (`PR_SET_PDEATHSIG`).
//!
//! Invariants:
//!
//! - A mount exists only in a mount namespace of the sandbox, and a temporary file only in a mount.
//! - No path of an image is resolved but inside its tree (`tree.rs`), and no mount is made on a path, only on a
//!   descriptor (`mounts.rs`).
//! - The step inherits descriptors 0, 1 and 2, no environment, no ignored signal, no key ring, and no capability that
//!   engines do not give; and it makes no system call that they refuse (`seccomp/`).
//! - The step cannot change the binary that it could see as `/proc/self/exe` (CVE-2019-5736): the helper is executed
//!   from a read-only mount.
//! - When [`run()`] returns, no process of the sandbox is left and the tree is unmounted.
//!
//! # Privileges
//!
//! As root a step runs in the user namespace of the host, so that `mknod`, any owner and file capabilities work. An
//! ordinary user first becomes root of a user namespace, once for the whole process ([`enter_user_namespace`]);
//! everything else is the same for both.
//!
//! # Foreign architectures
//!
//! [`Emulation::for_arch`] says whether the host can run programs of an architecture. Where an emulator has to be
//! brought, the step gets one more user namespace with the same ids, and a `binfmt_misc` of that namespace (`binfmt.rs`):
//! the host's own is neither needed nor touched. The price is that of a user namespace: no `mknod`, nothing that takes
//! a capability over the network of the host (ports below 1024). File capabilities that are set there read as version 2
//! outside, because the root of both namespaces is the same.
//!
//! # Other runtimes
//!
//! With an OCI runtime named in the [`Spec`], process 1 mounts the tree and becomes the runtime (`oci_runtime.rs`); the
//! layer that comes of the step is the same.
//!
//! # Who watches
//!
//! Of an observed sandbox ([`Spec::observed`]) the caller hears which paths its processes ask for (`observer.rs`).
//!
//! # Without namespaces
//!
//! Where a container refuses namespaces and mounts, [`Isolation::Chroot`] runs a process with nothing but a root folder
//! of its own (`chroot/`): its files are kept apart, and little else.
//!
//! # What it takes
//!
//! Linux 5.12; 6.7 for emulators. Absent on purpose: everything that knows of images.

mod ahead;
mod beside;
mod binfmt;
mod capabilities;
mod chroot;
mod control_group;
mod descriptor;
mod devices;
mod elf;
mod emulation;
mod failure;
mod helper;
mod id_map;
mod init;
mod kernel_views;
mod limits;
mod mount;
mod mounts;
mod network;
mod observer;
mod oci_runtime;
mod outbound;
mod overlay;
mod program;
mod protocol;
mod run;
mod seccomp;
mod shown;
mod signal_delivery;
mod spec;
mod terminal;
mod tree;
mod ulimit;
mod user_namespace;

#[cfg(test)]
mod tests;

pub use ahead::Helpers;
pub use binfmt::Emulator;
pub use capabilities::is_administrator;
pub use chroot::can_chroot;
pub use control_group::{ControlGroup, ControlGroups, GroupLimits, memory_kills};
pub use emulation::Emulation;
pub use failure::Failure;
pub use helper::run_helper_if_asked;
pub use limits::Limits;
pub use mount::{Appended, FileSource, FolderSource, MountSource, Sensitive, StepMount, TreeSource};
pub use outbound::{Lease, OutboundNetworks};
pub use overlay::is_initial_user_namespace;
pub use run::{Connection, Request, run, run_connected};
pub use spec::{
    Exit, Hardening, HostEntry, HostEntryError, Input, Isolation, Network, OutboundNamespace, Program, SandboxError,
    Security, ShownFile, Spec, Status, Stream, TerminalSize, Usage, User,
};
pub use terminal::{receive_terminal, resize_terminal};
pub use ulimit::{Resource, Ulimit, UlimitError};
pub use user_namespace::{Privilege, enter_user_namespace};
