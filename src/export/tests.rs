use super::{
    BuiltIndex, ExportError, ImageOptions, Layout, PushReport, assemble, push, write_archive, write_folder, write_tree,
};
use crate::{
    image::{ContentDigest, DiffId, Document},
    layer::{Content, Entry, EntryKind, Form, Item, Layers, OverlayXattrs},
    registry::{Client, Options},
    store::Store,
};
use flashbuild_frontend::{
    config::{History, ImageConfig},
    platform::Platform,
};
use std::{
    fs,
    os::unix::fs::{MetadataExt as _, symlink},
    process::Command,
    sync::{Arc, Mutex},
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufStream},
    net::TcpListener,
};

fn file(path: &str, content: &str) -> Item {
    let kind = EntryKind::File { size: content.len() as u64, digest: ContentDigest([0; 32]) };
    Item::file_to_hash(Entry::new(path, kind), Content::Bytes(content.into()))
}

fn node(path: &str, kind: EntryKind) -> Item {
    Item::new(Entry::new(path, kind))
}

struct Scene {
    folder: tempfile::TempDir,
    layers: Layers,
    diff_ids: Vec<DiffId>,
}

/// Two layers, and an empty one between them.
fn scene() -> Scene {
    let folder = tempfile::tempdir().unwrap();
    let overlay = if rustix::process::geteuid().is_root() { OverlayXattrs::Trusted } else { OverlayXattrs::User };
    let layers = Layers::new(Store::open(&folder.path().join("store")).unwrap(), overlay);
    let make = |items| layers.from_files(items, Some(1), Form::Folder).unwrap().diff_id;
    let lower = make(vec![
        node("d", EntryKind::Dir { opaque: false }),
        file("d/a", "lower"),
        file("d/gone", "x"),
        file("first", "shared"),
        node("second", EntryKind::HardLink { target: b"first".to_vec() }),
        node("third", EntryKind::HardLink { target: b"first".to_vec() }),
    ]);
    let upper = make(vec![
        node("d", EntryKind::Dir { opaque: false }),
        file("d/a", "upper"),
        node("d/gone", EntryKind::Whiteout),
        node("d/link", EntryKind::Symlink { target: b"/etc".to_vec() }),
        node("first", EntryKind::Whiteout),
    ]);
    Scene { folder, layers, diff_ids: vec![lower, DiffId::empty(), upper] }
}

impl Scene {
    fn built(&self, platforms: &[&str]) -> BuiltIndex {
        let image = |platform: &&str| {
            let platform: Platform = platform.parse().unwrap();
            let mut config = ImageConfig::for_platform(&platform);
            let entry = |empty_layer| History { empty_layer, ..History::default() };
            config.history = [false, true, false, false].map(entry).to_vec();
            (platform, config, self.diff_ids.clone())
        };
        assemble(&self.layers, platforms.iter().map(image).collect(), &ImageOptions::default(), |_| false, None)
            .unwrap()
    }
}

#[test]
fn one_platform_is_a_manifest_without_empty_layers() {
    let scene = scene();
    let built = scene.built(&["linux/amd64"]);
    assert!(!built.is_index);
    let (_, Document::Manifest(manifest)) = Document::parse(&built.bytes, None).unwrap() else { panic!("an index") };
    assert_eq!(manifest.layers.len(), 2);
    let config: ImageConfig = serde_json::from_slice(&built.images[0].config_bytes).unwrap();
    assert_eq!(config.rootfs.diff_ids, [scene.diff_ids[0].to_string(), scene.diff_ids[2].to_string()]);
    let empty: Vec<_> = config.history.iter().map(|entry| entry.empty_layer).collect();
    assert_eq!(empty, [false, true, true, false]);
}

#[test]
fn several_platforms_are_an_index_in_their_order() {
    let built = scene().built(&["linux/arm64", "linux/amd64"]);
    let (_, Document::Index(index)) = Document::parse(&built.bytes, None).unwrap() else { panic!("a manifest") };
    let platforms = index.manifests.iter().map(|entry| entry.platform.as_ref().unwrap().normal().to_string());
    assert_eq!(platforms.collect::<Vec<_>>(), ["linux/arm64", "linux/amd64"]);
    // Two layers, two configurations, two manifests, the index.
    assert_eq!(built.bundle().all().len(), 7);
}

#[test]
fn an_archive_is_a_layout_and_always_the_same() {
    let scene = scene();
    let names = ["example.org/app:1".to_owned()];
    let write = || {
        let mut archive = Vec::new();
        let built = scene.built(&["linux/amd64", "linux/arm64"]);
        write_archive(scene.layers.store(), &built.bundle(), &names, Layout::Oci, &mut archive).unwrap();
        archive
    };
    let archive = write();
    assert_eq!(archive, write());
    let (path, folder) = (scene.folder.path().join("a.tar"), scene.folder.path().join("folder"));
    fs::write(&path, archive).unwrap();
    let listed = Command::new("tar").arg("-tf").arg(&path).output().unwrap();
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert_eq!(listed.lines().count(), 2 + 7 + 2);
    let built = scene.built(&["linux/amd64", "linux/arm64"]);
    write_folder(scene.layers.store(), &built.bundle(), &names, Layout::Oci, &folder).unwrap();
    assert_eq!(fs::read_dir(folder.join("blobs/sha256")).unwrap().count(), 7);
    let index: serde_json::Value = serde_json::from_slice(&fs::read(folder.join("index.json")).unwrap()).unwrap();
    let annotations = &index["manifests"][0]["annotations"];
    assert_eq!(annotations["org.opencontainers.image.ref.name"], "1");
    assert_eq!(annotations["io.containerd.image.name"], "example.org/app:1");
}

#[test]
fn a_saved_image_has_its_name() {
    let scene = scene();
    let built = scene.built(&["linux/amd64"]);
    built.bundle().save(scene.layers.store(), &["app:1".to_owned()]).unwrap();
    let descriptor = scene.layers.store().image("app:1").unwrap().unwrap();
    assert!(descriptor.contains(&built.descriptor.digest.to_string()));
    assert!(scene.layers.store().blob_size(&built.images[0].config.digest).unwrap().is_some());
}

#[test]
fn a_tree_is_written_and_follows_no_link_of_its_destination() {
    let scene = scene();
    let (dest, outside) = (scene.folder.path().join("dest"), scene.folder.path().join("outside"));
    fs::create_dir(&dest).unwrap();
    fs::create_dir(&outside).unwrap();
    fs::write(dest.join("kept"), "").unwrap();
    symlink(&outside, dest.join("d")).unwrap();
    symlink(outside.join("file"), dest.join("second")).unwrap();
    for _ in 0..2 {
        assert_eq!(
            write_tree(&scene.layers, &scene.diff_ids, &dest, crate::export::HardLinks::Kept).unwrap(),
            [[0; 0]; 0]
        );
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
        assert_eq!(fs::read_to_string(dest.join("d/a")).unwrap(), "upper");
        assert!(!dest.join("d/gone").exists() && !dest.join("first").exists() && dest.join("kept").exists());
        assert_eq!(fs::read_link(dest.join("d/link")).unwrap().to_str(), Some("/etc"));
        let (second, third) = (fs::metadata(dest.join("second")).unwrap(), fs::metadata(dest.join("third")).unwrap());
        assert_eq!((second.ino(), second.mode() & 0o7777, second.mtime()), (third.ino(), 0o644, 0));
        assert_eq!(fs::metadata(dest.join("d")).unwrap().mtime(), 0);
    }
}

/// Reads a request's line and drops the rest; enough for a registry that only listens.
async fn answer(stream: tokio::net::TcpStream, has_layers: bool, config: String, seen: Arc<Mutex<Vec<String>>>) {
    let mut stream = BufStream::new(stream);
    loop {
        let (mut line, mut length) = (String::new(), 0);
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            return;
        }
        loop {
            let mut header = String::new();
            stream.read_line(&mut header).await.unwrap();
            if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if header == "\r\n" {
                break;
            }
        }
        stream.read_exact(&mut vec![0; length]).await.unwrap();
        let status = match line.split(' ').next().unwrap() {
            "HEAD" if has_layers && !line.contains(&config) => "200 OK",
            "HEAD" => "404 Not Found",
            "POST" => "202 Accepted\r\nLocation: /v2/app/blobs/uploads/1",
            _ => "201 Created",
        };
        seen.lock().unwrap().push(line);
        let reply = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(reply.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
    }
}

/// Pushes to a registry that has all layers or none; returns the manifests' requests too.
async fn pushed(store: &Store, built: &BuiltIndex, has_layers: bool) -> (Result<PushReport, ExportError>, Vec<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let reference = format!("{}/app:1", listener.local_addr().unwrap()).parse().unwrap();
    let (seen, config) = (Arc::<Mutex<Vec<String>>>::default(), built.images[0].config.digest.to_string());
    let log = seen.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, has_layers, config.clone(), log.clone()));
        }
    });
    let client = Client::new(Options { credential_files: Vec::new(), ..Options::default() }).unwrap();
    let (store, built) = (store.clone(), built.clone());
    // Spawned: the future has to be `Send`.
    let push = async move {
        push(&client, &store, &built.bundle(), &[reference], &super::Sent::default(), |_, _, _| {}).await
    };
    let result = tokio::spawn(push).await.unwrap();
    let seen = seen
        .lock()
        .unwrap()
        .iter()
        .filter(|line| line.starts_with("PUT") && line.contains("/manifests/"))
        .cloned()
        .collect();
    (result, seen)
}

#[tokio::test]
async fn a_push_sends_what_is_missing_and_the_tag_last() {
    let scene = scene();
    let built = scene.built(&["linux/amd64", "linux/arm64"]);
    let (report, manifests) = pushed(scene.layers.store(), &built, false).await;
    let bytes: u64 = built.images.iter().map(|image| image.config.size).sum();
    let layers: u64 = built.images[0].layers.iter().map(|(_, blob)| blob.size).sum();
    assert_eq!(report.unwrap(), PushReport { uploaded_bytes: bytes + layers, ..PushReport::default() });
    assert_eq!(manifests.len(), 3);
    assert!(manifests[0].contains("sha256:") && manifests[1].contains("sha256:"));
    assert_eq!(manifests[2], "PUT /v2/app/manifests/1 HTTP/1.1\r\n");
}

#[tokio::test]
async fn a_layer_that_is_not_here_has_to_be_at_the_registry() {
    let scene = scene();
    let built = scene.built(&["linux/amd64"]);
    let elsewhere = Store::open(&scene.folder.path().join("elsewhere")).unwrap();
    let (report, _) = pushed(&elsewhere, &built, true).await;
    assert_eq!(report.unwrap().existed, 2);
    let third = Store::open(&scene.folder.path().join("third")).unwrap();
    let (report, manifests) = pushed(&third, &built, false).await;
    assert!(matches!(report, Err(ExportError::BlobAbsent(_))), "{report:?}");
    assert!(manifests.is_empty());
}
