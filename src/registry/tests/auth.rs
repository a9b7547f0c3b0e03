//! Who gets to see which credential, and how often anybody is asked.

use crate::image::{BlobDigest, Digest};
use crate::registry::RegistryError;
use crate::registry::testing::{FakeRegistry, Reply, client, layer};
use futures_util::future::join_all;
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

const BLOB: &str = "HEAD /v2/app/blobs/";
const TOKEN: &str = "GET /token?service=fake&scope=repository%3Aapp%3Apull";
const TOKEN_OF_ME: &str = "GET /token?service=fake&scope=repository%3Aapp%3Apull&account=me&client_id=flashbuild";
/// `me:secret`.
const BASIC: &str = "Basic bWU6c2VjcmV0";

fn challenge(realm: &str) -> Reply {
    let challenge = format!(r#"Bearer realm="{realm}",service="fake",scope="repository:app:pull""#);
    Reply::new(401).header("WWW-Authenticate", challenge)
}

fn token(text: &str) -> Reply {
    Reply::ok(format!(r#"{{"token":"{text}","expires_in":300}}"#))
}

fn blob() -> (BlobDigest, String) {
    let digest = BlobDigest(Digest::of(b"x"));
    (digest, format!("{BLOB}{digest}"))
}

/// A configuration file that knows `me:secret` at `host`.
fn password_for(host: &str) -> (TempDir, Vec<PathBuf>) {
    config(&format!(r#"{{"auths":{{"{host}":{{"auth":"bWU6c2VjcmV0"}}}}}}"#))
}

fn config(text: &str) -> (TempDir, Vec<PathBuf>) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.json");
    fs::write(&file, text).unwrap();
    (folder, vec![file])
}

#[tokio::test]
async fn a_token_without_a_password_and_only_once() {
    let (digest, line) = blob();
    let registry = FakeRegistry::start([
        (line.clone(), challenge("http://HERE/token")),
        (line.clone(), Reply::new(200)),
        (TOKEN.to_owned(), token("T")),
    ])
    .await;
    let client = client(Vec::new());
    for _ in 0..2 {
        assert!(client.has_blob(&registry.reference("app:1"), &digest).await.unwrap());
    }
    assert_eq!(registry.lines(), [&line, TOKEN, &line, &line]);
    let sent: Vec<String> = registry.seen().iter().map(|seen| seen.header("authorization").to_owned()).collect();
    assert_eq!(sent, ["", "", "Bearer T", "Bearer T"]);
    assert_eq!(client.traffic().token, 1);
}

#[tokio::test]
async fn many_requests_wait_for_one_token() {
    let (digest, line) = blob();
    let registry = FakeRegistry::start([
        (line, Reply::new(200).only_for("Bearer T", challenge("http://HERE/token"))),
        (TOKEN.to_owned(), token("T")),
    ])
    .await;
    let (client, reference) = (client(Vec::new()), registry.reference("app:1"));
    let answers = join_all((0..8).map(|_| client.has_blob(&reference, &digest))).await;
    assert!(answers.into_iter().all(Result::unwrap));
    assert_eq!(client.traffic().token, 1);
}

#[tokio::test]
async fn the_password_goes_to_the_token_service_alone() {
    let (digest, line) = blob();
    let registry = FakeRegistry::start([
        (line.clone(), challenge("http://HERE/token")),
        (line.clone(), Reply::new(200)),
        (TOKEN_OF_ME.to_owned(), token("T")),
    ])
    .await;
    let (_folder, files) = password_for(&registry.host);
    assert!(client(files).has_blob(&registry.reference("app:1"), &digest).await.unwrap());
    let sent: Vec<String> = registry.seen().iter().map(|seen| seen.header("authorization").to_owned()).collect();
    assert_eq!(sent, ["", BASIC, "Bearer T"]);
}

#[tokio::test]
async fn an_identity_token_is_posted() {
    let (digest, line) = blob();
    let registry = FakeRegistry::start([
        (line.clone(), challenge("http://HERE/token")),
        (line.clone(), Reply::new(200)),
        ("POST /token".to_owned(), Reply::ok(r#"{"access_token":"A"}"#)),
    ])
    .await;
    let (_folder, files) = config(&format!(r#"{{"auths":{{"{}":{{"identitytoken":"I&D"}}}}}}"#, registry.host));
    assert!(client(files).has_blob(&registry.reference("app:1"), &digest).await.unwrap());
    let seen = registry.seen();
    assert_eq!(
        String::from_utf8_lossy(&seen[1].body),
        "grant_type=refresh_token&refresh_token=I%26D&client_id=flashbuild&scope=repository%3Aapp%3Apull&service=fake"
    );
    assert_eq!(seen[1].header("content-type"), "application/x-www-form-urlencoded");
    assert_eq!(seen[2].header("authorization"), "Bearer A");
}

#[tokio::test]
async fn a_401_in_between_renews_the_token_once() {
    let (digest, line) = blob();
    let registry = FakeRegistry::start([
        (line.clone(), challenge("http://HERE/token")),
        (line.clone(), Reply::new(200)),
        (line.clone(), challenge("http://HERE/token")),
        (line.clone(), Reply::new(200)),
        (line.clone(), challenge("http://HERE/token")),
        (TOKEN.to_owned(), token("1")),
        (TOKEN.to_owned(), token("2")),
        (TOKEN.to_owned(), token("3")),
    ])
    .await;
    let (client, reference) = (client(Vec::new()), registry.reference("app:1"));
    assert!(client.has_blob(&reference, &digest).await.unwrap());
    assert!(client.has_blob(&reference, &digest).await.unwrap());
    let error = client.has_blob(&reference, &digest).await.unwrap_err();
    assert!(matches!(error, RegistryError::Unauthorized { .. }), "{error}");
    // A token that was refused at once is asked for once more; when it is the same, that is the answer.
    let sent: Vec<String> = registry.seen().iter().map(|seen| seen.header("authorization").to_owned()).collect();
    assert_eq!(sent, ["", "", "Bearer 1", "Bearer 1", "", "Bearer 2", "Bearer 2", "", "Bearer 3", ""]);
}

#[tokio::test]
async fn a_token_that_has_ended_is_not_used() {
    let (digest, line) = blob();
    let registry = FakeRegistry::start([
        (line.clone(), challenge("http://HERE/token")),
        (line.clone(), Reply::new(200)),
        (TOKEN.to_owned(), Reply::ok(r#"{"token":"old","expires_in":0}"#)),
        (TOKEN.to_owned(), token("new")),
    ])
    .await;
    let (client, reference) = (client(Vec::new()), registry.reference("app:1"));
    for _ in 0..2 {
        assert!(client.has_blob(&reference, &digest).await.unwrap());
    }
    assert_eq!(registry.seen().last().unwrap().header("authorization"), "Bearer new");
}

#[tokio::test]
async fn a_hostile_realm_gets_nothing() {
    let (digest, line) = blob();
    let stranger = FakeRegistry::start([("GET /", Reply::new(200))]).await;
    let port = stranger.host.rsplit(':').next().unwrap();
    for (realm, why) in [
        ("file:///etc/passwd", "which is neither http nor https"),
        ("http://169.254.169.254/latest/meta-data", "a link-local address"),
        (&format!("http://localhost:{port}/token"), "which is not encrypted"),
        ("not an address", "its token service has no address"),
    ] {
        let registry = FakeRegistry::start([(line.clone(), challenge(realm))]).await;
        let (_folder, files) = password_for(&registry.host);
        let error = client(files).has_blob(&registry.reference("app:1"), &digest).await.unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
        assert_eq!(registry.lines().len(), 1);
    }
    assert!(stranger.seen().is_empty());
}

#[tokio::test]
async fn a_redirect_to_another_origin_loses_the_credentials() {
    let (descriptor, bytes) = layer("a layer");
    let path = format!("/v2/app/blobs/{}", descriptor.digest);
    let elsewhere = FakeRegistry::start([
        ("GET /blob?signature=1", Reply::ok(bytes.clone())),
        ("GET /private", Reply::new(401).header("WWW-Authenticate", "Basic realm=x")),
    ])
    .await;
    let target = |path: &str| Reply::new(307).header("Location", format!("http://{}{path}", elsewhere.host));
    let registry = FakeRegistry::start([
        (format!("GET {path}"), Reply::new(401).header("WWW-Authenticate", "Basic realm=x")),
        (format!("GET {path}"), target("/blob?signature=1")),
        (format!("GET {path}"), target("/private")),
    ])
    .await;
    let (_folder, files) = password_for(&registry.host);
    let (client, reference) = (client(files), registry.reference("app:1"));
    let mut sink = Vec::new();
    client.fetch_blob(&reference, &descriptor, &mut sink, &|_| ()).await.unwrap();
    assert_eq!(sink, bytes);
    let error = client.fetch_blob(&reference, &descriptor, &mut Vec::new(), &|_| ()).await.unwrap_err();
    assert!(matches!(error, RegistryError::Unauthorized { .. }), "{error}");
    assert_eq!(registry.seen()[1].header("authorization"), BASIC);
    assert_eq!(elsewhere.lines(), ["GET /blob?signature=1", "GET /private"]);
    assert!(elsewhere.seen().iter().all(|seen| !seen.headers.contains_key("authorization")));
}

/// CVE-2020-15157.
#[tokio::test]
async fn only_the_registry_itself_may_ask_for_credentials() {
    let (descriptor, _) = layer("a layer");
    let stranger =
        FakeRegistry::start([("GET /blob", challenge("http://HERE/token")), (TOKEN_OF_ME, token("T"))]).await;
    let redirect = Reply::new(307).header("Location", format!("http://{}/blob", stranger.host));
    let registry = FakeRegistry::start([(format!("GET /v2/app/blobs/{}", descriptor.digest), redirect)]).await;
    let (_folder, files) = password_for(&registry.host);
    let reference = registry.reference("app:1");
    let error = client(files).fetch_blob(&reference, &descriptor, &mut Vec::new(), &|_| ()).await.unwrap_err();
    assert!(matches!(error, RegistryError::Unauthorized { .. }), "{error}");
    assert_eq!(stranger.lines(), ["GET /blob"]);
}

#[tokio::test]
async fn a_peer_that_cannot_prove_who_it_is_is_not_asked_again() {
    let (descriptor, _) = layer("a layer");
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let redirect = Reply::new(307).header("Location", format!("https://{}/blob", plain.local_addr().unwrap()));
    tokio::spawn(async move {
        let (mut stream, _) = plain.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    });
    let registry = FakeRegistry::start([(format!("GET /v2/app/blobs/{}", descriptor.digest), redirect)]).await;
    let reference = registry.reference("app:1");
    let error = client(Vec::new()).fetch_blob(&reference, &descriptor, &mut Vec::new(), &|_| ()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "no secure connection to registry {}: it does not speak TLS; name its authority with --ca-certificates, \
             or list the host as insecure if it is meant to speak plain HTTP",
            registry.host
        )
    );
    assert_eq!(registry.lines().len(), 1);
}

#[tokio::test]
async fn redirects_to_forbidden_places_and_without_an_end_are_refused() {
    let (descriptor, _) = layer("a layer");
    let line = format!("GET /v2/app/blobs/{}", descriptor.digest);
    for (location, why) in [
        ("http://169.254.169.254/x", "a link-local address"),
        ("file:///etc/passwd", "which is neither http nor https"),
        (line.trim_start_matches("GET "), "it redirects without an end"),
    ] {
        let registry = FakeRegistry::start([(&*line, Reply::new(302).header("Location", location))]).await;
        let reference = registry.reference("app:1");
        let error = client(Vec::new()).fetch_blob(&reference, &descriptor, &mut Vec::new(), &|_| ()).await.unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }
}

#[tokio::test]
async fn a_refused_password_is_said_so() {
    let (digest, line) = blob();
    let refusal = Reply::new(401);
    let registry =
        FakeRegistry::start([(line, challenge("http://HERE/token")), (TOKEN_OF_ME.to_owned(), refusal)]).await;
    let (_folder, files) = password_for(&registry.host);
    let error = client(files).has_blob(&registry.reference("app:1"), &digest).await.unwrap_err().to_string();
    assert!(error.contains("log in with `flashbuild login"), "{error}");
    assert!(!error.contains("secret"), "{error}");
}
