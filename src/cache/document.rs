//! What a cache says: records, and the layers that they speak of.
//!
//! It comes from anybody who may write to the cache, so it is read within limits and checked as a whole: one record that
//! leads nowhere, and none is used.

use crate::{
    image::{Descriptor, DiffId, Manifest},
    layer::Algorithm,
    solver::key,
    store::RecordKey,
};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// The media type of the configuration of a cache's manifest.
pub(super) const CONFIG_TYPE: &str = "application/vnd.flashbuild.cache.config.v1+json";

/// Bytes of a document.
pub(super) const LARGEST: u64 = 16 << 20;
/// Records of a document.
const MOST_RECORDS: usize = 100_000;
/// Layers of a document; a manifest of that many is about as large as registries take.
const MOST_LAYERS: usize = 10_000;
/// Layers of a record: more than overlay can mount.
const MOST_IN_RECORD: usize = 1_000;

/// The version of what is below.
const VERSION: u32 = 1;

/// What steps came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CacheDocument {
    version: u32,
    /// How the keys were made. Others mean nothing to us.
    keys: String,
    /// The layers that records speak of, each once.
    pub layers: Vec<CachedLayer>,
    /// What steps came to.
    pub records: Vec<CachedRecord>,
}

/// A layer that records speak of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CachedLayer {
    /// The layer.
    pub diff_id: DiffId,
    /// The blob that it is in the cache. None if whoever builds has it anyway: a base image's, or the empty layer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blob: Option<Descriptor>,
}

/// What a step came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CachedRecord {
    /// Its definition key.
    pub definition: RecordKey,
    /// Its content key, under which its topmost layer is found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<RecordKey>,
    /// Its layers, lowest first, as positions in the document's list.
    pub layers: Vec<usize>,
}

impl CacheDocument {
    /// A document that this version reads.
    pub(super) fn new(layers: Vec<CachedLayer>, records: Vec<CachedRecord>) -> Self {
        Self { version: VERSION, keys: key::SCHEMA.to_owned(), layers, records }
    }

    /// Reads a document; what is wrong with it, in a few words, if it cannot be used. `manifest` is the one that holds its
    /// layers.
    pub(super) fn read(bytes: &[u8], manifest: Option<&Manifest>) -> Result<Self, String> {
        let document: Self =
            serde_json::from_slice(bytes).map_err(|error| format!("its records are malformed: {error}"))?;
        document.check(manifest)?;
        Ok(document)
    }

    fn check(&self, manifest: Option<&Manifest>) -> Result<(), String> {
        if self.version != VERSION || self.keys != key::SCHEMA {
            return Err("another version of flashbuild made it".to_owned());
        }
        if self.layers.len() > MOST_LAYERS || self.records.len() > MOST_RECORDS {
            return Err(format!("it has more than {MOST_RECORDS} records or {MOST_LAYERS} layers"));
        }
        let held = manifest.iter().flat_map(|manifest| &manifest.layers);
        let held: HashSet<_> = held.map(|blob| (blob.digest, blob.size)).collect();
        let mut seen = HashSet::new();
        for layer in &self.layers {
            if !seen.insert(layer.diff_id) {
                return Err(format!("it has layer {} twice", layer.diff_id));
            }
            let Some(blob) = &layer.blob else { continue };
            if !held.contains(&(blob.digest, blob.size)) {
                return Err(format!("layer {} is not in its manifest", layer.diff_id));
            }
            if Algorithm::of_media_type(blob.media_type.as_ref()).is_none() {
                return Err(format!("layer {} is {}, which is no layer", layer.diff_id, blob.media_type));
            }
        }
        let mut seen = HashSet::new();
        for record in &self.records {
            if !seen.insert(record.definition) {
                return Err("it has a record twice".to_owned());
            }
            let leads_nowhere = record.layers.iter().any(|layer| *layer >= self.layers.len());
            if leads_nowhere || record.layers.len() > MOST_IN_RECORD {
                return Err("it has a record of layers that it does not have".to_owned());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Digest, MediaType};
    use std::collections::BTreeMap;

    fn blob(name: &str) -> Descriptor {
        Descriptor::of(MediaType::ImageLayerGzip, name.as_bytes())
    }

    fn layer(name: &str, blob: Option<Descriptor>) -> CachedLayer {
        CachedLayer { diff_id: DiffId(Digest::of(name.as_bytes())), blob }
    }

    fn record(number: u8, layers: &[usize]) -> CachedRecord {
        CachedRecord { definition: RecordKey([number; 32]), content: None, layers: layers.to_vec() }
    }

    fn manifest(layers: Vec<Descriptor>) -> Manifest {
        let config = Descriptor::of(CONFIG_TYPE.into(), b"");
        let (annotations, other) = (BTreeMap::new(), BTreeMap::new());
        Manifest { schema_version: 2, media_type: None, config, layers, annotations, other }
    }

    #[test]
    fn what_is_written_is_read() {
        let layers = vec![layer("base", None), layer("ours", Some(blob("ours")))];
        let document = CacheDocument::new(layers, vec![record(1, &[0]), record(2, &[0, 1])]);
        let bytes = serde_json::to_vec(&document).unwrap();
        assert_eq!(CacheDocument::read(&bytes, Some(&manifest(vec![blob("ours")]))).unwrap(), document);
    }

    #[test]
    fn a_document_that_contradicts_itself_is_refused() {
        let ours = || layer("ours", Some(blob("ours")));
        let mut larger = blob("ours");
        larger.size += 1;
        let odd = Descriptor::of("application/octet-stream".into(), b"odd");
        for (layers, records, problem) in [
            (vec![ours()], vec![record(1, &[1])], "it has a record of layers that it does not have"),
            (vec![ours()], vec![record(1, &[0]), record(1, &[0])], "it has a record twice"),
            (vec![ours(), ours()], vec![], "twice"),
            (vec![layer("ours", Some(larger))], vec![], "is not in its manifest"),
            (vec![layer("other", Some(blob("other")))], vec![], "is not in its manifest"),
            (vec![layer("odd", Some(odd.clone()))], vec![], "which is no layer"),
        ] {
            let bytes = serde_json::to_vec(&CacheDocument::new(layers, records)).unwrap();
            let refused = CacheDocument::read(&bytes, Some(&manifest(vec![blob("ours"), odd.clone()]))).unwrap_err();
            assert!(refused.contains(problem), "{refused}");
        }
        let mut document = CacheDocument::new(Vec::new(), Vec::new());
        document.keys = "flashbuild-key-0".to_owned();
        let bytes = serde_json::to_vec(&document).unwrap();
        assert_eq!(CacheDocument::read(&bytes, None).unwrap_err(), "another version of flashbuild made it");
        assert!(CacheDocument::read(b"{}", None).unwrap_err().starts_with("its records are malformed"));
    }
}
