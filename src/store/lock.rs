//! Locks between processes, which the kernel releases when their holder dies, however it dies.
//!
//! - A [`NameLock`] is one byte of the file `names.lock` (`fcntl(2)`, "Open file description locks"): which one follows from
//!   the name. A build takes several for each step, and no file is made or removed for them.
//! - A [`FileLock`] is a file of its own in `locks/` (`flock(2)`), which others can list. The files clean up after
//!   themselves: the holder removes its file *while it holds the lock*, and whoever gets a lock checks that its file still
//!   has its name, and begins again if not. So two can never hold the same name by way of two files. What `kill -9` leaves
//!   is an empty file that the next holder of the name, or a collection of garbage, removes.

use super::{Store, StoreError, error::At};
use crate::image::Digest;
use nix::{
    fcntl::{FcntlArg, fcntl},
    libc,
};
use rustix::{fs::FlockOperation, io::Errno};
use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// A lock on a name, held until this is dropped or the process dies. It excludes other threads too.
#[derive(Debug)]
pub struct NameLock {
    _file: File,
}

/// A lock that others can list, held until this is dropped or the process dies. It excludes other threads too.
#[derive(Debug)]
pub(super) struct FileLock {
    path: PathBuf,
    _file: File,
}

impl Store {
    /// Waits for the lock called `name`; any text is a name.
    pub fn lock(&self, name: &str) -> Result<NameLock, StoreError> {
        loop {
            if let Some(lock) = NameLock::take(self.root(), name, Waits::Yes)? {
                return Ok(lock);
            }
        }
    }

    /// The lock called `name`, or `None` if somebody holds it.
    pub fn try_lock(&self, name: &str) -> Result<Option<NameLock>, StoreError> {
        NameLock::take(self.root(), name, Waits::No)
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

/// `F_WRLCK` and `SEEK_SET` as the fields of `struct flock` have them, on every architecture of Linux that we build for.
const WRITE: libc::c_short = 1;
const FROM_THE_START: libc::c_short = 0;

/// Whether to wait until nobody holds a lock.
#[derive(Clone, Copy)]
enum Waits {
    Yes,
    No,
}

impl NameLock {
    fn take(root: &Path, name: &str, waits: Waits) -> Result<Option<Self>, StoreError> {
        let path = root.join("names.lock");
        let file = open(&path)?;
        let range =
            libc::flock { l_type: WRITE, l_whence: FROM_THE_START, l_start: position(name), l_len: 1, l_pid: 0 };
        loop {
            let how = match waits {
                Waits::Yes => FcntlArg::F_OFD_SETLKW(&range),
                Waits::No => FcntlArg::F_OFD_SETLK(&range),
            };
            match fcntl(&file, how) {
                Ok(_) => return Ok(Some(Self { _file: file })),
                Err(nix::Error::EINTR) => {}
                Err(nix::Error::EAGAIN | nix::Error::EACCES) => return Ok(None),
                Err(error) => return Err(io::Error::from(error)).at(&path),
            }
        }
    }
}

/// The byte of a name: any but the last of a file, of which there are 2⁶². Names that share one only wait for each other.
fn position(name: &str) -> i64 {
    let digest = Digest::of(name.as_bytes());
    let first = digest.as_bytes().first_chunk().expect("a digest has more than eight bytes");
    i64::from_be_bytes(*first) & (i64::MAX >> 1)
}

fn open(path: &Path) -> Result<File, StoreError> {
    OpenOptions::new().create(true).write(true).truncate(false).mode(0o600).open(path).at(path)
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
            let file = open(path)?;
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
    fn a_name_has_one_holder_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let holders = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let _lock = store.lock("name").unwrap();
                        assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0);
                        holders.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
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
