//! Why a cache could not be read or written.

use crate::{image::BlobDigest, layer::LayerError, packages::PackageError, registry::RegistryError, store::StoreError};
use std::{io, path::PathBuf};

/// Why a cache could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A layer could not be made, or is not what the cache says.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// The registry failed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// Artifacts of packages.
    #[error(transparent)]
    Package(Box<PackageError>),
    /// What is there is no cache, or a damaged one.
    #[error("{origin} cannot be used as a cache: {problem}")]
    Unusable {
        /// The cache.
        origin: String,
        /// What is wrong with it.
        problem: String,
    },
    /// No connection, or it broke.
    #[error("cannot reach the cache {origin}: {cause}")]
    Unreachable {
        /// The cache.
        origin: String,
        /// The innermost cause.
        cause: String,
    },
    /// A blob that the cache names is not there.
    #[error("{origin} has lost the blob {digest}: export it again")]
    Lost {
        /// The cache.
        origin: String,
        /// The blob.
        digest: BlobDigest,
    },
    /// The operating system refused.
    #[error("{path}: {error}", path = path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
}

impl CacheError {
    #[expect(clippy::needless_pass_by_value, reason = "an error is passed on as it comes")]
    pub(super) fn unusable(origin: &str, problem: impl ToString) -> Self {
        Self::Unusable { origin: origin.to_owned(), problem: problem.to_string() }
    }
}

impl From<PackageError> for CacheError {
    fn from(error: PackageError) -> Self {
        Self::Package(Box::new(error))
    }
}

/// Says where an error of the operating system happened.
pub(super) trait At<T> {
    fn at(self, path: &std::path::Path) -> Result<T, CacheError>;
}

impl<T, E: Into<io::Error>> At<T> for Result<T, E> {
    fn at(self, path: &std::path::Path) -> Result<T, CacheError> {
        self.map_err(|error| CacheError::Io { path: path.to_owned(), error: error.into() })
    }
}
