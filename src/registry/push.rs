//! Blobs and documents on their way out (distribution-spec, "Pushing").
//!
//! For a blob, the cheapest thing that works:
//!
//! 1. `HEAD`: the repository has it. Nothing is sent.
//! 2. `POST ?mount=&from=`: another repository of the registry has it. A registry that cannot or may not mount opens an
//!    upload instead (202), or refuses, and we go on without.
//! 3. `POST`, which opens an upload, and the bytes (module `upload`).
//!
//! An upload that breaks goes on where it broke. One that the registry has forgotten starts again from the first step:
//! the registry may have got everything before the connection broke. A `Location` on another host gets the bytes but
//! no credentials.

use super::Progress;
use super::auth::Access;
use super::body::{BlobSource, Body};
use super::client::{Client, Host};
use super::error::RegistryError;
use super::pull::CONTENT_DIGEST;
use super::transport::{Request, Response};
use super::upload::{Setback, Upload};
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
        let repository = reference.path();
        let push = Push { client: self, host: &host, repository, descriptor, source, mount_from, progress };
        let mut backoff = host.backoff().of_upload();
        let (mut upload, mut way, mut farthest) = (None, Way::Whole, 0);
        loop {
            let error = match push.attempt(&mut upload, way).await {
                Ok(outcome) => return Ok(outcome),
                Err(Setback::Broken(error)) => {
                    way = way.after_a_break(descriptor.size, self.chunk_size());
                    error
                }
                Err(Setback::Lost(error)) => {
                    upload = None;
                    error
                }
                Err(Setback::Indivisible(error)) => {
                    (upload, way) = (None, Way::OnlyWhole);
                    error
                }
            };
            let confirmed = upload.as_ref().map_or(0, Upload::confirmed);
            if confirmed > farthest {
                farthest = confirmed;
                backoff.advanced();
            }
            backoff.pause(error).await?;
            upload = upload.filter(|_| way != Way::OnlyWhole);
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
        Ok(self.put_manifest(reference, media_type, bytes).await?.digest)
    }

    /// The same; what the registry said of it.
    pub(super) async fn put_manifest(
        &self,
        reference: &Reference,
        media_type: &MediaType,
        bytes: Bytes,
    ) -> Result<Written, RegistryError> {
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
            Some(_) | None => Ok(Written { digest, lists_referrers: response.header("oci-subject").is_some() }),
        }
    }
}

/// What became of a manifest.
pub(super) struct Written {
    digest: BlobDigest,
    /// Whether the registry lists it for its subject (distribution-spec, "Pushing Manifests with Subject").
    pub(super) lists_referrers: bool,
}

/// How the next upload of a blob sends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// At once, and what is left after a break in pieces.
    Whole,
    /// In pieces from the start: the connection breaks.
    Pieces,
    /// At once, however often it breaks: the registry takes no pieces.
    OnlyWhole,
}

impl Way {
    fn after_a_break(self, size: u64, chunk_size: u64) -> Self {
        match self {
            Self::Whole if size > chunk_size => Self::Pieces,
            Self::Whole | Self::Pieces | Self::OnlyWhole => self,
        }
    }
}

/// One blob for one repository.
struct Push<'a> {
    client: &'a Client,
    host: &'a Host,
    repository: &'a str,
    descriptor: &'a Descriptor,
    source: &'a BlobSource,
    mount_from: Option<&'a str>,
    progress: Progress<'a>,
}

/// What a mount led to.
enum Mount<'a> {
    Done,
    /// An upload that the registry opened instead.
    Upload(Box<Upload<'a>>),
    Refused,
}

impl<'a> Push<'a> {
    /// Goes on with `upload`, or begins one.
    async fn attempt(&self, upload: &mut Option<Upload<'a>>, way: Way) -> Result<PushOutcome, Setback> {
        let upload = match upload {
            Some(upload) => upload,
            None => match self.begin(way).await.map_err(Setback::Broken)? {
                Ok(outcome) => return Ok(outcome),
                Err(begun) => upload.insert(begun),
            },
        };
        let _transfer = self.host.transfers.acquire().await;
        upload.finish().await.map(|()| PushOutcome::Uploaded { bytes: self.descriptor.size })
    }

    /// Nothing left to do, or an upload.
    async fn begin(&self, way: Way) -> Result<Result<PushOutcome, Upload<'a>>, RegistryError> {
        if self.exists().await? {
            return Ok(Ok(PushOutcome::Existed));
        }
        let mount = match self.mount_from {
            Some(from) => self.mount(from, way).await?,
            None => Mount::Refused,
        };
        Ok(match mount {
            Mount::Done => Ok(PushOutcome::Mounted),
            Mount::Upload(upload) => Err(*upload),
            Mount::Refused => Err(self.open(way).await?),
        })
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

    async fn mount(&self, from: &str, way: Way) -> Result<Mount<'a>, RegistryError> {
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
            202 => Ok(Mount::Upload(Box::new(self.opened(&response, &request.url, way)?))),
            _ => match response.into_error(&self.what()).await {
                error if error.is_temporary() => Err(error),
                _ => Ok(Mount::Refused),
            },
        }
    }

    async fn open(&self, way: Way) -> Result<Upload<'a>, RegistryError> {
        let request = Request::new(Method::POST, self.uploads());
        let response = self.client.send(self.host, &self.access(), &request).await?;
        match response.status().as_u16() {
            202 => self.opened(&response, &request.url, way),
            _ => Err(response.into_error(&self.what()).await),
        }
    }

    fn opened(&self, response: &Response, asked: &Url, way: Way) -> Result<Upload<'a>, RegistryError> {
        let (to, blob) = ((self.client, self.host, self.access()), (self.descriptor, self.source));
        Upload::new(to, blob, self.progress, response, asked, way == Way::Pieces)
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
