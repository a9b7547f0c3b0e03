//! What can go wrong with a layer, in words that name the path.

use super::{
    tar_reader::ArchiveError,
    toc::{TocError, display},
};
use crate::{
    image::{ContentDigest, DiffId},
    store::StoreError,
};
use std::{io, path::Path, path::PathBuf};

/// Why a layer was not made, read or unpacked.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The operating system refused.
    #[error("{path}: {error}")]
    Io {
        /// Where: a host path, or a path in the layer, which then begins at the layer's root.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
    /// The device is full.
    #[error("no space left on the device of {path}: free some (`flashbuild cache prune` removes what is not in use)")]
    NoSpace {
        /// What was being written.
        path: PathBuf,
    },
    /// Entries that make no table.
    #[error(transparent)]
    Toc(#[from] TocError),
    /// A file was written while it was read.
    #[error("{path} changed while it was read; build again when nothing writes to it")]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// A file does not hold what was said of it.
    #[error("{path} was expected to hold {expected}, but holds {actual}: if it changed meanwhile, build again")]
    Content {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        expected: ContentDigest,
        /// What it holds.
        actual: ContentDigest,
    },
    /// Something that no layer can express.
    #[error("{} cannot be part of a layer: {reason}", display(.path))]
    Inexpressible {
        /// Path in the layer.
        path: Vec<u8>,
        /// Why not.
        reason: &'static str,
    },
    /// An archive that is broken, hostile or beyond a limit.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// What was unpacked is another layer.
    #[error("expected the layer {expected}, but the archive is {actual}")]
    WrongLayer {
        /// What the image's configuration promised.
        expected: DiffId,
        /// What came.
        actual: DiffId,
    },
    /// The folder of a pulled layer does not give its archive back, and its blob is gone.
    #[error("the layer {0} was packed by another tool and its blob is no longer here: pull it again")]
    NotReproducible(DiffId),
    /// The store has the layer in no form.
    #[error("the layer {0} is not in the store: it has to be pulled or made first")]
    Absent(DiffId),
}

impl LayerError {
    /// Whether it failed because a device or a quota is full.
    pub fn is_no_space(&self) -> bool {
        match self {
            Self::NoSpace { .. } | Self::Store(StoreError::NoSpace { .. }) => true,
            Self::Store(_)
            | Self::Io { .. }
            | Self::Toc(_)
            | Self::Changed { .. }
            | Self::Content { .. }
            | Self::Inexpressible { .. }
            | Self::Archive(_)
            | Self::WrongLayer { .. }
            | Self::NotReproducible(_)
            | Self::Absent(_) => false,
        }
    }

    /// An operating system's error at `path`; recognises a full disk, and an error of ours that went through `io`.
    pub(super) fn at(path: impl AsRef<Path>, error: io::Error) -> Self {
        let path = path.as_ref().to_owned();
        if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            return Self::NoSpace { path };
        }
        match error.downcast::<Self>() {
            Ok(ours) => ours,
            Err(error) => match error.downcast::<ArchiveError>() {
                Ok(archive) => Self::Archive(archive),
                Err(error) => Self::Io { path, error },
            },
        }
    }
}

/// Puts the path into an operating system's error: `file.sync_all().at(path)?`.
pub(super) trait At<T> {
    /// The same result, with a [`LayerError`] that names `path`.
    fn at(self, path: impl AsRef<Path>) -> Result<T, LayerError>;
    /// The same, for a path in a layer.
    fn at_entry(self, path: &[u8]) -> Result<T, LayerError>;
}

impl<T, E: Into<io::Error>> At<T> for Result<T, E> {
    fn at(self, path: impl AsRef<Path>) -> Result<T, LayerError> {
        self.map_err(|error| LayerError::at(path, error.into()))
    }

    fn at_entry(self, path: &[u8]) -> Result<T, LayerError> {
        self.map_err(|error| LayerError::at(display(path), error.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_recognised_and_our_own_errors_come_back() {
        let full: Result<(), _> = Err(rustix::io::Errno::NOSPC);
        assert!(full.at("/a").unwrap_err().is_no_space());
        let ours = io::Error::other(LayerError::Absent(DiffId::empty()));
        assert!(matches!(Err::<(), _>(ours).at_entry(b"a").unwrap_err(), LayerError::Absent(_)));
        let other: Result<(), _> = Err(rustix::io::Errno::ACCESS);
        assert!(other.at_entry(b"etc/x").unwrap_err().to_string().starts_with("/etc/x: "));
    }
}
