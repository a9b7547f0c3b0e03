//! A cache in the cache service of GitHub Actions, version 2 (`github.actions.results.api.v1.CacheService`, over Twirp).
//!
//! Entries have keys, and never change once they are there. So a blob is an entry by its digest, and a manifest is a new entry
//! each time: its key is that of the scope and the time, and the newest that begins with the scope's is the one that counts.
//! The service itself keeps the branches of a repository apart: a pull request reads the entries of the branch that it goes
//! to, and what it writes is seen by itself alone.
//!
//! Bytes go to and come from storage at addresses that the service signs.

use super::{
    Backend, CacheError, Published,
    objects::{Objects, Piece},
};
use crate::{
    image::{Descriptor, Digest, Document, Manifest},
    registry::{BlobSource, Progress},
    store::Store,
};
use futures_util::{FutureExt as _, future::BoxFuture};
use reqwest::{Url, header::CONTENT_TYPE};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{fmt, path::PathBuf, time::Duration};

const SERVICE: &str = "twirp/github.actions.results.api.v1.CacheService/";
/// Bytes of an answer of the service, and of a manifest.
const LARGEST_DOCUMENT: usize = 4 << 20;
const PATIENCE: Duration = Duration::from_mins(1);
/// Transfers at a time.
const TRANSFERS: usize = 4;

/// A cache in the service of GitHub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GhaPlace {
    /// The service (`ACTIONS_RESULTS_URL`).
    pub url: Url,
    /// What it knows a job by (`ACTIONS_RUNTIME_TOKEN`).
    pub token: GhaToken,
    /// Caches of a repository that are not the same have scopes that are not.
    pub scope: String,
}

/// What the service knows a job by. It is shown to nobody.
#[derive(Clone, PartialEq, Eq)]
pub struct GhaToken(pub String);

impl fmt::Debug for GhaToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GhaToken")
    }
}

#[derive(Serialize)]
struct Create<'a> {
    key: &'a str,
    version: &'a str,
}

#[derive(Deserialize)]
struct Created {
    #[serde(default)]
    ok: bool,
    #[serde(default)]
    signed_upload_url: String,
}

#[derive(Serialize)]
struct Finalize<'a> {
    key: &'a str,
    version: &'a str,
    /// As protocol buffers write 64 bits in JSON.
    size_bytes: String,
}

#[derive(Deserialize)]
struct Finalized {
    #[serde(default)]
    ok: bool,
}

#[derive(Serialize)]
struct Find<'a> {
    key: &'a str,
    restore_keys: &'a [String],
    version: &'a str,
}

#[derive(Deserialize)]
struct Located {
    #[serde(default)]
    ok: bool,
    #[serde(default)]
    signed_download_url: String,
    #[serde(default)]
    matched_key: String,
}

pub(super) struct GhaCache {
    place: GhaPlace,
    objects: Objects,
    origin: String,
    /// What entries are like; those of other programs are not ours.
    version: String,
}

impl GhaCache {
    pub(super) fn new(place: &GhaPlace, ca_certificates: &[PathBuf]) -> Result<Self, CacheError> {
        let origin = format!("gha:{}", place.scope);
        let objects = Objects::new(&origin, ca_certificates, TRANSFERS)?;
        let version = Digest::of(b"flashbuild-cache-1").hex();
        Ok(Self { place: place.clone(), objects, origin, version })
    }

    /// Calls a method of the service. `None` if what is asked for does not exist, or does already.
    async fn call<T: DeserializeOwned>(
        &self,
        method: &str,
        request: &(impl Serialize + Sync),
    ) -> Result<Option<T>, CacheError> {
        let unusable = |error: &dyn fmt::Display| CacheError::unusable(&self.origin, error);
        let url = self.place.url.join(&format!("{SERVICE}{method}")).map_err(|error| unusable(&error))?;
        let body = serde_json::to_vec(request).map_err(|error| unusable(&error))?;
        let asked = || {
            let request = self.objects.client(&url).post(url.clone()).header(CONTENT_TYPE, "application/json");
            Ok(request.bearer_auth(&self.place.token.0).body(body.clone()))
        };
        let response = self.objects.ask(PATIENCE, asked).await?;
        match response.status().as_u16() {
            200 => {}
            404 | 409 => return Ok(None),
            _ => return Err(self.objects.refused(response).await),
        }
        if response.content_length().is_some_and(|length| length > LARGEST_DOCUMENT as u64) {
            return Err(unusable(&"the service answers with too much"));
        }
        let bytes = response.bytes().await.map_err(|error| unusable(&crate::http::innermost(&error)))?;
        serde_json::from_slice(&bytes).map(Some).map_err(|error| unusable(&error))
    }

    /// The address of an entry: by its key, else of the newest whose key begins with one of `prefixes`.
    async fn find(&self, key: &str, prefixes: &[String]) -> Result<Option<Url>, CacheError> {
        let request = Find { key, restore_keys: prefixes, version: &self.version };
        let located: Option<Located> = self.call("GetCacheEntryDownloadURL", &request).await?;
        let fits = |located: &Located| {
            located.matched_key == key || prefixes.iter().any(|prefix| located.matched_key.starts_with(prefix))
        };
        let Some(located) = located.filter(|located| located.ok && fits(located)) else { return Ok(None) };
        self.signed(&located.signed_download_url).map(Some)
    }

    /// Writes an entry, unless there is one by that key.
    async fn write(&self, key: &str, source: &BlobSource, size: u64) -> Result<u64, CacheError> {
        let created: Option<Created> = self.call("CreateCacheEntry", &Create { key, version: &self.version }).await?;
        let Some(created) = created.filter(|created| created.ok) else { return Ok(0) };
        let url = self.signed(&created.signed_upload_url)?;
        let headers = [("x-ms-blob-type", "BlockBlob"), ("content-type", "application/octet-stream")];
        self.objects.put(|| url.clone(), &headers, Piece { source, offset: 0, size }).await?;
        let request = Finalize { key, version: &self.version, size_bytes: size.to_string() };
        let finalized: Option<Finalized> = self.call("FinalizeCacheEntryUpload", &request).await?;
        if finalized.is_some_and(|finalized| finalized.ok) {
            return Ok(size);
        }
        Err(CacheError::unusable(&self.origin, format!("the service does not take the entry {key}")))
    }

    fn signed(&self, url: &str) -> Result<Url, CacheError> {
        // Not with the address in the message.
        Url::parse(url).map_err(|_| CacheError::unusable(&self.origin, "the service names no address"))
    }

    fn blob_key(blob: &Descriptor) -> String {
        format!("flashbuild-blob-{}", blob.digest)
    }

    fn manifests_prefix(&self) -> String {
        format!("flashbuild-{}#", self.place.scope)
    }

    async fn read(&self) -> Result<Vec<Manifest>, CacheError> {
        let prefix = self.manifests_prefix();
        let Some(url) = self.find(&prefix, std::slice::from_ref(&prefix)).await? else { return Ok(Vec::new()) };
        let bytes = self.objects.read(|| url.clone(), LARGEST_DOCUMENT).await?;
        match bytes.as_deref().map(|bytes| Document::parse(bytes, None)) {
            None => Ok(Vec::new()),
            Some(Ok((_, Document::Manifest(manifest)))) => Ok(vec![manifest]),
            Some(Ok((_, Document::Index(_)))) => Err(CacheError::unusable(&self.origin, "it is an index")),
            Some(Err(error)) => Err(CacheError::unusable(&self.origin, error)),
        }
    }
}

impl Backend for GhaCache {
    fn origin(&self) -> &str {
        &self.origin
    }

    fn manifests<'a>(&'a self, _: &'a Store) -> BoxFuture<'a, Result<Vec<Manifest>, CacheError>> {
        self.read().boxed()
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
            let lost = || CacheError::Lost { origin: self.origin.clone(), digest: blob.digest };
            let url = self.find(&Self::blob_key(blob), &[]).await?.ok_or_else(lost)?;
            self.objects.fetch(|| url.clone(), blob, store, progress).await
        }
        .boxed()
    }

    fn has<'a>(&'a self, blob: &'a Descriptor) -> BoxFuture<'a, Result<bool, CacheError>> {
        async move { Ok(self.find(&Self::blob_key(blob), &[]).await?.is_some()) }.boxed()
    }

    fn put<'a>(
        &'a self,
        blob: &'a Descriptor,
        source: &'a BlobSource,
        _: &'a Store,
        progress: Progress<'a>,
    ) -> BoxFuture<'a, Result<u64, CacheError>> {
        async move {
            // Creating tells, too, but an entry that another branch has is of no use here.
            if self.has(blob).await? {
                return Ok(0);
            }
            let written = self.write(&Self::blob_key(blob), source, blob.size).await?;
            progress(blob.size);
            Ok(written)
        }
        .boxed()
    }

    fn publish<'a>(&'a self, published: &'a Published) -> BoxFuture<'a, Result<(), CacheError>> {
        async move {
            let (described, bytes) = &published.manifest;
            // Sorted by time as text, for people; the service goes by the time of its own.
            let key = format!("{}{:020}", self.manifests_prefix(), jiff::Timestamp::now().as_nanosecond());
            self.write(&key, &BlobSource::Bytes(bytes.clone()), described.size).await?;
            Ok(())
        }
        .boxed()
    }
}
