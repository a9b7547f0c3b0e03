//! What is known of an image in the local store.

use super::BuildError;
use crate::{
    image::{BlobDigest, Descriptor, Document, Manifest, PREDICATE_TYPE, STATEMENT, is_image_config, referrers_tag},
    store::Store,
};
use flashbuild_frontend::{config::ImageConfig, reference::Reference};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Bytes of a document or a configuration.
const LARGEST: u64 = 8 << 20;
/// Bytes of a statement.
const LARGEST_STATEMENT: u64 = 256 << 20;

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
    /// What is said of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attestations: Vec<InspectedStatement>,
}

/// Something that is said of an image.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InspectedStatement {
    /// What it is about, as a URI.
    pub predicate_type: String,
    /// Digest of the statement.
    pub digest: BlobDigest,
    /// Bytes of that.
    pub size: u64,
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
    let mut said: Vec<(BlobDigest, Vec<InspectedStatement>)> = Vec::new();
    for descriptor in manifests {
        let Document::Manifest(manifest) = parse(&read(&descriptor)?)? else { continue };
        if let Some(subject) = descriptor.attested() {
            said.push((subject, statements(&manifest)));
        }
        // An attestation or another artifact is no image.
        if descriptor.is_attestation() || !is_image_config(&manifest.config.media_type) {
            continue;
        }
        let config: ImageConfig = serde_json::from_slice(&read(&manifest.config)?).map_err(|error| broken(&error))?;
        let platform = config.platform().to_string();
        for referrer in referrers(store, reference, &descriptor.digest)? {
            if let Document::Manifest(manifest) = parse(&read(&referrer)?)? {
                said.push((descriptor.digest, statements(&manifest)));
            }
        }
        let (digest, layers) = (descriptor.digest, manifest.layers);
        images.push(InspectedImage { digest, platform, layers, config, attestations: Vec::new() });
    }
    for (subject, statements) in said {
        let about = images.iter_mut().filter(|image| image.digest == subject);
        about.for_each(|image| image.attestations.extend(statements.iter().cloned()));
    }
    Ok(Some(Inspected { name: reference.to_string(), digest: top.digest, size: top.size, images, raw }))
}

/// The statement of an image that is about one of `predicates` (beginnings of URIs): what it says.
pub fn predicate(
    store: &Store,
    image: &InspectedImage,
    predicates: &[&str],
) -> Result<Option<Box<RawValue>>, BuildError> {
    #[derive(Deserialize)]
    struct Statement {
        predicate: Box<RawValue>,
    }
    let is_about = |it: &&InspectedStatement| predicates.iter().any(|begin| it.predicate_type.starts_with(begin));
    let Some(found) = image.attestations.iter().find(is_about) else { return Ok(None) };
    let broken = |why: String| BuildError::Environment(format!("the statement {}: {why}", found.digest));
    let bytes = store.read_blob(&found.digest, LARGEST_STATEMENT)?;
    let bytes = bytes.ok_or_else(|| broken("it is not here; `flashbuild pull` fetches it".to_owned()))?;
    let statement: Statement = serde_json::from_slice(&bytes).map_err(|error| broken(error.to_string()))?;
    Ok(Some(statement.predicate))
}

fn statements(manifest: &Manifest) -> Vec<InspectedStatement> {
    let is_statement = |layer: &&Descriptor| layer.media_type.as_ref() == STATEMENT;
    let statement = |layer: &Descriptor| InspectedStatement {
        predicate_type: layer.annotations.get(PREDICATE_TYPE).cloned().unwrap_or_default(),
        digest: layer.digest,
        size: layer.size,
    };
    manifest.layers.iter().filter(is_statement).map(statement).collect()
}

/// The manifests that the store has with `subject` as their subject.
fn referrers(store: &Store, reference: &Reference, subject: &BlobDigest) -> Result<Vec<Descriptor>, BuildError> {
    let Ok(list) = reference.with_tag(&referrers_tag(subject)) else { return Ok(Vec::new()) };
    let Some(row) = store.image(&list.to_string())? else { return Ok(Vec::new()) };
    let Ok(top) = serde_json::from_str::<Descriptor>(&row) else { return Ok(Vec::new()) };
    let bytes = store.read_blob(&top.digest, LARGEST)?.unwrap_or_default();
    match Document::parse(&bytes, None) {
        Ok((_, Document::Index(index))) => Ok(index.manifests),
        Ok((_, Document::Manifest(_))) | Err(_) => Ok(Vec::new()),
    }
}
