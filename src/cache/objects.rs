//! Objects behind addresses that are signed for one request: what S3 and the cache service of GitHub have in common.
//!
//! An address is made anew for every attempt, and is in no message: whoever knows it may do what it is signed for.

use super::{CacheError, error::At as _};
use crate::{
    http::{Clients, innermost},
    image::Descriptor,
    registry::{BlobSource, Progress},
    store::{BlobWriter, Store, StoreError},
};
use bytes::Bytes;
use futures_util::stream;
use reqwest::{
    RequestBuilder, Response, StatusCode, Url,
    header::{ACCEPT_ENCODING, CONTENT_LENGTH, RANGE},
};
use std::{
    io::{Seek as _, SeekFrom, Write as _},
    path::PathBuf,
    time::Duration,
};
use tokio::{fs::File, io::AsyncReadExt as _, sync::Semaphore, time::timeout};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(20);
/// How long a server may be silent.
const SILENCE: Duration = Duration::from_mins(1);
/// How long a server may think about what it is told to do, as to put a large object together.
const PATIENCE: Duration = Duration::from_mins(10);
/// How long an upload may take as a whole.
const UPLOAD: Duration = Duration::from_hours(6);
/// Attempts in all, and the wait before the second, which doubles.
const ATTEMPTS: u32 = 5;
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// Bytes of a file that go to a connection at once.
const PIECE: usize = 256 << 10;
/// What one request may carry: 5 GB for S3, 5000 MiB for Azure's blobs.
const LARGEST_UPLOAD: u64 = 5_000_000_000;
/// Bytes of an error's body that are shown.
const LONGEST_MESSAGE: usize = 400;

/// What one request carries of a blob.
#[derive(Clone, Copy)]
pub(super) struct Piece<'a> {
    pub(super) source: &'a BlobSource,
    /// Its first byte.
    pub(super) offset: u64,
    /// Bytes.
    pub(super) size: u64,
}

/// A client of a server of objects.
pub(super) struct Objects {
    clients: Clients,
    transfers: Semaphore,
    origin: String,
}

impl Objects {
    /// A client for the cache `origin`, with so many transfers at a time.
    pub(super) fn new(origin: &str, ca_certificates: &[PathBuf], transfers: usize) -> Result<Self, CacheError> {
        let clients =
            Clients::new(ca_certificates, CONNECT).map_err(|problem| CacheError::unusable(origin, problem))?;
        Ok(Self { clients, transfers: Semaphore::new(transfers.max(1)), origin: origin.to_owned() })
    }

    /// The cache that it is for.
    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    /// Whether there is something at the address of a `HEAD`. Who may not list is told that what is absent is forbidden.
    pub(super) async fn exists(&self, sign: impl Fn() -> Url + Send + Sync) -> Result<bool, CacheError> {
        let response = self.ask(SILENCE, || Ok(self.client(&sign()).head(sign()))).await?;
        match response.status().as_u16() {
            200 => Ok(true),
            403 | 404 => Ok(false),
            _ => Err(self.refused(response).await),
        }
    }

    /// All of a small object; nothing if it is absent.
    pub(super) async fn read(
        &self,
        sign: impl Fn() -> Url + Send + Sync,
        limit: usize,
    ) -> Result<Option<Vec<u8>>, CacheError> {
        let response = self.ask(SILENCE, || Ok(self.client(&sign()).get(sign()))).await?;
        match response.status() {
            StatusCode::OK => self.all(response, limit).await.map(Some),
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(self.refused(response).await),
        }
    }

    /// All of a short answer, as a text.
    pub(super) async fn text(
        &self,
        request: impl Fn() -> Result<RequestBuilder, CacheError> + Send + Sync,
        limit: usize,
    ) -> Result<String, CacheError> {
        let response = self.ask(PATIENCE, request).await?;
        if !response.status().is_success() {
            return Err(self.refused(response).await);
        }
        Ok(String::from_utf8_lossy(&self.all(response, limit).await?).into_owned())
    }

    /// What a `POST` of a text answers.
    pub(super) async fn post(
        &self,
        sign: impl Fn() -> Url + Send + Sync,
        body: String,
        limit: usize,
    ) -> Result<String, CacheError> {
        self.text(|| Ok(self.client(&sign()).post(sign()).body(body.clone())), limit).await
    }

    /// Removes what is at an address.
    pub(super) async fn delete(&self, sign: impl Fn() -> Url + Send + Sync) -> Result<(), CacheError> {
        let response = self.ask(SILENCE, || Ok(self.client(&sign()).delete(sign()))).await?;
        if response.status().is_success() { Ok(()) } else { Err(self.refused(response).await) }
    }

    async fn all(&self, mut response: Response, limit: usize) -> Result<Vec<u8>, CacheError> {
        let mut bytes = Vec::new();
        while let Some(chunk) = self.chunk(&mut response).await? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > limit {
                return Err(CacheError::unusable(&self.origin, format!("a document is larger than {limit} bytes")));
            }
        }
        Ok(bytes)
    }

    /// Brings an object into the store, as the blob that it has to be; goes on where a connection broke.
    pub(super) async fn fetch(
        &self,
        sign: impl Fn() -> Url + Send + Sync,
        blob: &Descriptor,
        store: &Store,
        progress: Progress<'_>,
    ) -> Result<(), CacheError> {
        let mut writer = store.blob_writer()?;
        let mut failed = 0;
        loop {
            let before = writer.size();
            match self.attempt(&sign, blob, &mut writer, store, progress).await {
                Ok(()) => break,
                Err(error @ CacheError::Unreachable { .. }) => {
                    failed = if writer.size() > before { 1 } else { failed + 1 };
                    if failed >= ATTEMPTS {
                        return Err(error);
                    }
                    pause(failed).await;
                }
                Err(error) => return Err(error),
            }
        }
        match writer.finish(Some(&blob.digest)) {
            Ok(_) => Ok(()),
            Err(error @ StoreError::DigestMismatch { .. }) => Err(CacheError::unusable(&self.origin, error)),
            Err(error) => Err(error.into()),
        }
    }

    async fn attempt(
        &self,
        sign: &(impl Fn() -> Url + Send + Sync),
        blob: &Descriptor,
        writer: &mut BlobWriter,
        store: &Store,
        progress: Progress<'_>,
    ) -> Result<(), CacheError> {
        let _transfer = self.transfers.acquire().await;
        let from = writer.size();
        let request = || {
            let request = self.client(&sign()).get(sign()).header(ACCEPT_ENCODING, "identity");
            Ok(if from > 0 { request.header(RANGE, format!("bytes={from}-")) } else { request })
        };
        let mut response = self.ask(SILENCE, request).await?;
        match response.status().as_u16() {
            200 if from > 0 => *writer = store.blob_writer()?,
            200 | 206 => {}
            404 => return Err(CacheError::Lost { origin: self.origin.clone(), digest: blob.digest }),
            _ => return Err(self.refused(response).await),
        }
        while let Some(chunk) = self.chunk(&mut response).await? {
            if writer.size() + chunk.len() as u64 > blob.size {
                let problem = format!("{} is larger than it should be", blob.digest);
                return Err(CacheError::unusable(&self.origin, problem));
            }
            let unwritten = |error| CacheError::Io { path: store.root().to_owned(), error };
            writer.write_all(&chunk).map_err(unwritten)?;
            progress(writer.size());
        }
        if writer.size() < blob.size {
            return Err(self.unreachable("the connection closed too early".to_owned()));
        }
        Ok(())
    }

    /// Writes an object, or a part of one, with a `PUT`.
    pub(super) async fn put(
        &self,
        sign: impl Fn() -> Url + Send + Sync,
        headers: &[(&'static str, &str)],
        piece: Piece<'_>,
    ) -> Result<Response, CacheError> {
        let size = piece.size;
        if size > LARGEST_UPLOAD {
            let problem = format!("a layer has {size} bytes, and one request takes {LARGEST_UPLOAD} at most");
            return Err(CacheError::unusable(&self.origin, problem));
        }
        let _transfer = self.transfers.acquire().await;
        let request = || {
            let mut request = self.client(&sign()).put(sign()).header(CONTENT_LENGTH, size).timeout(UPLOAD);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            Ok(request.body(body(piece)?))
        };
        let response = self.ask(UPLOAD, request).await?;
        if response.status().is_success() { Ok(response) } else { Err(self.refused(response).await) }
    }

    /// The client to make a request to `url` with.
    pub(super) fn client(&self, url: &Url) -> &reqwest::Client {
        self.clients.of(url)
    }

    /// Asks until there is an answer that will not be another one soon.
    pub(super) async fn ask(
        &self,
        patience: Duration,
        request: impl Fn() -> Result<RequestBuilder, CacheError> + Send + Sync,
    ) -> Result<Response, CacheError> {
        let mut failed = 0;
        loop {
            let error = match timeout(patience, request()?.send()).await {
                Ok(Ok(response)) if !is_temporary(response.status()) => return Ok(response),
                Ok(Ok(response)) => self.unreachable(format!("the server answers with status {}", response.status())),
                Ok(Err(error)) => self.unreachable(innermost(&error)),
                Err(_) => self.unreachable(format!("the server was silent for {patience:?}")),
            };
            failed += 1;
            if failed >= ATTEMPTS {
                return Err(error);
            }
            pause(failed).await;
        }
    }

    async fn chunk(&self, response: &mut Response) -> Result<Option<Bytes>, CacheError> {
        match timeout(SILENCE, response.chunk()).await {
            Ok(chunk) => chunk.map_err(|error| self.unreachable(innermost(&error))),
            Err(_) => Err(self.unreachable(format!("the server was silent for {SILENCE:?}"))),
        }
    }

    fn unreachable(&self, cause: String) -> CacheError {
        CacheError::Unreachable { origin: self.origin.clone(), cause }
    }

    /// What a server said no with.
    pub(super) async fn refused(&self, mut response: Response) -> CacheError {
        let mut said = Vec::new();
        while said.len() < LONGEST_MESSAGE
            && let Ok(Some(chunk)) = self.chunk(&mut response).await
        {
            said.extend_from_slice(&chunk);
        }
        said.truncate(LONGEST_MESSAGE);
        let said: String = String::from_utf8_lossy(&said).chars().filter(|character| !character.is_control()).collect();
        CacheError::unusable(&self.origin, format!("the server answers with status {}: {said}", response.status()))
    }
}

fn body(Piece { source, offset, size }: Piece<'_>) -> Result<reqwest::Body, CacheError> {
    let path = match source {
        BlobSource::Bytes(bytes) => {
            let (from, to) = (usize::try_from(offset), usize::try_from(offset + size));
            let (from, to) = (from.unwrap_or(usize::MAX).min(bytes.len()), to.unwrap_or(usize::MAX).min(bytes.len()));
            return Ok(bytes.slice(from..to).into());
        }
        BlobSource::File(path) => path,
    };
    let mut file = std::fs::File::open(path).at(path)?;
    file.seek(SeekFrom::Start(offset)).at(path)?;
    let file = File::from_std(file).take(size);
    let pieces = stream::try_unfold(file, |mut file| async move {
        let mut piece = vec![0; PIECE];
        let read = file.read(&mut piece).await?;
        piece.truncate(read);
        Ok::<_, std::io::Error>((read > 0).then(|| (Bytes::from(piece), file)))
    });
    Ok(reqwest::Body::wrap_stream(pieces))
}

fn is_temporary(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 500..)
}

/// Waits before another attempt, a random part of it off, so that many that failed together do not come back together.
async fn pause(failed: u32) {
    let doubled = FIRST_WAIT * 2_u32.pow(failed.saturating_sub(1));
    tokio::time::sleep(doubled.mul_f64(1.0 - fastrand::f64() / 2.0)).await;
}
