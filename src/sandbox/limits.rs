//! How much of the machine a step may use.

use super::ulimit::Ulimit;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// How much of the machine a process and its descendants may use.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Limits of each process (`setrlimit(2)`); for what is not named, those of the caller hold.
    pub ulimits: Vec<Ulimit>,
    /// Size of `/dev/shm` in bytes, [`Limits::SHARED_MEMORY`] if not said.
    pub shared_memory: Option<u64>,
    /// The control group that the processes belong to, made by [`ControlGroups::make`](super::ControlGroups::make).
    pub group: Option<PathBuf>,
}

impl Limits {
    /// As much shared memory as other engines give a step, in bytes.
    pub const SHARED_MEMORY: u64 = 64 << 20;
}
