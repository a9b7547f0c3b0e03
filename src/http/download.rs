//! Files into the store, and no second time while they do not change.

use super::{
    address::shown,
    clients::Clients,
    error::HttpError,
    get::{Answer, get},
};
use crate::{
    image::BlobDigest,
    secrets::Authorization,
    store::{RecordKey, RecordKind, Store, StoreError},
};
use reqwest::{
    Url,
    header::{DATE, ETAG, HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED},
};
use serde::{Deserialize, Serialize};
use std::{io::Write as _, path::PathBuf, time::Duration};

/// How often a download is tried.
const ATTEMPTS: u32 = 5;
/// Wait before the second attempt; it doubles from one to the next.
const FIRST_WAIT: Duration = Duration::from_millis(250);

/// Downloads for a store. Clones share connections.
#[derive(Clone)]
pub struct Web {
    clients: Clients,
    store: Store,
    idle: Duration,
    /// Whether nobody is asked.
    offline: bool,
}

/// A file that was at an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Download {
    /// Its bytes, in the store.
    pub blob: BlobDigest,
    /// How many they are.
    pub size: u64,
    /// `Last-Modified`, seconds since 1970.
    pub last_modified: Option<i64>,
    /// Whether it came now; if not, it had come before, and did not change since.
    pub is_new: bool,
}

/// What is remembered of an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    blob: String,
    size: u64,
    etag: Option<String>,
    /// As the server wrote it.
    last_modified: Option<String>,
    /// Whether [`Known::last_modified`] tells versions apart: it does not for a file that changed in the second in which
    /// it was sent (RFC 9110, 8.8.2.2).
    is_settled: bool,
}

impl Web {
    /// Downloads into `store`. `ca_certificates` are PEM files of authorities that are trusted beside the system's.
    pub fn new(store: Store, ca_certificates: &[PathBuf]) -> Result<Self, HttpError> {
        let clients = Clients::new(ca_certificates, Duration::from_secs(20)).map_err(HttpError::SetUp)?;
        Ok(Self { clients, store, idle: Duration::from_mins(1), offline: false })
    }

    /// The same, but nobody is asked if it is `offline`: what was downloaded before is taken as it was.
    #[must_use]
    pub fn offline(self, offline: bool) -> Self {
        Self { offline, ..self }
    }

    /// Whether nobody is asked.
    pub fn is_offline(&self) -> bool {
        self.offline
    }

    /// Brings the file at `url` into the store. If it has to be `expected` and is here, nobody is asked. `progress` is
    /// told how many bytes of how many have come.
    pub async fn download(
        &self,
        url: &str,
        authorization: Option<&Authorization>,
        expected: Option<&BlobDigest>,
        progress: impl Fn(u64, Option<u64>),
    ) -> Result<Download, HttpError> {
        let address = |problem: String| HttpError::Address { url: url.to_owned(), problem };
        let mut url = Url::parse(url).map_err(|error| address(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(address("it is neither http nor https".to_owned()));
        }
        url.set_fragment(None);
        let known = self.known(&url)?;
        if let Some((known, blob)) = &known
            && Some(blob) == expected
        {
            return Ok(known.download(*blob, false));
        }
        if self.offline {
            return match known {
                Some((known, blob)) if expected.is_none() => Ok(known.download(blob, false)),
                _ => Err(HttpError::Offline { url: shown(&url) }),
            };
        }
        let mut failed = 0;
        loop {
            let error = match self.attempt(&url, authorization, expected, known.as_ref(), &progress).await {
                Ok(download) => return Ok(download),
                Err(error) => error,
            };
            failed += 1;
            if failed == ATTEMPTS || !error.is_temporary() {
                return Err(error);
            }
            let wait = FIRST_WAIT.saturating_mul(1 << (failed - 1));
            tokio::time::sleep(wait.mul_f64(1.0 - fastrand::f64() / 2.0)).await;
        }
    }

    async fn attempt(
        &self,
        url: &Url,
        authorization: Option<&Authorization>,
        expected: Option<&BlobDigest>,
        known: Option<&(Known, BlobDigest)>,
        progress: &impl Fn(u64, Option<u64>),
    ) -> Result<Download, HttpError> {
        // What is expected and not here can only be another version.
        let condition = known.filter(|_| expected.is_none()).and_then(|(known, _)| known.condition());
        let headers: Vec<_> = condition.into_iter().collect();
        let mut answer = get(&self.clients, self.idle, url, &headers, authorization, expected.is_some()).await?;
        if answer.is_unchanged() {
            return match known {
                Some((known, blob)) => Ok(known.download(*blob, false)),
                None => Err(HttpError::Status { url: shown(url), status: 304 }),
            };
        }
        let total = answer.length();
        let mut writer = self.store.blob_writer()?;
        while let Some(chunk) = answer.chunk().await? {
            writer.write_all(&chunk).map_err(|error| HttpError::Write { url: shown(url), error })?;
            progress(writer.size(), total);
        }
        let (blob, size) = writer.finish(expected).map_err(|error| {
            if let StoreError::DigestMismatch { expected, actual } = error {
                return HttpError::Checksum { url: shown(url), expected, actual };
            }
            HttpError::Store(error)
        })?;
        let known = Known::of(&answer, &blob, size);
        let value = serde_json::to_vec(&known).expect("texts and numbers are plain data");
        self.store.put_record(key(url), RecordKind::Definition, &value, &[])?;
        Ok(known.download(blob, true))
    }

    /// What is known of an address, if its file is still here.
    fn known(&self, url: &Url) -> Result<Option<(Known, BlobDigest)>, HttpError> {
        let key = key(url);
        let found = self.store.records(&[key])?;
        let Some(known) = found.get(&key).and_then(|value| serde_json::from_slice::<Known>(value).ok()) else {
            return Ok(None);
        };
        let Ok(blob) = known.blob.parse::<BlobDigest>() else { return Ok(None) };
        Ok(self.store.blob_size(&blob)?.map(|_| (known, blob)))
    }
}

impl Known {
    fn of(answer: &Answer, blob: &BlobDigest, size: u64) -> Self {
        let text = |name: HeaderName| answer.header(name).map(str::to_owned);
        let last_modified = text(LAST_MODIFIED);
        let sent = text(DATE).as_deref().and_then(seconds);
        let changed = last_modified.as_deref().and_then(seconds);
        let is_settled = sent.zip(changed).is_some_and(|(sent, changed)| sent > changed);
        Self { blob: blob.to_string(), size, etag: text(ETAG), last_modified, is_settled }
    }

    fn download(&self, blob: BlobDigest, is_new: bool) -> Download {
        let last_modified = self.last_modified.as_deref().and_then(seconds);
        Download { blob, size: self.size, last_modified, is_new }
    }

    /// What makes the server send the file only if it changed.
    fn condition(&self) -> Option<(HeaderName, String)> {
        let by_time = self.last_modified.as_ref().filter(|_| self.is_settled);
        let by_tag = self.etag.as_ref().map(|tag| (IF_NONE_MATCH, tag.clone()));
        by_tag.or_else(|| by_time.map(|time| (IF_MODIFIED_SINCE, time.clone())))
    }
}

fn key(url: &Url) -> RecordKey {
    RecordKey(*blake3::Hasher::new_derive_key("flashbuild-url-1").update(url.as_str().as_bytes()).finalize().as_bytes())
}

/// An HTTP date (RFC 9110, 5.6.7), which is a date of RFC 2822 that is always in GMT, as seconds since 1970.
fn seconds(date: &str) -> Option<i64> {
    Some(jiff::fmt::rfc2822::parse(date).ok()?.timestamp().as_second())
}
