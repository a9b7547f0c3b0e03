//! Manifests that speak of others (distribution-spec, "Pushing Manifests with Subject").
//!
//! A registry that keeps a list of them says so in its answer. Where it does not, the client keeps the list: an index
//! under a tag made of the subject's digest ("Referrers Tag Schema").

use super::{Client, RegistryError};
use crate::image::{BlobDigest, Descriptor, Document, Index, MediaType, referrers_tag};
use bytes::Bytes;
use flashbuild_frontend::reference::Reference;

impl Client {
    /// Writes a manifest that has `subject` as its subject, by its digest, and makes sure that it is found by that.
    pub async fn push_referrer(
        &self,
        reference: &Reference,
        subject: &BlobDigest,
        descriptor: &Descriptor,
        bytes: Bytes,
    ) -> Result<(), RegistryError> {
        let unusable = |problem: String| RegistryError::Image { reference: reference.to_string(), problem };
        let (_, document) = Document::parse(&bytes, None).map_err(|error| unusable(error.to_string()))?;
        if self.put_manifest(reference, &descriptor.media_type, bytes).await?.lists_referrers {
            return Ok(());
        }
        let tagged = reference.with_tag(&referrers_tag(subject)).map_err(|error| unusable(error.to_string()))?;
        let mut index = match self.resolve(&tagged).await.map(|found| found.document) {
            Ok(Document::Index(index)) => index,
            // Somebody's image has the name of the list.
            Ok(Document::Manifest(_)) => return Err(unusable(format!("{tagged} is no list of referrers"))),
            Err(RegistryError::NotFound { .. }) => Index::empty(),
            Err(error) => return Err(error),
        };
        index.refer(descriptor.as_referrer(&document));
        let bytes = serde_json::to_vec(&index).map_err(|error| unusable(error.to_string()))?;
        self.push_manifest(&tagged, &MediaType::ImageIndex, bytes.into()).await?;
        Ok(())
    }
}
