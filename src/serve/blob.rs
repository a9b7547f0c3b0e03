//! Blobs on their way to a client, whole or in part (RFC 9110, 14).

use super::{
    Shared,
    body::{self, Answer},
    error::Refusal,
    range::Wanted,
};
use crate::{image::BlobDigest, store::StoreError};
use hyper::{
    Response, StatusCode,
    header::{ACCEPT_RANGES, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, RANGE},
};
use tokio::{fs::File, io::AsyncSeekExt as _};

impl Shared {
    pub(super) async fn read_blob(
        &self,
        digest: &BlobDigest,
        headers: &HeaderMap,
    ) -> Result<Response<Answer>, Refusal> {
        let path = self.store.blob_path(digest)?.ok_or(Refusal::UnknownBlob)?;
        let failed = |error| Refusal::Store(StoreError::at(&path, error));
        let mut file = File::open(&path).await.map_err(failed)?;
        let size = file.metadata().await.map_err(failed)?.len();
        let range = headers.get(RANGE).and_then(|range| range.to_str().ok());
        let mut response = match range.map_or(Wanted::Whole, |range| Wanted::of(range, size)) {
            Wanted::Whole => body::file(file, size),
            Wanted::Nothing => {
                let mut response = body::empty(StatusCode::RANGE_NOT_SATISFIABLE);
                body::set(&mut response, CONTENT_RANGE, &format!("bytes */{size}"));
                return Ok(response);
            }
            Wanted::Part(start, end) => {
                file.seek(std::io::SeekFrom::Start(start)).await.map_err(failed)?;
                let mut response = body::file(file, end - start);
                *response.status_mut() = StatusCode::PARTIAL_CONTENT;
                body::set(&mut response, CONTENT_RANGE, &format!("bytes {start}-{}/{size}", end - 1));
                response
            }
            Wanted::Parts(parts) => body::parts(file, size, parts),
        };
        body::set(&mut response, ACCEPT_RANGES, "bytes");
        response.headers_mut().entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(body::OCTETS));
        body::set(&mut response, HeaderName::from_static("docker-content-digest"), &digest.to_string());
        body::set(&mut response, ETAG, &format!("\"{digest}\""));
        Ok(response)
    }
}
