//! A cache in the configuration of the image itself: what its own steps came to, and nothing of other stages.
//!
//! Its layers are the image's, so it costs a few bytes a step and no blob; whoever pulls the image ignores it.

use super::{CacheDocument, CachedLayer, CachedRecord, Used};
use crate::image::{Descriptor, DiffId, Manifest};
use flashbuild_frontend::config::ImageConfig;
use std::collections::HashMap;

/// The field of the configuration.
const FIELD: &str = "flashbuild.cache.v1";

/// Puts the records of those of `used` into `config` whose layers all are among the image's `layers`.
pub fn inline(config: &mut ImageConfig, layers: &[DiffId], used: &[Used]) {
    let mut listed: Vec<CachedLayer> = Vec::new();
    let mut positions: HashMap<DiffId, usize> = HashMap::new();
    for diff_id in layers {
        positions.entry(*diff_id).or_insert_with(|| {
            listed.push(CachedLayer { diff_id: *diff_id, blob: None });
            listed.len() - 1
        });
    }
    let record = |used: &Used| {
        let layers = used.layers.iter().map(|diff_id| positions.get(diff_id).copied()).collect::<Option<_>>()?;
        Some(CachedRecord { definition: used.definition, content: used.content, layers })
    };
    let records = used.iter().filter(|used| used.in_image).filter_map(record).collect();
    let document = serde_json::to_value(CacheDocument::new(listed, records)).expect("a document is plain data");
    config.other.insert(FIELD.to_owned(), document);
}

/// The document in the configuration of the image whose `manifest` this is, each layer with its blob; nothing if there is
/// none.
pub(super) fn read(config: &[u8], manifest: &Manifest) -> Result<Option<CacheDocument>, String> {
    let mut config: ImageConfig =
        serde_json::from_slice(config).map_err(|error| format!("its configuration is malformed: {error}"))?;
    let Some(document) = config.other.remove(FIELD) else { return Ok(None) };
    let diff_ids: Result<Vec<DiffId>, _> = config.rootfs.diff_ids.iter().map(|text| text.parse()).collect();
    let diff_ids = diff_ids.map_err(|error| format!("its configuration has an {error}"))?;
    if diff_ids.len() != manifest.layers.len() {
        return Err("its configuration and its manifest count different layers".to_owned());
    }
    let blobs: HashMap<DiffId, &Descriptor> = diff_ids.into_iter().zip(&manifest.layers).collect();
    let bytes = serde_json::to_vec(&document).map_err(|error| error.to_string())?;
    let mut document = CacheDocument::read(&bytes, None)?;
    for layer in &mut document.layers {
        layer.blob = blobs.get(&layer.diff_id).map(|blob| (*blob).clone());
    }
    Ok(Some(document))
}
