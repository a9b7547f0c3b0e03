//! Garbage: what nobody can use, and what nobody has used for long.
//!
//! 1. What dead processes left in `tmp/` and `locks/`.
//! 2. If the [policy](GcPolicy) asks for it, what was used least recently: records, layer folders, blobs that no named
//!    image keeps, cache mounts, apt's folders. A layer counts as used when a record that names it was, so a chain of
//!    steps ages as one.
//! 3. Records and facts that lead to nothing any more.
//! 4. Names without a row: of the things above, left by a killed process, or written before a power cut.
//!
//! Never, in the second and third, what was used since the earliest living lease was taken (see `lease`), nor a cache
//! mount that a step uses; apt's folders only while no build runs.
//!
//! Rows go first, and are gone from the disk before the first file is touched. So at no moment, not even after a kill
//! or a power cut, is there a row whose file was removed.

use super::{
    Store, StoreError,
    candidate::{self, Candidate, Thing},
    error::At,
    freshness::{Moment, before, now},
    index::Failure,
    policy::{GcPolicy, GcRule, StoreKind},
    recipe,
    record::USABLE,
    scratch, tree,
};
use crate::image::Digest;
use rusqlite::{OptionalExtension, Transaction};
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

/// What was removed, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Collected {
    /// How many of each kind.
    pub removed: BTreeMap<StoreKind, u64>,
    /// Names without a row.
    pub leftovers: u64,
    /// The bytes of all but the leftovers.
    pub bytes: u64,
}

impl Collected {
    /// How many of a kind.
    pub fn count(&self, kind: StoreKind) -> u64 {
        self.removed.get(&kind).copied().unwrap_or(0)
    }

    fn add(&mut self, kind: StoreKind, bytes: u64) {
        *self.removed.entry(kind).or_default() += 1;
        self.bytes += bytes;
    }
}

/// How a collection came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Occasion {
    /// Somebody asked for it: bounds are what they are.
    Asked,
    /// A build keeps the store within its bounds: it begins before they are reached, and goes on for a while, so that
    /// there is room for what the build is writing.
    Automatic,
}

/// The share of its bound, in percent, at which the store is collected automatically, and the one it is brought to.
const BEGIN: u64 = 80;
const END: u64 = 60;

/// The age after which an entry of the stat cache is dropped: its file is hashed again, once.
const STAT_CACHE_AGE: Duration = Duration::from_hours(24 * 30);

/// The store for as long as it is looked at.
struct Looked {
    candidates: Vec<Candidate>,
    /// Bytes of all that is in the store.
    total: u64,
    /// Bytes of the file system that are free.
    free: u64,
    in_use_since: Moment,
}

impl Store {
    /// Removes garbage, and by `policy` what may be wanted again.
    pub fn collect_garbage(&self, policy: &GcPolicy) -> Result<Collected, StoreError> {
        self.collect(policy, Occasion::Asked)
    }

    /// What [`Store::collect_garbage`] would remove now by `policy`, the leftovers aside.
    pub fn would_collect(&self, policy: &GcPolicy) -> Result<Collected, StoreError> {
        self.measure_layer_dirs()?;
        let folders = self.folder_candidates()?;
        let mut collected = Collected::default();
        self.index().write(|index| {
            for candidate in self.look(index, folders)?.doomed(policy, Occasion::Asked) {
                collected.add(candidate.kind, candidate.bytes);
            }
            Ok(())
        })?;
        Ok(collected)
    }

    pub(super) fn collect(&self, policy: &GcPolicy, occasion: Occasion) -> Result<Collected, StoreError> {
        // Two at once would only do the same.
        let _alone = self.lock("collect garbage")?;
        scratch::reclaim(self)?;
        self.sweep_locks()?;
        self.measure_layer_dirs()?;
        let folders = self.folder_candidates()?;
        let (doomed, mut collected) = self.index().write_synced(|index| {
            let looked = self.look(index, folders)?;
            let in_use_since = looked.in_use_since;
            let doomed = looked.doomed(policy, occasion);
            let mut collected = Collected::default();
            for candidate in &doomed {
                if let Thing::Row { table, id } = candidate.what {
                    index.prepare_cached(&format!("DELETE FROM {table} WHERE id = ?1"))?.execute([id])?;
                    collected.add(candidate.kind, candidate.bytes);
                }
            }
            let unusable = prune_records(index, in_use_since)?;
            if unusable > 0 {
                *collected.removed.entry(StoreKind::Record).or_default() += unusable;
            }
            // A build notes facts before what they are about; with none running, facts about nothing are no use.
            if in_use_since == Moment::MAX {
                prune_facts(index)?;
            }
            recipe::forget_old(index)?;
            index.execute("DELETE FROM stat_cache WHERE recorded < ?1", [before(now(), STAT_CACHE_AGE)])?;
            Ok((doomed, collected))
        })?;
        let files = [StoreKind::Layer, StoreKind::Blob, StoreKind::Download].map(|kind| collected.count(kind));
        collected.leftovers = self.sweep_leftovers()?.saturating_sub(files.iter().sum());
        for candidate in doomed {
            if self.remove_folder(&candidate.what)? {
                collected.add(candidate.kind, candidate.bytes);
            }
        }
        Ok(collected)
    }

    /// Removes what has no row; whether it did.
    fn remove_folder(&self, what: &Thing) -> Result<bool, StoreError> {
        match what {
            Thing::Row { .. } => Ok(false),
            Thing::CacheMount(name) => self.remove_cache_mount(name),
            Thing::Apt(path) => {
                let unwanted = self.stage_dir()?;
                match tree::rename(path, &unwanted.path().join("apt")) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
                    moved => moved.at(path).map(|()| true),
                }
            }
        }
    }

    fn look(&self, index: &Transaction<'_>, folders: Vec<Candidate>) -> Result<Looked, Failure> {
        let mut candidates = candidate::rows(index)?;
        let mut total = bytes_of_rows(index)? + self.index().size()? + self.history_bytes();
        total += folders.iter().map(|folder| folder.bytes).sum::<u64>();
        candidates.extend(folders);
        candidates.sort_by_key(|candidate| (candidate.used, candidate.kind));
        Ok(Looked { candidates, total, free: self.disk_free(), in_use_since: self.in_use_since()? })
    }

    /// Whether the bytes that are known without a walk are so many that `policy` has something to say.
    pub(super) fn is_crowded(&self, policy: &GcPolicy) -> Result<bool, StoreError> {
        self.measure_layer_dirs()?;
        let total = self.index().read(|index| Ok(bytes_of_rows(index)?))? + self.index().size()? + self.history_bytes();
        let free = self.disk_free();
        let is_crowded = |rule: &GcRule| rule.kinds.is_empty() && Occasion::Automatic.goal(rule, total, free).is_some();
        Ok(policy.rules.iter().filter(|rule| rule.unused_for.is_none()).any(is_crowded))
    }
}

/// Bytes of all rows, those of images included.
fn bytes_of_rows(index: &Transaction<'_>) -> rusqlite::Result<u64> {
    index.query_row("SELECT bytes FROM totals", [], |row| row.get(0))
}

impl Occasion {
    /// The bytes that a rule wants a store of `total` brought to, if it wants anything of it.
    fn goal(self, rule: &GcRule, total: u64, free: u64) -> Option<u64> {
        let keep = rule.keep_bytes(total, free)?;
        let part = |percent| u64::try_from(u128::from(keep) * u128::from(percent) / 100).unwrap_or(u64::MAX);
        match self {
            Self::Asked => (total > keep).then_some(keep),
            Self::Automatic => (total > part(BEGIN)).then(|| part(END)),
        }
    }
}

impl Looked {
    /// What has to go, in the order of going.
    fn doomed(self, policy: &GcPolicy, occasion: Occasion) -> Vec<Candidate> {
        let Self { mut candidates, mut total, mut free, in_use_since } = self;
        let mut doomed = Vec::new();
        for rule in &policy.rules {
            let unused_since = rule.unused_for.map_or(Moment::MAX, |age| before(now(), age));
            let goal = match (rule.keep_bytes(total, free), occasion.goal(rule, total, free)) {
                // Bytes do not matter to it.
                (None, _) => 0,
                (Some(_), None) => continue,
                (Some(_), Some(goal)) => goal,
            };
            let mut kept = Vec::with_capacity(candidates.len());
            for candidate in candidates {
                let concerned = (rule.kinds.is_empty() || rule.kinds.contains(&candidate.kind))
                    && (rule.all || !candidate.shared)
                    && candidate.used < unused_since;
                let in_use = match candidate.kind {
                    // apt may be at work in them whenever a build runs.
                    StoreKind::Apt => in_use_since != Moment::MAX,
                    StoreKind::Record
                    | StoreKind::Layer
                    | StoreKind::Blob
                    | StoreKind::Download
                    | StoreKind::CacheMount => candidate.used >= in_use_since,
                };
                if !concerned || in_use || total <= goal {
                    kept.push(candidate);
                    continue;
                }
                total = total.saturating_sub(candidate.bytes);
                free = free.saturating_add(candidate.bytes);
                doomed.push(candidate);
            }
            candidates = kept;
        }
        doomed
    }
}

impl Store {
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

    fn everything() -> GcPolicy {
        GcPolicy::of(GcRule { all: true, ..GcRule::default() })
    }

    fn unused_for_a_day() -> GcPolicy {
        GcPolicy::of(GcRule { unused_for: Some(GRANULARITY * 24), ..GcRule::default() })
    }

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        (folder, store)
    }

    #[test]
    fn the_total_is_that_of_the_rows() {
        let (_folder, store) = store();
        let check = |what: &str| {
            let query =
                "SELECT (SELECT coalesce(sum(size), 0) FROM blobs) + (SELECT coalesce(sum(bytes), 0) FROM layer_dirs)";
            let added_up: u64 = store.index().read(|index| Ok(index.query_row(query, [], |row| row.get(0))?)).unwrap();
            assert_eq!(store.index().read(|index| Ok(bytes_of_rows(index)?)).unwrap(), added_up, "{what}");
            added_up
        };
        store.put_blob(&[1; 1000]).unwrap();
        store.put_blob(&[2; 500]).unwrap();
        let stage = store.stage_dir().unwrap();
        fs::write(stage.path().join("file"), [3; 10_000]).unwrap();
        store.commit_layer_dir(stage.path(), &DiffId(Digest::of(b"layer"))).unwrap();
        assert_eq!(check("nobody measured the layer"), 1500);
        store.measure_layer_dirs().unwrap();
        let measured = check("it was measured");
        assert!(measured >= 11_500, "{measured}");
        let replace = "INSERT OR REPLACE INTO blobs (digest, size, last_used) SELECT digest, size + 1, 0 FROM blobs;
                       INSERT OR REPLACE INTO layer_dirs (diff_id, last_used) SELECT diff_id, 0 FROM layer_dirs;";
        store.index().write(|index| Ok(index.execute_batch(replace)?)).unwrap();
        assert_eq!(check("rows were replaced"), 1502);
        store.collect_garbage(&everything()).unwrap();
        assert_eq!(check("all was removed"), 0);
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
        let oldest = store.put_blob(&vec![1; 100_000]).unwrap();
        age(&store, 2);
        let middle = store.put_blob(&vec![2; 100_000]).unwrap();
        age(&store, 2);
        let used = store.put_blob(&vec![3; 100_000]).unwrap();
        age(&store, 2);
        store.open_blob(&oldest).unwrap().unwrap();
        let too_much = store.disk_usage().unwrap().total() - 50_000;
        let policy = GcPolicy::of(GcRule { max_used: Some(too_much), ..GcRule::default() });
        assert_eq!(store.would_collect(&policy).unwrap().bytes, 100_000);
        let collected = store.collect_garbage(&policy).unwrap();
        assert_eq!((collected.count(StoreKind::Download), collected.bytes), (1, 100_000));
        assert_eq!([oldest, middle, used].map(|blob| has(&store, &blob)), [true, false, true]);
    }

    #[test]
    fn what_was_not_used_for_long_goes() {
        let (_folder, store) = store();
        let old = store.put_blob(b"old").unwrap();
        age(&store, 50);
        let new = store.put_blob(b"new").unwrap();
        assert_eq!(store.collect_garbage(&unused_for_a_day()).unwrap().count(StoreKind::Download), 1);
        assert_eq!([old, new].map(|blob| has(&store, &blob)), [false, true]);
    }

    #[test]
    fn named_images_keep_their_blobs() {
        let (_folder, store) = store();
        let manifest = store.put_blob(b"{}").unwrap();
        store.put_image("name", &format!(r#"{{"digest":"{manifest}","size":2}}"#)).unwrap();
        store.collect_garbage(&everything()).unwrap();
        assert!(has(&store, &manifest));
        store.remove_image("name").unwrap();
        store.collect_garbage(&everything()).unwrap();
        assert!(!has(&store, &manifest));
    }

    #[test]
    fn a_layer_is_as_fresh_as_a_record_that_names_it() {
        let (_folder, store) = store();
        let (used, _) = step(&store, "used");
        let (unused, _) = step(&store, "unused");
        age(&store, 50);
        assert!(store.records(&[used]).unwrap().contains_key(&used));
        let collected = store.collect_garbage(&unused_for_a_day()).unwrap();
        let counts = [StoreKind::Record, StoreKind::Layer, StoreKind::Blob].map(|kind| collected.count(kind));
        assert_eq!(counts, [1, 1, 1]);
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

        store.collect_garbage(&everything()).unwrap();
        assert_eq!([old, new].map(|blob| has(&store, &blob)), [false, true]);
        assert!(build.records(&[touched.0]).unwrap().contains_key(&touched.0));
        assert!(build.layer_dir(&touched.1).unwrap().is_some());

        drop(lease);
        store.collect_garbage(&everything()).unwrap();
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
        store.collect_garbage(&everything()).unwrap();
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
