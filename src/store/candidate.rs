//! What may be removed, least recently used first.

use super::{
    Store, StoreError,
    freshness::{Moment, moment},
    index::Failure,
    policy::StoreKind,
    tree,
};
use rusqlite::Transaction;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Something that may be removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) kind: StoreKind,
    pub(super) what: Thing,
    /// The bytes that it takes.
    pub(super) bytes: u64,
    pub(super) used: Moment,
    /// Whether it belongs to a named image.
    pub(super) shared: bool,
}

/// How it is found again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Thing {
    /// A row of the index.
    Row { table: &'static str, id: i64 },
    /// A cache mount, by its name.
    CacheMount(String),
    /// A folder of apt's.
    Apt(PathBuf),
}

/// The rows. A layer is as fresh as the freshest record that names it, and a blob as its layer, so a chain of steps ages
/// as one. A layer is shared if an image has a blob of it; a record if all of its layers are.
const ROWS: &str = "
    WITH shared AS MATERIALIZED (
        SELECT DISTINCT diff_id FROM layer_blobs WHERE digest IN (SELECT digest FROM image_blobs))
    SELECT 0 AS kind, id, length(value) AS bytes, last_used AS used,
        EXISTS (SELECT 1 FROM record_layers WHERE record = records.id)
        AND NOT EXISTS (SELECT 1 FROM record_layers WHERE record = records.id AND diff_id NOT IN shared)
    FROM records
    UNION ALL
    SELECT 1, id, coalesce(bytes, 0), max(last_used, coalesce((
        SELECT max(records.last_used) FROM record_layers JOIN records ON records.id = record
        WHERE record_layers.diff_id = layer_dirs.diff_id), 0)),
        diff_id IN shared
    FROM layer_dirs
    UNION ALL
    SELECT CASE WHEN digest IN (SELECT toc FROM layers) OR digest IN (SELECT digest FROM layer_blobs) THEN 2 ELSE 3 END,
        id, size, max(last_used, coalesce((
        SELECT max(records.last_used) FROM record_layers JOIN records ON records.id = record
        WHERE record_layers.diff_id IN (
            SELECT diff_id FROM layers WHERE toc = blobs.digest
            UNION ALL SELECT diff_id FROM layer_blobs WHERE layer_blobs.digest = blobs.digest)), 0)),
        EXISTS (SELECT 1 FROM layers WHERE toc = blobs.digest AND diff_id IN shared)
    FROM blobs WHERE digest NOT IN (SELECT digest FROM image_blobs)";

/// What rows there are.
pub(super) fn rows(index: &Transaction<'_>) -> Result<Vec<Candidate>, Failure> {
    let mut query = index.prepare(ROWS)?;
    let candidates = query.query_map([], |row| {
        let (kind, table) = match row.get(0)? {
            0 => (StoreKind::Record, "records"),
            1 => (StoreKind::Layer, "layer_dirs"),
            2 => (StoreKind::Blob, "blobs"),
            _ => (StoreKind::Download, "blobs"),
        };
        let what = Thing::Row { table, id: row.get(1)? };
        Ok(Candidate { kind, what, bytes: row.get(2)?, used: row.get(3)?, shared: row.get(4)? })
    })?;
    Ok(candidates.collect::<Result<_, _>>()?)
}

impl Store {
    /// What folders there are beside the rows; walks them.
    pub(super) fn folder_candidates(&self) -> Result<Vec<Candidate>, StoreError> {
        let mounts = self.cache_mount_rows()?.into_iter().map(|mount| Candidate {
            kind: StoreKind::CacheMount,
            what: Thing::CacheMount(mount.name),
            bytes: mount.bytes,
            used: moment(mount.used),
            shared: false,
        });
        let roots = fs::read_dir(self.root().join("apt")).into_iter().flatten().flatten().map(|entry| {
            let path = entry.path();
            Candidate {
                kind: StoreKind::Apt,
                bytes: tree::disk_bytes(&path),
                used: last_change(&path),
                what: Thing::Apt(path),
                shared: false,
            }
        });
        Ok(mounts.chain(roots).collect())
    }
}

/// The latest change of a folder or of what is right in it.
fn last_change(folder: &Path) -> Moment {
    let inside = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let changed = |path: PathBuf| fs::symlink_metadata(path).and_then(|metadata| metadata.modified()).ok();
    inside.chain([folder.to_owned()]).filter_map(changed).map(moment).max().unwrap_or(0)
}
