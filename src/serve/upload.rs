//! Uploads: blobs on their way in (distribution-spec, "Pushing blobs").
//!
//! An upload is a [`BlobWriter`]: what arrives is hashed and written at once, and becomes a blob when it is closed with
//! the digest that it has. Uploads live as long as the server; a client that finds its upload gone begins another one.

use super::{
    Shared,
    body::{self, Answer},
    error::Refusal,
    route::{Repository, parameter},
    unpoison,
};
use crate::{
    image::BlobDigest,
    store::{BlobWriter, StoreError},
};
use http_body_util::BodyExt as _;
use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    header::{CONTENT_RANGE, HeaderName, LOCATION},
};
use std::{
    collections::HashMap,
    fs::File,
    io::{Read as _, Write as _},
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// Uploads at a time.
const MOST_UPLOADS: usize = 1024;
/// How long an upload may rest before it is forgotten.
const REST: Duration = Duration::from_hours(2);

/// The uploads that are open, by their names, which cannot be guessed.
#[derive(Default)]
pub(super) struct Uploads(Mutex<HashMap<String, Upload>>);

#[derive(Clone)]
struct Upload {
    used: Instant,
    writer: Arc<tokio::sync::Mutex<Option<BlobWriter>>>,
}

impl Uploads {
    fn open(&self, writer: BlobWriter) -> Result<String, Refusal> {
        let id = unguessable()?;
        let mut uploads = unpoison(self.0.lock());
        uploads.retain(|_, upload| upload.used.elapsed() < REST);
        if uploads.len() >= MOST_UPLOADS {
            return Err(Refusal::Busy);
        }
        let writer = Arc::new(tokio::sync::Mutex::new(Some(writer)));
        uploads.insert(id.clone(), Upload { used: Instant::now(), writer });
        Ok(id)
    }

    fn get(&self, id: &str) -> Result<Upload, Refusal> {
        let mut uploads = unpoison(self.0.lock());
        let upload = uploads.get_mut(id).ok_or(Refusal::UnknownUpload)?;
        upload.used = Instant::now();
        Ok(upload.clone())
    }

    fn remove(&self, id: &str) -> Result<Upload, Refusal> {
        unpoison(self.0.lock()).remove(id).ok_or(Refusal::UnknownUpload)
    }
}

impl Shared {
    pub(super) async fn open_upload(
        &self,
        repository: &Repository,
        request: Request<Incoming>,
    ) -> Result<Response<Answer>, Refusal> {
        let query = request.uri().query();
        // Blobs are the store's: whatever repository is named, a blob that is here is in this one, too.
        if let Some(Ok(digest)) = parameter(query, "mount").map(|text| text.parse::<BlobDigest>())
            && self.store.blob_size(&digest)?.is_some()
        {
            return Ok(created(repository, &digest));
        }
        let mut writer = self.store.blob_writer()?;
        if let Some(text) = parameter(query, "digest") {
            receive(request.into_body(), &mut writer).await?;
            return finish(writer, repository, &text);
        }
        let id = self.uploads.open(writer)?;
        let mut response = body::empty(StatusCode::ACCEPTED);
        body::upload_headers(&mut response, &repository.upload(&id), 0);
        body::set(&mut response, HeaderName::from_static("docker-upload-uuid"), &id);
        Ok(response)
    }

    pub(super) async fn read_upload(&self, repository: &Repository, id: &str) -> Result<Response<Answer>, Refusal> {
        let upload = self.uploads.get(id)?;
        let writer = upload.writer.lock().await;
        let size = writer.as_ref().ok_or(Refusal::UnknownUpload)?.size();
        let mut response = body::empty(StatusCode::NO_CONTENT);
        body::upload_headers(&mut response, &repository.upload(id), size);
        Ok(response)
    }

    pub(super) async fn append(
        &self,
        repository: &Repository,
        id: &str,
        request: Request<Incoming>,
    ) -> Result<Response<Answer>, Refusal> {
        let upload = self.uploads.get(id)?;
        let mut writer = upload.writer.lock().await;
        let writer = writer.as_mut().ok_or(Refusal::UnknownUpload)?;
        check_order(&request, writer.size(), repository, id)?;
        receive(request.into_body(), writer).await?;
        let mut response = body::empty(StatusCode::ACCEPTED);
        body::upload_headers(&mut response, &repository.upload(id), writer.size());
        Ok(response)
    }

    pub(super) async fn close_upload(
        &self,
        repository: &Repository,
        id: &str,
        request: Request<Incoming>,
    ) -> Result<Response<Answer>, Refusal> {
        let text = parameter(request.uri().query(), "digest")
            .ok_or_else(|| Refusal::Digest("an upload is closed with its digest: add ?digest=".to_owned()))?;
        let upload = self.uploads.get(id)?;
        let mut slot = upload.writer.lock().await;
        let writer = slot.as_mut().ok_or(Refusal::UnknownUpload)?;
        check_order(&request, writer.size(), repository, id)?;
        receive(request.into_body(), writer).await?;
        self.uploads.remove(id)?;
        finish(slot.take().ok_or(Refusal::UnknownUpload)?, repository, &text)
    }

    pub(super) fn cancel(&self, id: &str) -> Result<Response<Answer>, Refusal> {
        self.uploads.remove(id).map(|_| body::empty(StatusCode::NO_CONTENT))
    }
}

/// A name that nobody can guess who was not told: 128 bits of the system's.
fn unguessable() -> Result<String, Refusal> {
    let source = Path::new("/dev/urandom");
    let mut bytes = [0; 16];
    let read = File::open(source).and_then(|mut random| random.read_exact(&mut bytes));
    read.map_err(|error| StoreError::at(source, error))?;
    Ok(format!("{:032x}", u128::from_ne_bytes(bytes)))
}

/// Whether a piece is the next one, if it says which it is.
fn check_order<B>(request: &Request<B>, size: u64, repository: &Repository, id: &str) -> Result<(), Refusal> {
    let Some(range) = request.headers().get(CONTENT_RANGE) else { return Ok(()) };
    let start = range.to_str().ok().and_then(|text| text.trim_start_matches("bytes ").split_once('-'));
    match start.and_then(|(start, _)| start.trim().parse::<u64>().ok()) {
        Some(start) if start == size => Ok(()),
        Some(_) | None => Err(Refusal::Range(size, repository.upload(id))),
    }
}

/// Writes what arrives. What arrived before a connection broke stays: the client is told, and goes on there.
async fn receive(mut body: Incoming, writer: &mut BlobWriter) -> Result<(), Refusal> {
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Refusal::Broken)?.into_data() else { continue };
        writer.write_all(&data).map_err(|error| StoreError::at("an upload".as_ref(), error))?;
    }
    Ok(())
}

fn finish(writer: BlobWriter, repository: &Repository, text: &str) -> Result<Response<Answer>, Refusal> {
    let digest: BlobDigest =
        text.parse().map_err(|error: crate::image::DigestError| Refusal::Digest(error.to_string()))?;
    match tokio::task::block_in_place(|| writer.finish(Some(&digest))) {
        Ok(_) => Ok(created(repository, &digest)),
        Err(error @ StoreError::DigestMismatch { .. }) => Err(Refusal::Digest(error.to_string())),
        Err(error) => Err(error.into()),
    }
}

fn created(repository: &Repository, digest: &BlobDigest) -> Response<Answer> {
    let mut response = body::empty(StatusCode::CREATED);
    body::set(&mut response, LOCATION, &format!("/v2/{}/blobs/{digest}", repository.asked));
    body::set(&mut response, HeaderName::from_static("docker-content-digest"), &digest.to_string());
    response
}
