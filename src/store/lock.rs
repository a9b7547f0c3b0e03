//! Locks between processes: `flock(2)` on a file in `locks/`.
//!
//! The kernel releases one when its holder dies, however it dies. The files clean up after themselves: the holder
//! removes its file *while it holds the lock*, and whoever gets a lock checks that its file still has its name, and
//! begins again if not. So two can never hold the same name by way of two files. What `kill -9` leaves is an empty
//! file that the next holder of the name, or a collection of garbage, removes.

use super::{Store, StoreError, error::At};
use crate::image::Digest;
use rustix::{fs::FlockOperation, io::Errno};
use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// A lock that is held until this is dropped or the process dies. It excludes other threads too.
#[derive(Debug)]
pub struct FileLock {
    path: PathBuf,
    _file: File,
}

impl Store {
    /// Waits for the lock called `name`; any text is a name.
    pub fn lock(&self, name: &str) -> Result<FileLock, StoreError> {
        FileLock::acquire(&named(self.root(), name))
    }

    /// The lock called `name`, or `None` if somebody holds it. A collection of garbage, which looks whether its holder
    /// lives, counts as somebody for that moment.
    pub fn try_lock(&self, name: &str) -> Result<Option<FileLock>, StoreError> {
        FileLock::try_acquire(&named(self.root(), name))
    }

    /// Removes the files of locks whose holders were killed.
    pub(super) fn sweep_locks(&self) -> Result<(), StoreError> {
        let folder = self.root().join("locks");
        for entry in fs::read_dir(&folder).at(&folder)? {
            drop(FileLock::try_acquire(&entry.at(&folder)?.path())?);
        }
        Ok(())
    }
}

/// Where the lock called `name` is.
pub(super) fn named(root: &Path, name: &str) -> PathBuf {
    root.join("locks").join(Digest::of(name.as_bytes()).hex())
}

impl FileLock {
    pub(super) fn acquire(path: &Path) -> Result<Self, StoreError> {
        loop {
            if let Some(lock) = Self::take(path, FlockOperation::LockExclusive)? {
                return Ok(lock);
            }
        }
    }

    pub(super) fn try_acquire(path: &Path) -> Result<Option<Self>, StoreError> {
        Self::take(path, FlockOperation::NonBlockingLockExclusive)
    }

    fn take(path: &Path, how: FlockOperation) -> Result<Option<Self>, StoreError> {
        loop {
            let file = OpenOptions::new().create(true).write(true).truncate(false).mode(0o600).open(path).at(path)?;
            match rustix::fs::flock(&file, how) {
                Ok(()) if has_name(&file, path)? => return Ok(Some(Self { path: path.to_owned(), _file: file })),
                Ok(()) | Err(Errno::INTR) => {}
                Err(Errno::WOULDBLOCK) => return Ok(None),
                Err(error) => return Err(error).at(path),
            }
        }
    }
}

fn has_name(file: &File, path: &Path) -> Result<bool, StoreError> {
    let ours = file.metadata().at(path)?;
    match fs::symlink_metadata(path) {
        Ok(named) => Ok((named.dev(), named.ino()) == (ours.dev(), ours.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).at(path),
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // Before the file is closed, hence before anybody else can hold the lock. If it fails, an empty file stays.
        drop(fs::remove_file(&self.path));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn one_holder_at_a_time_and_no_file_after_the_last() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let holders = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let _lock = FileLock::acquire(&path).unwrap();
                        assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0);
                        holders.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert!(!path.exists());
    }

    #[test]
    fn names_are_apart_and_may_be_anything() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let held = store.lock("../../a").unwrap();
        assert!(store.try_lock("../../a").unwrap().is_none());
        assert!(store.try_lock("b").unwrap().is_some());
        drop(held);
        assert!(store.try_lock("../../a").unwrap().is_some());
    }
}
