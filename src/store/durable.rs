//! Durability without waiting for the disk once a file.
//!
//! A killed process loses nothing that it wrote: the kernel has it. Only a power cut (or a crash of the kernel) does,
//! and then [the boot id] is another one. So every row that points at a file carries `boot`:
//!
//! | `boot` | the file |
//! |---|---|
//! | the present boot | may not be on the disk, but every process sees it whole |
//! | `NULL` | is on the disk |
//! | another boot | may be anything: the row is removed when a store is opened, and counts as never written |
//!
//! [`Store::make_durable`], once at the end of a build, flushes the file system and then sets `boot` to `NULL` in the
//! rows that were there before the flush. Which those are, the rows' ids tell: ids only grow, and a file that is
//! written anew gets a new row.
//!
//! Facts (sizes, encodings, records, names of images) carry no boot. They live in the index alone, whose write-ahead
//! log loses whole transactions, latest first; and a fact is of no use unless the rows that it leads to are there.
//!
//! [the boot id]: https://docs.kernel.org/admin-guide/sysctl/kernel.html#random

use super::{Index, Store, StoreError, error::At};
use rusqlite::{OptionalExtension, Transaction, params};
use std::{fs, path::Path};

/// The tables whose rows point at files.
const TABLES: [&str; 2] = ["blobs", "layer_dirs"];

impl Store {
    /// Flushes what was written to the store, by any process, so that it outlives a power cut. Costs nothing if nothing
    /// was written. It flushes the whole file system: the price is what others have written there lately.
    pub fn make_durable(&self) -> Result<(), StoreError> {
        let latest = self.index().read(|transaction| {
            let mut latest = [None; TABLES.len()];
            for (id, table) in latest.iter_mut().zip(TABLES) {
                // Left to itself, SQLite looks for the highest from the last row of the table backwards: through all of it if
                // there is none.
                let query =
                    format!("SELECT max(id) FROM {table} INDEXED BY {table}_not_durable WHERE boot IS NOT NULL");
                *id = transaction.prepare_cached(&query)?.query_row([], |row| row.get::<_, Option<i64>>(0))?;
            }
            Ok(latest)
        })?;
        if latest.iter().all(Option::is_none) {
            return Ok(());
        }
        rustix::fs::syncfs(&self.shared.root_dir).at(&self.shared.root)?;
        self.index().write_synced(|transaction| {
            for (id, table) in latest.iter().zip(TABLES) {
                transaction
                    .prepare_cached(&format!("UPDATE {table} SET boot = NULL WHERE boot = ?1 AND id <= ?2"))?
                    .execute(params![self.shared.boot, id])?;
            }
            Ok(())
        })
    }
}

/// Names the present boot of the machine.
pub(super) fn current_boot() -> Result<String, StoreError> {
    let path = Path::new("/proc/sys/kernel/random/boot_id");
    Ok(fs::read_to_string(path).at(path)?.trim().to_owned())
}

/// Drops the rows of files that were not on the disk when the machine went down. From here on, every row of the index
/// is valid: no query has to ask. Their files stay until they are written again or collected.
pub(super) fn forget_other_boots(index: &Index, boot: &str) -> Result<(), StoreError> {
    if !index.read(|transaction| Ok(has_other_boots(transaction, boot)?))? {
        return Ok(());
    }
    index.write(|transaction| {
        for table in TABLES {
            transaction.execute(&format!("DELETE FROM {table} WHERE boot <> ?1"), [boot])?;
        }
        Ok(())
    })
}

fn has_other_boots(transaction: &Transaction<'_>, boot: &str) -> rusqlite::Result<bool> {
    for table in TABLES {
        let query = format!("SELECT 1 FROM {table} WHERE boot < ?1 OR boot > ?1 LIMIT 1");
        if transaction.query_row(&query, [boot], |_| Ok(())).optional()?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{BlobDigest, DiffId, Digest};

    fn layer(store: &Store, name: &str) -> DiffId {
        let stage = store.stage_dir().unwrap();
        fs::write(stage.path().join("name"), name).unwrap();
        let diff_id = DiffId(Digest::of(name.as_bytes()));
        store.commit_layer_dir(stage.path(), &diff_id).unwrap();
        diff_id
    }

    #[test]
    fn a_power_cut_takes_what_was_not_flushed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let (kept, lost) = {
            let store = Store::open_under_boot(folder.path(), "first".into()).unwrap();
            let kept = (store.put_blob(b"kept").unwrap(), layer(&store, "kept"));
            store.make_durable().unwrap();
            (kept, (store.put_blob(b"lost").unwrap(), layer(&store, "lost")))
        };

        let same_boot = Store::open_under_boot(folder.path(), "first".into()).unwrap();
        for (blob, layer) in [kept, lost] {
            assert!(same_boot.blob_path(&blob).unwrap().is_some(), "a killed process loses nothing");
            assert!(same_boot.layer_dir(&layer).unwrap().is_some());
        }
        drop(same_boot);

        let next_boot = Store::open_under_boot(folder.path(), "second".into()).unwrap();
        assert!(next_boot.blob_path(&kept.0).unwrap().is_some());
        assert!(next_boot.layer_dir(&kept.1).unwrap().is_some());
        assert!(next_boot.blob_path(&lost.0).unwrap().is_none());
        assert!(next_boot.layer_dir(&lost.1).unwrap().is_none());
    }

    #[test]
    fn what_a_power_cut_left_behind_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (blob, diff_id) = {
            let store = Store::open_under_boot(folder.path(), "first".into()).unwrap();
            let blob = store.put_blob(b"content").unwrap();
            // What file systems do: the names are there, the content is not.
            fs::write(store.blob_path(&blob).unwrap().unwrap(), b"\0\0\0\0\0\0\0").unwrap();
            let diff_id = layer(&store, "content");
            fs::write(store.layer_dir(&diff_id).unwrap().unwrap().join("name"), b"").unwrap();
            (blob, diff_id)
        };
        let store = Store::open_under_boot(folder.path(), "second".into()).unwrap();
        assert_eq!(store.put_blob(b"content").unwrap(), blob);
        assert_eq!(layer(&store, "content"), diff_id);
        assert_eq!(store.read_blob(&blob, 100).unwrap().unwrap(), b"content");
        assert_eq!(fs::read(store.layer_dir(&diff_id).unwrap().unwrap().join("name")).unwrap(), b"content");
    }

    /// The flush covers what was there before it. A file that is written anew between the flush and the end of
    /// [`Store::make_durable`] has a greater id than any that it saw.
    #[test]
    fn a_file_that_is_written_anew_is_a_new_row() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let id = |blob: &BlobDigest| {
            let find = "SELECT id FROM blobs WHERE digest = ?1";
            store.index().read(|index| Ok(index.query_row(find, [blob], |row| row.get::<_, i64>(0))?)).unwrap()
        };
        let blob = store.put_blob(b"content").unwrap();
        let first = id(&blob);
        fs::remove_file(store.blob_path(&blob).unwrap().unwrap()).unwrap();
        assert!(store.blob_path(&blob).unwrap().is_none());
        store.put_blob(b"content").unwrap();
        assert!(id(&blob) > first);
    }

    #[test]
    fn nothing_new_costs_one_look() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        store.put_blob(b"content").unwrap();
        store.make_durable().unwrap();
        let before = store.stats().index_queries;
        store.make_durable().unwrap();
        assert_eq!(store.stats().index_queries, before + 1);
    }
}
