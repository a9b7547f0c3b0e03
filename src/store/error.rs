//! What can go wrong with a store, in words that say what to do about it.

use super::FORMAT;
use crate::image::BlobDigest;
use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

/// Why an operation on the store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The device or the user's quota is full.
    #[error(
        "no space left on the device of {path}: free some (`flashbuild cache prune` removes what is not in use), \
         or keep the store elsewhere with --root"
    )]
    NoSpace {
        /// What was being written.
        path: PathBuf,
    },

    /// The operating system refused.
    #[error("{path}: {error}")]
    Io {
        /// The file or folder it happened to.
        path: PathBuf,
        /// What the operating system said.
        error: io::Error,
    },

    /// Another version of flashbuild made the store.
    #[error(
        "the store {root} has format {found}, but this flashbuild reads format {FORMAT}: \
         use the flashbuild that made it, another folder with --root, or remove {root} to begin anew"
    )]
    Format {
        /// The store.
        root: PathBuf,
        /// What its `version` file says.
        found: String,
    },

    /// The folder is in use for something else.
    #[error("{root} is no store, and not empty (it has {entry:?}): choose an empty or a new folder with --root")]
    NotAStore {
        /// The folder.
        root: PathBuf,
        /// Something in it that no store has.
        entry: OsString,
    },

    /// The index is no longer a database.
    #[error(
        "the index {path} is damaged ({error}): remove it and its -wal and -shm files; it fills again as you build"
    )]
    DamagedIndex {
        /// The database.
        path: PathBuf,
        /// What the database said.
        error: rusqlite::Error,
    },

    /// The database failed in another way.
    #[error("the index {path}: {error}")]
    Index {
        /// The database.
        path: PathBuf,
        /// What the database said.
        error: rusqlite::Error,
    },

    /// What was written is not what was promised. Nothing of it is kept.
    #[error(
        "expected a blob with digest {expected}, but its content has {actual}: it was damaged or changed on its way"
    )]
    DigestMismatch {
        /// What was asked for.
        expected: BlobDigest,
        /// What came.
        actual: BlobDigest,
    },

    /// A blob that was to be read into memory is larger than its reader allows.
    #[error("blob {digest} has {size} bytes, more than the {limit} that are read at once")]
    TooLarge {
        /// The blob.
        digest: BlobDigest,
        /// Its size, in bytes.
        size: u64,
        /// What the caller allows, in bytes.
        limit: u64,
    },

    /// An image's descriptor cannot be read.
    #[error("the descriptor of image {name}: {error}")]
    Descriptor {
        /// The image.
        name: String,
        /// What is wrong with it.
        error: serde_json::Error,
    },
}

impl StoreError {
    /// An operating system's error at `path`; recognises a full disk.
    pub fn at(path: &Path, error: io::Error) -> Self {
        let path = path.to_owned();
        if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            Self::NoSpace { path }
        } else {
            Self::Io { path, error }
        }
    }

    /// An error of the index at `path`.
    pub(super) fn index(path: &Path, error: rusqlite::Error) -> Self {
        let path = path.to_owned();
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => Self::NoSpace { path },
            Some(rusqlite::ErrorCode::NotADatabase | rusqlite::ErrorCode::DatabaseCorrupt) => {
                Self::DamagedIndex { path, error }
            }
            _ => Self::Index { path, error },
        }
    }
}

/// Puts the path into an operating system's error: `fs::read(path).at(path)?`.
pub(super) trait At<T> {
    /// The same result, with a [`StoreError`] that names `path`.
    fn at(self, path: &Path) -> Result<T, StoreError>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, path: &Path) -> Result<T, StoreError> {
        self.map_err(|error| StoreError::at(path, error))
    }
}

impl<T> At<T> for rustix::io::Result<T> {
    fn at(self, path: &Path) -> Result<T, StoreError> {
        self.map_err(|error| StoreError::at(path, error.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_says_what_to_do() {
        let error = StoreError::at(Path::new("/store/tmp/1"), rustix::io::Errno::NOSPC.into());
        assert_eq!(
            error.to_string(),
            "no space left on the device of /store/tmp/1: free some (`flashbuild cache prune` removes what is not in \
             use), or keep the store elsewhere with --root"
        );
        let quota = StoreError::at(Path::new("/store"), rustix::io::Errno::DQUOT.into());
        assert!(matches!(quota, StoreError::NoSpace { .. }));
    }
}
