//! A cache as a tag of a repository, beside images or alone.

use super::{Backend, CacheError, Published};
use crate::{
    image::{Descriptor, Document, DocumentKind, Manifest},
    registry::{BlobSource, Client, Progress, PushOutcome, RegistryError},
    store::{Place, Store},
};
use flashbuild_frontend::reference::Reference;
use futures_util::{FutureExt as _, future::BoxFuture};

/// Manifests that are looked at: the platforms of an image.
const MOST_MANIFESTS: usize = 64;

pub(super) struct RegistryCache {
    client: Client,
    reference: Reference,
    origin: String,
}

impl RegistryCache {
    pub(super) fn new(client: Client, reference: Reference) -> Self {
        let origin = reference.to_string();
        Self { client, reference, origin }
    }

    fn pinned(&self, document: &Descriptor) -> Result<Reference, CacheError> {
        let name = format!("{}/{}@{}", self.reference.host(), self.reference.path(), document.digest);
        name.parse().map_err(|error| CacheError::unusable(&self.origin, error))
    }

    async fn read(&self, store: &Store) -> Result<Vec<Manifest>, CacheError> {
        let top = match self.client.resolve(&self.reference).await {
            Err(RegistryError::NotFound { .. }) => return Ok(Vec::new()),
            top => top?,
        };
        let manifests = match top.document {
            Document::Manifest(manifest) => vec![manifest],
            Document::Index(index) => {
                let is_manifest =
                    |entry: &&Descriptor| DocumentKind::of(&entry.media_type) == Some(DocumentKind::Manifest);
                let mut manifests = Vec::new();
                for entry in index.manifests.iter().filter(is_manifest).take(MOST_MANIFESTS) {
                    if let Document::Manifest(manifest) = self.client.resolve(&self.pinned(entry)?).await?.document {
                        manifests.push(manifest);
                    }
                }
                manifests
            }
        };
        // A push to the same registry links what the cache has.
        let digests: Vec<_> = manifests.iter().flat_map(|manifest| &manifest.layers).map(|blob| blob.digest).collect();
        store.note_places(self.reference.host(), self.reference.path(), &digests)?;
        Ok(manifests)
    }
}

impl Backend for RegistryCache {
    fn origin(&self) -> &str {
        &self.origin
    }

    fn registry(&self) -> Option<&str> {
        Some(self.reference.host())
    }

    fn manifests<'a>(&'a self, store: &'a Store) -> BoxFuture<'a, Result<Vec<Manifest>, CacheError>> {
        self.read(store).boxed()
    }

    fn fetch<'a>(
        &'a self,
        blob: &'a Descriptor,
        store: &'a Store,
        progress: Progress<'a>,
    ) -> BoxFuture<'a, Result<(), CacheError>> {
        async move { Ok(self.client.fetch_to_store(&self.reference, blob, store, progress).await?) }.boxed()
    }

    fn has<'a>(&'a self, blob: &'a Descriptor) -> BoxFuture<'a, Result<bool, CacheError>> {
        async move { Ok(self.client.has_blob(&self.reference, &blob.digest).await?) }.boxed()
    }

    fn put<'a>(
        &'a self,
        blob: &'a Descriptor,
        source: &'a BlobSource,
        store: &'a Store,
        progress: Progress<'a>,
    ) -> BoxFuture<'a, Result<u64, CacheError>> {
        async move {
            let places = store.places(&blob.digest)?;
            let is_near = |place: &&Place| place.registry == self.reference.host();
            let near = places.iter().find(is_near).map(|place| place.repository.as_str());
            Ok(match self.client.push_blob(&self.reference, blob, source, near, progress).await? {
                PushOutcome::Existed | PushOutcome::Mounted => 0,
                PushOutcome::Uploaded { bytes } => bytes,
            })
        }
        .boxed()
    }

    fn publish<'a>(&'a self, published: &'a Published) -> BoxFuture<'a, Result<(), CacheError>> {
        async move {
            let (manifest, bytes) = &published.manifest;
            let (top, top_bytes) = published.index.as_ref().unwrap_or(&published.manifest);
            if self.client.names(&self.reference, &top.digest).await? {
                return Ok(());
            }
            if published.index.is_some() {
                let name = self.pinned(manifest)?;
                self.client.push_manifest(&name, &manifest.media_type, bytes.clone()).await?;
            }
            self.client.push_manifest(&self.reference, &top.media_type, top_bytes.clone()).await?;
            Ok(())
        }
        .boxed()
    }
}
