//! Opening a store: four system calls and two connections if it is there, its layout if it is not.

use super::{FORMAT, FileLock, Index, Shared, Store, StoreError, durable, error::At, scratch};
use std::{
    fs::{self, DirBuilder, File, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::Path,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicI64, AtomicU64},
    },
};

/// The folders of a store, parents first.
const FOLDERS: &[&str] = &["locks", "tmp", "blobs", "blobs/sha256", "layers", "cache-mounts", "history"];

impl Store {
    /// Opens the store in the folder `root`, and makes it first if there is none. Removes what dead processes left in
    /// its `tmp/`.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        Self::open_under_boot(root, durable::current_boot()?)
    }

    /// Opens the store as if the machine had been started as `boot`.
    pub(super) fn open_under_boot(root: &Path, boot: String) -> Result<Self, StoreError> {
        let root = std::path::absolute(root).at(root)?;
        let index = if is_store(&root)? { Index::open(&root.join("index.db"))? } else { create(&root)? };
        durable::forget_other_boots(&index, &boot)?;
        let store = Self {
            shared: Arc::new(Shared {
                root_dir: File::open(&root).at(&root)?,
                root,
                boot,
                index,
                scratch: Mutex::new(None),
                tree_remover: Arc::new(OnceLock::new()),
                leased_since: AtomicI64::new(i64::MIN),
                blob_opens: AtomicU64::new(0),
                layer_lookups: AtomicU64::new(0),
            }),
        };
        scratch::reclaim(&store)?;
        Ok(store)
    }
}

/// Whether `root` holds a store that this version reads.
fn is_store(root: &Path) -> Result<bool, StoreError> {
    let path = root.join("version");
    let found = match fs::read_to_string(&path) {
        Ok(found) => found.trim().to_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error).at(&path),
    };
    if found == FORMAT.to_string() { Ok(true) } else { Err(StoreError::Format { root: root.to_owned(), found }) }
}

/// Lays a store out. Its version comes last: what is interrupted before begins again, and nobody uses half a store.
fn create(root: &Path) -> Result<Index, StoreError> {
    if let Some(parent) = root.parent() {
        fs::create_dir_all(parent).at(parent)?;
    }
    make_folder(root)?;
    refuse_foreign(root)?;
    make_folder(&root.join("locks"))?;
    let _one_at_a_time = FileLock::acquire(&root.join("locks/create"))?;
    if is_store(root)? {
        return Index::open(&root.join("index.db"));
    }
    // Also a folder that was there already: a step's files with the set-user-id bit must not be reachable by others.
    fs::set_permissions(root, Permissions::from_mode(0o700)).at(root)?;
    for folder in FOLDERS {
        make_folder(&root.join(folder))?;
    }
    let index = Index::open(&root.join("index.db"))?;
    let staged = root.join("version.new");
    fs::write(&staged, format!("{FORMAT}\n")).at(&staged)?;
    fs::rename(&staged, root.join("version")).at(&staged)?;
    Ok(index)
}

/// A folder that holds something else was named by mistake: a store would fill it, and close it to others.
fn refuse_foreign(root: &Path) -> Result<(), StoreError> {
    for entry in fs::read_dir(root).at(root)? {
        let name = entry.at(root)?.file_name();
        let ours = FOLDERS.iter().any(|folder| name == **folder)
            || name.to_str().is_some_and(|name| name.starts_with("index.db") || name.starts_with("version"));
        if !ours && name != "lost+found" {
            return Err(StoreError::NotAStore { root: root.to_owned(), entry: name });
        }
    }
    Ok(())
}

fn make_folder(path: &Path) -> Result<(), StoreError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result.at(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_closed_to_others_and_opens_again() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("a/b");
        drop(Store::open(&root).unwrap());
        assert_eq!(fs::metadata(&root).unwrap().permissions().mode() & 0o777, 0o700);
        drop(Store::open(&root).unwrap());
    }

    #[test]
    fn another_format_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("version"), "7\n").unwrap();
        let error = Store::open(folder.path()).unwrap_err().to_string();
        let root = folder.path().display();
        assert_eq!(
            error,
            format!(
                "the store {root} has format 7, but this flashbuild reads format 1: use the flashbuild that made it, \
                 another folder with --root, or remove {root} to begin anew"
            )
        );
    }

    #[test]
    fn a_folder_with_other_things_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("thesis.tex"), "").unwrap();
        assert!(matches!(Store::open(folder.path()), Err(StoreError::NotAStore { .. })));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn many_may_create_it_at_once() {
        let folder = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            let opened: Vec<_> = (0..8).map(|_| scope.spawn(|| Store::open(folder.path()))).collect();
            for store in opened {
                store.join().unwrap().unwrap();
            }
        });
    }

    #[test]
    fn a_removed_index_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let blob = Store::open(folder.path()).unwrap().put_blob(b"kept").unwrap();
        for entry in fs::read_dir(folder.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap().to_str().unwrap().starts_with("index.db") {
                fs::remove_file(path).unwrap();
            }
        }
        std::thread::scope(|scope| {
            let opened: Vec<_> = (0..4).map(|_| scope.spawn(|| Store::open(folder.path()))).collect();
            for store in opened {
                assert!(store.join().unwrap().unwrap().blob_path(&blob).unwrap().is_none());
            }
        });
    }
}
