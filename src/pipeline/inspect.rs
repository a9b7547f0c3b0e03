//! What is known of an image in the local store.

use super::BuildError;
use crate::{
    image::{Descriptor, Document},
    store::Store,
};
use flashbuild_frontend::{config::ImageConfig, reference::Reference};

/// What `flashbuild inspect` shows of an image in the local store: its digest, size, and each platform's
/// configuration and layers. `None` if there is no such image.
pub fn inspect(store: &Store, reference: &Reference) -> Result<Option<serde_json::Value>, BuildError> {
    let Some(row) = store.image(&reference.to_string())? else { return Ok(None) };
    let broken = |error: &dyn std::fmt::Display| BuildError::Environment(format!("the image is damaged: {error}"));
    let read = |descriptor: &Descriptor| {
        store.read_blob(&descriptor.digest, 8 << 20)?.ok_or_else(|| broken(&format!("{} is gone", descriptor.digest)))
    };
    let top: Descriptor = serde_json::from_str(&row).map_err(|error| broken(&error))?;
    let parse =
        |bytes: &[u8]| Document::parse(bytes, None).map_err(|error| broken(&error)).map(|(_, document)| document);
    let manifests = match parse(&read(&top)?)? {
        Document::Index(index) => index.manifests,
        Document::Manifest(_) => vec![top.clone()],
    };
    let mut images = Vec::new();
    for descriptor in manifests {
        let Document::Manifest(manifest) = parse(&read(&descriptor)?)? else { continue };
        let config: ImageConfig = serde_json::from_slice(&read(&manifest.config)?).map_err(|error| broken(&error))?;
        images.push(serde_json::json!({
            "digest": descriptor.digest,
            "platform": config.platform().to_string(),
            "layers": manifest.layers,
            "config": config,
        }));
    }
    Ok(Some(serde_json::json!({
        "name": reference.to_string(), "digest": top.digest, "size": top.size, "images": images,
    })))
}
