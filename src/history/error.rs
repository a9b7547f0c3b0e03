//! Why a build of the past cannot be shown.

use crate::store::StoreError;
use std::{io, path::PathBuf};

/// Why a build of the past cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// There are none.
    #[error("no build is recorded in this store")]
    Empty,
    /// There is none of this name.
    #[error("no build {0:?}: `flashbuild history ls` lists those that are recorded")]
    NotFound(String),
    /// There are several whose names begin so.
    #[error("{0:?} is the beginning of several builds: say more of it")]
    Ambiguous(String),
    /// The build runs.
    #[error("build {0} is running")]
    Running(String),
    /// There is no such step.
    #[error("build {build} has no step {step:?}: `flashbuild history inspect {build}` lists them")]
    NoStep {
        /// The build.
        build: String,
        /// What was asked for.
        step: String,
    },
    /// The disk.
    #[error("{}: {error}", path.display())]
    Disk {
        /// Where.
        path: PathBuf,
        /// What.
        error: io::Error,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}
