//! What can go wrong with packages, in words that name the package or the lock file.

use super::apt::AptError;
use crate::{layer::LayerError, store::StoreError};
use flashbuild_frontend::package::{ArtifactHash, ArtifactHashError};

/// Why packages were not planned, fetched or unpacked.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Files could not be listed as a layer.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// A hash in a lock that vouches for nothing.
    #[error(transparent)]
    Hash(#[from] ArtifactHashError),
    /// A file of the context cannot be read.
    #[error("cannot read {file} of {place}: {problem}")]
    Context {
        /// As written in the instruction or in another file.
        file: String,
        /// Whose file: `the build context`, `the image`…
        place: &'static str,
        /// Why.
        problem: String,
    },
    /// A lock file says something that cannot be obeyed.
    #[error("{file}: {problem}")]
    Lock {
        /// The file, with its line where one is to blame.
        file: String,
        /// What it says, and how to mend it.
        problem: String,
    },
    /// Debian packages that could not be found out or unpacked.
    #[error(transparent)]
    Apt(#[from] AptError),
    /// A flag whose value makes no sense here.
    #[error("--{flag}: {problem}")]
    Flag {
        /// Its name.
        flag: &'static str,
        /// What is wrong, and what it takes.
        problem: String,
    },
    /// Packages that do not exist for the platform.
    #[error("{0}")]
    Unavailable(String),
    /// An address that nothing is fetched from.
    #[error("{address} is refused: {problem}")]
    Address {
        /// Without credentials.
        address: String,
        /// Why.
        problem: &'static str,
    },
    /// Nobody says where an artifact is.
    #[error(
        "{name}: no address is known for its artifact {hash}: configure an index (pip, uv or npm configuration) or give a folder with --find-links"
    )]
    NoAddress {
        /// The package.
        name: String,
        /// What the lock calls it.
        hash: ArtifactHash,
    },
    /// A server gave no answer, or none that helps.
    #[error("cannot fetch {what}: {problem}")]
    Fetch {
        /// A package or a page of an index.
        what: String,
        /// Without credentials.
        problem: String,
        /// Whether the machine or the network is to blame, and not what was asked for.
        environment: bool,
    },
    /// What came is something else.
    #[error("{name}: the artifact is not the one that the lock names: expected {expected}, but it is {actual}")]
    Mismatch {
        /// The package.
        name: String,
        /// By the lock.
        expected: ArtifactHash,
        /// By its bytes.
        actual: String,
    },
    /// An artifact that is broken or hostile.
    #[error("{name} is refused: {problem}")]
    Artifact {
        /// The package.
        name: String,
        /// What is wrong, with the path in the artifact.
        problem: String,
    },
    /// An artifact that was fetched and is not in the store any more.
    #[error("the artifact of {0} is no longer in the store: build again")]
    Gone(String),
}

impl PackageError {
    /// Whether the machine is to blame and not what it was asked to do.
    pub fn is_environment(&self) -> bool {
        match self {
            Self::Store(_) => true,
            Self::Fetch { environment, .. } => *environment,
            Self::Apt(error) => error.is_environment(),
            Self::Layer(_)
            | Self::Hash(_)
            | Self::Context { .. }
            | Self::Lock { .. }
            | Self::Flag { .. }
            | Self::Unavailable(_)
            | Self::Address { .. }
            | Self::NoAddress { .. }
            | Self::Mismatch { .. }
            | Self::Artifact { .. }
            | Self::Gone(_) => false,
        }
    }

    /// Whether a device or a quota is full.
    pub fn is_no_space(&self) -> bool {
        match self {
            Self::Store(StoreError::NoSpace { .. }) => true,
            Self::Layer(error) => error.is_no_space(),
            Self::Apt(error) => error.is_no_space(),
            Self::Store(_)
            | Self::Hash(_)
            | Self::Context { .. }
            | Self::Lock { .. }
            | Self::Flag { .. }
            | Self::Unavailable(_)
            | Self::Address { .. }
            | Self::NoAddress { .. }
            | Self::Fetch { .. }
            | Self::Mismatch { .. }
            | Self::Artifact { .. }
            | Self::Gone(_) => false,
        }
    }
}
