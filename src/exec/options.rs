//! How a build's steps run on this machine: what was asked for on the command line and is in no key.

use super::DebugShell;
use crate::sandbox::{GroupLimits, HostEntry, Isolation, Limits};
use std::{path::PathBuf, sync::Arc};

/// How a build's steps run on this machine.
#[derive(Debug, Clone, Default)]
pub struct StepOptions {
    /// How much of the machine each process may use.
    pub limits: Limits,
    /// How much of the machine each step may use with all its processes.
    pub group_limits: GroupLimits,
    /// More names for `/etc/hosts`.
    pub hosts: Vec<HostEntry>,
    /// An emulator to use in place of the one that would be found.
    pub emulator: Option<PathBuf>,
    /// An OCI runtime that runs steps in place of our own code.
    pub runtime: Option<PathBuf>,
    /// Who is let into the sandboxes of steps that failed.
    pub debug_shell: Option<Arc<dyn DebugShell>>,
    /// What keeps steps apart from this machine.
    pub isolation: Isolation,
    /// Whether no program may give a step more than it has.
    pub no_new_privileges: bool,
}
