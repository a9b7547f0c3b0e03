//! Pushes and pulls through a registry that fails on purpose: they end, with the same bytes, or not at all.

use crate::harness::{Fault, FaultyRegistry};
use flashbuild::export::{self, BuiltIndex, Bundle, ImageOptions, PushReport, Sent};
use flashbuild::image::{BlobDigest, ContentDigest, DiffId, Digest};
use flashbuild::layer::{Compression, Content, Entry, EntryKind, Form, Item, Layers, OverlayXattrs};
use flashbuild::registry::{Client, Options, RegistryError, RetryPolicy};
use flashbuild::store::Store;
use flashbuild_frontend::config::ImageConfig;
use flashbuild_frontend::reference::Reference;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

/// Seeded runs of the long tests.
const RUNS: u64 = 200;
const CHUNK: u64 = 24 << 10;

/// An image for two platforms: layers smaller than a piece, of some pieces, and of many.
struct Scene {
    folder: TempDir,
    store: Store,
    built: BuiltIndex,
}

fn scene() -> Scene {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("store")).unwrap();
    let layers = Layers::new(store.clone(), OverlayXattrs::User);
    let mut noise = fastrand::Rng::with_seed(7);
    let diff_ids: Vec<DiffId> = [2, 40, 200]
        .map(|kibibytes: usize| {
            let bytes: Vec<u8> = std::iter::repeat_with(|| noise.u8(..)).take(kibibytes << 10).collect();
            let kind = EntryKind::File { size: bytes.len() as u64, digest: ContentDigest([0; 32]) };
            let item = Item::file_to_hash(Entry::new("file", kind), Content::Bytes(bytes));
            let form = Form::Blob(Compression::default());
            layers.from_files(vec![item], Some(0), form).unwrap().diff_id
        })
        .to_vec();
    let images = ["linux/amd64", "linux/arm64"].map(|platform| {
        let platform = platform.parse().unwrap();
        (ImageConfig::for_platform(&platform), diff_ids.clone(), platform)
    });
    let images = images.into_iter().map(|(config, diff_ids, platform)| (platform, config, diff_ids)).collect();
    let built = export::assemble(&layers, images, &ImageOptions::default(), |_| false, None).unwrap();
    Scene { folder, store, built }
}

/// A client that knows the password, is quick to try again, and cuts blobs small.
fn client(folder: &Path, host: &str) -> Client {
    let file = folder.join("config.json");
    fs::write(&file, format!(r#"{{"auths":{{"{host}":{{"auth":"bWU6c2VjcmV0"}}}}}}"#)).unwrap();
    let retry = RetryPolicy {
        attempts: 25,
        first: Duration::from_micros(200),
        longest: Duration::from_millis(2),
        patience: Duration::from_secs(5),
    };
    Client::new(Options { credential_files: vec![file], chunk_size: CHUNK, retry, ..Options::default() }).unwrap()
}

fn name(registry: &FaultyRegistry, rest: &str) -> Reference {
    format!("{}/{rest}", registry.host).parse().unwrap()
}

async fn push(scene: &Scene, bundle: &Bundle, client: &Client, names: &[Reference]) -> PushReport {
    export::push(client, &scene.store, bundle, names, &Sent::default(), |_, _, _| ()).await.unwrap()
}

#[tokio::test]
#[expect(clippy::print_stderr, reason = "the figure is what the test is for")]
async fn every_push_ends_with_the_same_image() {
    let scene = scene();
    let bundle = scene.built.bundle();
    let expected = scene.built.descriptor.digest.to_string();
    let registry = FaultyRegistry::start(0, 0.2);
    let (mut faults, mut arrived, mut needed) = (BTreeMap::<Fault, usize>::new(), 0, 0);
    for seed in 0..RUNS {
        registry.reset(seed);
        // A new client: what it knows of tokens would spare it some faults.
        let client = client(scene.folder.path(), &registry.host);
        let repository = format!("app{seed}");
        push(&scene, &bundle, &client, &[name(&registry, &format!("{repository}:1"))]).await;
        let seen = registry.seen();
        assert_eq!(seen.violations, Vec::<String>::new(), "seed {seed}");
        assert_eq!(registry.digest(&repository, "1"), Some(expected.clone()), "seed {seed}");
        assert!(seen.blob_bytes >= registry.size());
        (arrived, needed) = (arrived + seen.blob_bytes, needed + registry.size());
        seen.faults.into_iter().for_each(|(fault, times)| *faults.entry(fault).or_default() += times);
    }
    eprintln!("{RUNS} pushes of {needed} bytes in all; sent again: {} bytes; faults: {faults:?}", arrived - needed);
    assert!(faults.len() >= 12, "some fault was never met: {faults:?}");
}

#[tokio::test]
async fn no_pull_accepts_a_wrong_byte() {
    let scene = scene();
    let bundle = scene.built.bundle();
    let registry = FaultyRegistry::start(0, 0.0);
    let name = name(&registry, "app:1");
    push(&scene, &bundle, &client(scene.folder.path(), &registry.host), std::slice::from_ref(&name)).await;
    registry.fail(0.25);
    let (mut whole, mut refused) = (0, 0);
    for run in 0..RUNS {
        let store = Store::open(&scene.folder.path().join(format!("store-{run}"))).unwrap();
        let client = client(scene.folder.path(), &registry.host);
        for (digest, (blob, _)) in &bundle.blobs {
            match client.fetch_to_store(&name, blob, &store, &|_| ()).await {
                Ok(()) => {
                    let bytes = store.read_blob(digest, blob.size).unwrap().expect("it was just fetched");
                    assert_eq!(BlobDigest(Digest::of(&bytes)), *digest);
                    whole += 1;
                }
                Err(RegistryError::DigestMismatch { .. }) => {
                    assert_eq!(store.blob_size(digest).unwrap(), None, "what is wrong is not kept");
                    refused += 1;
                }
                Err(other) => panic!("{other}"),
            }
        }
        fs::remove_dir_all(store.root()).unwrap();
    }
    assert!(whole > refused && refused > 0, "{whole} {refused}");
    assert_eq!(registry.seen().violations, Vec::<String>::new());
}

#[tokio::test]
async fn nothing_is_sent_twice() {
    let scene = scene();
    let bundle = scene.built.bundle();
    let registry = FaultyRegistry::start(0, 0.0);
    let client = client(scene.folder.path(), &registry.host);

    // Two tags and two repositories, for the price of one.
    let names = ["app:1", "app:latest", "copy:1"].map(|rest| name(&registry, rest));
    let first = push(&scene, &bundle, &client, &names).await;
    assert_eq!((first.uploaded_bytes, registry.seen().blob_bytes), (registry.size(), registry.size()));
    assert_eq!((first.existed, first.mounted), (0, bundle.blobs.len()));

    // The same again: questions, and nothing else.
    let sent_before = registry.seen().requests;
    let again = push(&scene, &bundle, &client, &names).await;
    assert_eq!(again, PushReport { unchanged_tags: 3, ..PushReport::default() });
    let sent = registry.seen().requests;
    for method in ["GET", "POST", "PUT", "PATCH"] {
        assert_eq!(sent.get(method), sent_before.get(method), "{method}");
    }

    // Another tag of what is there: the tag. Another repository: links.
    let tag = push(&scene, &bundle, &client, &[name(&registry, "app:2")]).await;
    assert_eq!(tag, PushReport::default());
    let third = push(&scene, &bundle, &client, &[name(&registry, "team/third:1")]).await;
    assert_eq!((third.uploaded_bytes, third.mounted), (0, bundle.blobs.len()));
    assert_eq!(registry.seen().blob_bytes, registry.size());
    assert_eq!(registry.seen().violations, Vec::<String>::new());
}

#[tokio::test]
async fn a_layer_that_is_not_here_comes_from_where_it_was_seen() {
    let scene = scene();
    let bundle = scene.built.bundle();
    let [from, to] = [1, 2].map(|seed| FaultyRegistry::start(seed, 0.0));
    push(&scene, &bundle, &client(scene.folder.path(), &from.host), &[name(&from, "base:1")]).await;

    // A store that knows the image but has none of its layers.
    let store = Store::open(&scene.folder.path().join("elsewhere")).unwrap();
    let layers: Vec<_> = bundle.blobs.keys().copied().collect();
    store.note_places(&from.host, "base", &layers).unwrap();
    let file = scene.folder.path().join("both.json");
    let auths = [&from, &to].map(|registry| format!(r#""{}":{{"auth":"bWU6c2VjcmV0"}}"#, registry.host));
    fs::write(&file, format!(r#"{{"auths":{{{}}}}}"#, auths.join(","))).unwrap();
    let client = Client::new(Options { credential_files: vec![file], ..Options::default() }).unwrap();
    export::push(&client, &store, &bundle, &[name(&to, "app:1")], &Sent::default(), |_, _, _| ()).await.unwrap();
    assert_eq!(to.digest("app", "1"), Some(scene.built.descriptor.digest.to_string()));
}
