//! Manifests that speak of others (distribution-spec, "Pushing Manifests with Subject").
//!
//! A registry that keeps a list of them says so in its answer. Where it does not, the client keeps the list: an index
//! under a tag made of the subject's digest ("Referrers Tag Schema").

use super::{Client, RegistryError, auth::Access, transport::Request};
use crate::image::{BlobDigest, Descriptor, Document, Index, MediaType, referrers_tag};
use bytes::Bytes;
use flashbuild_frontend::reference::Reference;
use reqwest::{Method, header::ACCEPT};

/// Bytes of a list.
const LARGEST_LIST: usize = 4 << 20;

impl Client {
    /// Whether the repository of `reference` has `referrer`, and it is found by its subject.
    pub async fn has_referrer(
        &self,
        reference: &Reference,
        subject: &BlobDigest,
        referrer: &BlobDigest,
    ) -> Result<bool, RegistryError> {
        let listed = self.list_referrers(reference, subject, &Access::push(reference.path())).await?;
        Ok(listed.iter().any(|entry| entry.digest == *referrer))
    }

    /// What the repository of `reference` has that speaks of `subject`.
    pub async fn referrers(
        &self,
        reference: &Reference,
        subject: &BlobDigest,
    ) -> Result<Vec<Descriptor>, RegistryError> {
        self.list_referrers(reference, subject, &Access::pull(reference.path())).await
    }

    async fn list_referrers(
        &self,
        reference: &Reference,
        subject: &BlobDigest,
        access: &Access,
    ) -> Result<Vec<Descriptor>, RegistryError> {
        let host = self.host(reference)?;
        let url = host.url(reference.path(), &["referrers", &subject.to_string()]);
        let request = Request::new(Method::GET, url).header(ACCEPT, MediaType::ImageIndex.as_ref());
        let listed = match self.ask(&host, access, &request, &[200], &reference.to_string()).await {
            Ok(mut response) => response.read(LARGEST_LIST).await?.unwrap_or_default(),
            Err(RegistryError::NotFound { .. }) => match self.resolve(&list_of(reference, subject)?).await {
                Ok(found) => found.bytes,
                Err(RegistryError::NotFound { .. }) => return Ok(Vec::new()),
                Err(error) => return Err(error),
            },
            Err(error) => return Err(error),
        };
        Ok(match Document::parse(&listed, None) {
            Ok((_, Document::Index(index))) => index.manifests,
            // A registry that answers with something else keeps no list.
            Ok((_, Document::Manifest(_))) | Err(_) => Vec::new(),
        })
    }

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
        let tagged = list_of(reference, subject)?;
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

/// The name of the list of what speaks of `subject`, where the registry keeps none.
fn list_of(reference: &Reference, subject: &BlobDigest) -> Result<Reference, RegistryError> {
    let unusable = |problem: String| RegistryError::Image { reference: reference.to_string(), problem };
    reference.with_tag(&referrers_tag(subject)).map_err(|error| unusable(error.to_string()))
}
