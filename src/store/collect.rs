//! Garbage: what nobody can use, and what nobody has used for long.
//!
//! 1. What dead processes left in `tmp/` and `locks/`.
//! 2. Names without a row: left by a killed process, or written before a power cut.
//! 3. If the policy asks for it, what was used least recently: records, layer folders, and blobs that no named image
//!    keeps. A layer counts as used when a record that names it was, so a chain of steps ages as one.
//! 4. Records and facts that lead to nothing any more.
//!
//! Never what was used since the earliest living lease was taken (see `lease`), nor what was used at all later than
//! it had to be: the order is that of last use, up to the limit.

use super::{
    StageDir, Store, StoreError,
    error::At,
    freshness::{Moment, before, now},
    index::Failure,
    record::USABLE,
    scratch, tree,
};
use crate::image::{BlobDigest, DiffId, Digest};
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
    SELECT 0 AS kind, id, key, length(value) AS bytes, last_used AS used FROM records
    UNION ALL
    SELECT 1, id, diff_id, coalesce(bytes, 0), max(last_used, coalesce((
        SELECT max(records.last_used) FROM record_layers JOIN records ON records.id = record
        WHERE record_layers.diff_id = layer_dirs.diff_id), 0))
    FROM layer_dirs
    UNION ALL
    SELECT 2, id, digest, size, max(last_used, coalesce((
        SELECT max(records.last_used) FROM record_layers JOIN records ON records.id = record
        WHERE record_layers.diff_id IN (
            SELECT diff_id FROM layers WHERE toc = blobs.digest
            UNION ALL SELECT diff_id FROM layer_blobs WHERE layer_blobs.digest = blobs.digest)), 0))
    FROM blobs WHERE digest NOT IN (SELECT digest FROM image_blobs)
    ORDER BY used, kind";

enum Candidate {
    Record,
    LayerDir(DiffId),
    Blob(BlobDigest),
}

impl Store {
    /// Removes garbage, and by `policy` what may be wanted again.
    pub fn collect_garbage(&self, policy: &GcPolicy) -> Result<Collected, StoreError> {
        scratch::reclaim(self)?;
        self.sweep_locks()?;
        self.measure_layer_dirs()?;
        let mut collected = Collected::default();
        // Moving is quick and done in transactions; removing is slow and happens when this is dropped.
        let trash = self.stage_dir()?;
        let leftovers = self.leftovers()?;
        self.index().write(|index| {
            let mut trash = Trash { folder: &trash, next: 0 };
            for leftover in &leftovers {
                if !leftover.has_row(index)? && trash.take(&leftover.path)? {
                    collected.leftovers += 1;
                }
            }
            let in_use_since = self.in_use_since()?;
            self.evict(index, policy, in_use_since, &mut trash, &mut collected)?;
            collected.records += prune_records(index, in_use_since)?;
            // A build notes facts before what they are about; with none running, facts about nothing are no use.
            if in_use_since == Moment::MAX {
                prune_facts(index)?;
            }
            index.execute("DELETE FROM stat_cache WHERE recorded < ?1", [before(now(), STAT_CACHE_AGE)])?;
            Ok(())
        })?;
        Ok(collected)
    }

    fn evict(
        &self,
        index: &Transaction<'_>,
        policy: &GcPolicy,
        in_use_since: Moment,
        trash: &mut Trash<'_>,
        collected: &mut Collected,
    ) -> Result<(), Failure> {
        let unused_since = policy.unused_for.map_or(Moment::MIN, |age| before(now(), age));
        let mut total: u64 = index.query_row(
            "SELECT (SELECT coalesce(sum(size), 0) FROM blobs) + (SELECT coalesce(sum(bytes), 0) FROM layer_dirs)
                  + (SELECT coalesce(sum(length(value)), 0) FROM records)",
            [],
            |row| row.get(0),
        )?;
        // All at once: the rows go while we walk.
        let mut query = index.prepare(CANDIDATES)?;
        let candidates = query.query_map([], |row| {
            let candidate = match row.get(0)? {
                0 => Candidate::Record,
                1 => Candidate::LayerDir(row.get(2)?),
                _ => Candidate::Blob(row.get(2)?),
            };
            Ok((candidate, row.get::<_, i64>(1)?, row.get::<_, u64>(3)?, row.get::<_, Moment>(4)?))
        })?;
        for (candidate, id, bytes, used) in candidates.collect::<Result<Vec<_>, _>>()? {
            let too_much = policy.keep_bytes.is_some_and(|keep| total > keep);
            if used >= in_use_since || !(too_much || used < unused_since) {
                break;
            }
            match candidate {
                Candidate::Record => {
                    index.prepare_cached("DELETE FROM records WHERE id = ?1")?.execute([id])?;
                    collected.records += 1;
                }
                Candidate::LayerDir(diff_id) => {
                    index.prepare_cached("DELETE FROM layer_dirs WHERE id = ?1")?.execute([id])?;
                    trash.take(&self.layer_file(&diff_id))?;
                    collected.layers += 1;
                }
                Candidate::Blob(digest) => {
                    index.prepare_cached("DELETE FROM blobs WHERE id = ?1")?.execute([id])?;
                    trash.take(&self.blob_file(&digest))?;
                    collected.blobs += 1;
                }
            }
            total = total.saturating_sub(bytes);
            collected.bytes += bytes;
        }
        Ok(())
    }

    /// Names under `blobs/` and `layers/` that seem to have no row. Whether they have none, only a write transaction
    /// can tell.
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

/// Where things go that are to be removed.
struct Trash<'a> {
    folder: &'a StageDir,
    next: u64,
}

impl Trash<'_> {
    /// Takes a file or a folder; whether there was one.
    fn take(&mut self, path: &Path) -> Result<bool, StoreError> {
        let target = self.folder.path().join(self.next.to_string());
        self.next += 1;
        match tree::rename(path, &target) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error).at(path),
        }
    }
}

/// Removes records that lead to layers that are gone; returns how many.
fn prune_records(index: &Transaction<'_>, in_use_since: Moment) -> Result<u64, Failure> {
    let unusable = format!("DELETE FROM records WHERE last_used < ?1 AND NOT ({USABLE})");
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
