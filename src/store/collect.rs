//! Garbage: what nobody can use, and what nobody has used for long.
//!
//! 1. What dead processes left in `tmp/` and `locks/`.
//! 2. If the policy asks for it, what was used least recently: records, layer folders, and blobs that no named image
//!    keeps. A layer counts as used when a record that names it was, so a chain of steps ages as one.
//! 3. Records and facts that lead to nothing any more.
//! 4. Names without a row: of the things above, left by a killed process, or written before a power cut.
//!
//! Never, in the second and third, what was used since the earliest living lease was taken (see `lease`).
//!
//! Rows go first, and are gone from the disk before the first file is touched. So at no moment, not even after a kill
//! or a power cut, is there a row whose file was removed.

use super::{
    Store, StoreError,
    error::At,
    freshness::{Moment, before, now},
    index::Failure,
    recipe,
    record::USABLE,
    scratch, tree,
};
use crate::image::Digest;
use rusqlite::{OptionalExtension, Transaction};
use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

/// What to keep. The default keeps all that can be used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GcPolicy {
    /// Remove what was used least recently until blobs, layers and records take no more bytes than this.
    pub keep_bytes: Option<u64>,
    /// Remove what was not used for longer than this.
    pub unused_for: Option<Duration>,
}

/// What was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    /// Blobs.
    pub blobs: u64,
    /// Layer folders.
    pub layers: u64,
    /// Records.
    pub records: u64,
    /// Names without a row.
    pub leftovers: u64,
    /// The bytes of all but the leftovers.
    pub bytes: u64,
}

/// The age after which an entry of the stat cache is dropped: its file is hashed again, once.
const STAT_CACHE_AGE: Duration = Duration::from_hours(24 * 30);

/// Everything that may go, least recently used first; of what was used at the same moment, what is cheapest to make
/// again first.
const CANDIDATES: &str = "
    SELECT 0 AS kind, id, length(value) AS bytes, last_used AS used FROM records
    UNION ALL
    SELECT 1, id, coalesce(bytes, 0), max(last_used, coalesce((
        SELECT max(records.last_used) FROM record_layers JOIN records ON records.id = record
        WHERE record_layers.diff_id = layer_dirs.diff_id), 0))
    FROM layer_dirs
    UNION ALL
    SELECT 2, id, size, max(last_used, coalesce((
        SELECT max(records.last_used) FROM record_layers JOIN records ON records.id = record
        WHERE record_layers.diff_id IN (
            SELECT diff_id FROM layers WHERE toc = blobs.digest
            UNION ALL SELECT diff_id FROM layer_blobs WHERE layer_blobs.digest = blobs.digest)), 0))
    FROM blobs WHERE digest NOT IN (SELECT digest FROM image_blobs)
    ORDER BY used, kind";

impl Store {
    /// Removes garbage, and by `policy` what may be wanted again.
    pub fn collect_garbage(&self, policy: &GcPolicy) -> Result<Collected, StoreError> {
        scratch::reclaim(self)?;
        self.sweep_locks()?;
        self.measure_layer_dirs()?;
        let mut collected = self.index().write_synced(|index| {
            let in_use_since = self.in_use_since()?;
            let mut collected = evict(index, policy, in_use_since)?;
            collected.records += prune_records(index, in_use_since)?;
            // A build notes facts before what they are about; with none running, facts about nothing are no use.
            if in_use_since == Moment::MAX {
                prune_facts(index)?;
            }
            recipe::forget_old(index)?;
            index.execute("DELETE FROM stat_cache WHERE recorded < ?1", [before(now(), STAT_CACHE_AGE)])?;
            Ok(collected)
        })?;
        collected.leftovers = self.sweep_leftovers()?.saturating_sub(collected.blobs + collected.layers);
        Ok(collected)
    }

    /// Removes the names under `blobs/` and `layers/` that have no row; returns how many.
    fn sweep_leftovers(&self) -> Result<u64, StoreError> {
        let leftovers = self.leftovers()?;
        // Moving is quick and done in the transaction; removing is slow and happens when this is dropped.
        let trash = self.stage_dir()?;
        self.index().write(|index| {
            let mut count = 0;
            for leftover in &leftovers {
                // Somebody may have written it since we looked.
                if leftover.has_row(index)? {
                    continue;
                }
                match tree::rename(&leftover.path, &trash.path().join(count.to_string())) {
                    Ok(()) => count += 1,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error).at(&leftover.path)?,
                }
            }
            Ok(count)
        })
    }

    /// The names under `blobs/` and `layers/` that have no row at this moment.
    fn leftovers(&self) -> Result<Vec<Leftover>, StoreError> {
        let mut leftovers = Vec::new();
        for (folder, find) in [
            ("blobs/sha256", "SELECT 1 FROM blobs WHERE digest = ?1"),
            ("layers", "SELECT 1 FROM layer_dirs WHERE diff_id = ?1"),
        ] {
            let folder = self.root().join(folder);
            for shard in entries(&folder)? {
                leftovers.extend(entries(&shard)?.into_iter().map(|path| Leftover { path, find }));
            }
        }
        self.index().read(|index| {
            let mut without_row = Vec::new();
            for leftover in leftovers {
                if !leftover.has_row(index)? {
                    without_row.push(leftover);
                }
            }
            Ok(without_row)
        })
    }
}

/// Removes the rows of what the policy does not keep.
fn evict(index: &Transaction<'_>, policy: &GcPolicy, in_use_since: Moment) -> Result<Collected, Failure> {
    let unused_since = policy.unused_for.map_or(Moment::MIN, |age| before(now(), age));
    let mut total: u64 = index.query_row(
        "SELECT (SELECT coalesce(sum(size), 0) FROM blobs) + (SELECT coalesce(sum(bytes), 0) FROM layer_dirs)
              + (SELECT coalesce(sum(length(value)), 0) FROM records)",
        [],
        |row| row.get(0),
    )?;
    // All at once: the rows go while we walk.
    let mut query = index.prepare(CANDIDATES)?;
    let candidates = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
    let candidates: Vec<(i64, i64, u64, Moment)> = candidates.collect::<Result<_, _>>()?;

    let mut collected = Collected::default();
    for (kind, id, bytes, used) in candidates {
        let too_much = policy.keep_bytes.is_some_and(|keep| total > keep);
        if used >= in_use_since || !(too_much || used < unused_since) {
            break;
        }
        let (table, count) = match kind {
            0 => ("records", &mut collected.records),
            1 => ("layer_dirs", &mut collected.layers),
            _ => ("blobs", &mut collected.blobs),
        };
        index.prepare_cached(&format!("DELETE FROM {table} WHERE id = ?1"))?.execute([id])?;
        *count += 1;
        collected.bytes += bytes;
        total = total.saturating_sub(bytes);
    }
    Ok(collected)
}

/// A name under `blobs/` or `layers/`, and the query that finds its row.
struct Leftover {
    path: PathBuf,
    find: &'static str,
}

impl Leftover {
    fn has_row(&self, index: &Transaction<'_>) -> Result<bool, Failure> {
        let name = self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Ok(digest) = format!("sha256:{name}").parse::<Digest>() else { return Ok(false) };
        Ok(index.prepare_cached(self.find)?.query_row([digest.as_bytes()], |_| Ok(())).optional()?.is_some())
    }
}

/// Removes records that lead to layers that are gone; returns how many.
fn prune_records(index: &Transaction<'_>, in_use_since: Moment) -> Result<u64, Failure> {
    let unusable = format!(
        "DELETE FROM records WHERE last_used < ?1 AND EXISTS (
             SELECT 1 FROM record_layers AS named WHERE named.record = records.id AND NOT {USABLE})"
    );
    Ok(index.execute(&unusable, [in_use_since])? as u64)
}

/// Removes what is known about layers that are here in no form and that no record names.
fn prune_facts(index: &Transaction<'_>) -> Result<(), Failure> {
    index.execute_batch(
        "DELETE FROM layer_blobs
         WHERE digest NOT IN (SELECT digest FROM blobs)
           AND diff_id NOT IN (SELECT diff_id FROM record_layers)
           AND diff_id NOT IN (SELECT diff_id FROM layer_dirs);
         DELETE FROM layers
         WHERE diff_id NOT IN (SELECT diff_id FROM record_layers)
           AND diff_id NOT IN (SELECT diff_id FROM layer_dirs)
           AND diff_id NOT IN (SELECT diff_id FROM layer_blobs)
           AND (toc IS NULL OR toc NOT IN (SELECT digest FROM blobs));",
    )?;
    Ok(())
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    fs::read_dir(folder).at(folder)?.map(|entry| Ok(entry.at(folder)?.path())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{BlobDigest, DiffId};
    use crate::store::{LayerRow, RecordKey, RecordKind, RecordLayer, freshness::GRANULARITY};

    const EVERYTHING: GcPolicy = GcPolicy { keep_bytes: Some(0), unused_for: None };

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        (folder, store)
    }

    /// Makes the last use of everything in the store so many hours earlier.
    fn age(store: &Store, hours: u32) {
        let by = i64::try_from((GRANULARITY * hours).as_millis()).unwrap();
        let age = |table: &str| format!("UPDATE {table} SET last_used = last_used - {by};");
        let all: String = ["blobs", "layer_dirs", "records"].into_iter().map(age).collect();
        store.index().write(|index| Ok(index.execute_batch(&all)?)).unwrap();
    }

    fn has(store: &Store, blob: &BlobDigest) -> bool {
        let find = "SELECT 1 FROM blobs WHERE digest = ?1";
        let row = store.index().read(|index| Ok(index.query_row(find, [blob], |_| Ok(())).optional()?)).unwrap();
        assert_eq!(row.is_some(), store.blob_file(blob).exists());
        row.is_some()
    }

    /// A layer with a folder, a contents table and a record.
    fn step(store: &Store, name: &str) -> (RecordKey, DiffId) {
        let digest = Digest::of(name.as_bytes());
        let (key, diff_id) = (RecordKey(*digest.as_bytes()), DiffId(digest));
        let toc = store.put_blob(format!("contents of {name}").as_bytes()).unwrap();
        store.put_layer(&LayerRow { diff_id, toc: Some(toc), size: 0, canonical: true }).unwrap();
        let stage = store.stage_dir().unwrap();
        fs::write(stage.path().join("file"), name).unwrap();
        store.commit_layer_dir(stage.path(), &diff_id).unwrap();
        store.put_record(key, RecordKind::Definition, b"value", &[RecordLayer { diff_id, remote: false }]).unwrap();
        (key, diff_id)
    }

    #[test]
    fn the_default_keeps_all_that_can_be_used() {
        let (_folder, store) = store();
        let (blob, (key, _)) = (store.put_blob(b"blob").unwrap(), step(&store, "step"));
        age(&store, 10_000);
        assert_eq!(store.collect_garbage(&GcPolicy::default()).unwrap(), Collected::default());
        assert!(has(&store, &blob) && store.records(&[key]).unwrap().contains_key(&key));
    }

    #[test]
    fn what_was_used_least_recently_goes_first_and_no_more_than_has_to() {
        let (_folder, store) = store();
        let oldest = store.put_blob(&[1; 1000]).unwrap();
        age(&store, 2);
        let middle = store.put_blob(&[2; 1000]).unwrap();
        age(&store, 2);
        let used = store.put_blob(&[3; 1000]).unwrap();
        age(&store, 2);
        store.open_blob(&oldest).unwrap().unwrap();
        let collected = store.collect_garbage(&GcPolicy { keep_bytes: Some(2000), ..GcPolicy::default() }).unwrap();
        assert_eq!(collected, Collected { blobs: 1, bytes: 1000, ..Collected::default() });
        assert_eq!([oldest, middle, used].map(|blob| has(&store, &blob)), [true, false, true]);
    }

    #[test]
    fn what_was_not_used_for_long_goes() {
        let (_folder, store) = store();
        let old = store.put_blob(b"old").unwrap();
        age(&store, 50);
        let new = store.put_blob(b"new").unwrap();
        let policy = GcPolicy { unused_for: Some(GRANULARITY * 24), ..GcPolicy::default() };
        assert_eq!(store.collect_garbage(&policy).unwrap().blobs, 1);
        assert_eq!([old, new].map(|blob| has(&store, &blob)), [false, true]);
    }

    #[test]
    fn named_images_keep_their_blobs() {
        let (_folder, store) = store();
        let manifest = store.put_blob(b"{}").unwrap();
        store.put_image("name", &format!(r#"{{"digest":"{manifest}","size":2}}"#)).unwrap();
        store.collect_garbage(&EVERYTHING).unwrap();
        assert!(has(&store, &manifest));
        store.remove_image("name").unwrap();
        store.collect_garbage(&EVERYTHING).unwrap();
        assert!(!has(&store, &manifest));
    }

    #[test]
    fn a_layer_is_as_fresh_as_a_record_that_names_it() {
        let (_folder, store) = store();
        let (used, _) = step(&store, "used");
        let (unused, _) = step(&store, "unused");
        age(&store, 50);
        assert!(store.records(&[used]).unwrap().contains_key(&used));
        let policy = GcPolicy { unused_for: Some(GRANULARITY * 24), ..GcPolicy::default() };
        let collected = store.collect_garbage(&policy).unwrap();
        assert_eq!((collected.records, collected.layers, collected.blobs), (1, 1, 1));
        let left = store.records(&[used, unused]).unwrap();
        assert!(left.contains_key(&used) && !left.contains_key(&unused));
    }

    #[test]
    fn a_lease_keeps_what_was_used_since_and_only_that() {
        let (folder, store) = store();
        let (old, touched) = (store.put_blob(b"old").unwrap(), step(&store, "touched"));
        age(&store, 50);
        let build = Store::open(folder.path()).unwrap();
        let lease = build.lease().unwrap();
        assert!(build.records(&[touched.0]).unwrap().contains_key(&touched.0));
        let new = build.put_blob(b"new").unwrap();

        store.collect_garbage(&EVERYTHING).unwrap();
        assert_eq!([old, new].map(|blob| has(&store, &blob)), [false, true]);
        assert!(build.records(&[touched.0]).unwrap().contains_key(&touched.0));
        assert!(build.layer_dir(&touched.1).unwrap().is_some());

        drop(lease);
        store.collect_garbage(&EVERYTHING).unwrap();
        assert!(!has(&store, &new));
        assert!(build.records(&[touched.0]).unwrap().is_empty());
        assert!(build.layer_dir(&touched.1).unwrap().is_none());
        assert_eq!(build.layers(&[touched.1]).unwrap().len(), 0, "facts about nothing go too");
    }

    #[test]
    fn a_lease_keeps_the_layers_of_a_record_that_was_replaced() {
        let (_folder, store) = store();
        let (key, diff_id) = step(&store, "step");
        age(&store, 50);
        let lease = store.lease().unwrap();
        assert!(store.records(&[key]).unwrap().contains_key(&key));
        store.put_record(key, RecordKind::Definition, b"another", &[]).unwrap();
        store.collect_garbage(&EVERYTHING).unwrap();
        assert!(store.layer_dir(&diff_id).unwrap().is_some());
        assert!(store.layer(&diff_id).unwrap().unwrap().toc.is_some());
        drop(lease);
    }

    #[test]
    fn names_without_a_row_go() {
        let (folder, store) = store();
        let kept = store.put_blob(b"kept").unwrap();
        let left = [
            store.blob_file(&BlobDigest(Digest::of(b"left"))),
            store.layer_file(&DiffId(Digest::of(b"left"))).join("usr"),
            folder.path().join("blobs/sha256/00/no digest"),
        ];
        for path in &left {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        assert_eq!(store.collect_garbage(&GcPolicy::default()).unwrap().leftovers, 3);
        assert!(has(&store, &kept) && left.iter().all(|path| !path.exists()));
    }
}
