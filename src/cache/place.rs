//! Where a cache is, and what can be done there.

use super::{
    CacheError, GhaPlace, MountIds, S3Place, gha::GhaCache, local::LocalCache, registry::RegistryCache, s3::S3Cache,
};
use crate::{
    image::{BlobDigest, Descriptor, Manifest},
    registry::{BlobSource, Client, Progress},
    store::Store,
};
use bytes::Bytes;
use flashbuild_frontend::reference::Reference;
use futures_util::future::BoxFuture;
use std::{path::PathBuf, sync::Arc};

/// Where a cache is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A folder.
    Local {
        /// Which.
        folder: PathBuf,
        /// The name of the cache in it.
        tag: String,
        /// This manifest, whatever the name leads to.
        digest: Option<BlobDigest>,
    },
    /// A registry.
    Registry {
        /// The repository and the tag.
        reference: Reference,
    },
    /// A bucket.
    S3(Box<S3Place>),
    /// GitHub's cache service.
    Gha(GhaPlace),
}

impl Place {
    /// What is there, ready for use.
    pub fn open(&self, client: &Client) -> Result<Arc<dyn Backend>, CacheError> {
        Ok(match self {
            Self::Local { folder, tag, digest } => Arc::new(LocalCache::new(folder, tag, *digest)?),
            Self::Registry { reference } => Arc::new(RegistryCache::new(client.clone(), reference.clone())),
            Self::S3(place) => Arc::new(S3Cache::new(place, client.ca_certificates())?),
            Self::Gha(place) => Arc::new(GhaCache::new(place, client.ca_certificates())?),
        })
    }
}

/// A cache to look into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheSource {
    /// Where it is.
    pub place: Place,
    /// The caches of steps that may be taken from it.
    pub mounts: MountIds,
}

/// What a cache's manifest leads to it by: itself, or an index of it alone.
#[derive(Debug)]
pub struct Published {
    /// The manifest.
    pub manifest: (Descriptor, Bytes),
    /// The index, for registries that take no manifest of their own kind.
    pub index: Option<(Descriptor, Bytes)>,
}

/// A place for a cache. One file each, and one row in [`Place::open`].
pub trait Backend: Send + Sync {
    /// Names the cache, for people and as the origin of what comes from it.
    fn origin(&self) -> &str;

    /// The registry that it is in, as names of images spell it.
    fn registry(&self) -> Option<&str> {
        None
    }

    /// The manifests that it has: of a cache, or of images that may hold one. None if nothing is there yet.
    fn manifests<'a>(&'a self, store: &'a Store) -> BoxFuture<'a, Result<Vec<Manifest>, CacheError>>;

    /// Brings a blob into the store, if it is not there. It is there only if it has its digest.
    fn fetch<'a>(
        &'a self,
        blob: &'a Descriptor,
        store: &'a Store,
        progress: Progress<'a>,
    ) -> BoxFuture<'a, Result<(), CacheError>>;

    /// Whether a blob is there.
    fn has<'a>(&'a self, blob: &'a Descriptor) -> BoxFuture<'a, Result<bool, CacheError>>;

    /// Makes sure that a blob is there; returns how many bytes were written for it.
    fn put<'a>(
        &'a self,
        blob: &'a Descriptor,
        source: &'a BlobSource,
        store: &'a Store,
        progress: Progress<'a>,
    ) -> BoxFuture<'a, Result<u64, CacheError>>;

    /// Makes a manifest, whose blobs are there, what is found under the cache's name from now on.
    fn publish<'a>(&'a self, published: &'a Published) -> BoxFuture<'a, Result<(), CacheError>>;
}
