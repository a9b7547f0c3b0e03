//! What the store takes on the disk, by kind.

use super::{Store, StoreError, tree};
use crate::image::DiffId;
use rusqlite::params;

/// How many there are, and the bytes that they take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// How many.
    pub count: u64,
    /// Bytes.
    pub bytes: u64,
}

/// What the store takes, by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskUsage {
    /// Compressed layers, manifests, contents tables, artifacts.
    pub blobs: Usage,
    /// Of these, the ones that named images keep.
    pub image_blobs: Usage,
    /// Unpacked layers.
    pub layers: Usage,
    /// Records of steps; their bytes are part of the index's.
    pub records: Usage,
    /// The index, in bytes.
    pub index: u64,
    /// The folders of cache mounts, in bytes.
    pub cache_mounts: u64,
    /// What is being made, or was left by processes that were killed, in bytes.
    pub tmp: u64,
}

impl Store {
    /// Bytes of the file system that the store is on, used or not; none if it does not say.
    pub fn disk_total(&self) -> u64 {
        rustix::fs::statvfs(self.root()).map_or(0, |disk| disk.f_blocks.saturating_mul(disk.f_frsize))
    }

    /// Measures the store. Walks the trees that nobody has measured yet.
    pub fn disk_usage(&self) -> Result<DiskUsage, StoreError> {
        self.measure_layer_dirs()?;
        let [blobs, image_blobs, layers, records] = self.index().read(|index| {
            let usage = |query| index.query_row(query, [], |row| Ok(Usage { count: row.get(0)?, bytes: row.get(1)? }));
            Ok([
                usage("SELECT count(*), coalesce(sum(size), 0) FROM blobs")?,
                usage(
                    "SELECT count(*), coalesce(sum(size), 0) FROM blobs
                     WHERE digest IN (SELECT digest FROM image_blobs)",
                )?,
                usage("SELECT count(*), coalesce(sum(bytes), 0) FROM layer_dirs")?,
                usage("SELECT count(*), coalesce(sum(length(value)), 0) FROM records")?,
            ])
        })?;
        Ok(DiskUsage {
            blobs,
            image_blobs,
            layers,
            records,
            index: self.index().size()?,
            cache_mounts: tree::disk_bytes(&self.cache_mounts()),
            tmp: tree::disk_bytes(&self.root().join("tmp")),
        })
    }

    /// Notes the sizes of layer folders that have none yet. Not done on committing one: nobody may ever ask.
    pub(super) fn measure_layer_dirs(&self) -> Result<(), StoreError> {
        let unmeasured: Vec<(i64, DiffId)> = self.index().read(|index| {
            let mut query = index.prepare("SELECT id, diff_id FROM layer_dirs WHERE bytes IS NULL")?;
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
