//! A large blob, uploaded in parts (`CreateMultipartUpload` and what follows it in the S3 API reference): parts go at the
//! same time, a connection that breaks costs one of them, and there is no limit of 5 GB.
//!
//! An upload that fails is aborted, so that nobody pays for its parts. One that is interrupted cannot be: a bucket's
//! lifecycle rule should end what is incomplete for a day.

use super::{CacheError, LARGEST_DOCUMENT, S3Cache, VALID};
use crate::{
    cache::objects::Piece,
    registry::{BlobSource, Progress},
};
use futures_util::stream::{StreamExt as _, TryStreamExt as _, iter};
use rusty_s3::{
    Credentials, S3Action as _,
    actions::{CompleteMultipartUploadResponse, CreateMultipartUpload},
};
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of a part, which is what Amazon's own client sends; S3 takes no fewer than 5 MiB, but for the last.
pub(super) const PART: u64 = 8 << 20;
/// Parts of an upload.
const MOST_PARTS: u64 = 10_000;

/// Where an object of so many bytes is cut: number, offset and bytes of each part.
fn cut(size: u64) -> Vec<(u16, u64, u64)> {
    let part = PART.max(size.div_ceil(MOST_PARTS));
    let offsets = (0..size.div_ceil(part)).map(|position| position * part);
    (1..).zip(offsets).map(|(number, offset)| (number, offset, part.min(size - offset))).collect()
}

impl S3Cache {
    /// Writes an object in parts.
    pub(super) async fn put_parts(
        &self,
        object: &str,
        source: &BlobSource,
        size: u64,
        progress: Progress<'_>,
    ) -> Result<(), CacheError> {
        let keys = self.keys().await?;
        let create = || self.bucket.create_multipart_upload(keys.as_ref(), object).sign(VALID);
        let begun = self.objects.post(create, String::new(), LARGEST_DOCUMENT).await?;
        let begun = CreateMultipartUpload::parse_response(&begun)
            .map_err(|error| CacheError::unusable(&self.origin, format!("its answer to an upload: {error}")))?;
        let upload = begun.upload_id();
        let sent = self.send(object, upload, source, size, progress).await;
        if sent.is_err() {
            let abort = || self.bucket.abort_multipart_upload(keys.as_ref(), object, upload).sign(VALID);
            // Why it failed is what a person has to know.
            let _ = self.objects.delete(abort).await;
        }
        sent
    }

    async fn send(
        &self,
        object: &str,
        upload: &str,
        source: &BlobSource,
        size: u64,
        progress: Progress<'_>,
    ) -> Result<(), CacheError> {
        let sent = AtomicU64::new(0);
        let parts = cut(size).into_iter().map(|(number, offset, size)| {
            let sent = &sent;
            async move {
                // Asked for each time: an upload may take longer than keys are good for.
                let keys = self.keys().await?;
                let part = || self.bucket.upload_part(keys.as_ref(), object, number, upload).sign(VALID);
                let response = self.objects.put(part, &[], Piece { source, offset, size }).await?;
                progress(sent.fetch_add(size, Ordering::Relaxed) + size);
                let tag = response.headers().get("etag").and_then(|tag| tag.to_str().ok()).map(str::to_owned);
                tag.ok_or_else(|| CacheError::unusable(&self.origin, "the server names no ETag of a part"))
            }
        });
        let tags: Vec<String> = iter(parts).buffered(self.place.parallelism.max(1)).try_collect().await?;
        self.complete(self.keys().await?.as_ref(), object, upload, &tags).await
    }

    async fn complete(
        &self,
        keys: Option<&Credentials>,
        object: &str,
        upload: &str,
        tags: &[String],
    ) -> Result<(), CacheError> {
        let action = || self.bucket.complete_multipart_upload(keys, object, upload, tags.iter().map(String::as_str));
        let answer = self.objects.post(|| action().sign(VALID), action().body(), LARGEST_DOCUMENT).await;
        match answer {
            // The server may change its mind after it said that all is well.
            Ok(text) => CompleteMultipartUploadResponse::parse(&text)
                .map(drop)
                .map_err(|_| CacheError::unusable(&self.origin, "the server does not put the parts together")),
            Err(error) => {
                // Done, but the answer was lost and the upload is gone when it is asked for again.
                let head = || self.bucket.head_object(keys, object).sign(VALID);
                if self.objects.exists(head).await? { Ok(()) } else { Err(error) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_all_of_an_object_and_no_more_than_a_server_takes() {
        assert_eq!(cut(PART), [(1, 0, PART)]);
        assert_eq!(cut(2 * PART + 1), [(1, 0, PART), (2, PART, PART), (3, 2 * PART, 1)]);
        let large = 200 << 30;
        let parts = cut(large);
        assert!(parts.len() <= 10_000, "{}", parts.len());
        let mut end = 0;
        for (number, (found, offset, size)) in (1..).zip(parts) {
            assert_eq!((found, offset), (number, end));
            end += size;
        }
        assert_eq!(end, large);
    }
}
