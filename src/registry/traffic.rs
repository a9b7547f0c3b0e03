//! What went over the wire. A push that sends nothing twice shows it here.

use reqwest::Method;
use std::sync::atomic::{AtomicU64, Ordering};

/// Requests and bytes of bodies since the client was made, each attempt counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// `GET` requests, redirects included.
    pub get: u64,
    /// `HEAD` requests.
    pub head: u64,
    /// `POST` requests.
    pub post: u64,
    /// `PUT` requests.
    pub put: u64,
    /// `PATCH` requests: pieces of blobs.
    pub patch: u64,
    /// Requests to token services, whatever the method.
    pub token: u64,
    /// Bytes of blobs that were sent.
    pub blob_bytes_sent: u64,
    /// Bytes of manifests and indexes that were sent.
    pub document_bytes_sent: u64,
    /// Bytes of all that was received.
    pub bytes_received: u64,
}

/// The same, being counted.
#[derive(Debug, Default)]
pub(super) struct Counters {
    get: AtomicU64,
    head: AtomicU64,
    post: AtomicU64,
    put: AtomicU64,
    patch: AtomicU64,
    token: AtomicU64,
    pub(super) blob_bytes_sent: AtomicU64,
    pub(super) document_bytes_sent: AtomicU64,
    pub(super) bytes_received: AtomicU64,
}

impl Counters {
    pub(super) fn request(&self, method: &Method) {
        let counter = match *method {
            Method::HEAD => &self.head,
            Method::POST => &self.post,
            Method::PUT => &self.put,
            Method::PATCH => &self.patch,
            _ => &self.get,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn token_request(&self) {
        self.token.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn snapshot(&self) -> Traffic {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Traffic {
            get: read(&self.get),
            head: read(&self.head),
            post: read(&self.post),
            put: read(&self.put),
            patch: read(&self.patch),
            token: read(&self.token),
            blob_bytes_sent: read(&self.blob_bytes_sent),
            document_bytes_sent: read(&self.document_bytes_sent),
            bytes_received: read(&self.bytes_received),
        }
    }
}
