//! From the name of an image to its verified documents.
//!
//! The digest is the identity: a document is used only if its bytes have the digest that led to it, be it from the
//! reference, from an index, or, for a tag, from the registry's own `Docker-Content-Digest`. Once a tag is resolved,
//! everything further is asked for by digest, so a tag that moves in between changes nothing.

use super::auth::Access;
use super::client::{Client, Host, Tried};
use super::error::RegistryError;
use super::place::Asked;
use super::transport::{Request, Response};
use crate::image::{
    BlobDigest, Descriptor, Digest, Document, DocumentError, DocumentKind, Index, Manifest, MediaType, candidates,
    is_image_config, runs_on,
};
use bytes::Bytes;
use flashbuild_frontend::config::ImageConfig;
use flashbuild_frontend::platform::Platform;
use flashbuild_frontend::reference::Reference;
use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use std::sync::Arc;

/// Bytes of a manifest or an index; registries are required to take this much (distribution-spec, "Pushing Manifests").
const LARGEST_DOCUMENT: usize = 4 * 1024 * 1024;
/// Bytes of an image's configuration.
const LARGEST_CONFIG: u64 = 8 * 1024 * 1024;
/// Indexes on the way to an image, the first included.
const DEEPEST_INDEX: u32 = 4;
/// Documents that are looked at in search of one image.
const MOST_DOCUMENTS: u32 = 64;

/// The header in which registries name a document's digest.
pub(super) const CONTENT_DIGEST: &str = "docker-content-digest";

/// A document of a registry, verified.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// Its type, digest and size.
    pub descriptor: Descriptor,
    /// Its bytes, which are its identity.
    pub bytes: Bytes,
    /// What they say.
    pub document: Document,
}

/// The image of one platform, verified down to its configuration.
#[derive(Debug, Clone)]
pub struct ResolvedImage {
    /// What the name led to first, if that was an index.
    pub index: Option<Resolved>,
    /// Type, digest and size of the manifest.
    pub descriptor: Descriptor,
    /// The manifest's bytes.
    pub manifest_bytes: Bytes,
    /// What they say. There is a layer for each of the configuration's `diff_ids`.
    pub manifest: Manifest,
    /// The configuration's bytes.
    pub config_bytes: Bytes,
    /// What they say.
    pub config: ImageConfig,
}

impl Client {
    /// The manifest or index that `reference` names. A digest counts before a tag.
    pub async fn resolve(&self, reference: &Reference) -> Result<Resolved, RegistryError> {
        let mut tried = Tried::default();
        for lookup in Lookup::all(self, reference)? {
            match lookup.named().await {
                Ok(found) => return Ok(found),
                Err(error) => tried.failed(&lookup.host, error),
            }
        }
        Err(tried.into_error())
    }

    /// Digest, type and size of what `reference` names, without its bytes where the registry allows it.
    pub async fn digest(&self, reference: &Reference) -> Result<Descriptor, RegistryError> {
        let mut tried = Tried::default();
        for lookup in Lookup::all(self, reference)? {
            match lookup.described().await {
                Ok(found) => return Ok(found),
                Err(error) => tried.failed(&lookup.host, error),
            }
        }
        Err(tried.into_error())
    }

    /// Whether `reference` names exactly the document `digest`. A registry that does not say so in the headers of an
    /// answer counts as one that has something else.
    pub async fn names(&self, reference: &Reference, digest: &BlobDigest) -> Result<bool, RegistryError> {
        let place = (self.host(reference)?, reference.path().to_owned());
        let lookup = Lookup { access: Access::push(reference.path()), ..Lookup::at(self, reference, place)? };
        match lookup.ask(Method::HEAD, &lookup.name()).await {
            Ok(response) => Ok(stated_digest(&response)? == Some(*digest)),
            Err(RegistryError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The image for `platform` that `first` leads to, which is what `reference` named a moment ago. However its tag
    /// moves meanwhile, all platforms come from one index. What is `known` by its digest is not fetched.
    pub async fn image_of(
        &self,
        reference: &Reference,
        first: &Resolved,
        platform: &Platform,
        known: Known<'_>,
    ) -> Result<ResolvedImage, RegistryError> {
        let mut tried = Tried::default();
        for place in self.places(reference, Asked::Digest)? {
            let lookup = Lookup { known: Some(known), ..Lookup::at(self, reference, place)? };
            match lookup.image(first.clone(), platform).await {
                Ok(found) => return Ok(found),
                Err(error) => tried.failed(&lookup.host, error),
            }
        }
        Err(tried.into_error())
    }

    /// The image that `reference` has for `platform`.
    pub async fn image(&self, reference: &Reference, platform: &Platform) -> Result<ResolvedImage, RegistryError> {
        let mut tried = Tried::default();
        for lookup in Lookup::all(self, reference)? {
            let found = match lookup.named().await {
                Ok(first) => lookup.image(first, platform).await,
                Err(error) => Err(error),
            };
            match found {
                Ok(found) => return Ok(found),
                Err(error) => tried.failed(&lookup.host, error),
            }
        }
        Err(tried.into_error())
    }
}

/// Platforms of an index that are machines; attestations are for `unknown/unknown`.
fn platforms(index: &Index) -> impl Iterator<Item = Platform> {
    let named = index.manifests.iter().filter_map(|entry| entry.platform.as_ref());
    named.map(crate::image::DescriptorPlatform::normal).filter(|platform| platform.os != "unknown")
}

/// What the caller has of that digest.
pub type Known<'a> = &'a (dyn Fn(&BlobDigest) -> Option<Vec<u8>> + Sync);

/// Asking one repository for documents.
struct Lookup<'a> {
    client: &'a Client,
    reference: &'a Reference,
    host: Arc<Host>,
    /// What the repository is called there.
    repository: String,
    access: Access,
    /// The digest in the reference.
    expected: Option<BlobDigest>,
    /// What need not be asked for.
    known: Option<Known<'a>>,
}

impl<'a> Lookup<'a> {
    /// At all places where the image may come from.
    fn all(client: &'a Client, reference: &'a Reference) -> Result<Vec<Self>, RegistryError> {
        let places = client.places(reference, Asked::by(reference))?;
        places.into_iter().map(|place| Self::at(client, reference, place)).collect()
    }

    fn at(
        client: &'a Client,
        reference: &'a Reference,
        (host, repository): (Arc<Host>, String),
    ) -> Result<Self, RegistryError> {
        let digest = reference.digest().map(str::parse).transpose();
        let expected = digest.map_err(|error: crate::image::DigestError| RegistryError::Image {
            reference: reference.to_string(),
            problem: error.to_string(),
        })?;
        let access = Access::pull(&repository);
        Ok(Self { client, reference, host, repository, access, expected, known: None })
    }

    /// The image for `platform` that `first` leads to.
    async fn image(&self, first: Resolved, platform: &Platform) -> Result<ResolvedImage, RegistryError> {
        let index = matches!(first.document, Document::Index(_)).then(|| first.clone());
        let mut available = Vec::new();
        let mut documents = 1;
        // Depth first, the best candidate on top. Only entries without a platform leave more than one to try.
        let mut pending = vec![(first, 1)];
        while let Some((resolved, depth)) = pending.pop() {
            let manifest = match resolved.document {
                Document::Manifest(manifest) => manifest,
                Document::Index(entries) => {
                    available.extend(platforms(&entries));
                    let found = candidates(&entries, platform);
                    let named = found.iter().take_while(|entry| entry.platform.is_some()).count();
                    let chosen = if named > 0 { &found[..1] } else { &found[..] };
                    for entry in chosen.iter().rev() {
                        documents += 1;
                        if depth >= DEEPEST_INDEX || documents > MOST_DOCUMENTS {
                            return Err(self.image_error("its indexes lead to too many others".to_owned()));
                        }
                        if DocumentKind::of(&entry.media_type).is_some() {
                            pending.push((self.entry(entry).await?, depth + 1));
                        }
                    }
                    continue;
                }
            };
            let (config_bytes, config) = self.config(&manifest).await?;
            if runs_on(&config.platform(), platform) {
                let (descriptor, manifest_bytes) = (resolved.descriptor, resolved.bytes);
                return Ok(ResolvedImage { index, descriptor, manifest_bytes, manifest, config_bytes, config });
            }
            available.push(config.platform());
        }
        available.sort();
        available.dedup();
        let reference = self.reference.to_string();
        Err(RegistryError::NoSuchPlatform { reference, wanted: platform.clone(), available })
    }

    /// Digest, type and size.
    async fn described(&self) -> Result<Descriptor, RegistryError> {
        let response = self.ask(Method::HEAD, &self.name()).await?;
        let digest = stated_digest(&response)?;
        let media_type = response.header(CONTENT_TYPE).map(MediaType::from);
        match (digest, media_type, response.content_length()) {
            (Some(digest), Some(media_type), Some(size)) if DocumentKind::of(&media_type).is_some() => {
                self.check_expected(digest)?;
                Ok(Descriptor::new(media_type, digest, size))
            }
            _ => Ok(self.named().await?.descriptor),
        }
    }

    fn name(&self) -> String {
        let digest = self.expected.map(|digest| digest.to_string());
        digest.or_else(|| self.reference.tag().map(str::to_owned)).unwrap_or_else(|| "latest".to_owned())
    }

    fn image_error(&self, problem: String) -> RegistryError {
        RegistryError::Image { reference: self.reference.to_string(), problem }
    }

    async fn ask(&self, method: Method, name: &str) -> Result<Response, RegistryError> {
        let url = self.host.url(&self.repository, &["manifests", name]);
        let request = Request::new(method, url).header(ACCEPT, DocumentKind::ACCEPTED.join(", "));
        self.client.ask(&self.host, &self.access, &request, &[200], &self.reference.to_string()).await
    }

    /// What the reference itself names.
    async fn named(&self) -> Result<Resolved, RegistryError> {
        let (response, bytes) = self.document(&self.name()).await?;
        let actual = BlobDigest(Digest::of(&bytes));
        self.check_expected(actual)?;
        if let Some(expected) = stated_digest(&response)?
            && expected != actual
        {
            return Err(RegistryError::DigestMismatch { reference: self.reference.to_string(), expected, actual });
        }
        self.parse(bytes, response.header(CONTENT_TYPE))
    }

    /// What an entry of an index names.
    async fn entry(&self, entry: &Descriptor) -> Result<Resolved, RegistryError> {
        let reference = || format!("{}@{}", self.reference, entry.digest);
        if entry.size > LARGEST_DOCUMENT as u64 {
            return Err(self.too_large("manifest", LARGEST_DOCUMENT as u64));
        }
        if let Some(known) = self.known(entry) {
            return self.parse(known.into(), Some(entry.media_type.as_ref()));
        }
        let (response, bytes) = self.document(&entry.digest.to_string()).await?;
        let actual = BlobDigest(Digest::of(&bytes));
        if actual != entry.digest {
            return Err(RegistryError::DigestMismatch { reference: reference(), expected: entry.digest, actual });
        }
        if bytes.len() as u64 != entry.size {
            let (expected, actual) = (entry.size, bytes.len() as u64);
            return Err(RegistryError::SizeMismatch { reference: reference(), expected, actual });
        }
        let resolved = self.parse(bytes, response.header(CONTENT_TYPE))?;
        if resolved.descriptor.media_type != entry.media_type {
            let cause = DocumentError::Contradiction {
                served: entry.media_type.to_string(),
                stated: resolved.descriptor.media_type.to_string(),
            };
            return Err(RegistryError::Document { reference: reference(), cause });
        }
        Ok(resolved)
    }

    /// What `descriptor` speaks of, if the caller has it.
    fn known(&self, descriptor: &Descriptor) -> Option<Vec<u8>> {
        let bytes = self.known?(&descriptor.digest)?;
        let is_it = bytes.len() as u64 == descriptor.size && BlobDigest(Digest::of(&bytes)) == descriptor.digest;
        is_it.then_some(bytes)
    }

    async fn document(&self, name: &str) -> Result<(Response, Bytes), RegistryError> {
        let mut backoff = self.host.backoff();
        loop {
            let mut response = self.ask(Method::GET, name).await?;
            match response.read(LARGEST_DOCUMENT).await {
                Ok(Some(bytes)) => return Ok((response, bytes)),
                Ok(None) => return Err(self.too_large("manifest", LARGEST_DOCUMENT as u64)),
                Err(error) => backoff.pause(error).await?,
            }
        }
    }

    fn parse(&self, bytes: Bytes, content_type: Option<&str>) -> Result<Resolved, RegistryError> {
        let (media_type, document) = Document::parse(&bytes, content_type)
            .map_err(|cause| RegistryError::Document { reference: self.reference.to_string(), cause })?;
        Ok(Resolved { descriptor: Descriptor::of(media_type, &bytes), bytes, document })
    }

    /// The configuration of an image, and whether it and the manifest are about the same image.
    async fn config(&self, manifest: &Manifest) -> Result<(Bytes, ImageConfig), RegistryError> {
        let descriptor = &manifest.config;
        if !is_image_config(&descriptor.media_type) {
            let problem = format!("its configuration is {}, not that of a container image", descriptor.media_type);
            return Err(self.image_error(problem));
        }
        if descriptor.size > LARGEST_CONFIG {
            return Err(self.too_large("configuration", LARGEST_CONFIG));
        }
        let bytes = if let Some(known) = self.known(descriptor) {
            known
        } else {
            let mut bytes = Vec::new();
            let place = (&*self.host, self.repository.as_str());
            self.client.fetch_blob_at(place, self.reference, descriptor, &mut bytes).await?;
            bytes
        };
        let config: ImageConfig = serde_json::from_slice(&bytes)
            .map_err(|error| self.image_error(format!("its configuration is malformed: {error}")))?;
        let (diff_ids, layers) = (config.rootfs.diff_ids.len(), manifest.layers.len());
        if diff_ids != layers {
            let problem = format!("it has {layers} layers, but its configuration knows {diff_ids}");
            return Err(self.image_error(problem));
        }
        Ok((bytes.into(), config))
    }

    fn check_expected(&self, actual: BlobDigest) -> Result<(), RegistryError> {
        match self.expected {
            Some(expected) if expected != actual => {
                Err(RegistryError::DigestMismatch { reference: self.reference.to_string(), expected, actual })
            }
            Some(_) | None => Ok(()),
        }
    }

    fn too_large(&self, what: &'static str, limit: u64) -> RegistryError {
        RegistryError::TooLarge { what, reference: self.reference.to_string(), limit }
    }
}

/// The digest that the registry states. One of another algorithm than ours says nothing to us; a malformed one is
/// refused.
fn stated_digest(response: &Response) -> Result<Option<BlobDigest>, RegistryError> {
    match response.header(CONTENT_DIGEST) {
        Some(text) if text.starts_with("sha256:") => {
            text.parse().map(Some).map_err(|error| response.protocol(&format!("{error}")))
        }
        Some(_) | None => Ok(None),
    }
}
