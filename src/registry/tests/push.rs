//! Blobs and documents on their way out: the cheapest way that works, and uploads that break.

use crate::image::MediaType;
use crate::registry::testing::{FakeRegistry, Reply, client, digest, impatient, layer, silent_peer};
use crate::registry::{BlobSource, Client, PushOutcome, RegistryError, Traffic};
use std::sync::Mutex;

const TEXT: &str = "the bytes of a layer";
const UPLOADED: PushOutcome = PushOutcome::Uploaded { bytes: TEXT.len() as u64 };

/// `HEAD`, mount, open, upload: the requests that one push may make.
fn head() -> String {
    format!("HEAD /v2/app/blobs/{}", digest(TEXT))
}

fn mount() -> String {
    format!("POST /v2/app/blobs/uploads/?mount={}&from=base", digest(TEXT).replace(':', "%3A"))
}

const OPEN: &str = "POST /v2/app/blobs/uploads/";

fn put(location: &str) -> String {
    format!("PUT {location}digest={}", digest(TEXT).replace(':', "%3A"))
}

fn opened(location: &str) -> Reply {
    Reply::new(202).header("Location", location)
}

async fn push(registry: &FakeRegistry, mount_from: Option<&str>) -> (Result<PushOutcome, RegistryError>, Traffic) {
    let (descriptor, _) = layer(TEXT);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), TEXT).unwrap();
    let source = BlobSource::File(file.path().to_owned());
    let client = client(Vec::new());
    let last = Mutex::new(0);
    let result = client
        .push_blob(&registry.reference("app:1"), &descriptor, &source, mount_from, &|bytes| {
            *last.lock().unwrap() = bytes;
        })
        .await;
    if matches!(result, Ok(PushOutcome::Uploaded { .. })) {
        assert_eq!(*last.lock().unwrap(), TEXT.len() as u64);
    }
    (result, client.traffic())
}

#[tokio::test]
async fn what_is_there_is_not_sent() {
    let registry = FakeRegistry::start([(head(), Reply::new(200))]).await;
    let (outcome, traffic) = push(&registry, Some("base")).await;
    assert_eq!(outcome.unwrap(), PushOutcome::Existed);
    assert_eq!(traffic, Traffic { head: 1, ..Traffic::default() });
}

#[tokio::test]
async fn what_another_repository_has_is_mounted() {
    let registry = FakeRegistry::start([(mount(), Reply::new(201))]).await;
    let (outcome, traffic) = push(&registry, Some("base")).await;
    assert_eq!(outcome.unwrap(), PushOutcome::Mounted);
    assert_eq!(traffic.blob_bytes_sent, 0);
    assert_eq!(registry.lines(), [head(), mount()]);
}

#[tokio::test]
async fn a_mount_that_opens_an_upload_goes_on_there() {
    let script = [(mount(), opened("/upload/1?")), (put("/upload/1?"), Reply::new(201))];
    let registry = FakeRegistry::start(script).await;
    assert_eq!(push(&registry, Some("base")).await.0.unwrap(), UPLOADED);
    assert_eq!(registry.lines(), [head(), mount(), put("/upload/1?")]);
}

#[tokio::test]
async fn a_mount_that_is_refused_is_done_without() {
    for status in [401, 403, 404, 405] {
        let script = [
            (mount(), Reply::new(status)),
            (OPEN.to_owned(), opened("/upload/1")),
            (put("/upload/1?"), Reply::new(201)),
        ];
        let registry = FakeRegistry::start(script).await;
        assert_eq!(push(&registry, Some("base")).await.0.unwrap(), UPLOADED, "{status}");
        assert_eq!(registry.lines(), [head(), mount(), OPEN.to_owned(), put("/upload/1?")]);
    }
    let registry = FakeRegistry::start([(head(), Reply::new(200))]).await;
    assert_eq!(push(&registry, Some("app")).await.0.unwrap(), PushOutcome::Existed);
}

#[tokio::test]
async fn the_registrys_state_in_the_location_is_kept() {
    for location in ["/upload/1?_state=a%2Fb%3D%3D&x", "http://HERE/upload/1?_state=a%2Fb%3D%3D&x"] {
        let target = put("/upload/1?_state=a%2Fb%3D%3D&x&");
        let script = [(OPEN.to_owned(), opened(location)), (target.clone(), Reply::new(201))];
        let registry = FakeRegistry::start(script).await;
        let (outcome, traffic) = push(&registry, None).await;
        assert_eq!(outcome.unwrap(), UPLOADED);
        assert_eq!(traffic.blob_bytes_sent, TEXT.len() as u64);
        let seen = registry.seen();
        assert_eq!((&seen[2].line, seen[2].body.as_slice()), (&target, TEXT.as_bytes()));
        assert_eq!(seen[2].header("content-length"), "20");
    }
}

#[tokio::test]
async fn a_lost_upload_starts_again() {
    let cut = Reply::ok("cut").cut_after(0).with_status(500);
    for (loss, is_certain) in [(Reply::new(404), true), (Reply::new(416), true), (Reply::new(502), false), (cut, false)]
    {
        let script = [
            (OPEN.to_owned(), opened("/upload/1")),
            (OPEN.to_owned(), opened("/upload/2")),
            (put("/upload/1?"), loss),
            (put("/upload/2?"), Reply::new(201)),
        ];
        let registry = FakeRegistry::start(script).await;
        assert_eq!(push(&registry, None).await.0.unwrap(), UPLOADED);
        let asks = (!is_certain).then(|| "GET /upload/1".to_owned());
        let before = [head(), OPEN.to_owned(), put("/upload/1?")];
        let after = [head(), OPEN.to_owned(), put("/upload/2?")];
        assert_eq!(registry.lines(), before.into_iter().chain(asks).chain(after).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn an_upload_whose_answer_was_lost_is_not_repeated() {
    let script = [
        (head(), Reply::new(404)),
        (head(), Reply::new(200)),
        (OPEN.to_owned(), opened("/upload/1")),
        (put("/upload/1?"), Reply::new(504)),
    ];
    let registry = FakeRegistry::start(script).await;
    assert_eq!(push(&registry, None).await.0.unwrap(), PushOutcome::Existed);
}

#[tokio::test]
async fn a_location_elsewhere_gets_bytes_but_no_credentials() {
    let elsewhere = FakeRegistry::start([(put("/bucket?"), Reply::new(201))]).await;
    let basic = Reply::new(401).header("WWW-Authenticate", "Basic realm=x");
    let script = [
        (head(), basic),
        (head(), Reply::new(404)),
        (OPEN.to_owned(), opened(&format!("http://{}/bucket", elsewhere.host))),
    ];
    let registry = FakeRegistry::start(script).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.json");
    std::fs::write(&file, format!(r#"{{"auths":{{"{}":{{"auth":"bWU6c2VjcmV0"}}}}}}"#, registry.host)).unwrap();
    let (descriptor, bytes) = layer(TEXT);
    let source = BlobSource::Bytes(bytes.into());
    let outcome = client(vec![file]).push_blob(&registry.reference("app:1"), &descriptor, &source, None, &|_| ()).await;
    assert_eq!(outcome.unwrap(), UPLOADED);
    assert!(registry.seen()[2].header("authorization").starts_with("Basic "));
    assert!(!elsewhere.seen()[0].headers.contains_key("authorization"));

    let registry = FakeRegistry::start([(OPEN, opened("http://169.254.169.254/x"))]).await;
    let error = push(&registry, None).await.0.unwrap_err().to_string();
    assert!(error.contains("a link-local address"), "{error}");
}

#[tokio::test]
async fn a_file_that_is_not_the_blob_is_not_sent() {
    let registry = FakeRegistry::start([(OPEN, opened("/upload/1"))]).await;
    let (descriptor, _) = layer(TEXT);
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_owned();
    for (source, why) in
        [(BlobSource::File(path), "it has 0 bytes, expected 20"), (BlobSource::File("/nowhere".into()), "/nowhere")]
    {
        let reference = registry.reference("app:1");
        let error = client(Vec::new()).push_blob(&reference, &descriptor, &source, None, &|_| ()).await.unwrap_err();
        assert!(matches!(error, RegistryError::Source { .. }), "{error}");
        assert!(error.to_string().contains(why), "{error}");
    }
}

#[tokio::test]
async fn an_upload_that_does_not_move_is_given_up() {
    let opened = opened(&format!("http://{}/upload", silent_peer().await));
    let registry = FakeRegistry::start([(OPEN, opened)]).await;
    // More than the buffers of a connection take.
    let (descriptor, bytes) = layer(&"x".repeat(64 << 20));
    let (client, source) = (Client::new(impatient()).unwrap(), BlobSource::Bytes(bytes.into()));
    let error = client.push_blob(&registry.reference("app:1"), &descriptor, &source, None, &|_| ()).await.unwrap_err();
    assert!(error.to_string().ends_with("silent for 50ms"), "{error}");
    assert!(client.traffic().blob_bytes_sent < descriptor.size);
}

#[tokio::test]
async fn documents_go_by_tag_or_by_digest() {
    let bytes = br#"{"schemaVersion":2}"#;
    let by_digest = format!("PUT /v2/app/manifests/{}", digest(bytes));
    let script = [("PUT /v2/app/manifests/1", Reply::new(201)), (&*by_digest, Reply::new(201))];
    let registry = FakeRegistry::start(script).await;
    let client = client(Vec::new());
    let tagged = registry.reference("app:1");
    let pinned = registry.reference(&format!("app@{}", digest(bytes)));
    for reference in [&tagged, &pinned] {
        let pushed = client.push_manifest(reference, &MediaType::ImageIndex, bytes.as_slice().into()).await.unwrap();
        assert_eq!(pushed.to_string(), digest(bytes));
    }
    assert_eq!(registry.lines(), ["PUT /v2/app/manifests/1", &by_digest]);
    assert_eq!(registry.seen()[0].header("content-type"), MediaType::ImageIndex.as_ref());
    let other = client.push_manifest(&pinned, &MediaType::ImageIndex, "other".into()).await;
    assert!(matches!(other, Err(RegistryError::DigestMismatch { .. })));
}

#[tokio::test]
async fn a_refused_document_is_explained_in_the_registrys_words() {
    let words = r#"{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN","message":"blob unknown to registry"}]}"#;
    let registry = FakeRegistry::start([("PUT /v2/app/manifests/1", Reply::ok(words).with_status(400))]).await;
    let (client, reference) = (client(Vec::new()), registry.reference("app:1"));
    let error = client.push_manifest(&reference, &MediaType::ImageIndex, "{}".into()).await.unwrap_err().to_string();
    assert!(error.ends_with("(MANIFEST_BLOB_UNKNOWN: blob unknown to registry)"), "{error}");
}
