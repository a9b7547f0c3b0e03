//! Why there is no image.

use crate::{
    context::ContextError, export::ExportError, packages::PackageError, registry::RegistryError, store::StoreError,
};

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The Dockerfile, or a step of it; rendered with its lines.
    #[error("{0}")]
    Dockerfile(String),
    /// There is no Dockerfile.
    #[error("{0}")]
    NoDockerfile(String),
    /// A rewritten image is not what it should be.
    #[error("{0}")]
    Rewrite(String),
    /// The machine, the disk or a registry.
    #[error("{0}")]
    Environment(String),
}

impl From<ContextError> for BuildError {
    fn from(error: ContextError) -> Self {
        if error.is_environment() {
            Self::Environment(error.to_string())
        } else {
            Self::NoDockerfile(error.to_string())
        }
    }
}

impl From<StoreError> for BuildError {
    fn from(error: StoreError) -> Self {
        Self::Environment(error.to_string())
    }
}

impl From<ExportError> for BuildError {
    fn from(error: ExportError) -> Self {
        Self::Environment(error.to_string())
    }
}

impl From<PackageError> for BuildError {
    fn from(error: PackageError) -> Self {
        Self::Environment(error.to_string())
    }
}

impl From<RegistryError> for BuildError {
    fn from(error: RegistryError) -> Self {
        Self::Environment(error.to_string())
    }
}
