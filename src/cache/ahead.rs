//! Layers on their way to a cache while later steps still run.
//!
//! A layer that a step came to is compressed, as it has to be anyway, and put where the cache is. What went ahead is
//! remembered ([`Ahead`]), so that the export that follows the last step asks for it no more: it has the last layers to put,
//! the records, and the manifest, which is what makes them a cache. Nothing depends on this: what could not be put ahead is
//! left to that export, which says why. A build that fails leaves blobs that no manifest names, for the next one to find.

use super::{Backend, ExportOptions, export::describe};
use crate::{
    image::{BlobDigest, DiffId},
    layer::{Compression, Layers},
    registry::BlobSource,
    store::LayerBlob,
};
use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::{sync::mpsc::UnboundedReceiver, task::JoinSet};

/// Told a blob's digest, and how many of its bytes have been put of how many.
type Progress = Arc<dyn Fn(&str, u64, u64) + Send + Sync>;

/// Blobs that the cache has already, and how many bytes were written for each.
#[derive(Debug, Default)]
pub struct Ahead(HashMap<BlobDigest, u64>);

impl Ahead {
    /// Bytes that were written for the blob, if it went ahead.
    pub(super) fn written(&self, digest: &BlobDigest) -> Option<u64> {
        self.0.get(digest).copied()
    }
}

/// What puts, until it is dropped or done.
pub struct PutAhead {
    task: JoinSet<()>,
    shared: Arc<Shared>,
}

struct Shared {
    cache: Arc<dyn Backend>,
    layers: Layers,
    options: ExportOptions,
    /// How layers are compressed.
    compression: Compression,
    progress: Progress,
    put: Mutex<Ahead>,
    /// Set when the cache refused: the export at the end says why.
    has_given_up: AtomicBool,
}

impl PutAhead {
    /// Puts the `settled` layers into `cache`, compressed as `anyway` says unless `options` force another compression. For
    /// layers of base images, `is_base` holds.
    pub fn start(
        (cache, options): (Arc<dyn Backend>, &ExportOptions),
        anyway: Compression,
        layers: &Layers,
        is_base: impl Fn(&DiffId) -> bool + Send + 'static,
        mut settled: UnboundedReceiver<DiffId>,
        progress: Progress,
    ) -> Self {
        let shared = Arc::new(Shared {
            cache,
            layers: layers.clone(),
            options: options.clone(),
            compression: if options.force_compression { options.compression } else { anyway },
            progress,
            put: Mutex::default(),
            has_given_up: AtomicBool::new(false),
        });
        let mut task = JoinSet::new();
        let putting = Arc::clone(&shared);
        task.spawn(async move {
            let mut seen = HashSet::from([DiffId::empty()]);
            let mut puts = JoinSet::new();
            while let Some(diff_id) = settled.recv().await {
                // One is compressed at a time: the steps have work for the other processors.
                if seen.insert(diff_id) && !is_base(&diff_id) && !putting.has_given_up.load(Ordering::Relaxed) {
                    let putting = Arc::clone(&putting);
                    let (layers, compression) = (putting.layers.clone(), putting.compression);
                    let made = tokio::task::spawn_blocking(move || layers.blob(&diff_id, &compression)).await;
                    if let Ok(Ok(blob)) = made {
                        puts.spawn(putting.put(blob));
                    }
                }
            }
            while puts.join_next().await.is_some() {}
        });
        Self { task, shared }
    }

    /// Waits until all that was told is put; the sender of the settled layers has to be gone.
    pub async fn finish(mut self) -> Ahead {
        while self.task.join_next().await.is_some() {}
        std::mem::take(&mut *self.shared.put.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Shared {
    async fn put(self: Arc<Self>, blob: LayerBlob) {
        let described = describe(&blob, &self.options);
        let store = self.layers.store();
        let Ok(Some(path)) = store.blob_path(&blob.digest) else { return };
        let item = blob.digest.to_string();
        let told = |done| (self.progress)(&item, done, blob.size);
        match self.cache.put(&described, &BlobSource::File(path), store, &told).await {
            Ok(written) => {
                self.put.lock().unwrap_or_else(PoisonError::into_inner).0.insert(blob.digest, written);
            }
            Err(_) => self.has_given_up.store(true, Ordering::Relaxed),
        }
    }
}
