//! Why a file did not come, in words for the person who wrote its address.

use crate::{image::BlobDigest, store::StoreError};

/// Why a file at an address could not be had. Addresses are [shown](super::shown) without what is secret in them.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The text is no address that can be asked.
    #[error("{url:?} is no address of a file: {problem}")]
    Address {
        /// As written.
        url: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The server has no such file.
    #[error("{url} not found (status {status}): check the address")]
    NotFound {
        /// The address.
        url: String,
        /// 404 or 410.
        status: u16,
    },
    /// The server wants to know who asks, or does not like who does.
    #[error("{url} is not for everybody (status {status}): only files that need no credentials can be added")]
    Refused {
        /// The address.
        url: String,
        /// 401 or 403.
        status: u16,
    },
    /// Any other answer that is no file.
    #[error("{url} cannot be downloaded: the server answers with status {status}")]
    Status {
        /// The address.
        url: String,
        /// The status.
        status: u16,
    },
    /// No connection, or it broke, or the server was silent.
    #[error("cannot download {url}: {cause}")]
    Unreachable {
        /// The address.
        url: String,
        /// The innermost cause.
        cause: String,
    },
    /// A server sends us where we do not go.
    #[error("cannot download {url}: {problem}")]
    Redirect {
        /// The address.
        url: String,
        /// Where it sends us, and what is wrong with that.
        problem: String,
    },
    /// The bytes are not the ones that were named.
    #[error("{url} is not what was expected: its digest is {actual}, not {expected}; nothing of it was used")]
    Checksum {
        /// The address.
        url: String,
        /// The digest that was named.
        expected: BlobDigest,
        /// The digest of what came.
        actual: BlobDigest,
    },
    /// Nobody may be asked.
    #[error("{url} is not downloaded, because of --offline, and was not before")]
    Offline {
        /// The address.
        url: String,
    },
    /// The clients could not be made.
    #[error("cannot set up HTTP: {0}")]
    SetUp(String),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Writing what came.
    #[error("cannot keep {url}: {error}")]
    Write {
        /// The address.
        url: String,
        /// What the system said.
        error: std::io::Error,
    },
}

impl HttpError {
    /// Whether trying again may help.
    pub(super) fn is_temporary(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Status { status, .. } => matches!(status, 408 | 429 | 500..),
            Self::Address { .. }
            | Self::NotFound { .. }
            | Self::Refused { .. }
            | Self::Redirect { .. }
            | Self::Checksum { .. }
            | Self::Offline { .. }
            | Self::SetUp(_)
            | Self::Store(_)
            | Self::Write { .. } => false,
        }
    }
}
