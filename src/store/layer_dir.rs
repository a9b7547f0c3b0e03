//! Layer folders: unpacked layers, by [`DiffId`] alone, so that one serves every image that has the layer.

use super::{StageDir, Store, StoreError, error::At, freshness::Moment, index::Failure, tree};
use crate::image::DiffId;
use rusqlite::{OptionalExtension, Transaction, params};
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::Ordering,
};

impl Store {
    /// Makes the folder `staged` (a [`StageDir`], or a folder in one) the layer `diff_id`, and returns where it is from
    /// now on. If the store has that layer, the one that is here stays and `staged` is removed: a step may be running
    /// on it.
    pub fn commit_layer_dir(&self, staged: &Path, diff_id: &DiffId) -> Result<PathBuf, StoreError> {
        let path = self.layer_file(diff_id);
        // Notes the use, or drops a row whose folder is gone.
        self.find_layer_dir(diff_id)?;
        // Removing a tree takes long, so what has to go is moved here, and goes when the transaction is over.
        let unwanted: StageDir = self.stage_dir()?;
        self.index().write(|index| {
            if row(index, diff_id)?.is_some() && is_folder(&path)? {
                tree::rename(staged, &unwanted.path().join("second")).at(staged)?;
                return Ok(());
            }
            match tree::rename(&path, &unwanted.path().join("leftover")) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error).at(&path)?,
                _ => {}
            }
            tree::rename(staged, &path).at(&path)?;
            index
                .prepare_cached("INSERT OR REPLACE INTO layer_dirs (diff_id, boot, last_used) VALUES (?1, ?2, ?3)")?
                .execute(params![diff_id, self.shared.boot, self.used_now()])?;
            Ok(())
        })?;
        Ok(path)
    }

    /// Where the unpacked layer is, if the store has it. Nothing in it must be changed.
    pub fn layer_dir(&self, diff_id: &DiffId) -> Result<Option<PathBuf>, StoreError> {
        self.shared.layer_lookups.fetch_add(1, Ordering::Relaxed);
        self.find_layer_dir(diff_id)
    }

    fn find_layer_dir(&self, diff_id: &DiffId) -> Result<Option<PathBuf>, StoreError> {
        let Some(last_used) = self.index().read(|index| Ok(row(index, diff_id)?))? else { return Ok(None) };
        let path = self.layer_file(diff_id);
        let here = if !is_folder(&path)? {
            // On the disk before anybody makes the folder anew: after a power cut, the row would speak of the new one.
            self.index().write_synced(|index| {
                if !is_folder(&path)? {
                    index.execute("DELETE FROM layer_dirs WHERE diff_id = ?1", [diff_id])?;
                }
                Ok(false)
            })?
        } else if self.is_stale(last_used) {
            self.index().write(|index| touch(index, diff_id, self.used_now()))?
        } else {
            true
        };
        Ok(here.then_some(path))
    }

    /// Where the unpacked layer is if it is here.
    pub(super) fn layer_file(&self, diff_id: &DiffId) -> PathBuf {
        let hex = diff_id.hex();
        self.root().join("layers").join(&hex[..2]).join(hex)
    }
}

/// The layer folder's last use.
fn row(index: &Transaction<'_>, diff_id: &DiffId) -> rusqlite::Result<Option<Moment>> {
    index
        .prepare_cached("SELECT last_used FROM layer_dirs WHERE diff_id = ?1")?
        .query_row([diff_id], |row| row.get(0))
        .optional()
}

/// Notes a use; whether the layer folder is still here.
fn touch(index: &Transaction<'_>, diff_id: &DiffId, now: Moment) -> Result<bool, Failure> {
    let mut update = index.prepare_cached("UPDATE layer_dirs SET last_used = ?2 WHERE diff_id = ?1")?;
    Ok(update.execute(params![diff_id, now])? > 0)
}

fn is_folder(path: &Path) -> Result<bool, StoreError> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(metadata.is_dir()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).at(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Digest;

    fn staged(store: &Store, content: &str) -> StageDir {
        let stage = store.stage_dir().unwrap();
        fs::create_dir(stage.path().join("upper")).unwrap();
        fs::write(stage.path().join("upper/file"), content).unwrap();
        stage
    }

    #[test]
    fn the_first_stays_and_the_second_goes() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let diff_id = DiffId(Digest::of(b"layer"));
        assert_eq!(store.layer_dir(&diff_id).unwrap(), None);
        let (first, second) = (staged(&store, "first"), staged(&store, "second"));
        let path = store.commit_layer_dir(&first.path().join("upper"), &diff_id).unwrap();
        assert_eq!(store.commit_layer_dir(&second.path().join("upper"), &diff_id).unwrap(), path);
        assert_eq!(fs::read_to_string(path.join("file")).unwrap(), "first");
        assert!(!second.path().join("upper").exists());
        drop((first, second));
        assert_eq!(store.layer_dir(&diff_id).unwrap(), Some(path));
        assert_eq!(store.stats().layer_lookups, 2);
    }

    #[test]
    fn a_leftover_is_no_layer_and_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let diff_id = DiffId(Digest::of(b"layer"));
        let path = store.layer_file(&diff_id);
        fs::create_dir_all(path.join("half")).unwrap();
        assert_eq!(store.layer_dir(&diff_id).unwrap(), None);
        let stage = staged(&store, "whole");
        store.commit_layer_dir(&stage.path().join("upper"), &diff_id).unwrap();
        assert_eq!(fs::read_to_string(path.join("file")).unwrap(), "whole");
        assert!(!path.join("half").exists());
    }

    #[test]
    fn a_folder_that_somebody_removed_is_a_miss() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let diff_id = DiffId(Digest::of(b"layer"));
        let stage = staged(&store, "");
        let path = store.commit_layer_dir(&stage.path().join("upper"), &diff_id).unwrap();
        fs::remove_dir_all(path).unwrap();
        assert_eq!(store.layer_dir(&diff_id).unwrap(), None);
    }

    #[test]
    fn many_threads_agree_on_one() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let diff_id = DiffId(Digest::of(b"layer"));
        std::thread::scope(|scope| {
            for number in 0..8 {
                let (store, diff_id) = (store.clone(), diff_id);
                scope.spawn(move || {
                    let stage = staged(&store, &number.to_string());
                    let path = store.commit_layer_dir(&stage.path().join("upper"), &diff_id).unwrap();
                    let seen = fs::read_to_string(path.join("file")).unwrap();
                    assert_eq!(fs::read_to_string(path.join("file")).unwrap(), seen);
                });
            }
        });
    }
}
