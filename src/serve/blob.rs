//! Blobs on their way to a client, whole or in part (RFC 9110, 14).

use super::{
    Shared,
    body::{self, Answer},
    error::Refusal,
};
use crate::{image::BlobDigest, store::StoreError};
use hyper::{
    Response, StatusCode,
    header::{ACCEPT_RANGES, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, RANGE},
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
        let range = headers.get(RANGE).and_then(|range| range.to_str().ok()).and_then(|text| part(text, size));
        let mut response = match range {
            None => body::file(file, size),
            Some(Err(())) => {
                let mut response = body::empty(StatusCode::RANGE_NOT_SATISFIABLE);
                body::set(&mut response, CONTENT_RANGE, &format!("bytes */{size}"));
                return Ok(response);
            }
            Some(Ok((start, end))) => {
                file.seek(std::io::SeekFrom::Start(start)).await.map_err(failed)?;
                let mut response = body::file(file, end - start);
                *response.status_mut() = StatusCode::PARTIAL_CONTENT;
                body::set(&mut response, CONTENT_RANGE, &format!("bytes {start}-{}/{size}", end - 1));
                response
            }
        };
        body::set(&mut response, ACCEPT_RANGES, "bytes");
        body::set(&mut response, CONTENT_TYPE, "application/octet-stream");
        body::set(&mut response, HeaderName::from_static("docker-content-digest"), &digest.to_string());
        body::set(&mut response, ETAG, &format!("\"{digest}\""));
        Ok(response)
    }
}

/// The bytes that a `Range` asks for: the first, and the one after the last. Nothing if it is to be ignored: it is of
/// another unit, or of several parts, which clients do not need.
fn part(range: &str, size: u64) -> Option<Result<(u64, u64), ()>> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let (start, end) = match (first.trim(), last.trim()) {
        ("", suffix) => (size.saturating_sub(suffix.parse().ok()?), size),
        (first, "") => (first.parse().ok()?, size),
        (first, last) => (first.parse().ok()?, last.parse::<u64>().ok()?.saturating_add(1).min(size)),
    };
    Some(if start < end { Ok((start, end)) } else { Err(()) })
}

#[cfg(test)]
mod tests {
    use super::part;

    #[test]
    fn ranges_are_cut_to_the_blob() {
        for (range, expected) in [
            ("bytes=0-", Some(Ok((0, 10)))),
            ("bytes=3-5", Some(Ok((3, 6)))),
            ("bytes=3-99", Some(Ok((3, 10)))),
            ("bytes=-4", Some(Ok((6, 10)))),
            ("bytes=10-", Some(Err(()))),
            ("bytes=5-3", Some(Err(()))),
            ("bytes=-0", Some(Err(()))),
            ("bytes=0-1,3-4", None),
            ("lines=1-2", None),
        ] {
            assert_eq!(part(range, 10), expected, "{range}");
        }
    }
}
