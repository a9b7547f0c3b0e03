//! Why an image did not get to where it should be.

use crate::{image::BlobDigest, layer::LayerError, registry::RegistryError, store::StoreError};
use std::{
    io,
    path::{Path, PathBuf},
};

/// Why an export failed.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The layers.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The registry.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A blob that the image consists of was never pulled, or is gone.
    #[error("blob {0} is not in the store: it has to be pulled before the image can be exported")]
    BlobAbsent(BlobDigest),
    /// A document of the store that cannot be used.
    #[error("{digest} in the store is no image: {why}")]
    Damaged {
        /// The document.
        digest: BlobDigest,
        /// What is wrong with it.
        why: String,
    },
    /// Annotations without a place.
    #[error("annotations of an index need one: build for several platforms, or annotate the manifest")]
    NoIndex,
    /// Several images where only one has room.
    #[error("{0} holds the image of one platform: choose one with --platform, or write type=oci")]
    OneImage(&'static str),
    /// A container engine did not take the image.
    #[error("cannot load the image into the engine: {0}")]
    Engine(String),
    /// Nothing to assemble.
    #[error("there is no image to export")]
    NoImage,
    /// A document that cannot be written as JSON.
    #[error("cannot write a document: {0}")]
    Document(#[from] serde_json::Error),
    /// A name that cannot be pinned to a digest.
    #[error("{name} cannot be pushed by digest: {problem}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// Writing the archive failed.
    #[error("cannot write the archive: {0}")]
    Archive(#[source] io::Error),
    /// The operating system refused something at a path.
    #[error("{path}: {error}", path = path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What it said.
        #[source]
        error: io::Error,
    },
}

/// Says where an error of the operating system happened.
pub(super) trait At<T> {
    fn at(self, path: &Path) -> Result<T, ExportError>;
}

impl<T, E: Into<io::Error>> At<T> for Result<T, E> {
    fn at(self, path: &Path) -> Result<T, ExportError> {
        self.map_err(|error| ExportError::Io { path: path.to_owned(), error: error.into() })
    }
}
