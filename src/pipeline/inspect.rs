//! What is known of an image in the local store.

use super::BuildError;
use crate::{
    image::{BlobDigest, Descriptor, Document, is_image_config},
    store::Store,
};
use flashbuild_frontend::{config::ImageConfig, reference::Reference};
use serde::Serialize;

/// Bytes of a document or a configuration.
const LARGEST: u64 = 8 << 20;

/// An image of the local store.
#[derive(Debug, Serialize)]
pub struct Inspected {
    /// Its name, in full.
    pub name: String,
    /// Digest of its index or manifest.
    pub digest: BlobDigest,
    /// Bytes of that.
    pub size: u64,
    /// The image of each platform.
    pub images: Vec<InspectedImage>,
    /// The index or manifest as it is.
    #[serde(skip)]
    pub raw: Vec<u8>,
}

/// The image of one platform.
#[derive(Debug, Serialize)]
pub struct InspectedImage {
    /// Digest of its manifest.
    pub digest: BlobDigest,
    /// The machine that it is for.
    pub platform: String,
    /// Its layers, lowest first.
    pub layers: Vec<Descriptor>,
    /// Its configuration.
    pub config: ImageConfig,
}

/// What `flashbuild inspect` shows of an image in the local store. `None` if there is no such image.
pub fn inspect(store: &Store, reference: &Reference) -> Result<Option<Inspected>, BuildError> {
    let Some(row) = store.image(&reference.to_string())? else { return Ok(None) };
    let broken = |error: &dyn std::fmt::Display| BuildError::Environment(format!("the image is damaged: {error}"));
    let read = |descriptor: &Descriptor| {
        store.read_blob(&descriptor.digest, LARGEST)?.ok_or_else(|| broken(&format!("{} is gone", descriptor.digest)))
    };
    let top: Descriptor = serde_json::from_str(&row).map_err(|error| broken(&error))?;
    let parse =
        |bytes: &[u8]| Document::parse(bytes, None).map_err(|error| broken(&error)).map(|(_, document)| document);
    let raw = read(&top)?;
    let manifests = match parse(&raw)? {
        Document::Index(index) => index.manifests,
        Document::Manifest(_) => vec![top.clone()],
    };
    let mut images = Vec::new();
    for descriptor in manifests {
        let Document::Manifest(manifest) = parse(&read(&descriptor)?)? else { continue };
        // An attestation or another artifact is no image.
        if !is_image_config(&manifest.config.media_type) {
            continue;
        }
        let config: ImageConfig = serde_json::from_slice(&read(&manifest.config)?).map_err(|error| broken(&error))?;
        let platform = config.platform().to_string();
        images.push(InspectedImage { digest: descriptor.digest, platform, layers: manifest.layers, config });
    }
    Ok(Some(Inspected { name: reference.to_string(), digest: top.digest, size: top.size, images, raw }))
}
