//! What the store takes on the disk, by kind and by image.

use super::{
    Store, StoreError, candidate,
    freshness::{Moment, system_time},
    policy::StoreKind,
    tree,
};
use crate::image::DiffId;
use rusqlite::params;
use std::{collections::BTreeMap, time::SystemTime};

/// How many there are, and the bytes that they take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// How many.
    pub count: u64,
    /// Bytes.
    pub bytes: u64,
    /// Of these, bytes that belong to named images.
    pub shared: u64,
    /// When the one was used that was used last.
    pub used: Option<SystemTime>,
}

/// What the store takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskUsage {
    /// What may be removed, by kind. The bytes of records are part of the index's.
    pub kinds: BTreeMap<StoreKind, Usage>,
    /// Blobs that named images keep: compressed layers, configurations, manifests.
    pub image_blobs: Usage,
    /// The index, in bytes.
    pub index: u64,
    /// The builds that are remembered, in bytes.
    pub history: u64,
    /// What is being made, or was left by processes that were killed, in bytes.
    pub tmp: u64,
}

/// What an image takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageUsage {
    /// Its name.
    pub name: String,
    /// Bytes of its blobs that are here.
    pub bytes: u64,
    /// Of these, bytes that other names have too.
    pub shared: u64,
    /// When one of them was used last.
    pub used: SystemTime,
}

impl DiskUsage {
    /// Bytes of everything.
    pub fn total(&self) -> u64 {
        let kinds = self.kinds.iter().filter(|(kind, _)| **kind != StoreKind::Record);
        kinds.map(|(_, usage)| usage.bytes).sum::<u64>() + self.image_blobs.bytes + self.index + self.history + self.tmp
    }
}

impl Store {
    /// Bytes of the file system that the store is on, used or not; none if it does not say.
    pub fn disk_total(&self) -> u64 {
        rustix::fs::statvfs(self.root()).map_or(0, |disk| disk.f_blocks.saturating_mul(disk.f_frsize))
    }

    /// Bytes of that which this user may still write; all that there are if it does not say.
    pub(super) fn disk_free(&self) -> u64 {
        rustix::fs::statvfs(self.root()).map_or(u64::MAX, |disk| disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// Bytes of the builds that are remembered.
    pub(super) fn history_bytes(&self) -> u64 {
        tree::disk_bytes(&self.root().join("history"))
    }

    /// Measures the store. Walks the trees that nobody has measured yet.
    pub fn disk_usage(&self) -> Result<DiskUsage, StoreError> {
        self.measure_layer_dirs()?;
        let folders = self.folder_candidates()?;
        let (rows, image_blobs) = self.index().read(|index| {
            let image_blobs = index.query_row(
                "SELECT count(*), coalesce(sum(size), 0), max(last_used) FROM blobs
                 WHERE digest IN (SELECT digest FROM image_blobs)",
                [],
                |row| {
                    let (count, bytes) = (row.get(0)?, row.get(1)?);
                    let used = row.get::<_, Option<Moment>>(2)?.map(system_time);
                    Ok(Usage { count, bytes, shared: bytes, used })
                },
            )?;
            Ok((candidate::rows(index)?, image_blobs))
        })?;
        let mut kinds: BTreeMap<StoreKind, Usage> = StoreKind::ALL.map(|kind| (kind, Usage::default())).into();
        for candidate in rows.into_iter().chain(folders) {
            let usage = kinds.entry(candidate.kind).or_default();
            usage.count += 1;
            usage.bytes += candidate.bytes;
            usage.shared += if candidate.shared { candidate.bytes } else { 0 };
            usage.used = usage.used.max(Some(system_time(candidate.used)));
        }
        Ok(DiskUsage {
            kinds,
            image_blobs,
            index: self.index().size()?,
            history: self.history_bytes(),
            tmp: tree::disk_bytes(&self.root().join("tmp")),
        })
    }

    /// What each named image takes, by name.
    pub fn image_usage(&self) -> Result<Vec<ImageUsage>, StoreError> {
        self.index().read(|index| {
            let mut query = index.prepare(
                "SELECT image, coalesce(sum(size), 0),
                        coalesce(sum(CASE WHEN named > 1 THEN size ELSE 0 END), 0), coalesce(max(last_used), 0)
                 FROM image_blobs
                 JOIN (SELECT digest AS of, count(*) AS named FROM image_blobs GROUP BY digest) ON of = image_blobs.digest
                 JOIN blobs ON blobs.digest = image_blobs.digest
                 GROUP BY image ORDER BY image",
            )?;
            let rows = query.query_map([], |row| {
                let used = system_time(row.get(3)?);
                Ok(ImageUsage { name: row.get(0)?, bytes: row.get(1)?, shared: row.get(2)?, used })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// Notes the sizes of layer folders that have none yet. Not done on committing one: nobody may ever ask.
    pub(super) fn measure_layer_dirs(&self) -> Result<(), StoreError> {
        let unmeasured: Vec<(i64, DiffId)> = self.index().read(|index| {
            let mut query = index.prepare_cached("SELECT id, diff_id FROM layer_dirs WHERE bytes IS NULL")?;
            Ok(query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?)
        })?;
        if unmeasured.is_empty() {
            return Ok(());
        }
        let measured: Vec<_> =
            unmeasured.iter().map(|(id, diff_id)| (id, tree::disk_bytes(&self.layer_file(diff_id)))).collect();
        self.index().write(|index| {
            let mut note = index.prepare("UPDATE layer_dirs SET bytes = ?2 WHERE id = ?1")?;
            for (id, bytes) in measured {
                note.execute(params![id, bytes])?;
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn every_folder_of_the_store_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let before = store.disk_usage().unwrap();
        for path in ["apt/amd64-0/lists", "history/one", "tmp/other"] {
            fs::create_dir_all(folder.path().join(path)).unwrap();
            fs::write(folder.path().join(path).join("file"), vec![1; 100_000]).unwrap();
        }
        let after = store.disk_usage().unwrap();
        assert!(after.kinds[&StoreKind::Apt].bytes >= 100_000 && after.history >= 100_000 && after.tmp >= 100_000);
        assert!(after.total() >= before.total() + 300_000);
    }
}
