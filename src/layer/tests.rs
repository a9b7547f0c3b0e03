use super::*;
use crate::{
    image::{ContentDigest, Digest},
    layer::{
        apply::tests::on_disk,
        test_archive::{Archive, is_root, listing, overlay, skip_without_root},
    },
};
use std::{
    fs,
    io::Write,
    os::unix::fs::symlink,
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

pub(super) struct Scene {
    pub(super) folder: tempfile::TempDir,
    pub(super) layers: Layers,
}

impl Scene {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let layers = Layers::new(Store::open(&folder.path().join("store")).unwrap(), overlay());
        Self { folder, layers }
    }

    /// The same store in another process that knows nothing.
    fn reopened(&self) -> Layers {
        Layers::new(Store::open(&self.folder.path().join("store")).unwrap(), overlay())
    }

    fn tar(&self, diff_id: &DiffId) -> Vec<u8> {
        let mut tar = Vec::new();
        self.layers.tar(diff_id, &mut tar).unwrap();
        tar
    }
}

fn file(path: &str, content: &str) -> Item {
    let kind = EntryKind::File { size: content.len() as u64, digest: ContentDigest([0; 32]) };
    Item::file_to_hash(Entry::new(path, kind), Content::Bytes(content.into()))
}

fn node(path: &str, kind: EntryKind) -> Item {
    Item::new(Entry::new(path, kind))
}

/// One of everything that an ordinary user may make.
fn sample() -> Vec<Item> {
    let long = format!("{}{}", "folder-with-a-long-name/".repeat(12), "n".repeat(120));
    let mut odd = file("odd", "x");
    odd.entry.mtime = -5;
    odd.entry.mode = 0o4751;
    odd.entry.xattrs.insert(b"user.line\xfe".to_vec(), b"\n1 =\0".to_vec());
    vec![
        file("etc/passwd", "root:x:0:0\n"),
        file("\u{fc}ml\u{e4}ut", "x"),
        file(&long, "deep"),
        file("large", &"0123456789abcdef".repeat(40_000)),
        file("empty", ""),
        odd,
        node("d", EntryKind::Dir { opaque: false }),
        node("d/link", EntryKind::Symlink { target: b"../etc/passwd".to_vec() }),
        node("d/far", EntryKind::Symlink { target: vec![b't'; 200] }),
        node("also", EntryKind::HardLink { target: b"empty".to_vec() }),
        node("pipe", EntryKind::Fifo),
    ]
}

/// What only root may make, too.
fn everything() -> Vec<Item> {
    let mut items = sample();
    if is_root() {
        let mut big = file("big-ids", "x");
        (big.entry.uid, big.entry.gid) = (3_000_000, 33);
        items.push(big);
        items.push(node("null", EntryKind::CharDevice { major: 1, minor: 3 }));
        items.push(node("disk", EntryKind::BlockDevice { major: 259, minor: 70_000 }));
        items.push(node("gone", EntryKind::Whiteout));
        items.push(node("new", EntryKind::Dir { opaque: true }));
    }
    items
}

#[test]
fn every_form_leads_to_every_other() {
    let scene = Scene::new();
    let made = scene.layers.from_files(everything(), None, Form::Folder).unwrap();
    // Who is not root gives nothing away, and is told so.
    let expected = if rustix::process::geteuid().is_root() { None } else { Some(NoticeKind::Owner) };
    assert_eq!(made.notices.first().map(|notice| notice.kind), expected);
    let tar = scene.tar(&made.diff_id);
    assert_eq!(DiffId(Digest::of(&tar)), made.diff_id);
    let folder = on_disk(&scene.layers.folder(&made.diff_id).unwrap());

    for compression in ["gzip", "zstd", "uncompressed"] {
        let compression: Compression = compression.parse().unwrap();
        // Straight from the files, without a folder.
        let direct = Scene::new();
        let again = direct.layers.from_files(everything(), None, Form::Blob(compression)).unwrap();
        assert_eq!((again.diff_id, &again.toc), (made.diff_id, &made.toc));
        let from_folder = scene.layers.blob(&made.diff_id, &compression).unwrap();
        let from_files = direct.layers.blob(&made.diff_id, &compression).unwrap();
        assert_eq!(from_folder, from_files);
        assert_eq!(from_files.media_type, compression.media_type());
        // And unpacked again, by a process that only has the store.
        let other = direct.reopened();
        assert_eq!(on_disk(&other.folder(&made.diff_id).unwrap()), folder, "{compression}");
        assert_eq!(other.toc(&made.diff_id).unwrap(), made.toc);
        // Still canonical: what is made of the folder is the same.
        let zstd_9 = Compression::with_level(Algorithm::Zstd, 9).unwrap();
        assert_eq!(other.blob(&made.diff_id, &zstd_9).unwrap(), scene.layers.blob(&made.diff_id, &zstd_9).unwrap());
    }
}

#[test]
fn other_tools_read_the_canonical_tar() {
    let scene = Scene::new();
    let made = scene.layers.from_files(sample(), Some(86_400), Form::Blob(Compression::default())).unwrap();
    let archive = scene.folder.path().join("layer.tar");
    fs::write(&archive, scene.tar(&made.diff_id)).unwrap();

    let unpacked = scene.folder.path().join("gnu");
    fs::create_dir(&unpacked).unwrap();
    let options = ["--xattrs", "--xattrs-include=*", "-xpf"];
    let gnu = Command::new("tar").args(options).arg(&archive).arg("-C").arg(&unpacked).output().unwrap();
    assert!(gnu.status.success(), "{}", String::from_utf8_lossy(&gnu.stderr));
    if rustix::process::geteuid().is_root() {
        assert_eq!(on_disk(&unpacked), on_disk(&scene.layers.folder(&made.diff_id).unwrap()));
    }
    let listed = Command::new("tar").args(["--numeric-owner", "-tvf"]).arg(&archive).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.contains("hrw-r--r-- 0/0"), "{listed}");

    let program = "import sys, tarfile\n\
                   for m in tarfile.open(sys.argv[1]): print(m.name, m.size, m.mode, m.uid, m.mtime, m.linkname)";
    let Ok(python) = Command::new("python3").args(["-c", program]).arg(&archive).output() else { return };
    assert!(python.status.success(), "{}", String::from_utf8_lossy(&python.stderr));
    let lines = String::from_utf8(python.stdout).unwrap();
    assert_eq!(lines.lines().count(), made.toc.entries().len());
    assert!(
        lines.contains(&format!("odd 1 {} 0 -5.0 \n", 0o4751)) && lines.contains("empty 0 420 0 0 also"),
        "{lines}"
    );
}

#[test]
fn the_layer_without_entries_is_nothing_special_to_who_asks() {
    let scene = Scene::new();
    let empty = DiffId::empty();
    assert!(scene.layers.toc(&empty).unwrap().is_empty());
    assert_eq!(scene.tar(&empty), [0; 1024]);
    assert!(scene.layers.blob(&empty, &Compression::default()).unwrap().size < 100);
    assert_eq!(fs::read_dir(scene.layers.folder(&empty).unwrap()).unwrap().count(), 0);
    assert_eq!(scene.layers.from_files(Vec::new(), None, Form::Folder).unwrap().diff_id, empty);
    let upper = scene.folder.path().join("upper");
    fs::create_dir(&upper).unwrap();
    let lower = View::default();
    let upper = UpperDir { path: &upper, lower: &lower, stubs: &[], epoch: None, owners: Owners::Real };
    assert_eq!(scene.layers.from_upper(&upper).unwrap().diff_id, empty);
}

#[test]
fn an_upper_directory_becomes_the_folder() {
    let scene = Scene::new();
    let base = scene.layers.from_files(vec![file("etc/a", "1"), file("etc/b", "1")], None, Form::Folder).unwrap();
    let stage = scene.layers.store.stage_dir().unwrap();
    let upper = stage.path().join("upper");
    fs::create_dir_all(upper.join("etc")).unwrap();
    fs::write(upper.join("etc/a"), "2").unwrap();
    symlink("a", upper.join("etc/link")).unwrap();
    let view = scene.layers.view(&[base.diff_id]).unwrap();
    let request = UpperDir { path: &upper, lower: &view, stubs: &[], epoch: Some(7), owners: Owners::Real };
    let made = scene.layers.from_upper(&request).unwrap();
    assert!(!upper.exists());
    let folder = scene.layers.folder(&made.diff_id).unwrap();
    assert_eq!(fs::read(folder.join("etc/a")).unwrap(), b"2");
    let before = on_disk(&folder);

    // The folder gone, it comes back just the same from its blob.
    scene.layers.blob(&made.diff_id, &Compression::default()).unwrap();
    fs::rename(&folder, scene.folder.path().join("elsewhere")).unwrap();
    assert_eq!(on_disk(&scene.layers.folder(&made.diff_id).unwrap()), before);
}

#[test]
fn what_an_image_says_of_its_layers_changes_no_other() {
    let scene = Scene::new();
    let made = scene.layers.from_files(vec![file("app", "mine")], None, Form::Folder).unwrap();
    let mut gzip = compress::Compressor::new(Compression::default(), &scene.layers.store, Vec::new());
    gzip.write_all(&Archive::default().file("app", b"theirs").finish()).unwrap();
    let (gzip, _) = gzip.finish().unwrap();
    let blob = scene.layers.store.put_blob(&gzip).unwrap();
    let media_type = "application/vnd.oci.image.layer.v1.tar+gzip";
    scene.layers.pulled(&made.diff_id, &[], &blob, gzip.len() as u64, media_type).unwrap();

    assert_eq!(scene.layers.original_blob(&made.diff_id).unwrap(), None);
    let mine = scene.layers.blob(&made.diff_id, &Compression::default()).unwrap();
    assert_ne!(mine.digest, blob);
    let mut tar = Vec::new();
    scene.layers.tar(&made.diff_id, &mut tar).unwrap();
    assert_eq!(DiffId(Digest::of(&tar)), made.diff_id);
}

#[test]
fn a_pulled_layer_keeps_its_blob_and_is_unpacked_when_asked() {
    let scene = Scene::new();
    // Not canonical: neither sorted nor with its folders.
    let tar = Archive::default().file("z", b"1").file("a/b", b"2").hard_link("l", "base").finish();
    let diff_id = DiffId(Digest::of(&tar));
    let base = scene.layers.from_files(vec![file("base", "below")], None, Form::Folder).unwrap().diff_id;
    let media_type = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    let mut gzip = compress::Compressor::new(
        Compression::with_level(Algorithm::Gzip, 1).unwrap(),
        &scene.layers.store,
        Vec::new(),
    );
    gzip.write_all(&tar).unwrap();
    let (gzip, _) = gzip.finish().unwrap();
    let blob = scene.layers.store.put_blob(&gzip).unwrap();
    scene.layers.pulled(&diff_id, &[base], &blob, gzip.len() as u64, media_type).unwrap();

    assert_eq!(scene.layers.blob(&diff_id, &Compression::default()).unwrap().digest, blob);
    let toc = scene.layers.toc(&diff_id).unwrap();
    assert_eq!(listing(toc.entries()), ["a/", "a/b 1", "l 5", "z 1"]);
    assert!(scene.layers.store.layer_dir(&diff_id).unwrap().is_none(), "nobody asked for a folder");
    assert_eq!(scene.tar(&diff_id), tar);
    let zstd = scene.layers.blob(&diff_id, &"zstd".parse().unwrap()).unwrap();
    let zstd = scene.layers.store.read_blob(&zstd.digest, 1 << 20).unwrap().unwrap();
    assert_eq!(zstd::decode_all(&zstd[..]).unwrap(), tar);
    let folder = scene.layers.folder(&diff_id).unwrap();
    assert_eq!(fs::read(folder.join("l")).unwrap(), b"below");

    // A folder alone does not give the archive back, and says so.
    let other = Scene::new();
    let base = other.layers.from_files(vec![file("base", "below")], None, Form::Folder).unwrap().diff_id;
    other.layers.apply(&diff_id, &[base], &tar[..]).unwrap();
    let error = other.layers.blob(&diff_id, &Compression::default()).unwrap_err();
    assert!(matches!(error, LayerError::NotReproducible(_)), "{error}");
}

#[test]
fn an_archive_that_is_another_layer_leaves_nothing() {
    let scene = Scene::new();
    let tar = Archive::default().file("a", b"").finish();
    let promised = DiffId(Digest::of(b"promised"));
    let error = scene.layers.apply(&promised, &[], &tar[..]).unwrap_err();
    assert!(matches!(error, LayerError::WrongLayer { .. }), "{error}");
    assert!(matches!(scene.layers.folder(&promised), Err(LayerError::Absent(_))));
    assert!(matches!(scene.layers.toc(&promised), Err(LayerError::Absent(_))));
}

/// Whether a blob is the layer that its image says is found out once in a store, and not at all of one that was compressed here.
#[test]
fn blobs_that_images_name_are_read_once() {
    let scene = Scene::new();
    let made = scene.layers.from_files(sample(), None, Form::Blob(Compression::default())).unwrap();
    let own = scene.layers.blob(&made.diff_id, &Compression::default()).unwrap();
    let store = &scene.layers.store;
    let again = store.put_blob(&zstd::encode_all(&scene.tar(&made.diff_id)[..], 7).unwrap()).unwrap();
    let other = store.put_blob(&zstd::encode_all(&Archive::default().file("a", b"").finish()[..], 7).unwrap()).unwrap();
    let believed = || {
        let layers = scene.reopened();
        let zstd = "application/vnd.oci.image.layer.v1.tar+zstd";
        for (blob, media_type) in
            [(own.digest, &own.media_type[..]), (again, zstd), (other, "application/vnd.other.tar+zstd")]
        {
            layers.pulled(&made.diff_id, &[], &blob, 1, media_type).unwrap();
        }
        let here = layers.blobs_here(&made.diff_id).unwrap();
        [own.digest, again, other].map(|digest| here.iter().any(|blob| blob.digest == digest))
    };
    let write = |blob: &BlobDigest, bytes: &[u8]| {
        let hex = blob.to_string().replace("sha256:", "");
        fs::write(store.root().join("blobs/sha256").join(&hex[..2]).join(&hex), bytes).unwrap();
    };
    write(&own.digest, b"nobody reads this");
    assert_eq!(believed(), [true, true, false]);
    write(&again, b"nor that");
    assert_eq!(believed(), [true, true, false]);
}

#[test]
fn files_that_are_not_what_was_said_are_errors() {
    let scene = Scene::new();
    let host = scene.folder.path().join("host");
    fs::create_dir(&host).unwrap();
    fs::write(host.join("f"), "12345").unwrap();
    fs::write(host.join("large"), vec![1; 300_000]).unwrap();
    symlink("f", host.join("link")).unwrap();
    symlink(".", host.join("dir")).unwrap();
    let root = open_root(&host).unwrap();
    let item = |path: &str, size, digest| {
        let entry = Entry::new("f", EntryKind::File { size, digest });
        let content = Content::Host { root: Arc::clone(&root), path: path.into() };
        if digest == ContentDigest([0; 32]) { Item::file_to_hash(entry, content) } else { Item::file(entry, content) }
    };
    let unknown = ContentDigest([0; 32]);
    let wrong = ContentDigest::of(b"other");
    for form in [Form::Folder, Form::Blob(Compression::default())] {
        let make = |item| scene.layers.from_files(vec![item], None, form);
        assert!(make(item("f", 5, unknown)).is_ok());
        assert!(make(item("f", 5, ContentDigest::of(b"12345"))).is_ok());
        assert!(make(item("large", 300_000, unknown)).is_ok());
        for (path, size) in [("f", 4), ("f", 6), ("large", 300_001), ("large", 299_999)] {
            let error = make(item(path, size, unknown)).unwrap_err();
            assert!(matches!(error, LayerError::Changed { .. }), "{path} {size}: {error}");
        }
        for (path, size) in [("f", 5), ("large", 300_000)] {
            let error = make(item(path, size, wrong)).unwrap_err();
            assert!(matches!(error, LayerError::Content { .. }), "{path}: {error}");
        }
        // Who put a link there since the folder was walked gets nothing from elsewhere.
        for path in ["link", "dir/f", "../host/f", "/etc/passwd", "."] {
            assert!(make(item(path, 5, unknown)).is_err(), "{path}");
        }
    }
}

#[test]
fn files_of_other_layers_are_taken_from_wherever_they_are() {
    let scene = Scene::new();
    let base = scene.layers.from_files(sample(), None, Form::Blob(Compression::default())).unwrap();
    let from = base.toc.get(b"large").unwrap();
    let copy = Entry { path: b"copy".to_vec(), ..from.clone() };
    let content = Content::Layer { layer: base.diff_id, path: b"large".to_vec() };
    let made = scene.layers.from_files(vec![Item::file(copy, content)], None, Form::Folder).unwrap();
    assert_eq!(made.toc.get(b"copy").unwrap().kind, from.kind);
}

#[test]
fn several_threads_make_each_form_once() {
    let scene = Scene::new();
    let made = scene.layers.from_files(sample(), None, Form::Blob(Compression::default())).unwrap();
    let zstd: Compression = "zstd".parse().unwrap();
    let done = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let layers = scene.reopened();
                let folder = layers.folder(&made.diff_id).unwrap();
                assert!(folder.join("etc/passwd").exists());
                layers.blob(&made.diff_id, &zstd).unwrap();
                done.fetch_add(1, Ordering::Relaxed);
            });
        }
    });
    assert_eq!(done.into_inner(), 6);
}

/// What a shell does on a real overlay, and what is to become of it.
#[test]
fn the_kernel_and_the_tables_agree() {
    if skip_without_root("mounting an overlay") {
        return;
    }
    let scene = Scene::new();
    let base = [
        file("bin/tool", "1"),
        file("etc/kept", "1"),
        file("etc/gone", "1"),
        file("old/a/b", "1"),
        file("again/x", "1"),
        file("swap", "1"),
        file("touched", "1"),
    ];
    let base = scene.layers.from_files(base.into(), None, Form::Folder).unwrap().diff_id;
    let stage = scene.layers.store.stage_dir().unwrap();
    let at = |name: &str| stage.path().join(name);
    for name in ["upper", "work", "merged"] {
        fs::create_dir(at(name)).unwrap();
    }
    let mount = |layers: &[DiffId], upper: bool| {
        let lower: Vec<_> =
            layers.iter().rev().map(|layer| scene.layers.folder(layer).unwrap().to_str().unwrap().to_owned()).collect();
        let mut options = format!("redirect_dir=off,metacopy=off,lowerdir={}", lower.join(":"));
        if upper {
            let (upper, work) = (at("upper"), at("work"));
            options = format!("{options},upperdir={},workdir={}", upper.display(), work.display());
        }
        let mounted =
            Command::new("mount").args(["-t", "overlay", "overlay", "-o", &options]).arg(at("merged")).status();
        mounted.is_ok_and(|status| status.success())
    };
    let umount = || assert!(Command::new("umount").arg(at("merged")).status().unwrap().success());
    if !mount(&[base], true) {
        return;
    }
    let script = "set -e; rm etc/gone; rm -r old; rm -r again; mkdir again; echo 22 > again/y; rm swap; mkdir swap; \
                  echo 333 > swap/z; touch touched; chmod 700 bin; mv etc/kept etc/moved; ln etc/moved etc/second; \
                  echo 4444 > never; rm never; mkdir -p stub/in; mkfifo pipe; mknod dev c 1 3";
    let run = Command::new("sh").args(["-c", script]).current_dir(at("merged")).status().unwrap();
    umount();
    assert!(run.success());
    let (upper, view) = (at("upper"), scene.layers.view(&[base]).unwrap());
    let stubs = ["/stub".into(), "/stub/in".into()];
    let request = UpperDir { path: &upper, lower: &view, stubs: &stubs, epoch: None, owners: Owners::Real };
    let made = scene.layers.from_upper(&request).unwrap();
    let expected = [
        "again/ opaque",
        "again/y 3",
        "bin/",
        "dev c 1:3",
        "etc/",
        "etc/gone gone",
        "etc/kept gone",
        "etc/moved 1",
        "etc/second = etc/moved",
        "old gone",
        "pipe |",
        "swap/ ",
        "swap/z 4",
    ];
    assert_eq!(listing(made.toc.entries()), expected.map(str::trim_end).to_vec().as_slice());

    // The kernel shows of the folders what the tables say of the layers, also when they come from blobs.
    let both = [base, made.diff_id];
    for layer in both {
        scene.layers.blob(&layer, &Compression::default()).unwrap();
    }
    for remade in [false, true] {
        if remade {
            for layer in both {
                fs::remove_dir_all(scene.layers.folder(&layer).unwrap()).unwrap();
            }
        }
        assert!(mount(&both, false));
        let shown: Vec<String> = on_disk(&at("merged")).into_keys().collect();
        umount();
        let view = scene.layers.view(&both).unwrap();
        let mut told: Vec<String> =
            view.walk(b"").map(|hit| String::from_utf8(hit.entry.path.clone()).unwrap()).collect();
        told.sort();
        assert_eq!(shown, told, "remade: {remade}");
    }
}

#[test]
fn a_full_disk_is_told_as_such() {
    if skip_without_root("mounting a small file system") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mount = |arguments: &[&str]| Command::new(arguments[0]).args(&arguments[1..]).arg(folder.path()).status();
    if !mount(&["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs"]).is_ok_and(|status| status.success()) {
        return;
    }
    let layers = Layers::new(Store::open(&folder.path().join("store")).unwrap(), overlay());
    let mut state = 1u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    })
    .take(8 << 20)
    .collect();
    for form in [Form::Folder, Form::Blob(Compression::default())] {
        let entry = Entry::new("noise", EntryKind::File { size: noise.len() as u64, digest: ContentDigest([0; 32]) });
        let item = Item::file_to_hash(entry, Content::Bytes(noise.clone()));
        let error = layers.from_files(vec![item], None, form).unwrap_err();
        assert!(error.is_no_space(), "{error}");
    }
    drop(layers);
    mount(&["umount"]).unwrap();
}
