//! A cache as objects of a bucket, at Amazon or at any server that speaks S3's language.
//!
//! ```text
//! <prefix><blobs-prefix><digest>       layers and records
//! <prefix><manifests-prefix><name>     the manifest
//! ```
//!
//! Every request has an address that is signed for it (Signature Version 4, in the query), with the keys that `credentials`
//! finds. What is large goes in `parts`.

mod credentials;
mod parts;

pub use credentials::profile_region;

use super::{
    Backend, CacheError, Published,
    objects::{Objects, Piece},
};
use crate::{
    image::{Descriptor, Document, Manifest},
    registry::{BlobSource, Progress},
    store::Store,
};
use credentials::Identity;
use futures_util::{FutureExt as _, future::BoxFuture};
use parts::PART;
use reqwest::Url;
use rusty_s3::{Bucket, Credentials, S3Action as _, UrlStyle};
use std::{fmt, path::PathBuf, time::Duration};

/// How long a signed address is good for.
const VALID: Duration = Duration::from_hours(6);
/// Bytes of a manifest.
const LARGEST_DOCUMENT: usize = 4 << 20;

/// A cache in a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Place {
    /// The bucket.
    pub bucket: String,
    /// The region.
    pub region: String,
    /// The server.
    pub endpoint: Url,
    /// Whether the bucket is in the path of addresses, and not in the host.
    pub path_style: bool,
    /// Who we are; else whoever this machine says that we are, or nobody.
    pub credentials: Option<S3Credentials>,
    /// What all names begin with.
    pub prefix: String,
    /// What names of blobs go on with.
    pub blobs_prefix: String,
    /// What names of manifests go on with.
    pub manifests_prefix: String,
    /// The name of the cache.
    pub name: String,
    /// Uploads and downloads at a time.
    pub parallelism: usize,
}

/// Keys of an account. They are shown to nobody.
#[derive(Clone, PartialEq, Eq)]
pub struct S3Credentials {
    /// Names the key.
    pub access_key_id: String,
    /// The key.
    pub secret_access_key: String,
    /// What temporary keys come with.
    pub session_token: Option<String>,
}

impl fmt::Debug for S3Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("S3Credentials")
    }
}

pub(super) struct S3Cache {
    place: S3Place,
    bucket: Bucket,
    identity: Identity,
    objects: Objects,
    origin: String,
}

impl S3Cache {
    pub(super) fn new(place: &S3Place, ca_certificates: &[PathBuf]) -> Result<Self, CacheError> {
        let origin = format!("s3://{}/{}{}{}", place.bucket, place.prefix, place.manifests_prefix, place.name);
        let style = if place.path_style { UrlStyle::Path } else { UrlStyle::VirtualHost };
        let bucket = Bucket::new(place.endpoint.clone(), style, place.bucket.clone(), place.region.clone())
            .map_err(|error| CacheError::unusable(&origin, error))?;
        let identity = Identity::new(place.credentials.clone(), &place.region, credentials::of_this_process());
        let objects = Objects::new(&origin, ca_certificates, place.parallelism)?;
        Ok(Self { place: place.clone(), bucket, identity, objects, origin })
    }

    fn blob(&self, blob: &Descriptor) -> String {
        format!("{}{}{}", self.place.prefix, self.place.blobs_prefix, blob.digest)
    }

    fn manifest(&self) -> String {
        format!("{}{}{}", self.place.prefix, self.place.manifests_prefix, self.place.name)
    }

    /// What to sign with; nothing, if nobody knows who we are.
    async fn keys(&self) -> Result<Option<Credentials>, CacheError> {
        let keys = self.identity.keys(&self.objects).await?;
        Ok(keys.map(|keys| match keys.session_token {
            Some(token) => Credentials::new_with_token(keys.access_key_id, keys.secret_access_key, token),
            None => Credentials::new(keys.access_key_id, keys.secret_access_key),
        }))
    }

    async fn has_blob(&self, blob: &Descriptor) -> Result<bool, CacheError> {
        let (keys, object) = (self.keys().await?, self.blob(blob));
        self.objects.exists(|| self.bucket.head_object(keys.as_ref(), &object).sign(VALID)).await
    }

    async fn put_whole(&self, object: &str, source: &BlobSource, size: u64) -> Result<(), CacheError> {
        let keys = self.keys().await?;
        let sign = || self.bucket.put_object(keys.as_ref(), object).sign(VALID);
        self.objects.put(sign, &[], Piece { source, offset: 0, size }).await.map(drop)
    }
}

impl Backend for S3Cache {
    fn origin(&self) -> &str {
        &self.origin
    }

    fn manifests<'a>(&'a self, _: &'a Store) -> BoxFuture<'a, Result<Vec<Manifest>, CacheError>> {
        async move {
            let (keys, object) = (self.keys().await?, self.manifest());
            let sign = || self.bucket.get_object(keys.as_ref(), &object).sign(VALID);
            let Some(bytes) = self.objects.read(sign, LARGEST_DOCUMENT).await? else { return Ok(Vec::new()) };
            match Document::parse(&bytes, None) {
                Ok((_, Document::Manifest(manifest))) => Ok(vec![manifest]),
                Ok((_, Document::Index(_))) => Err(CacheError::unusable(&self.origin, "it is an index")),
                Err(error) => Err(CacheError::unusable(&self.origin, error)),
            }
        }
        .boxed()
    }

    fn fetch<'a>(
        &'a self,
        blob: &'a Descriptor,
        store: &'a Store,
        progress: Progress<'a>,
    ) -> BoxFuture<'a, Result<(), CacheError>> {
        async move {
            if store.blob_size(&blob.digest)?.is_some() {
                return Ok(());
            }
            let (keys, object) = (self.keys().await?, self.blob(blob));
            let sign = || self.bucket.get_object(keys.as_ref(), &object).sign(VALID);
            self.objects.fetch(sign, blob, store, progress).await
        }
        .boxed()
    }

    fn has<'a>(&'a self, blob: &'a Descriptor) -> BoxFuture<'a, Result<bool, CacheError>> {
        self.has_blob(blob).boxed()
    }

    fn put<'a>(
        &'a self,
        blob: &'a Descriptor,
        source: &'a BlobSource,
        _: &'a Store,
        progress: Progress<'a>,
    ) -> BoxFuture<'a, Result<u64, CacheError>> {
        async move {
            if self.has_blob(blob).await? {
                return Ok(0);
            }
            let object = self.blob(blob);
            if blob.size > 2 * PART {
                self.put_parts(&object, source, blob.size, progress).await?;
            } else {
                self.put_whole(&object, source, blob.size).await?;
                progress(blob.size);
            }
            Ok(blob.size)
        }
        .boxed()
    }

    fn publish<'a>(&'a self, published: &'a Published) -> BoxFuture<'a, Result<(), CacheError>> {
        async move {
            let (described, bytes) = &published.manifest;
            self.put_whole(&self.manifest(), &BlobSource::Bytes(bytes.clone()), described.size).await
        }
        .boxed()
    }
}
