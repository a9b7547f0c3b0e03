//! Blobs and documents on their way out (distribution-spec, "Pushing").
//!
//! For a blob, the cheapest thing that works:
//!
//! 1. `HEAD`: the repository has it. Nothing is sent.
//! 2. `POST ?mount=&from=`: another repository of the registry has it. A registry that cannot or may not mount opens an
//!    upload instead (202), or refuses, and we go on without.
//! 3. `POST`, then one `PUT` of the whole. It is faster than chunks, and every registry has it.
//!
//! An upload that breaks, or that the registry has forgotten (404), starts again from the first step: the registry may
//! have got everything before the connection broke. A `Location` on another host gets the bytes but no credentials.

use super::Progress;
use super::auth::Access;
use super::body::{BlobSource, Body};
use super::client::{Client, Host};
use super::error::RegistryError;
use super::pull::CONTENT_DIGEST;
use super::transport::Request;
use crate::image::{BlobDigest, Descriptor, Digest, MediaType};
use bytes::Bytes;
use flashbuild_frontend::reference::Reference;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, Url};

/// How a blob came to be in a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushOutcome {
    /// It was there.
    Existed,
    /// The registry linked it from another repository.
    Mounted,
    /// We sent it.
    Uploaded {
        /// Size of the blob.
        bytes: u64,
    },
}

impl Client {
    /// Makes sure that the repository of `reference` has a blob. `mount_from` is a repository of the same registry
    /// that has it already, as far as we know.
    pub async fn push_blob(
        &self,
        reference: &Reference,
        descriptor: &Descriptor,
        source: &BlobSource,
        mount_from: Option<&str>,
        progress: Progress<'_>,
    ) -> Result<PushOutcome, RegistryError> {
        let host = self.host(reference)?;
        let mount_from = mount_from.filter(|from| *from != reference.path());
        let push = Push { client: self, host: &host, repository: reference.path(), descriptor };
        let mut backoff = self.backoff();
        loop {
            match push.attempt(source, mount_from, progress).await {
                Ok(outcome) => return Ok(outcome),
                Err(error) => backoff.pause(error).await?,
            }
        }
    }

    /// Writes a manifest or an index: under the tag of `reference` if it has one, else by its digest.
    ///
    /// What the document points at has to be in the repository before. A digest in `reference` has to be that of
    /// `bytes`.
    pub async fn push_manifest(
        &self,
        reference: &Reference,
        media_type: &MediaType,
        bytes: Bytes,
    ) -> Result<BlobDigest, RegistryError> {
        let host = self.host(reference)?;
        let digest = BlobDigest(Digest::of(&bytes));
        let mismatch =
            |expected, actual| RegistryError::DigestMismatch { reference: reference.to_string(), expected, actual };
        if let Some(Ok(expected)) = reference.digest().map(str::parse::<BlobDigest>)
            && expected != digest
        {
            return Err(mismatch(expected, digest));
        }
        let name = reference.tag().map_or_else(|| digest.to_string(), str::to_owned);
        let url = host.url(reference.path(), &["manifests", &name]);
        let request = Request { body: Body::Document(bytes), ..Request::new(Method::PUT, url) }
            .header(CONTENT_TYPE, media_type.to_string());
        let access = Access::push(reference.path());
        let response = self.ask(&host, &access, &request, &[201, 200, 202], &reference.to_string()).await?;
        match response.header(CONTENT_DIGEST).map(str::parse::<BlobDigest>) {
            Some(Ok(actual)) if actual != digest => Err(mismatch(digest, actual)),
            Some(_) | None => Ok(digest),
        }
    }
}

/// One blob for one repository.
struct Push<'a> {
    client: &'a Client,
    host: &'a Host,
    repository: &'a str,
    descriptor: &'a Descriptor,
}

/// What a mount led to.
enum Mount {
    Done,
    /// An upload that the registry opened instead.
    Upload(Url),
    Refused,
}

impl Push<'_> {
    async fn attempt(
        &self,
        source: &BlobSource,
        mount_from: Option<&str>,
        progress: Progress<'_>,
    ) -> Result<PushOutcome, RegistryError> {
        if self.exists().await? {
            return Ok(PushOutcome::Existed);
        }
        let mount = match mount_from {
            Some(from) => self.mount(from).await?,
            None => Mount::Refused,
        };
        let location = match mount {
            Mount::Done => return Ok(PushOutcome::Mounted),
            Mount::Upload(location) => location,
            Mount::Refused => self.open().await?,
        };
        let _transfer = self.host.transfers.acquire().await;
        self.upload(location, source, progress).await
    }

    async fn exists(&self) -> Result<bool, RegistryError> {
        let url = self.host.url(self.repository, &["blobs", &self.descriptor.digest.to_string()]);
        let response = self.client.send(self.host, &self.access(), &Request::new(Method::HEAD, url)).await?;
        match response.status().as_u16() {
            200 => Ok(true),
            404 => Ok(false),
            _ => Err(response.into_error(&self.what()).await),
        }
    }

    async fn mount(&self, from: &str) -> Result<Mount, RegistryError> {
        let mut url = self.uploads();
        url.query_pairs_mut().append_pair("mount", &self.descriptor.digest.to_string()).append_pair("from", from);
        let request = Request::new(Method::POST, url);
        let response = match self.client.send(self.host, &self.access().and_pull(from), &request).await {
            Ok(response) => response,
            Err(error) if error.is_temporary() => return Err(error),
            // A token service that grants nothing for the other repository.
            Err(_) => return Ok(Mount::Refused),
        };
        match response.status().as_u16() {
            201 => Ok(Mount::Done),
            202 => Ok(Mount::Upload(response.location(&request.url)?)),
            _ => match response.into_error(&self.what()).await {
                error if error.is_temporary() => Err(error),
                _ => Ok(Mount::Refused),
            },
        }
    }

    async fn open(&self) -> Result<Url, RegistryError> {
        let request = Request::new(Method::POST, self.uploads());
        let response = self.client.send(self.host, &self.access(), &request).await?;
        match response.status().as_u16() {
            202 => response.location(&request.url),
            _ => Err(response.into_error(&self.what()).await),
        }
    }

    async fn upload(
        &self,
        mut location: Url,
        source: &BlobSource,
        progress: Progress<'_>,
    ) -> Result<PushOutcome, RegistryError> {
        // The registry's own query holds its state of the upload.
        location.query_pairs_mut().append_pair("digest", &self.descriptor.digest.to_string());
        let size = self.descriptor.size;
        let request = Request { body: Body::Blob { source, size, progress }, ..Request::new(Method::PUT, location) }
            .header(CONTENT_TYPE, "application/octet-stream");
        let response = self.client.send(self.host, &self.access(), &request).await?;
        match response.status().as_u16() {
            201 | 204 => Ok(PushOutcome::Uploaded { bytes: size }),
            // 416: it has lost part of what it had.
            status @ (404 | 416) => Err(RegistryError::Unavailable {
                host: self.host.name.clone(),
                status,
                message: "it has forgotten an upload".to_owned(),
                retry_after: None,
            }),
            _ => Err(response.into_error(&self.what()).await),
        }
    }

    fn uploads(&self) -> Url {
        // The empty part is the slash at the end.
        self.host.url(self.repository, &["blobs", "uploads", ""])
    }

    fn access(&self) -> Access {
        Access::push(self.repository)
    }

    fn what(&self) -> String {
        format!("{}/{}@{}", self.host.name, self.repository, self.descriptor.digest)
    }
}
