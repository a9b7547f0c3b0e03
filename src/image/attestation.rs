//! What is said about images: how to tell it from them, and how to find it.
//!
//! | form | where it is | told by |
//! |---|---|---|
//! | `BuildKit`'s | entries of the image's index, for a platform that no machine has | annotations of the entry |
//! | OCI referrers | manifests of the same repository, with a `subject` | the registry; where it cannot, an index under a tag |
//!
//! Sources: `docs/attestations/attestation-storage.md` of moby/buildkit; image-spec `manifest.md` (`subject`,
//! `artifactType`); distribution-spec, "Listing Referrers" and "Referrers Tag Schema".

use super::{BlobDigest, Descriptor, DescriptorPlatform, Document, Index, Manifest, MediaType};
use std::collections::BTreeMap;

/// Media type of a statement of in-toto.
pub const STATEMENT: &str = "application/vnd.in-toto+json";
/// What kind of manifest an artifact with statements is.
pub const ATTESTATION_MANIFEST: &str = "application/vnd.docker.attestation.manifest.v1+json";
/// Says of a statement's descriptor what the statement is about.
pub const PREDICATE_TYPE: &str = "in-toto.io/predicate-type";

const REFERENCE_TYPE: &str = "vnd.docker.reference.type";
const REFERENCE_DIGEST: &str = "vnd.docker.reference.digest";
const ATTESTS: &str = "attestation-manifest";
const ARTIFACT_TYPE: &str = "artifactType";

impl Descriptor {
    /// The same, as the entry of an index that speaks of the image `subject`.
    #[must_use]
    pub fn attesting(mut self, subject: &BlobDigest) -> Self {
        let unknown = || "unknown".to_owned();
        self.platform =
            Some(DescriptorPlatform { os: unknown(), architecture: unknown(), variant: None, other: BTreeMap::new() });
        self.annotations.insert(REFERENCE_TYPE.to_owned(), ATTESTS.to_owned());
        self.annotations.insert(REFERENCE_DIGEST.to_owned(), subject.to_string());
        self
    }

    /// Whether the entry of an index speaks of an image, and is none.
    pub fn is_attestation(&self) -> bool {
        self.annotations.get(REFERENCE_TYPE).is_some_and(|kind| kind == ATTESTS)
    }

    /// The image that such an entry speaks of.
    pub fn attested(&self) -> Option<BlobDigest> {
        let subject = self.annotations.get(REFERENCE_DIGEST).filter(|_| self.is_attestation())?;
        subject.parse().ok()
    }

    /// What kind of artifact the manifest is.
    pub fn artifact_type(&self) -> Option<&str> {
        self.other.get(ARTIFACT_TYPE)?.as_str()
    }

    /// What a list of referrers says of `document`, which this describes.
    #[must_use]
    pub fn as_referrer(&self, document: &Document) -> Self {
        let (annotations, config, other) = match document {
            Document::Manifest(manifest) => {
                (&manifest.annotations, Some(manifest.config.media_type.to_string()), &manifest.other)
            }
            Document::Index(index) => (&index.annotations, None, &index.other),
        };
        let mut entry = Self { annotations: annotations.clone(), platform: None, ..self.clone() };
        let stated = other.get(ARTIFACT_TYPE).cloned();
        entry.other.extend(stated.or(config.map(Into::into)).map(|kind| (ARTIFACT_TYPE.to_owned(), kind)));
        entry
    }
}

impl Index {
    /// An index without entries.
    pub fn empty() -> Self {
        Self {
            schema_version: 2,
            media_type: Some(MediaType::ImageIndex),
            manifests: Vec::new(),
            annotations: BTreeMap::new(),
            other: BTreeMap::new(),
        }
    }

    /// Adds an entry to a list of referrers, once.
    pub fn refer(&mut self, entry: Descriptor) {
        self.manifests.retain(|there| there.digest != entry.digest);
        self.manifests.push(entry);
    }
}

impl Document {
    /// What a manifest or an index says it is about (image-spec `manifest.md`, `subject`).
    pub fn subject(&self) -> Option<BlobDigest> {
        let (Self::Manifest(Manifest { other, .. }) | Self::Index(Index { other, .. })) = self;
        other.get("subject")?.get("digest")?.as_str()?.parse().ok()
    }
}

/// The tag under which registries without a list of referrers keep one.
pub fn referrers_tag(subject: &BlobDigest) -> String {
    format!("sha256-{}", subject.hex())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Digest;

    #[test]
    fn attestations_are_told_from_images() {
        let subject = BlobDigest(Digest::of(b"image"));
        let manifest = Descriptor::of(MediaType::ImageManifest, b"{}");
        assert!(!manifest.is_attestation());
        let entry = manifest.attesting(&subject);
        assert_eq!(entry.attested(), Some(subject));
        assert_eq!(entry.platform.unwrap().normal().to_string(), "unknown/unknown");
        let mut other = Descriptor::of(MediaType::ImageManifest, b"{}").attesting(&subject);
        other.annotations.insert(REFERENCE_TYPE.to_owned(), "something else".to_owned());
        assert!(!other.is_attestation() && other.attested().is_none());
    }

    #[test]
    fn a_referrer_is_listed_once_and_by_its_type() {
        let text = format!(
            r#"{{"schemaVersion":2,"artifactType":"{ATTESTATION_MANIFEST}","config":{{"mediaType":"a/b","digest":"{0}","size":2}},
                "layers":[],"annotations":{{"a":"b"}}}}"#,
            Digest::of(b"{}")
        );
        let (_, document) = Document::parse(text.as_bytes(), None).unwrap();
        let entry = Descriptor::of(MediaType::ImageManifest, text.as_bytes()).as_referrer(&document);
        assert_eq!(entry.artifact_type(), Some(ATTESTATION_MANIFEST));
        assert_eq!(entry.annotations["a"], "b");
        let mut index = Index::empty();
        index.refer(entry.clone());
        index.refer(entry);
        assert_eq!(index.manifests.len(), 1);
    }
}
