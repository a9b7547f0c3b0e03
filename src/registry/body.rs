//! Bodies of requests: documents from memory, blobs from files, and watching a blob go.

use super::Progress;
use super::error::RegistryError;
use super::traffic::Counters;
use crate::image::{BlobDigest, Descriptor, Digest, Sha256};
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use std::{fmt, io};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio::time::Instant;

/// Bytes that go to the connection at once.
const CHUNK: usize = 256 * 1024;
/// How often progress is told while a blob goes out.
const TICK: Duration = Duration::from_millis(100);
/// How many times longer than between two chunks a registry may be silent when it has the whole blob: some move it to
/// its place, and check it, before they answer.
const COMMIT_PATIENCE: u32 = 10;

/// Where the bytes of a blob come from; it can be opened again if an upload is lost.
#[derive(Debug, Clone)]
pub enum BlobSource {
    /// Memory: configurations.
    Bytes(Bytes),
    /// A file that holds just the blob.
    File(PathBuf),
}

impl BlobSource {
    /// Whether the source is what `descriptor` says.
    pub(super) async fn check(&self, descriptor: &Descriptor) -> Result<(), RegistryError> {
        let failed = |what: &str, cause| RegistryError::Source { what: what.to_owned(), cause };
        let (name, actual) = match self {
            Self::Bytes(bytes) => ("the blob".to_owned(), Digest::of(bytes)),
            Self::File(path) => {
                let name = path.display().to_string();
                let mut file = File::open(path).await.map_err(|error| failed(&name, error))?;
                let (mut hash, mut buffer) = (Sha256::default(), vec![0; CHUNK]);
                loop {
                    match file.read(&mut buffer).await.map_err(|error| failed(&name, error))? {
                        0 => break,
                        read => hash.update(&buffer[..read]),
                    }
                }
                (name, hash.finish())
            }
        };
        if BlobDigest(actual) == descriptor.digest {
            return Ok(());
        }
        let cause = io::Error::other(format!("it is damaged: expected {}, got {actual}", descriptor.digest));
        Err(failed(&name, cause))
    }
}

/// The body of a request.
#[derive(Clone)]
pub(super) enum Body<'a> {
    Empty,
    /// `application/x-www-form-urlencoded`.
    Form(String),
    Document(Bytes),
    /// A part of a blob of `size` bytes, or all of it.
    Blob {
        source: &'a BlobSource,
        size: u64,
        part: Range<u64>,
        progress: Progress<'a>,
    },
}

/// Why a blob could not be read while it went out.
#[derive(Debug)]
pub(super) struct SourceError {
    pub(super) what: String,
    pub(super) kind: io::ErrorKind,
    pub(super) message: String,
}

impl SourceError {
    fn new(what: &str, error: &io::Error) -> Self {
        Self { what: what.to_owned(), kind: error.kind(), message: error.to_string() }
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.message)
    }
}

impl std::error::Error for SourceError {}

/// A part of a blob on its way out.
pub(super) struct Outgoing {
    source: Opened,
    length: u64,
    sent: Arc<AtomicU64>,
    counters: Arc<Counters>,
}

enum Opened {
    Bytes(Bytes),
    File { file: File, name: String },
}

impl Outgoing {
    /// Opens `part` of a source that must have `size` bytes.
    pub(super) async fn open(
        source: &BlobSource,
        size: u64,
        part: &Range<u64>,
        counters: Arc<Counters>,
    ) -> Result<Self, RegistryError> {
        let (mut source, found) = match source {
            BlobSource::Bytes(bytes) => (Opened::Bytes(bytes.clone()), bytes.len() as u64),
            BlobSource::File(path) => {
                let name = path.display().to_string();
                let failed = |cause| RegistryError::Source { what: name.clone(), cause };
                let file = File::open(path).await.map_err(failed)?;
                let found = file.metadata().await.map_err(failed)?.len();
                (Opened::File { file, name }, found)
            }
        };
        if found != size {
            let what = match source {
                Opened::Bytes(_) => "the blob".to_owned(),
                Opened::File { name, .. } => name,
            };
            let cause = io::Error::other(format!("it has {found} bytes, expected {size}"));
            return Err(RegistryError::Source { what, cause });
        }
        match &mut source {
            Opened::Bytes(bytes) => {
                let index = |position: u64| usize::try_from(position).unwrap_or(usize::MAX);
                *bytes = bytes.slice(index(part.start)..index(part.end));
            }
            Opened::File { file, name } if part.start > 0 => {
                let sought = file.seek(io::SeekFrom::Start(part.start)).await;
                sought.map_err(|cause| RegistryError::Source { what: name.clone(), cause })?;
            }
            Opened::File { .. } => {}
        }
        Ok(Self { source, length: part.end - part.start, sent: Arc::default(), counters })
    }

    /// The number of bytes that the connection has taken.
    pub(super) fn sent(&self) -> Arc<AtomicU64> {
        self.sent.clone()
    }

    pub(super) fn into_body(self) -> reqwest::Body {
        reqwest::Body::wrap_stream(stream::try_unfold(self, |mut outgoing| async move {
            let chunk = outgoing.next().await?;
            Ok::<_, SourceError>(chunk.map(|chunk| (chunk, outgoing)))
        }))
    }

    async fn next(&mut self) -> Result<Option<Bytes>, SourceError> {
        let left = self.length - self.sent.load(Ordering::Relaxed);
        if left == 0 {
            return Ok(None);
        }
        let most = usize::try_from(left).map_or(CHUNK, |left| left.min(CHUNK));
        let chunk = match &mut self.source {
            Opened::Bytes(bytes) => bytes.split_to(most),
            Opened::File { file, name } => {
                let mut buffer = BytesMut::with_capacity(most);
                // A file that grew since it was opened is not read past its promised size.
                let read = (&mut *file).take(most as u64).read_buf(&mut buffer).await;
                match read {
                    Ok(0) => return Err(SourceError::new(name, &io::ErrorKind::UnexpectedEof.into())),
                    Ok(_) => buffer.freeze(),
                    Err(error) => return Err(SourceError::new(name, &error)),
                }
            }
        };
        self.sent.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        self.counters.blob_bytes_sent.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        Ok(Some(chunk))
    }
}

/// Waits for `exchange` while it sends `part` of a blob, tells how far it is, and gives up (`None`) when nothing has
/// moved for `idle`.
pub(super) async fn watch<T>(
    exchange: impl Future<Output = T>,
    sent: &AtomicU64,
    part: &Range<u64>,
    idle: Duration,
    progress: Progress<'_>,
) -> Option<T> {
    tokio::pin!(exchange);
    let (mut seen, mut moved) = (0, Instant::now());
    loop {
        tokio::select! {
            answer = &mut exchange => {
                progress(part.start + sent.load(Ordering::Relaxed));
                return Some(answer);
            }
            () = tokio::time::sleep(TICK) => {}
        }
        let now = sent.load(Ordering::Relaxed);
        if now != seen {
            (seen, moved) = (now, Instant::now());
            progress(part.start + now);
        }
        let patience = if part.start + now == part.end { idle.saturating_mul(COMMIT_PATIENCE) } else { idle };
        if moved.elapsed() > patience {
            return None;
        }
    }
}
