//! An image as it is stored and transferred: documents that point at each other, and the blobs they lead to.
//!
//! Whoever sends an image somewhere takes a bundle, be the image one that was just built ([`BuiltIndex`]), or one that
//! the store has under a name and that another tool may have made, with nested indexes and attestations.

use super::{BuiltIndex, ExportError, Referrer, assemble::describe};
use crate::{
    image::{BlobDigest, Descriptor, Document, DocumentKind},
    store::Store,
};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

/// Bytes of a manifest or an index (distribution-spec, "Pushing Manifests").
const LARGEST_DOCUMENT: u64 = 4 << 20;
/// Indexes in indexes.
const DEEPEST: u32 = 4;

/// An image and all that belongs to it.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// What a name leads to.
    pub top: Descriptor,
    /// The bytes of that.
    pub bytes: Bytes,
    /// Manifests and indexes below the top, each after what it points at.
    pub documents: Vec<(Descriptor, Bytes)>,
    /// Configurations and layers; those that were just made with their bytes, the others are in the store.
    pub blobs: BTreeMap<BlobDigest, (Descriptor, Option<Bytes>)>,
    /// Manifests that have a manifest of this bundle as their subject; nothing in it leads to them.
    pub referrers: Vec<Referrer>,
}

impl BuiltIndex {
    /// The image for transfer.
    pub fn bundle(&self) -> Bundle {
        let mut blobs = BTreeMap::new();
        let mut documents = Vec::new();
        for image in &self.images {
            let config = Bytes::from(image.config_bytes.clone());
            blobs.insert(image.config.digest, (image.config.clone(), Some(config)));
            blobs.extend(image.layers.iter().map(|(_, blob)| (blob.digest, (describe(blob), None))));
            if self.is_index {
                documents.push((image.manifest.clone(), Bytes::from(image.manifest_bytes.clone())));
            }
        }
        let (top, bytes) = (self.descriptor.clone(), Bytes::from(self.bytes.clone()));
        let mut bundle = Bundle { top, bytes, documents, blobs, referrers: Vec::new() };
        self.attestations.iter().for_each(|attestation| attestation.add_to(&mut bundle));
        bundle
    }
}

impl Bundle {
    /// The image that `top` describes, from the store. Its layers need not be there.
    pub fn load(store: &Store, top: &Descriptor) -> Result<Self, ExportError> {
        let (top, bytes) = (top.clone(), Bytes::new());
        let mut bundle = Self { top, bytes, documents: Vec::new(), blobs: BTreeMap::new(), referrers: Vec::new() };
        bundle.add(store, &bundle.top.clone(), 0, &mut BTreeSet::new())?;
        bundle.bytes = bundle.documents.pop().map(|(_, bytes)| bytes).ok_or(ExportError::NoImage)?;
        Ok(bundle)
    }

    fn add(
        &mut self,
        store: &Store,
        descriptor: &Descriptor,
        depth: u32,
        seen: &mut BTreeSet<BlobDigest>,
    ) -> Result<(), ExportError> {
        if !seen.insert(descriptor.digest) {
            return Ok(());
        }
        let damaged = |why: String| ExportError::Damaged { digest: descriptor.digest, why };
        if depth > DEEPEST {
            return Err(damaged("it is too deep in other indexes".to_owned()));
        }
        let bytes = store.read_blob(&descriptor.digest, LARGEST_DOCUMENT)?;
        let bytes = Bytes::from(bytes.ok_or(ExportError::BlobAbsent(descriptor.digest))?);
        let content_type = descriptor.media_type.to_string();
        let (_, document) = Document::parse(&bytes, Some(&content_type)).map_err(|error| damaged(error.to_string()))?;
        match document {
            Document::Index(index) => {
                for entry in &index.manifests {
                    if DocumentKind::of(&entry.media_type).is_some() {
                        self.add(store, entry, depth + 1, seen)?;
                    }
                }
            }
            Document::Manifest(manifest) => {
                for blob in manifest.layers.into_iter().chain([manifest.config]) {
                    self.blobs.insert(blob.digest, (blob, None));
                }
            }
        }
        self.documents.push((descriptor.clone(), bytes));
        Ok(())
    }

    /// Its manifests and indexes, which others may speak of.
    pub fn documents(&self) -> BTreeSet<BlobDigest> {
        self.documents.iter().map(|(document, _)| document.digest).chain([self.top.digest]).collect()
    }

    /// Everything by digest: size, and the bytes of what is in memory.
    pub(super) fn all(&self) -> BTreeMap<BlobDigest, (u64, Option<&Bytes>)> {
        let blobs = self.blobs.iter().map(|(digest, (blob, bytes))| (*digest, (blob.size, bytes.as_ref())));
        let documents = self.documents.iter().map(|(document, bytes)| (document.digest, (document.size, Some(bytes))));
        blobs.chain(documents).chain([(self.top.digest, (self.top.size, Some(&self.bytes)))]).collect()
    }

    /// Keeps what is in memory in the store, and gives the image `names` there.
    pub fn save(&self, store: &Store, names: &[String]) -> Result<(), ExportError> {
        for (_, bytes) in self.all().into_values() {
            if let Some(bytes) = bytes {
                store.put_blob(bytes)?;
            }
        }
        let descriptor = serde_json::to_string(&self.top)?;
        names.iter().try_for_each(|name| store.put_image(name, &descriptor))?;
        self.referrers.iter().try_for_each(|referrer| referrer.save(store, names))
    }
}
