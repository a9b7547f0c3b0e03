//! Blobs on their way in, over connections that break and from registries that lie.

use crate::registry::testing::{FakeRegistry, Reply, client, layer, options};
use crate::registry::{Client, Options, RegistryError};
use futures_util::future::join_all;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

const TEXT: &str = "the bytes of a layer";

async fn fetch(replies: Vec<Reply>) -> (Result<Vec<u8>, RegistryError>, FakeRegistry, Vec<u64>) {
    let (mut descriptor, _) = layer(TEXT);
    descriptor.other.insert("urls".to_owned(), serde_json::json!(["http://127.0.0.1:9/never"]));
    let line = format!("GET /v2/app/blobs/{}", descriptor.digest);
    let registry = FakeRegistry::start(replies.into_iter().map(|reply| (line.clone(), reply))).await;
    let (mut sink, progress) = (Vec::new(), Mutex::new(Vec::new()));
    let result = client(Vec::new())
        .fetch_blob(&registry.reference("app:1"), &descriptor, &mut sink, &|bytes| progress.lock().unwrap().push(bytes))
        .await;
    (result.map(|()| sink), registry, progress.into_inner().unwrap())
}

fn ranges(registry: &FakeRegistry) -> Vec<String> {
    registry.seen().iter().map(|seen| seen.header("range").to_owned()).collect()
}

#[tokio::test]
async fn a_cut_connection_is_resumed_where_it_broke() {
    let rest = Reply::ok(&TEXT[9..]).header("Content-Range", "bytes 9-19/20");
    let (result, registry, progress) = fetch(vec![Reply::ok(TEXT).cut_after(9), rest.with_status(206)]).await;
    assert_eq!(result.unwrap(), TEXT.as_bytes());
    assert_eq!(ranges(&registry), ["", "bytes=9-"]);
    assert_eq!(progress.last(), Some(&20));
    assert!(progress.is_sorted(), "{progress:?}");
}

#[tokio::test]
async fn a_registry_that_ignores_ranges_sends_everything_again() {
    let (result, registry, progress) =
        fetch(vec![Reply::ok(TEXT).cut_after(9), Reply::ok(TEXT).cut_after(4), Reply::ok(TEXT)]).await;
    assert_eq!(result.unwrap(), TEXT.as_bytes());
    assert_eq!(ranges(&registry), ["", "bytes=9-", "bytes=9-"]);
    assert!(progress.is_sorted(), "{progress:?}");
}

#[tokio::test]
async fn another_range_than_the_one_asked_for_is_refused() {
    let wrong = Reply::ok(&TEXT[3..]).header("Content-Range", "bytes 3-19/20").with_status(206);
    let (result, ..) = fetch(vec![Reply::ok(TEXT).cut_after(9), wrong]).await;
    assert!(matches!(result, Err(RegistryError::Protocol { .. })));
}

#[tokio::test]
async fn other_bytes_than_the_promised_ones_are_refused_and_not_asked_for_again() {
    let (result, registry, _) = fetch(vec![Reply::ok(TEXT.to_uppercase())]).await;
    assert!(matches!(result, Err(RegistryError::DigestMismatch { .. })));
    assert_eq!(registry.lines().len(), 1);
}

#[tokio::test]
async fn reading_stops_at_the_promised_size() {
    let longer = format!("{TEXT}{}", "x".repeat(1 << 20));
    for reply in [Reply::ok(longer.clone()).unmeasured(), Reply::ok(longer), Reply::ok(&TEXT[..10])] {
        let (result, registry, _) = fetch(vec![reply]).await;
        assert!(matches!(result, Err(RegistryError::SizeMismatch { expected: 20, .. })));
        assert_eq!(registry.lines().len(), 1);
    }
}

#[tokio::test]
async fn a_busy_registry_is_asked_again() {
    let busy = |status| Reply::new(status).header("Retry-After", "0");
    let (result, registry, _) = fetch(vec![busy(429), busy(503), Reply::ok(TEXT)]).await;
    assert_eq!(result.unwrap(), TEXT.as_bytes());
    assert_eq!(registry.lines().len(), 3);
}

#[tokio::test]
async fn attempts_have_an_end_and_so_has_patience() {
    let words = r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}"#;
    let (result, registry, _) = fetch(vec![Reply::ok(words).with_status(429)]).await;
    let error = result.unwrap_err().to_string();
    assert!(error.ends_with("is limiting our requests (TOOMANYREQUESTS: slow down): try again later"), "{error}");
    assert_eq!(registry.lines().len(), 4);

    let (result, registry, _) = fetch(vec![Reply::new(503).header("Retry-After", "86400")]).await;
    assert!(matches!(result, Err(RegistryError::Unavailable { status: 503, .. })));
    assert_eq!(registry.lines().len(), 1);
}

#[tokio::test]
async fn a_sink_that_fails_is_not_the_registrys_fault() {
    let (descriptor, bytes) = layer(TEXT);
    let registry = FakeRegistry::start([(format!("GET /v2/app/blobs/{}", descriptor.digest), Reply::ok(bytes))]).await;
    let mut small = [0_u8; 4];
    let mut sink = std::io::Cursor::new(&mut small[..]);
    let error =
        client(Vec::new()).fetch_blob(&registry.reference("app:1"), &descriptor, &mut sink, &|_| ()).await.unwrap_err();
    assert!(error.to_string().starts_with("cannot store 127.0.0.1:"), "{error}");
    assert_eq!(registry.lines().len(), 1);
}

/// A registry that has one blob, takes its time to answer, and counts how many wait for it at most.
async fn slow_registry(bytes: Vec<u8>) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&most);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (now, most, bytes) = (Arc::clone(&now), Arc::clone(&counted), bytes.clone());
            tokio::spawn(async move {
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).await;
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(20)).await;
                now.fetch_sub(1, Ordering::SeqCst);
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", bytes.len());
                let _ = stream.write_all(&[head.as_bytes(), &bytes].concat()).await;
            });
        }
    });
    (host, most)
}

#[tokio::test]
async fn no_more_blobs_of_a_registry_are_on_their_way_than_allowed() {
    let (descriptor, bytes) = layer("a layer");
    let (host, most) = slow_registry(bytes).await;
    let reference = format!("{host}/app:1").parse().unwrap();
    let client = Client::new(Options { transfers_per_host: 3, ..options(Vec::new()) }).unwrap();
    let fetches = (0..12).map(|_| async {
        let mut sink = Vec::new();
        client.fetch_blob(&reference, &descriptor, &mut sink, &|_| ()).await.unwrap();
    });
    join_all(fetches).await;
    assert_eq!(most.load(Ordering::SeqCst), 3);
}
