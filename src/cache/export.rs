//! What a build used, for others: the layers that the cache lacks, and the records in place of those that were there.

use super::{
    Ahead, Backend, CacheDocument, CacheError, CachedLayer, CachedMount, CachedRecord, Imported, MountIds, Published,
    chunks::Chunk, document::CONFIG_TYPE, mounts,
};
use crate::{
    image::{
        BlobDigest, DOCKER_LAYER, DOCKER_LAYER_GZIP, DOCKER_MANIFEST, DOCKER_MANIFEST_LIST, Descriptor, DiffId, Index,
        Manifest, MediaType,
    },
    layer::{Algorithm, Compression, LayerError, Layers},
    registry::BlobSource,
    solver::event::Step,
    store::{LayerBlob, RecordKey},
};
use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, TryStreamExt as _};
use std::collections::{BTreeMap, HashMap, HashSet};

/// A step of a build, and what it came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Used {
    /// Its definition key.
    pub definition: RecordKey,
    /// Its content key, if it has one.
    pub content: Option<RecordKey>,
    /// Its layers, lowest first.
    pub layers: Vec<DiffId>,
    /// Whether its layers are among those of a result.
    pub in_image: bool,
}

/// Which steps are exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Those whose layers are among those of a result.
    #[default]
    Min,
    /// All.
    Max,
}

/// What a cache is to be like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportOptions {
    /// Which steps.
    pub mode: Mode,
    /// How layers are compressed that are not blobs yet.
    pub compression: Compression,
    /// Layers that are blobs already, too.
    pub force_compression: bool,
    /// Docker's names of media types in place of OCI's.
    pub docker_types: bool,
    /// A manifest; else an index of it.
    pub image_manifest: bool,
    /// The caches of steps that go along.
    pub mounts: MountIds,
}

/// What an export came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExportReport {
    /// Records that the cache has now.
    pub records: usize,
    /// Layers that they speak of and that the cache has.
    pub layers: usize,
    /// Bytes that were written to it.
    pub bytes: u64,
}

/// Exports what was `used` to `cache`, but for what went `ahead`. Layers for which `is_base` holds come with their images and stay where they are.
pub async fn export(
    cache: &dyn Backend,
    options: &ExportOptions,
    used: &[Used],
    (layers, imported): (&Layers, &Imported),
    ahead: &Ahead,
    is_base: impl Fn(&DiffId) -> bool,
    step: &Step,
) -> Result<ExportReport, CacheError> {
    let used: Vec<&Used> = used.iter().filter(|used| used.in_image || options.mode == Mode::Max).collect();
    let mut found: BTreeMap<DiffId, Option<LayerBlob>> = BTreeMap::new();
    for diff_id in used.iter().flat_map(|used| &used.layers) {
        if found.contains_key(diff_id) {
            continue;
        }
        let stays = *diff_id == DiffId::empty() || is_base(diff_id);
        let blob = if stays { None } else { Some(blob(layers, imported, diff_id, options)?) };
        found.insert(*diff_id, blob);
    }
    let mut report = ExportReport::default();
    let puts: FuturesUnordered<_> = found
        .iter()
        .filter_map(|(diff_id, blob)| Some((diff_id, blob.as_ref()?)))
        .filter(|(_, blob)| ahead.written(&blob.digest).is_none())
        .map(|(diff_id, blob)| put(cache, (layers, imported), diff_id, blob, options, step))
        .collect();
    let written: Vec<u64> = puts.try_collect().await?;
    let before = found.values().flatten().filter_map(|blob| ahead.written(&blob.digest));
    report.bytes += written.into_iter().chain(before).sum::<u64>();

    let positions: HashMap<DiffId, usize> = found.keys().enumerate().map(|(position, id)| (*id, position)).collect();
    let record = |used: &&Used| CachedRecord {
        definition: used.definition,
        content: used.content,
        layers: used.layers.iter().map(|diff_id| positions[diff_id]).collect(),
    };
    let mut records: Vec<CachedRecord> = used.iter().map(record).collect();
    records.sort_by_key(|record| record.definition);
    records.dedup_by_key(|record| record.definition);
    report.records = records.len();
    let listed: Vec<CachedLayer> = found
        .iter()
        .map(|(diff_id, blob)| CachedLayer {
            diff_id: *diff_id,
            blob: blob.as_ref().map(|blob| describe(blob, options)),
        })
        .collect();
    let mut blobs: Vec<Descriptor> = listed.iter().filter_map(|layer| layer.blob.clone()).collect();
    report.layers = blobs.len();
    let mut document = CacheDocument::new(listed, records);
    let (mounts, bytes) = put_mounts(cache, &options.mounts, layers, step).await?;
    report.bytes += bytes;
    document.mounts = mounts;
    blobs.extend(document.mounts.iter().flat_map(|mount| &mount.chunks).map(Chunk::describe));
    let config = json(cache, &document)?;
    let config_described = Descriptor::of(CONFIG_TYPE.into(), &config);
    report.bytes += cache.put(&config_described, &BlobSource::Bytes(config), layers.store(), &|_| ()).await?;
    cache.publish(&published(cache, config_described, blobs, options)?).await?;
    Ok(report)
}

/// The blob that the layer is in the cache: one that is here, the one that it was imported as, or a new one.
fn blob(
    layers: &Layers,
    imported: &Imported,
    diff_id: &DiffId,
    options: &ExportOptions,
) -> Result<LayerBlob, CacheError> {
    let fits = |blob: &LayerBlob| Algorithm::of_media_type(&blob.media_type) == Some(options.compression.algorithm());
    if let Some(blob) = layers.known_blob(diff_id, options.compression)? {
        return Ok(blob);
    }
    if !options.force_compression
        && let Some(blob) = layers.blobs_here(diff_id)?.into_iter().next()
    {
        return Ok(blob);
    }
    let claimed = layers.claimed(diff_id).filter(|_| imported.has(diff_id));
    match (tokio::task::block_in_place(|| layers.blob(diff_id, &options.compression)), claimed) {
        (Err(LayerError::Absent(_)), Some(claimed)) if fits(&claimed) || !options.force_compression => Ok(claimed),
        (blob, _) => Ok(blob?),
    }
}

async fn put(
    cache: &dyn Backend,
    (layers, imported): (&Layers, &Imported),
    diff_id: &DiffId,
    blob: &LayerBlob,
    options: &ExportOptions,
    step: &Step,
) -> Result<u64, CacheError> {
    let described = describe(blob, options);
    let store = layers.store();
    if store.blob_size(&blob.digest)?.is_none() {
        // It was never fetched, and need not be if it comes from where it goes to.
        if cache.has(&described).await? {
            return Ok(0);
        }
        imported.fetch(layers, diff_id, Some(step)).await?;
    }
    let path = store.blob_path(&blob.digest)?.ok_or(LayerError::Absent(*diff_id))?;
    let item: String = blob.digest.to_string().chars().take(19).collect();
    let told = |done| step.transfer(&item, done, Some(blob.size));
    cache.put(&described, &BlobSource::File(path), store, &told).await
}

/// Adds the chunks of caches of steps that the cache lacks; returns how many bytes were written, too.
async fn put_mounts(
    cache: &dyn Backend,
    wanted: &MountIds,
    layers: &Layers,
    step: &Step,
) -> Result<(Vec<CachedMount>, u64), CacheError> {
    if wanted.0.is_empty() {
        return Ok((Vec::new(), 0));
    }
    let store = layers.store();
    let there = cache.manifests(store).await?;
    let known: HashSet<BlobDigest> = there.iter().flat_map(|there| &there.layers).map(|blob| blob.digest).collect();
    let (mounts, in_use) = tokio::task::block_in_place(|| mounts::pack(layers, wanted, &known))?;
    for id in in_use {
        step.notice(format!("the cache {id:?} is left out: a step uses it now"));
    }
    let mut missing: HashSet<Chunk> = mounts.iter().flat_map(|mount| &mount.chunks).copied().collect();
    missing.retain(|chunk| !known.contains(&chunk.digest));
    let puts: FuturesUnordered<_> = missing
        .into_iter()
        .map(|chunk| async move {
            let path = store.blob_path(&chunk.digest)?;
            let lost = || CacheError::Lost { origin: "the store".to_owned(), digest: chunk.digest };
            let source = BlobSource::File(path.ok_or_else(lost)?);
            cache.put(&chunk.describe(), &source, store, &|_| ()).await
        })
        .collect();
    let written: Vec<u64> = puts.try_collect().await?;
    Ok((mounts, written.iter().sum()))
}

pub(super) fn describe(blob: &LayerBlob, options: &ExportOptions) -> Descriptor {
    let media_type = match (Algorithm::of_media_type(&blob.media_type), options.docker_types) {
        (Some(Algorithm::Gzip), true) => DOCKER_LAYER_GZIP,
        (Some(Algorithm::None), true) => DOCKER_LAYER,
        (Some(algorithm), _) => algorithm.media_type(),
        (None, _) => &blob.media_type,
    };
    Descriptor::new(media_type.into(), blob.digest, blob.size)
}

fn published(
    cache: &dyn Backend,
    config: Descriptor,
    mut blobs: Vec<Descriptor>,
    options: &ExportOptions,
) -> Result<Published, CacheError> {
    // Two layers may be one blob only if one of them is a lie; still, a manifest names each blob once.
    let mut seen: HashSet<BlobDigest> = HashSet::new();
    blobs.retain(|blob| seen.insert(blob.digest));
    let kind = if options.docker_types { DOCKER_MANIFEST.into() } else { MediaType::ImageManifest };
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(kind.clone()),
        config,
        layers: blobs,
        annotations: BTreeMap::new(),
        other: BTreeMap::new(),
    };
    let bytes = json(cache, &manifest)?;
    let manifest = Descriptor::of(kind, &bytes);
    let index = if options.image_manifest {
        None
    } else {
        let kind = if options.docker_types { DOCKER_MANIFEST_LIST.into() } else { MediaType::ImageIndex };
        let index = Index {
            schema_version: 2,
            media_type: Some(kind.clone()),
            manifests: vec![manifest.clone()],
            annotations: BTreeMap::new(),
            other: BTreeMap::new(),
        };
        let bytes = json(cache, &index)?;
        Some((Descriptor::of(kind, &bytes), bytes))
    };
    Ok(Published { manifest: (manifest, bytes), index })
}

fn json(cache: &dyn Backend, value: &impl serde::Serialize) -> Result<Bytes, CacheError> {
    serde_json::to_vec(value).map(Bytes::from).map_err(|error| CacheError::unusable(cache.origin(), error))
}
