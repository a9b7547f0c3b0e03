//! Blobs on their way in: hashed and measured while they stream, resumed where they broke.
//!
//! A connection that breaks costs what it had in flight: the next request asks for the rest (`Range`, RFC 9110, 14.2;
//! distribution-spec, "Pulling blobs"). A registry that ignores ranges sends everything again, of which we skip what
//! the sink has. Either way one hash runs over all bytes that reached the sink.

use super::Progress;
use super::auth::Access;
use super::client::{Client, Host, Tried};
use super::error::RegistryError;
use super::place::Asked;
use super::transport::{Request, Response};
use crate::image::{BlobDigest, Descriptor, Sha256};
use bytes::Bytes;
use flashbuild_frontend::reference::Reference;
use reqwest::Method;
use reqwest::header::{CONTENT_RANGE, RANGE};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

impl Client {
    /// Streams a blob of the repository of `reference` into `sink`.
    ///
    /// The sink holds the blob only when this has returned `Ok`; before, its bytes are not verified. It gets at most
    /// `descriptor.size` bytes. The address is the registry's: a descriptor's `urls` are never followed.
    pub async fn fetch_blob<S>(
        &self,
        reference: &Reference,
        descriptor: &Descriptor,
        sink: &mut S,
        progress: Progress<'_>,
    ) -> Result<(), RegistryError>
    where
        S: AsyncWrite + Unpin + Send + ?Sized,
    {
        let mut download = Download::new(reference, descriptor);
        let mut tried = Tried::default();
        for (host, repository) in self.places(reference, Asked::Digest)? {
            match download.run(self, &host, &repository, sink, progress).await {
                Ok(()) => return download.verify(),
                // Another place goes on where this one broke.
                Err(error) => tried.failed(&host, error),
            }
        }
        Err(tried.into_error())
    }

    /// Reads a small blob of one place.
    pub(super) async fn fetch_blob_at(
        &self,
        (host, repository): (&Host, &str),
        reference: &Reference,
        descriptor: &Descriptor,
        sink: &mut Vec<u8>,
    ) -> Result<(), RegistryError> {
        let mut download = Download::new(reference, descriptor);
        download.run(self, host, repository, sink, &|_| ()).await?;
        download.verify()
    }

    /// Whether the repository of `reference` has a blob.
    pub async fn has_blob(&self, reference: &Reference, digest: &BlobDigest) -> Result<bool, RegistryError> {
        let host = self.host(reference)?;
        let url = host.url(reference.path(), &["blobs", &digest.to_string()]);
        let request = Request::new(Method::HEAD, url);
        let what = digest.to_string();
        let response = self.ask(&host, &Access::pull(reference.path()), &request, &[200, 404], &what).await?;
        Ok(response.status().as_u16() == 200)
    }
}

/// A blob that is on its way.
struct Download<'a> {
    reference: &'a Reference,
    descriptor: &'a Descriptor,
    /// Over all that went to the sink.
    hash: Sha256,
    /// Bytes that went to the sink.
    received: u64,
}

impl<'a> Download<'a> {
    fn new(reference: &'a Reference, descriptor: &'a Descriptor) -> Self {
        Self { reference, descriptor, hash: Sha256::default(), received: 0 }
    }

    /// All that lacks, from one place.
    async fn run<S>(
        &mut self,
        client: &Client,
        host: &Host,
        repository: &str,
        sink: &mut S,
        progress: Progress<'_>,
    ) -> Result<(), RegistryError>
    where
        S: AsyncWrite + Unpin + Send + ?Sized,
    {
        let _transfer = host.transfers.acquire().await;
        let mut backoff = host.backoff();
        loop {
            let before = self.received;
            let Err(error) = self.attempt(client, host, repository, sink, progress).await else {
                return sink.flush().await.map_err(|cause| self.sink_error(cause));
            };
            if self.received > before {
                backoff.advanced();
            }
            backoff.pause(error).await?;
        }
    }

    /// One connection's worth of the blob.
    async fn attempt<S>(
        &mut self,
        client: &Client,
        host: &Host,
        repository: &str,
        sink: &mut S,
        progress: Progress<'_>,
    ) -> Result<(), RegistryError>
    where
        S: AsyncWrite + Unpin + Send + ?Sized,
    {
        let url = host.url(repository, &["blobs", &self.descriptor.digest.to_string()]);
        let mut request = Request::new(Method::GET, url);
        if self.received > 0 {
            request = request.header(RANGE, format!("bytes={}-", self.received));
        }
        let mut response = client.send(host, &Access::pull(repository), &request).await?;
        let mut position = match response.status().as_u16() {
            200 => 0,
            206 if range_start(&response) == Some(self.received) => self.received,
            206 => return Err(response.protocol("it sends another part of a blob than the one asked for")),
            _ => return Err(response.into_error(&self.what()).await),
        };
        if let Some(length) = response.content_length()
            && position + length != self.descriptor.size
        {
            return Err(self.wrong_size(position.saturating_add(length)));
        }
        while let Some(chunk) = response.chunk().await? {
            position += chunk.len() as u64;
            if position > self.descriptor.size {
                return Err(self.wrong_size(position));
            }
            self.take(chunk, position, sink).await?;
            progress(self.received);
        }
        if self.received < self.descriptor.size {
            let cause = format!("the connection closed after {position} of {} bytes", self.descriptor.size);
            return Err(RegistryError::Unreachable { host: host.name.clone(), cause });
        }
        Ok(())
    }

    /// Passes on what is new of a chunk that ends at `position` of the blob.
    async fn take<S>(&mut self, mut chunk: Bytes, position: u64, sink: &mut S) -> Result<(), RegistryError>
    where
        S: AsyncWrite + Unpin + Send + ?Sized,
    {
        let new = position.saturating_sub(self.received);
        let known = (chunk.len() as u64).saturating_sub(new);
        let chunk = chunk.split_off(usize::try_from(known).unwrap_or(usize::MAX).min(chunk.len()));
        sink.write_all(&chunk).await.map_err(|cause| self.sink_error(cause))?;
        self.hash.update(&chunk);
        self.received += chunk.len() as u64;
        Ok(())
    }

    fn verify(self) -> Result<(), RegistryError> {
        let (expected, actual) = (self.descriptor.digest, BlobDigest(self.hash.clone().finish()));
        if expected == actual {
            Ok(())
        } else {
            Err(RegistryError::DigestMismatch { reference: self.what(), expected, actual })
        }
    }

    fn what(&self) -> String {
        format!("{}/{}@{}", self.reference.host(), self.reference.path(), self.descriptor.digest)
    }

    fn wrong_size(&self, actual: u64) -> RegistryError {
        RegistryError::SizeMismatch { reference: self.what(), expected: self.descriptor.size, actual }
    }

    fn sink_error(&self, cause: std::io::Error) -> RegistryError {
        RegistryError::Sink { what: self.what(), cause }
    }
}

/// The first position of `Content-Range: bytes 7-11/12`.
fn range_start(response: &Response) -> Option<u64> {
    let range = response.header(CONTENT_RANGE)?.strip_prefix("bytes ")?;
    range.split_once('-')?.0.trim().parse().ok()
}
