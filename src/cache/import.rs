//! What other builds have done: records of all caches that a build reads, and their layers once somebody needs them.

use super::{Backend, CacheDocument, CacheError, CachedMount, MountIds, document, inline, mounts};
use crate::{
    image::{Descriptor, DiffId, Manifest, is_image_config},
    layer::Layers,
    solver::event::{Events, Step},
    store::{CacheIdentity, LayerBlob, RecordKey, Store},
};
use futures_util::{StreamExt as _, TryStreamExt as _};
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Chunks that are fetched at a time.
const AT_ONCE: usize = 16;

/// What was imported for a build.
#[derive(Default)]
pub struct Imported {
    origins: BTreeSet<String>,
    definitions: HashMap<RecordKey, Vec<Found>>,
    contents: HashMap<RecordKey, Vec<Found>>,
    places: HashMap<DiffId, Vec<CachedCopy>>,
    mounts: Vec<(Arc<dyn Backend>, CachedMount)>,
    state: Mutex<State>,
}

/// A cache that has a layer, and the blob that it is there.
type CachedCopy = (Arc<dyn Backend>, Descriptor);

#[derive(Default)]
struct State {
    /// Layers that did not come, or were not what they should be. Nothing that rests on them is found any more.
    refused: HashSet<DiffId>,
    /// So that two steps do not fetch the same layer.
    under_way: HashMap<DiffId, Arc<tokio::sync::Mutex<()>>>,
    /// The definitions that were found here.
    hits: HashMap<RecordKey, Found>,
}

/// What a step came to somewhere else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its layers, lowest first.
    pub layers: Vec<DiffId>,
    /// The content key under which the topmost is found.
    pub content: Option<RecordKey>,
    /// The cache that says so.
    pub origin: Arc<str>,
}

impl Imported {
    /// Reads the records of `caches`, and which caches of steps may be taken from each. One that cannot be read is no reason
    /// not to build: people are told.
    pub async fn load(
        caches: &[(Arc<dyn Backend>, MountIds)],
        store: &Store,
        layers: &Layers,
        events: &Events,
    ) -> Self {
        let read = caches.iter().map(|(cache, _)| async move {
            let step = events.step(format!("import cache from {}", cache.origin()));
            match documents(&**cache, store).await {
                Ok(documents) => {
                    if documents.is_empty() {
                        step.notice(format!("there is no cache at {} yet", cache.origin()));
                    }
                    step.ran();
                    documents
                }
                Err(error) => {
                    let text = format!("the cache {} is not used: {error}", cache.origin());
                    step.notice(text.clone());
                    step.failed(text);
                    Vec::new()
                }
            }
        });
        let mut imported = Self::default();
        for ((cache, mounts), documents) in caches.iter().zip(futures_util::future::join_all(read).await) {
            imported.origins.insert(cache.origin().to_owned());
            for mut document in documents {
                let wanted = document.mounts.drain(..).filter(|mount| mounts.contains(&mount.identity));
                imported.mounts.extend(wanted.map(|mount| (Arc::clone(cache), mount)));
                imported.add(cache, document);
            }
        }
        for (diff_id, places) in &imported.places {
            layers.claim(diff_id, claim(&places[0].1));
        }
        imported
    }

    fn add(&mut self, cache: &Arc<dyn Backend>, document: CacheDocument) {
        let origin: Arc<str> = cache.origin().into();
        for record in document.records {
            let layers: Vec<DiffId> = record.layers.iter().map(|layer| document.layers[*layer].diff_id).collect();
            if let (Some(content), Some(top)) = (record.content, layers.last()) {
                let found = Found { layers: vec![*top], content: None, origin: Arc::clone(&origin) };
                self.contents.entry(content).or_default().push(found);
            }
            let found = Found { layers, content: record.content, origin: Arc::clone(&origin) };
            self.definitions.entry(record.definition).or_default().push(found);
        }
        for layer in document.layers {
            if let Some(blob) = layer.blob {
                self.places.entry(layer.diff_id).or_default().push((Arc::clone(cache), blob));
            }
        }
    }

    /// The caches that were read.
    pub fn origins(&self) -> &BTreeSet<String> {
        &self.origins
    }

    /// What a definition came to, if all of its layers can be had: from a cache, or because `is_known` says so.
    pub fn definition(&self, key: RecordKey, is_known: impl Fn(&DiffId) -> bool) -> Option<Found> {
        let found = self.usable(self.definitions.get(&key)?, is_known)?;
        self.state().hits.insert(key, found.clone());
        Some(found)
    }

    /// The layer that a step with this content came to.
    pub fn content(&self, key: RecordKey, is_known: impl Fn(&DiffId) -> bool) -> Option<Found> {
        self.usable(self.contents.get(&key)?, is_known)
    }

    /// The definitions that were found here so far.
    pub fn hits(&self) -> HashMap<RecordKey, Found> {
        self.state().hits.clone()
    }

    fn usable(&self, all: &[Found], is_known: impl Fn(&DiffId) -> bool) -> Option<Found> {
        let can_be_had = |diff_id: &DiffId| *diff_id == DiffId::empty() || self.has(diff_id) || is_known(diff_id);
        all.iter().find(|found| found.layers.iter().all(can_be_had)).cloned()
    }

    /// Bytes of the blob that a cache has of the layer.
    pub fn size(&self, diff_id: &DiffId) -> Option<u64> {
        self.places.get(diff_id)?.first().map(|(_, blob)| blob.size)
    }

    /// Whether a cache has the layer, as far as we know.
    pub fn has(&self, diff_id: &DiffId) -> bool {
        self.places.contains_key(diff_id) && !self.state().refused.contains(diff_id)
    }

    /// Whether a cache in a registry has the layer.
    pub fn is_in_registry(&self, diff_id: &DiffId, host: &str) -> bool {
        let places = self.places.get(diff_id).into_iter().flatten();
        places.into_iter().any(|(cache, _)| cache.registry() == Some(host))
    }

    /// How many layers were refused. A build that failed while this grew is worth another try.
    pub fn refused(&self) -> usize {
        self.state().refused.len()
    }

    /// Brings a layer into the store, checked, if no blob of it is there.
    pub async fn fetch(&self, layers: &Layers, diff_id: &DiffId, step: Option<&Step>) -> Result<(), CacheError> {
        let turn = Arc::clone(self.state().under_way.entry(*diff_id).or_default());
        let _alone = turn.lock().await;
        if layers.has_blob(diff_id)? {
            return Ok(());
        }
        let mut last = None;
        for (cache, blob) in self.places.get(diff_id).into_iter().flatten() {
            match fetch(&**cache, blob, layers, diff_id, step).await {
                Ok(()) => return Ok(()),
                Err(error) => {
                    let text = format!("layer {diff_id} of {} is refused: {error}", cache.origin());
                    if let Some(step) = step {
                        step.notice(text);
                    }
                    last = Some(error);
                }
            }
        }
        self.state().refused.insert(*diff_id);
        Err(last.unwrap_or_else(|| crate::layer::LayerError::Absent(*diff_id).into()))
    }

    /// Fills the empty folder of a cache of steps with what a build elsewhere left in it; whether there was something.
    pub async fn restore(
        &self,
        layers: &Layers,
        identity: &CacheIdentity,
        data: &Path,
        step: &Step,
    ) -> Result<bool, CacheError> {
        for (cache, mount) in self.mounts.iter().filter(|(_, mount)| mount.identity == *identity) {
            match restore(&**cache, mount, layers, data).await {
                Ok(()) => return Ok(true),
                Err(CacheError::Store(error)) => return Err(error.into()),
                Err(error) => {
                    step.notice(format!("the cache {:?} of {} is refused: {error}", identity.id, cache.origin()));
                }
            }
        }
        Ok(false)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn fetch(
    cache: &dyn Backend,
    blob: &Descriptor,
    layers: &Layers,
    diff_id: &DiffId,
    step: Option<&Step>,
) -> Result<(), CacheError> {
    let item: String = blob.digest.to_string().chars().take(19).collect();
    let told = |done| {
        if let Some(step) = step {
            step.transfer(&item, done, Some(blob.size));
        }
    };
    cache.fetch(blob, layers.store(), &told).await?;
    Ok(tokio::task::block_in_place(|| layers.accept(diff_id, &[], &claim(blob)))?)
}

async fn restore(cache: &dyn Backend, mount: &CachedMount, layers: &Layers, data: &Path) -> Result<(), CacheError> {
    let fetched =
        mount.chunks.iter().map(|chunk| async move { cache.fetch(&chunk.describe(), layers.store(), &|_| ()).await });
    futures_util::stream::iter(fetched).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
    tokio::task::block_in_place(|| mounts::unpack(layers, mount, data))
}

/// A blob of a cache as one of a layer.
pub(super) fn claim(blob: &Descriptor) -> LayerBlob {
    let media_type = blob.media_type.to_string();
    LayerBlob { encoding: String::new(), digest: blob.digest, size: blob.size, media_type, here: false, index: None }
}

/// The documents of a cache.
async fn documents(cache: &dyn Backend, store: &Store) -> Result<Vec<CacheDocument>, CacheError> {
    let mut documents = Vec::new();
    for manifest in cache.manifests(store).await? {
        documents.extend(read(cache, &manifest, store).await?);
    }
    Ok(documents)
}

async fn read(cache: &dyn Backend, manifest: &Manifest, store: &Store) -> Result<Option<CacheDocument>, CacheError> {
    let unusable = |problem: String| CacheError::unusable(cache.origin(), problem);
    let config = &manifest.config;
    let is_cache = config.media_type.as_ref() == document::CONFIG_TYPE;
    if !is_cache && !is_image_config(&config.media_type) {
        return Err(unusable(format!("its configuration is {}", config.media_type)));
    }
    if config.size > document::LARGEST {
        return Err(unusable(format!("its records are larger than {} bytes", document::LARGEST)));
    }
    cache.fetch(config, store, &|_| ()).await?;
    let bytes = store.read_blob(&config.digest, document::LARGEST)?;
    let bytes = bytes.ok_or_else(|| CacheError::Lost { origin: cache.origin().to_owned(), digest: config.digest })?;
    if is_cache {
        CacheDocument::read(&bytes, Some(manifest)).map(Some).map_err(unusable)
    } else {
        inline::read(&bytes, manifest).map_err(unusable)
    }
}
