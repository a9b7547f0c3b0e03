//! `tmp/`: where a process makes things before they get their names.
//!
//! A process that writes has one folder there, and a locked file in `locks/` that shows that it lives. The lock comes
//! first and goes last, so a folder whose lock is free belongs to nobody, and whoever opens the store next removes it.

use super::{FileLock, Store, StoreError, TreeRemover, error::At, tree};
use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};
use std::{
    fs::{self, DirBuilder, File},
    hash::{BuildHasher, Hasher, RandomState},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock, PoisonError},
};

/// This process's folder in `tmp/`.
pub(super) struct Scratch {
    folder: PathBuf,
    tree_remover: Arc<OnceLock<TreeRemover>>,
    // After the folder: fields are dropped when `Drop` is done.
    _alive: FileLock,
}

/// A new, empty folder in which something can be made. Whatever is still there when this is dropped is removed.
pub struct StageDir {
    path: PathBuf,
    is_left: bool,
    scratch: Arc<Scratch>,
}

impl StageDir {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves what little there is until this process has no more to do. Making files while others are removed is slow on
    /// ext4, which passes over the inodes of what was removed in the last seconds.
    pub fn leave(mut self) {
        self.is_left = true;
    }
}

impl Drop for StageDir {
    fn drop(&mut self) {
        if self.is_left {
            return;
        }
        // What resists is tried again with the whole folder of the process.
        drop(tree::remove(&self.path, self.scratch.tree_remover.get()));
    }
}

impl std::fmt::Debug for StageDir {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StageDir({})", self.path.display())
    }
}

impl Store {
    /// Makes a folder in which a layer can be made, on the file system of the store.
    pub fn stage_dir(&self) -> Result<StageDir, StoreError> {
        let scratch = self.scratch()?;
        let path = scratch.fresh_path();
        DirBuilder::new().mode(0o700).create(&path).at(&path)?;
        Ok(StageDir { path, is_left: false, scratch })
    }

    /// A path that nobody else uses, in this process's folder.
    pub(super) fn scratch_path(&self) -> Result<PathBuf, StoreError> {
        Ok(self.scratch()?.fresh_path())
    }

    /// Made on first use: a process that only reads leaves no trace.
    fn scratch(&self) -> Result<Arc<Scratch>, StoreError> {
        let mut slot = self.shared.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(scratch) = &*slot {
            return Ok(Arc::clone(scratch));
        }
        let name = unique_name();
        let alive = FileLock::acquire(&lock_path(self.root(), &name))?;
        let tmp = self.root().join("tmp");
        spread_out(&tmp);
        let folder = tmp.join(name);
        DirBuilder::new().mode(0o700).create(&folder).at(&folder)?;
        spread_out(&folder);
        let tree_remover = Arc::clone(&self.shared.tree_remover);
        let scratch = Arc::new(Scratch { folder, tree_remover, _alive: alive });
        *slot = Some(Arc::clone(&scratch));
        Ok(scratch)
    }
}

impl Scratch {
    fn fresh_path(&self) -> PathBuf {
        self.folder.join(unique_name())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left here is removed by whoever opens the store next.
        drop(tree::remove(&self.folder, self.tree_remover.get()));
    }
}

/// Removes the folders of dead processes. One that resists is left for somebody who may.
pub(super) fn reclaim(store: &Store) -> Result<(), StoreError> {
    let tmp = store.root().join("tmp");
    for entry in fs::read_dir(&tmp).at(&tmp)? {
        let entry = entry.at(&tmp)?;
        let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
        // Held while removing, so that two do not remove the same tree; who is killed here leaves it to a third.
        if let Some(_dead) = FileLock::try_acquire(&lock_path(store.root(), &name))? {
            drop(tree::remove(&entry.path(), store.shared.tree_remover.get()));
        }
    }
    Ok(())
}

/// Lets the file system put the folders made in `folder` far from each other. Where ext4 has removed files, it looks at
/// each of their inodes, for some minutes, whenever a file is made nearby; a step that makes thousands of files where
/// another's went would wait for seconds. The names of the folders say where, so they must not be those of the build before.
/// Other file systems need no such hint, and may refuse it.
fn spread_out(folder: &Path) {
    let Ok(folder) = File::open(folder) else { return };
    let _ = ioctl_getflags(&folder).and_then(|flags| ioctl_setflags(&folder, flags | IFlags::TOPDIR));
}

fn lock_path(root: &Path, name: &str) -> PathBuf {
    root.join("locks").join(format!("process-{name}"))
}

/// A name that no other process has or had: the process id is for people, the rest is random.
pub(super) fn unique_name() -> String {
    format!("{}-{:016x}", std::process::id(), RandomState::new().build_hasher().finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_stage_dir_goes_with_its_owner_whatever_its_modes() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let stage = store.stage_dir().unwrap();
        let inner = stage.path().join("work/work");
        fs::create_dir_all(&inner).unwrap();
        fs::write(inner.join("file"), "").unwrap();
        fs::set_permissions(&inner, fs::Permissions::from_mode(0o000)).unwrap();
        fs::set_permissions(stage.path(), fs::Permissions::from_mode(0o500)).unwrap();
        let path = stage.path().to_owned();
        drop(stage);
        assert!(!path.exists());
    }

    #[test]
    fn what_is_left_goes_with_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let stage = store.stage_dir().unwrap();
        let path = stage.path().to_owned();
        stage.leave();
        assert!(path.exists());
        drop(store);
        assert!(!path.exists());
    }

    #[test]
    fn the_living_are_left_alone_and_leave_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let stage = store.stage_dir().unwrap();
        let other = Store::open(folder.path()).unwrap();
        assert!(stage.path().exists());
        drop((stage, store, other));
        for name in ["tmp", "locks"] {
            assert_eq!(fs::read_dir(folder.path().join(name)).unwrap().count(), 0, "{name}");
        }
    }

    #[test]
    fn what_a_dead_process_left_is_removed_on_opening() {
        let folder = tempfile::tempdir().unwrap();
        drop(Store::open(folder.path()).unwrap());
        let left = folder.path().join("tmp/1-0123456789abcdef");
        fs::create_dir_all(left.join("3/usr")).unwrap();
        drop(Store::open(folder.path()).unwrap());
        assert!(!left.exists());
    }
}
