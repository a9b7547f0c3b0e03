//! From layers and configurations to documents.

use super::{AnnotationLevel, AttestationForm, Attestations, BuiltImage, BuiltIndex, ExportError, ImageOptions};
use crate::{
    image::{Descriptor, DiffId, Index, Manifest, MediaType},
    layer::{Algorithm, Compression, LayerError, Layers},
    store::LayerBlob,
};
use flashbuild_frontend::{config::ImageConfig, platform::Platform};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// Layers that are compressed at a time. Each uses all processors; a second fills the gaps of the first.
const AT_ONCE: usize = 2;

/// Makes the images' documents. The configurations are complete but for their `rootfs`. Blocks while layers are
/// compressed.
///
/// Empty layers are left out, and their entries in the history say so. The layers of base images, for which `is_base`
/// holds, keep the blobs that their registries have, unless compression is forced. One image is its own result; several
/// get an index, in the order given, and so does one of which something is said there.
pub fn assemble(
    layers: &Layers,
    images: Vec<(Platform, ImageConfig, Vec<DiffId>)>,
    options: &ImageOptions,
    is_base: impl Fn(&DiffId) -> bool + Sync,
    attestations: Option<Attestations<'_>>,
) -> Result<BuiltIndex, ExportError> {
    let keeps = |diff_id: &DiffId| !options.force_compression && is_base(diff_id);
    let blobs = make_blobs(layers, images.iter().flat_map(|(_, _, diff_ids)| diff_ids), options.compression, keeps)?;
    let image = |(platform, config, diff_ids)| image(platform, config, diff_ids, &blobs, options);
    let images = images.into_iter().map(image).collect::<Result<Vec<_>, _>>()?;
    let said = attestations.map(|says| images.iter().map(|image| says.about(image)).collect::<Result<Vec<_>, _>>());
    let attestations: Vec<_> = said.transpose()?.into_iter().flatten().flatten().collect();
    let entries: Vec<Descriptor> = attestations
        .iter()
        .filter(|attestation| attestation.form == AttestationForm::Index)
        .map(|attestation| attestation.manifest.clone())
        .collect();
    let top = |level| options.annotations(level, None);
    match images.as_slice() {
        [] => Err(ExportError::NoImage),
        [image] if entries.is_empty() => {
            if !top(AnnotationLevel::Index).is_empty() || !top(AnnotationLevel::IndexDescriptor).is_empty() {
                return Err(ExportError::NoIndex);
            }
            let (descriptor, bytes) = (image.manifest.clone(), image.manifest_bytes.clone());
            Ok(BuiltIndex { images, attestations, descriptor, bytes, is_index: false })
        }
        several => {
            let index = Index {
                schema_version: 2,
                media_type: Some(options.index_type()),
                manifests: several.iter().map(|image| image.manifest.clone()).chain(entries).collect(),
                annotations: top(AnnotationLevel::Index),
                other: BTreeMap::new(),
            };
            let bytes = serde_json::to_vec(&index)?;
            let mut descriptor = Descriptor::of(options.index_type(), &bytes);
            descriptor.annotations = top(AnnotationLevel::IndexDescriptor);
            Ok(BuiltIndex { images, attestations, descriptor, bytes, is_index: true })
        }
    }
}

fn image(
    platform: Platform,
    mut config: ImageConfig,
    diff_ids: Vec<DiffId>,
    blobs: &HashMap<DiffId, LayerBlob>,
    options: &ImageOptions,
) -> Result<BuiltImage, ExportError> {
    mark_empty(&mut config, &diff_ids);
    let layers: Vec<_> =
        diff_ids.into_iter().filter_map(|diff_id| Some((diff_id, blobs.get(&diff_id)?.clone()))).collect();
    "layers".clone_into(&mut config.rootfs.kind);
    config.rootfs.diff_ids = layers.iter().map(|(diff_id, blob)| blob.content(diff_id).to_string()).collect();
    let config_bytes = serde_json::to_vec(&config)?;
    let config = Descriptor::of(options.config_type(), &config_bytes);
    let described =
        |blob: &LayerBlob| Descriptor { media_type: options.layer_type(&blob.media_type), ..describe(blob) };
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(options.manifest_type()),
        config: config.clone(),
        layers: layers.iter().map(|(_, blob)| described(blob)).collect(),
        annotations: options.annotations(AnnotationLevel::Manifest, Some(&platform)),
        other: BTreeMap::new(),
    };
    let manifest_bytes = serde_json::to_vec(&manifest)?;
    let mut manifest = Descriptor::of(options.manifest_type(), &manifest_bytes).with_platform(&platform);
    manifest.annotations = options.annotations(AnnotationLevel::ManifestDescriptor, Some(&platform));
    Ok(BuiltImage { platform, manifest, manifest_bytes, config, config_bytes, layers })
}

/// A layer's descriptor. OCI's name of its type, also if it came by Docker's: the bytes are the same.
pub(super) fn describe(blob: &LayerBlob) -> Descriptor {
    let media_type = Algorithm::of_media_type(&blob.media_type).map_or(&*blob.media_type, |known| known.media_type());
    let annotations = blob.index.as_ref().map(|index| index.annotations.clone()).unwrap_or_default();
    Descriptor { annotations, ..Descriptor::new(MediaType::from(media_type), blob.digest, blob.size) }
}

/// Says in the history which steps made an empty layer. A history shorter than the layers lacks its oldest entries.
fn mark_empty(config: &mut ImageConfig, diff_ids: &[DiffId]) {
    let entries: Vec<_> = config.history.iter_mut().filter(|entry| !entry.empty_layer).collect();
    let unknown = diff_ids.len().saturating_sub(entries.len());
    for (entry, diff_id) in entries.into_iter().zip(&diff_ids[unknown..]) {
        entry.empty_layer = *diff_id == DiffId::empty();
    }
}

/// The blobs of all layers that are not empty.
fn make_blobs<'a>(
    layers: &Layers,
    diff_ids: impl Iterator<Item = &'a DiffId>,
    compression: Compression,
    keeps: impl Fn(&DiffId) -> bool + Sync,
) -> Result<HashMap<DiffId, LayerBlob>, ExportError> {
    let empty = DiffId::empty();
    let wanted: Vec<_> = diff_ids.filter(|diff_id| **diff_id != empty).collect::<BTreeSet<_>>().into_iter().collect();
    let next = AtomicUsize::new(0);
    let made = Mutex::new(Ok(HashMap::with_capacity(wanted.len())));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(wanted.len()) {
            scope.spawn(|| {
                while let Some(&diff_id) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let blob = blob(layers, diff_id, compression, keeps(diff_id));
                    let mut made = made.lock().unwrap_or_else(PoisonError::into_inner);
                    match (&mut *made, blob) {
                        (Ok(blobs), Ok(blob)) => drop(blobs.insert(*diff_id, blob)),
                        (Ok(_), Err(error)) => *made = Err(error),
                        (Err(_), _) => return,
                    }
                }
            });
        }
    });
    made.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// A layer as a blob: the one that it came as, if that is kept and known.
pub(super) fn blob(
    layers: &Layers,
    diff_id: &DiffId,
    compression: Compression,
    keeps: bool,
) -> Result<LayerBlob, ExportError> {
    if keeps && let Some(original) = layers.original_blob(diff_id)? {
        return Ok(original);
    }
    match layers.blob(diff_id, &compression) {
        Err(error @ (LayerError::Absent(_) | LayerError::NotReproducible(_))) => {
            let mut known = layers.store().layer_blobs(diff_id)?;
            known.extend(layers.claimed(diff_id));
            let fits = |blob: &&LayerBlob| Algorithm::of_media_type(&blob.media_type) == Some(compression.algorithm());
            known.iter().find(fits).or(known.first()).cloned().ok_or(error.into())
        }
        result => Ok(result?),
    }
}
