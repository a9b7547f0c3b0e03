//! Manifests and indexes, by tag and by digest.

use super::{
    Shared,
    body::{self, Answer},
    error::Refusal,
    route::{Name, Repository},
};
use crate::{
    image::{BlobDigest, Descriptor, Digest, Document, DocumentKind, MediaType},
    store::StoreError,
};
use bytes::Bytes;
use flashbuild_frontend::reference::Reference;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    header::{CONTENT_TYPE, ETAG, HeaderName, LOCATION},
};

/// Bytes of a manifest or an index (distribution-spec, "Pushing Manifests": at least this much).
const LARGEST: usize = 4 << 20;

impl Shared {
    pub(super) fn read_document(&self, repository: &Repository, name: &Name) -> Result<Response<Answer>, Refusal> {
        let digest = match name {
            Name::Digest(digest) => *digest,
            Name::Tag(tag) => self.tagged(repository, tag)?.ok_or(Refusal::UnknownManifest)?.digest,
        };
        let (media_type, bytes) = self.document(&digest)?.ok_or(Refusal::UnknownManifest)?;
        let mut response = body::bytes(bytes);
        body::set(&mut response, CONTENT_TYPE, media_type.as_ref());
        body::set(&mut response, HeaderName::from_static("docker-content-digest"), &digest.to_string());
        body::set(&mut response, ETAG, &format!("\"{digest}\""));
        Ok(response)
    }

    pub(super) async fn write_document(
        &self,
        repository: &Repository,
        name: &Name,
        request: Request<Incoming>,
    ) -> Result<Response<Answer>, Refusal> {
        let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let content_type = content_type.map(ToOwned::to_owned);
        let bytes = match Limited::new(request.into_body(), LARGEST).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                return Err(Refusal::Manifest(format!("a manifest has at most {LARGEST} bytes")));
            }
            Err(_) => return Err(Refusal::Broken),
        };
        let digest = BlobDigest(Digest::of(&bytes));
        if let Name::Digest(expected) = name
            && *expected != digest
        {
            return Err(Refusal::Digest(format!("the manifest is {digest}, not {expected}")));
        }
        let (media_type, document) =
            Document::parse(&bytes, content_type.as_deref()).map_err(|error| Refusal::Manifest(error.to_string()))?;
        self.check_parts(&document)?;
        let descriptor = Descriptor::of(media_type, &bytes);
        let subject = subject(&document)?;
        tokio::task::block_in_place(|| -> Result<(), Refusal> {
            self.store.put_blob(&bytes)?;
            if let Name::Tag(tag) = name {
                self.name(repository, tag, &descriptor)?;
            }
            match &subject {
                Some(subject) => self.add_referrer(repository, subject, &descriptor, &document),
                None => Ok(()),
            }
        })?;
        let mut response = body::empty(StatusCode::CREATED);
        body::set(&mut response, LOCATION, &format!("/v2/{}/manifests/{digest}", repository.asked));
        body::set(&mut response, HeaderName::from_static("docker-content-digest"), &digest.to_string());
        if let Some(subject) = subject {
            body::set(&mut response, HeaderName::from_static("oci-subject"), &subject.to_string());
        }
        Ok(response)
    }

    /// Takes a tag away; by digest, all tags that lead there. The bytes go when nothing needs them any more.
    pub(super) fn remove(&self, repository: &Repository, name: &Name) -> Result<Response<Answer>, Refusal> {
        let tags = match name {
            Name::Tag(tag) => vec![tag.clone()],
            Name::Digest(digest) => self.tags_of(repository, digest)?,
        };
        let mut removed = false;
        for tag in tags {
            removed |= self.store.remove_image(&repository.image(&tag)?)?;
        }
        if removed { Ok(body::empty(StatusCode::ACCEPTED)) } else { Err(Refusal::UnknownManifest) }
    }

    pub(super) fn name(&self, repository: &Repository, tag: &str, descriptor: &Descriptor) -> Result<(), Refusal> {
        let text = serde_json::to_string(descriptor).map_err(|error| Refusal::Manifest(error.to_string()))?;
        Ok(self.store.put_image(&repository.image(tag)?, &text)?)
    }

    /// What a tag leads to.
    pub(super) fn tagged(&self, repository: &Repository, tag: &str) -> Result<Option<Descriptor>, Refusal> {
        let row = self.store.image(&repository.image(tag)?)?;
        Ok(row.and_then(|row| serde_json::from_str(&row).ok()))
    }

    /// A document of the store, and what it is.
    pub(super) fn document(&self, digest: &BlobDigest) -> Result<Option<(MediaType, Bytes)>, Refusal> {
        let bytes = match self.store.read_blob(digest, LARGEST as u64) {
            Ok(Some(bytes)) => bytes,
            // A blob that is too large to be a document is none.
            Ok(None) | Err(StoreError::TooLarge { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        Ok(Document::parse(&bytes, None).ok().map(|(media_type, _)| (media_type, Bytes::from(bytes))))
    }

    fn tags_of(&self, repository: &Repository, digest: &BlobDigest) -> Result<Vec<String>, Refusal> {
        let mut tags = Vec::new();
        for image in self.store.images()? {
            let leads_there =
                serde_json::from_str::<Descriptor>(&image.descriptor).is_ok_and(|found| found.digest == *digest);
            if let Ok(reference) = image.name.parse::<Reference>()
                && leads_there
                && repository.has(&reference)
            {
                tags.extend(reference.tag().map(ToOwned::to_owned));
            }
        }
        Ok(tags)
    }

    /// Whether all that a document points at is here, but for what has to be fetched from elsewhere.
    fn check_parts(&self, document: &Document) -> Result<(), Refusal> {
        let is_here = |part: &Descriptor| -> Result<(), Refusal> {
            let is_foreign = part.media_type.as_ref().contains("nondistributable")
                || part.media_type.as_ref().contains("foreign.diff");
            if is_foreign || self.store.blob_size(&part.digest)?.is_some() {
                return Ok(());
            }
            Err(Refusal::UnknownPart(part.digest.to_string()))
        };
        match document {
            Document::Manifest(manifest) => manifest.layers.iter().chain([&manifest.config]).try_for_each(is_here),
            Document::Index(index) => index
                .manifests
                .iter()
                .filter(|entry| DocumentKind::of(&entry.media_type).is_some())
                .try_for_each(is_here),
        }
    }
}

/// What a document says it is about (image-spec `manifest.md`, `subject`).
fn subject(document: &Document) -> Result<Option<BlobDigest>, Refusal> {
    let other = match document {
        Document::Manifest(manifest) => &manifest.other,
        Document::Index(index) => &index.other,
    };
    let Some(subject) = other.get("subject").filter(|subject| !subject.is_null()) else { return Ok(None) };
    let subject: Descriptor =
        serde_json::from_value(subject.clone()).map_err(|error| Refusal::Manifest(format!("subject: {error}")))?;
    Ok(Some(subject.digest))
}
