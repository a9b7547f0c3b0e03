//! Why a request is refused, in the codes of distribution-spec, "Error Codes".

use super::body::{self, Answer};
use crate::store::StoreError;
use hyper::{Response, StatusCode, header::HeaderValue};

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("there is no such thing in this registry")]
    UnknownRoute,
    #[error("{0:?} is not a name of a repository")]
    Name(String),
    #[error("the repository has no image of this name")]
    UnknownManifest,
    #[error("the registry has no blob of this digest")]
    UnknownBlob,
    #[error("there is no such upload, or it was forgotten: begin another one")]
    UnknownUpload,
    #[error("{0}")]
    Digest(String),
    #[error("{0}")]
    Manifest(String),
    #[error("the manifest points at {0}, which is not here: push it first")]
    UnknownPart(String),
    #[error("the upload has {0} bytes, and goes on there")]
    Range(u64, String),
    #[error("log in first")]
    Unauthorized,
    #[error("this registry is read only: `flashbuild registry serve --read-write` takes pushes")]
    ReadOnly,
    #[error("this registry does not do that")]
    Unsupported,
    #[error("the request broke off")]
    Broken,
    #[error("too many uploads at a time")]
    Busy,
    #[error("the store failed: {0}")]
    Store(#[from] StoreError),
}

impl Refusal {
    fn code(&self) -> (StatusCode, &'static str) {
        match self {
            Self::UnknownRoute => (StatusCode::NOT_FOUND, "NOT_FOUND"),
            Self::Name(_) => (StatusCode::BAD_REQUEST, "NAME_INVALID"),
            Self::UnknownManifest => (StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN"),
            Self::UnknownBlob => (StatusCode::NOT_FOUND, "BLOB_UNKNOWN"),
            Self::UnknownUpload => (StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN"),
            Self::Digest(_) => (StatusCode::BAD_REQUEST, "DIGEST_INVALID"),
            Self::Manifest(_) => (StatusCode::BAD_REQUEST, "MANIFEST_INVALID"),
            Self::UnknownPart(_) => (StatusCode::BAD_REQUEST, "MANIFEST_BLOB_UNKNOWN"),
            Self::Range(..) => (StatusCode::RANGE_NOT_SATISFIABLE, "BLOB_UPLOAD_INVALID"),
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "UNAUTHORIZED"),
            Self::ReadOnly => (StatusCode::FORBIDDEN, "DENIED"),
            Self::Unsupported => (StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED"),
            Self::Broken => (StatusCode::BAD_REQUEST, "SIZE_INVALID"),
            Self::Busy => (StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS"),
            Self::Store(_) => (StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN"),
        }
    }

    pub(super) fn into_response(self) -> Response<Answer> {
        let (status, code) = self.code();
        let words = serde_json::json!({"errors": [{"code": code, "message": self.to_string()}]});
        let mut response = body::json(&words);
        *response.status_mut() = status;
        if let Self::Range(size, location) = &self {
            body::upload_headers(&mut response, location, *size);
        }
        if matches!(self, Self::Unauthorized) {
            let challenge = HeaderValue::from_static("Basic realm=\"flashbuild\"");
            response.headers_mut().insert(hyper::header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}
