//! The store: everything that is kept between builds, shared by any number of processes.
//!
//! ```text
//! <root>/
//!   version                  the format of all this; a folder without it is no store
//!   index.db                 SQLite: what is here, what is known, when it was used   (index, schema.sql)
//!   blobs/sha256/<2>/<hex>   compressed layers, manifests, contents tables, artifacts (blob)
//!   layers/<2>/<hex>/        unpacked layers, by DiffId                               (layer_dir)
//!   history/                 the last builds                                          (the room history); may be removed at any time
//!   apt/                     apt's lists, and what it answered (packages::apt); may be removed at any time
//!   cache-mounts/<name>/     RUN --mount=type=cache                                   (cache_mount)
//!   tmp/<process>/           what a process is making                                 (scratch)
//!   locks/                   files that exist to be locked: names, processes, leases  (lock, lease)
//! ```
//!
//! # How it stays true
//!
//! 1. **A thing is here if and only if the index says so.** A name under `blobs/` or `layers/` alone means nothing: it
//!    may be left over from a killed process or a power cut. Writing the same thing again replaces it, and
//!    [`Store::collect_garbage`] removes it. The other way round, a row whose file is gone (somebody removed it by
//!    hand) is dropped when that is noticed, and counts as a miss.
//! 2. **Nothing is written in place.** What is made is made under `tmp/`, renamed into place, and then entered into the
//!    index. Renaming and entering happen in one write transaction, of which the store has one at a time (see `index`).
//! 3. **Nothing waits for the disk until the end of a build.** A row that points at a file says under which boot of the
//!    machine the file was written, until [`Store::make_durable`] has flushed all of them at once (see `durable`).
//! 4. **Everything that a process holds is bound to a lock that dies with it** ([`FileLock`]): its folder in `tmp/`, its
//!    [`Lease`], its named locks. So `kill -9` needs no cleaning up by hand, and no process id is ever trusted.
//! 5. **What a build may be using stays** while its [`Lease`] lives (see `lease`).
//!
//! Calls block; all are short, except [`Store::make_durable`], [`Store::collect_garbage`], [`Store::disk_usage`] and
//! waiting for a lock. Not kept here: how the layers' contents are made or read, and what the records' values mean.

mod blob;
mod block;
mod build_note;
mod cache_mount;
mod candidate;
mod collect;
mod durable;
mod error;
mod freshness;
mod image_ref;
mod index;
mod keeper;
mod layer;
mod layer_dir;
mod lease;
mod lock;
mod open;
mod place;
mod policy;
mod recipe;
mod record;
mod scratch;
mod stat_cache;
mod tree;
mod usage;

#[cfg(test)]
mod crash_tests;

pub use blob::BlobWriter;
pub use block::Block;
pub use build_note::BuildNoteRow;
pub use cache_mount::{CacheIdentity, CacheMount, CacheMountRow, CacheUse};
pub use collect::Collected;
pub use error::StoreError;
pub use image_ref::ImageRow;
pub use keeper::Keeper;
pub use layer::{BlobIndex, LayerBlob, LayerRow};
pub use lease::Lease;
pub use lock::FileLock;
pub use place::Place;
pub use policy::{GcPolicy, GcRule, StoreKind};
pub use recipe::{RecipeRow, StepIdentity};
pub use record::{EXPLICIT_IMPORT, FoundRecord, RecordKey, RecordKind, RecordLayer};
pub use scratch::StageDir;
pub use stat_cache::FileStamp;
pub use usage::{DiskUsage, ImageUsage, Usage};

use index::Index;
use scratch::Scratch;
use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

/// The format of the store. It changes when an older flashbuild could not use a newer store, or the reverse.
const FORMAT: u32 = 1;

/// An open store. Clones are the same store.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

struct Shared {
    root: PathBuf,
    /// Open since the beginning: the kernel reports a failed write-back to whoever had the file system open by then.
    root_dir: File,
    boot: String,
    index: Index,
    scratch: Mutex<Option<Arc<Scratch>>>,
    tree_remover: Arc<OnceLock<TreeRemover>>,
    /// When this process last took a lease.
    leased_since: AtomicI64,
    blob_opens: AtomicU64,
    layer_lookups: AtomicU64,
}

/// Removes a tree that this process may not remove itself.
type TreeRemover = Box<dyn Fn(&Path) -> io::Result<()> + Send + Sync>;

/// What this process asked of the store, so that a test can prove that a build in which nothing changed read no layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// Blobs that were opened, or whose path was handed out.
    pub blob_opens: u64,
    /// Layer folders that were asked for.
    pub layer_lookups: u64,
    /// Transactions of the index.
    pub index_queries: u64,
}

impl Store {
    /// The folder that holds the store.
    pub fn root(&self) -> &Path {
        &self.shared.root
    }

    /// The folder below which `RUN --mount=type=cache` keeps its folders; see [`Store::try_cache_mount`].
    pub fn cache_mounts(&self) -> PathBuf {
        self.shared.root.join("cache-mounts")
    }

    /// What this process asked of the store so far.
    pub fn stats(&self) -> Stats {
        Stats {
            blob_opens: self.shared.blob_opens.load(Ordering::Relaxed),
            layer_lookups: self.shared.layer_lookups.load(Ordering::Relaxed),
            index_queries: self.shared.index.transactions(),
        }
    }

    /// Says how to remove a tree that this process alone may not: without root, a step's files belong to ids that only
    /// exist in its user namespace, so somebody has to enter one. The first call counts.
    pub fn set_tree_remover(&self, remover: impl Fn(&Path) -> io::Result<()> + Send + Sync + 'static) {
        drop(self.shared.tree_remover.set(Box::new(remover)));
    }

    fn index(&self) -> &Index {
        &self.shared.index
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store({})", self.shared.root.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_goes_between_threads() {
        fn check<T: Send + Sync + 'static>() {}
        check::<Store>();
        check::<StageDir>();
        check::<BlobWriter>();
        check::<Lease>();
        check::<FileLock>();
    }

    #[test]
    fn stats_count_what_was_asked() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let blob = store.put_blob(b"blob").unwrap();
        let before = store.stats();
        store.open_blob(&blob).unwrap();
        store.blob_path(&blob).unwrap();
        store.layer_dir(&crate::image::DiffId::empty()).unwrap();
        let after = store.stats();
        assert_eq!(after.blob_opens - before.blob_opens, 2);
        assert_eq!(after.layer_lookups - before.layer_lookups, 1);
        assert_eq!(after.index_queries - before.index_queries, 3);
    }
}
