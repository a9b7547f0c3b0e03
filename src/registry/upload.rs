//! An upload that a registry has opened (distribution-spec, "Pushing blobs").
//!
//! | state | next request |
//! |---|---|
//! | nothing is there, nothing has failed | one `PUT` of the whole: the fastest way, and every registry has it |
//! | something failed | `GET` of the upload: its `Range` says how much is there |
//! | less than the whole is there | `PATCH` of the next piece, which says what it is (`Content-Range`) |
//! | the whole is there | an empty `PUT` that closes the upload |
//!
//! So a connection that breaks again and again costs no more than a piece each time. Where a registry has forgotten an
//! upload, or takes no pieces, the push begins another one.

use super::Progress;
use super::auth::Access;
use super::body::{BlobSource, Body};
use super::client::{Client, Host};
use super::error::RegistryError;
use super::pull::CONTENT_DIGEST;
use super::transport::{Request, Response};
use crate::image::{BlobDigest, Descriptor};
use reqwest::header::{CONTENT_RANGE, CONTENT_TYPE, LOCATION, RANGE};
use reqwest::{Method, Url};
use std::ops::Range;

/// The header in which a registry says how small pieces may be, the last one apart.
const CHUNK_MIN_LENGTH: &str = "oci-chunk-min-length";
/// The longest piece that a registry may ask for, in bytes.
const LONGEST_CHUNK: u64 = 1 << 30;

/// What went wrong, and whether the upload survived it.
pub(super) enum Setback {
    /// Ask what is there, and go on.
    Broken(RegistryError),
    /// The registry has forgotten it, or what is there is of no use: begin another one.
    Lost(RegistryError),
    /// The registry takes no pieces: begin another one, and send the whole.
    Indivisible(RegistryError),
}

/// An upload, and how far it is.
pub(super) struct Upload<'a> {
    pub(super) client: &'a Client,
    pub(super) host: &'a Host,
    pub(super) access: Access,
    pub(super) descriptor: &'a Descriptor,
    pub(super) source: &'a BlobSource,
    pub(super) progress: Progress<'a>,
    location: Url,
    chunk_size: u64,
    in_pieces: bool,
    /// Bytes that the registry says are there.
    confirmed: u64,
    /// Something failed since the registry said so.
    is_doubtful: bool,
}

impl<'a> Upload<'a> {
    /// The upload that `opened`, an answer to `asked`, speaks of.
    pub(super) fn new(
        (client, host, access): (&'a Client, &'a Host, Access),
        (descriptor, source): (&'a Descriptor, &'a BlobSource),
        progress: Progress<'a>,
        opened: &Response,
        asked: &Url,
        in_pieces: bool,
    ) -> Result<Self, RegistryError> {
        let least = opened.header(CHUNK_MIN_LENGTH).and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        Ok(Self {
            client,
            host,
            access,
            descriptor,
            source,
            progress,
            location: opened.location(asked)?,
            chunk_size: client.chunk_size().max(u64::min(least, LONGEST_CHUNK)),
            in_pieces,
            confirmed: 0,
            is_doubtful: false,
        })
    }

    /// Bytes that the registry says are there.
    pub(super) fn confirmed(&self) -> u64 {
        self.confirmed
    }

    /// Goes on until the blob is in its place.
    pub(super) async fn finish(&mut self) -> Result<(), Setback> {
        let size = self.descriptor.size;
        if self.is_doubtful {
            self.ask().await?;
        }
        self.is_doubtful = true;
        if !self.in_pieces {
            return self.close(0..size).await;
        }
        while self.confirmed < size {
            self.send_piece().await?;
        }
        self.close(size..size).await
    }

    /// Asks how much is there.
    async fn ask(&mut self) -> Result<(), Setback> {
        let request = Request::new(Method::GET, self.location.clone());
        let response = self.send(&request).await?;
        let status = response.status().as_u16();
        if !matches!(status, 200 | 202 | 204) {
            let error = response.into_error(&self.what()).await;
            return Err(match status {
                408 | 429 | 500.. => Setback::Broken(error),
                _ => Setback::Lost(self.forgotten(status)),
            });
        }
        self.confirmed = received(&response).filter(|end| *end <= self.descriptor.size).unwrap_or(0);
        self.follow(&response)?;
        self.in_pieces = true;
        response.drain().await;
        Ok(())
    }

    async fn send_piece(&mut self) -> Result<(), Setback> {
        let size = self.descriptor.size;
        let part = self.confirmed..size.min(self.confirmed + self.chunk_size);
        let request = self
            .request(Method::PATCH, self.location.clone(), part.clone())
            .header(CONTENT_RANGE, format!("{}-{}", part.start, part.end - 1));
        let response = self.send(&request).await?;
        let status = response.status().as_u16();
        match status {
            200 | 201 | 202 | 204 => {
                self.confirmed = match received(&response) {
                    Some(end) if (part.start..=part.end).contains(&end) => end,
                    // It says nothing, or speaks of other bytes than we do: the piece is there, or the end will tell.
                    Some(_) | None => part.end,
                };
                self.follow(&response)?;
                response.drain().await;
                Ok(())
            }
            404 | 410 => Err(Setback::Lost(self.forgotten(status))),
            408 | 416 | 429 | 500.. => {
                let error = response.into_error(&self.what()).await;
                // 416: it has other bytes than we think. It will say which.
                Err(Setback::Broken(if status == 416 { self.forgotten(status) } else { error }))
            }
            401 | 403 => Err(Setback::Broken(response.into_error(&self.what()).await)),
            _ => Err(Setback::Indivisible(response.into_error(&self.what()).await)),
        }
    }

    /// Sends `part`, which is all that is missing, and says what the whole is.
    async fn close(&mut self, part: Range<u64>) -> Result<(), Setback> {
        let mut location = self.location.clone();
        // The registry's own query holds its state of the upload.
        location.query_pairs_mut().append_pair("digest", &self.descriptor.digest.to_string());
        let request = self.request(Method::PUT, location, part);
        let response = self.send(&request).await?;
        let status = response.status().as_u16();
        match status {
            201 | 204 => match response.header(CONTENT_DIGEST).map(str::parse::<BlobDigest>) {
                Some(Ok(actual)) if actual != self.descriptor.digest => {
                    let (reference, expected) = (self.what(), self.descriptor.digest);
                    Err(Setback::Broken(RegistryError::DigestMismatch { reference, expected, actual }))
                }
                Some(_) | None => Ok(()),
            },
            416 if self.in_pieces => Err(Setback::Broken(self.forgotten(status))),
            404 | 410 | 416 => Err(Setback::Lost(self.forgotten(status))),
            400 => {
                let error = response.into_error(&self.what()).await;
                // What arrived is not the blob. If what is here is, it was damaged on the way.
                self.source.check(self.descriptor).await.map_err(Setback::Broken)?;
                let is_damage = self.in_pieces || error.to_string().contains("DIGEST_INVALID");
                Err(if is_damage { Setback::Lost(self.forgotten(status)) } else { Setback::Broken(error) })
            }
            _ => Err(Setback::Broken(response.into_error(&self.what()).await)),
        }
    }

    fn request(&self, method: Method, location: Url, part: Range<u64>) -> Request<'a> {
        let (source, size, progress) = (self.source, self.descriptor.size, self.progress);
        let body = if part.is_empty() { Body::Empty } else { Body::Blob { source, size, part, progress } };
        Request { body, ..Request::new(method, location) }.header(CONTENT_TYPE, "application/octet-stream")
    }

    async fn send(&self, request: &Request<'_>) -> Result<Response, Setback> {
        self.client.send(self.host, &self.access, request).await.map_err(Setback::Broken)
    }

    /// Takes the new address of the upload, if the answer has one.
    fn follow(&mut self, response: &Response) -> Result<(), Setback> {
        if response.headers().contains_key(LOCATION) {
            self.location = response.location(&self.location).map_err(Setback::Broken)?;
        }
        Ok(())
    }

    fn forgotten(&self, status: u16) -> RegistryError {
        RegistryError::Unavailable {
            host: self.host.name.clone(),
            status,
            message: "it has lost an upload, or a part of one".to_owned(),
            retry_after: None,
        }
    }

    fn what(&self) -> String {
        format!("{}@{}", self.host.name, self.descriptor.digest)
    }
}

/// Bytes that are there, by `Range: 0-N`, where N is the last one. Many registries say `0-0` of nothing, and nobody
/// sends a single byte.
fn received(response: &Response) -> Option<u64> {
    let range = response.header(RANGE)?.trim();
    let (start, last) = range.strip_prefix("bytes=").unwrap_or(range).split_once('-')?;
    let last: u64 = last.parse().ok()?;
    (start == "0").then_some(if last == 0 { 0 } else { last.checked_add(1)? })
}
