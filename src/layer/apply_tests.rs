use super::*;
use crate::layer::{
    folder::open_root,
    test_archive::{Archive, is_root, listing, overlay, skip_without_root, unpack},
};
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    path::Path,
    process::Command,
};

/// A root to unpack into, and beside it a folder of the host that must stay as it is.
struct Scene {
    folder: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("host")).unwrap();
        fs::write(folder.path().join("host/H"), "untouched").unwrap();
        fs::set_permissions(folder.path().join("host"), fs::Permissions::from_mode(0o750)).unwrap();
        Self { folder }
    }

    fn root(&self) -> std::path::PathBuf {
        self.folder.path().join("root")
    }

    fn host(&self) -> String {
        self.folder.path().join("host").to_str().unwrap().to_owned()
    }

    fn unpack(&self, archive: Archive) -> Result<Vec<String>, LayerError> {
        unpack(&archive.finish(), &self.root()).map(|packed| listing(packed.toc.entries()))
    }

    fn check_host(&self) {
        let names = |path: &str| fs::read_dir(self.folder.path().join(path)).unwrap().count();
        assert_eq!(fs::read_to_string(self.folder.path().join("host/H")).unwrap(), "untouched");
        assert_eq!(names("host"), 1, "something was made on the host");
        assert!(names(".") <= 2, "something was made beside the root");
        let host = fs::metadata(self.folder.path().join("host")).unwrap();
        assert_eq!(host.mode() & 0o7777, 0o750);
        assert_eq!(fs::metadata(self.folder.path().join("host/H")).unwrap().nlink(), 1);
    }
}

fn archive() -> Archive {
    Archive::default()
}

#[test]
fn what_would_leave_the_root_is_refused_and_named() {
    let host = Scene::new();
    let absolute = format!("{}/H", host.host());
    let cases: Vec<(Archive, &str)> = vec![
        (archive().file("../../H", b"pwn"), "../../H"),
        (archive().file("../host/H", b"pwn"), "../host/H"),
        (archive().file(&absolute, b"pwn"), &absolute),
        (archive().dir("a").file("a/../../host/H", b"pwn"), "a/../../host/H"),
        (archive().hard_link("h", "../host/H"), "../host/H"),
        (archive().hard_link("h", &absolute), "\"h\""),
        (archive().symlink("x", &host.host()).hard_link("h", "x/H"), "\"h\""),
        (archive().hard_link("h", "src/lib.rs"), "\"h\""),
        (archive().file(".wh.", b""), ".wh."),
        (archive().file("a/.wh...", b""), "a/.wh..."),
        (archive().file(".wh.a/b", b""), ".wh.a/b"),
        (archive().file("a", b"").file("a/b", b""), "a/b"),
        (archive().dir("d").hard_link("h", "d"), "\"h\""),
        (archive().symlink("a", "a").file("a/b", b""), "a/b"),
    ];
    for (archive, name) in cases {
        let scene = Scene::new();
        // The paths of the cases are those of the first scene; both stay as they are.
        let error = scene.unpack(archive).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("refused"), "{name}: {error}");
        scene.check_host();
        host.check_host();
    }
}

#[test]
fn links_are_followed_inside_of_the_root_only() {
    let scene = Scene::new();
    let host = scene.host();
    let archive = archive()
        .symlink("x", &host)
        .file("x/pwn", b"1")
        .symlink("up", "../../../../../..")
        .file("up/pwn", b"2")
        .file("x/.wh.H", b"")
        .file("up/.wh..wh..opq", b"");
    let found = scene.unpack(archive).unwrap();
    scene.check_host();
    let inside = &host[1..];
    assert!(found.contains(&format!("{inside}/pwn 1")), "{found:?}");
    assert!(found.contains(&format!("{inside}/H gone")), "{found:?}");
    assert!(found.contains(&"pwn 1".to_owned()) && found.contains(&"/ opaque".to_owned()), "{found:?}");
    assert_eq!(fs::read(scene.root().join(inside).join("pwn")).unwrap(), b"1");
}

#[test]
fn a_link_of_a_lower_layer_is_not_written_through() {
    let scene = Scene::new();
    scene.unpack(archive().symlink("x", &scene.host())).unwrap();
    // The next layer has a folder of its own where the first one has the link.
    let upper = archive().file("x/pwn", b"1").file("x/.wh.H", b"").file("x/.wh..wh..opq", b"").finish();
    let second = tempfile::tempdir().unwrap();
    let packed = unpack(&upper, second.path()).unwrap();
    scene.check_host();
    assert_eq!(listing(packed.toc.entries()), ["x/ opaque", "x/H gone", "x/pwn 1"]);
}

#[test]
fn the_mode_of_a_folder_does_not_go_through_a_link() {
    let scene = Scene::new();
    let archive = archive().symlink("x", &scene.host()).header(b'5', b"x/", b"", &[(100, b"0000777\0")]);
    assert_eq!(scene.unpack(archive).unwrap(), ["x/"]);
    scene.check_host();
    assert!(fs::symlink_metadata(scene.root().join("x")).unwrap().is_dir());
}

#[test]
fn later_entries_replace_earlier_ones() {
    let all = archive()
        .dir("a")
        .dir("a/sub")
        .file("a/sub/deep", b"1")
        .file("a/.wh.old", b"")
        .file("a", b"now a file")
        .file("b", b"x")
        .dir("b")
        .file("b/c", b"")
        .file("twice", b"1")
        .hard_link("first", "twice")
        .file("twice", b"22")
        .symlink("l", "a")
        .file("l", b"333");
    let scene = Scene::new();
    let found = scene.unpack(all).unwrap();
    assert_eq!(found, ["a 10", "b/", "b/c 0", "first 1", "l 3", "twice 2"]);
    assert_eq!(fs::read(scene.root().join("first")).unwrap(), b"1");
    assert_eq!(fs::read(scene.root().join("twice")).unwrap(), b"22");
}

#[test]
fn a_deletion_is_about_the_layers_below() {
    let scene = Scene::new();
    let found = scene
        .unpack(
            archive()
                .file("f", b"1")
                .file(".wh.f", b"")
                .file(".wh.d", b"")
                .dir("d")
                .dir("e")
                .file(".wh.e", b"")
                .file("g/.wh.h", b"")
                .file(".wh..wh.plnk", b"")
                .dir(".wh..wh.orph"),
        )
        .unwrap();
    assert_eq!(found, ["d/ opaque", "e/ opaque", "f 1", "g/", "g/h gone"]);
    let whiteout = fs::symlink_metadata(scene.root().join("g/h")).unwrap();
    assert!(whiteout.file_type().is_char_device() && whiteout.rdev() == 0);
    if is_root() {
        assert_eq!(xattr::get(scene.root().join("d"), "trusted.overlay.opaque").unwrap().unwrap(), b"y");
    }
}

#[test]
fn hard_links_share_what_the_first_name_has() {
    let scene = Scene::new();
    let archive =
        archive().file("z", b"123").hard_link("a", "z").hard_link("m", "./a").symlink("s", "z").hard_link("t", "s");
    assert_eq!(scene.unpack(archive).unwrap(), ["a 3", "m = a", "s -> z", "t -> z", "z = a"]);
    assert_eq!(fs::metadata(scene.root().join("a")).unwrap().nlink(), 3);
}

struct Base(tempfile::NamedTempFile);

impl Below for Base {
    fn entry(&mut self, path: &[u8]) -> Result<Option<Entry>, LayerError> {
        let mut tmp = Entry::new(path, EntryKind::Dir { opaque: true });
        tmp.mode = 0o1777;
        Ok((path == b"tmp").then_some(tmp))
    }

    fn file(&mut self, path: &[u8]) -> Result<Option<(Entry, File)>, LayerError> {
        let digest = ContentDigest::of(b"below");
        let mut entry = Entry::new(path, EntryKind::File { size: 5, digest });
        entry.mode = 0o755;
        Ok((path == b"bin/tool").then(|| (entry, self.0.reopen().unwrap())))
    }
}

#[test]
fn the_layers_below_tell_what_the_archive_does_not() {
    let mut base = Base(tempfile::NamedTempFile::new().unwrap());
    base.0.write_all(b"below").unwrap();
    let root = tempfile::tempdir().unwrap();
    let target = Target { root: open_root(root.path()).unwrap(), overlay: overlay() };
    let bytes = archive().file("tmp/x", b"").hard_link("b", "bin/tool").hard_link("c", "b").finish();
    let packed = apply(&bytes[..], Some(&target), &mut base, Limits::DEFAULT).unwrap();
    assert_eq!(listing(packed.toc.entries()), ["b 5", "c = b", "tmp/", "tmp/x 0"]);
    assert_eq!(packed.toc.get(b"tmp").unwrap().mode, 0o1777);
    assert_eq!(fs::metadata(root.path().join("tmp")).unwrap().mode() & 0o7777, 0o1777);
    assert_eq!(fs::read(root.path().join("b")).unwrap(), b"below");
    assert_eq!(packed.toc.get(b"b").unwrap().mode, 0o755);
}

#[test]
fn devices_set_id_bits_and_attributes_come_out_as_they_are() {
    if skip_without_root("mknod") {
        return;
    }
    let capability = [&[1, 0, 0, 2, 10, 10], &[0; 14][..]].concat();
    let scene = Scene::new();
    let found = scene
        .unpack(
            archive()
                .header(b'3', b"null", b"", &[(329, b"0000001\0"), (337, b"0000003\0")])
                .header(b'4', b"disk", b"", &[(329, b"0000010\0"), (337, b"0000001\0")])
                .header(b'6', b"pipe", b"", &[])
                .header(b'0', b"sudo", b"", &[(100, b"0004755\0"), (108, b"0000041\0")])
                .pax("SCHILY.xattr.security.capability", &capability)
                .file("ping", b"")
                .pax("SCHILY.xattr.trusted.overlay.redirect", b"/etc")
                .dir("d")
                .pax("SCHILY.xattr.user.overlay.opaque", b"y")
                .dir("e")
                .header(b'3', b"mark", b"", &[(329, b"0000000\0"), (337, b"0000000\0")]),
        )
        .unwrap();
    assert_eq!(found, ["d/", "disk b 8:1", "e/", "mark gone", "null c 1:3", "ping 0", "pipe |", "sudo 0"]);
    let sudo = fs::metadata(scene.root().join("sudo")).unwrap();
    assert_eq!((sudo.mode() & 0o7777, sudo.uid(), sudo.mtime()), (0o4755, 33, 7));
    assert_eq!(xattr::get(scene.root().join("ping"), "security.capability").unwrap().unwrap(), capability);
    for folder in ["d", "e"] {
        let left: Vec<_> = xattr::list(scene.root().join(folder)).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }
    assert_eq!(fs::symlink_metadata(scene.root().join("null")).unwrap().rdev(), rustix::fs::makedev(1, 3));
}

#[test]
fn what_tools_disagree_about_is_refused() {
    let inner = archive().file("smuggled", b"x").cut();
    let record = |text: &str| archive().member(b'x', b"pax", b"", text.as_bytes()).file("f", b"");
    let cases: Vec<(&str, Archive)> = vec![
        ("malformed pax", record("999 path=x\n")),
        ("malformed pax", record("9 pathxx\n")),
        ("malformed pax", record("+9 a=b\n\n\n")),
        ("malformed number", archive().pax("size", b"-1").file("f", b"")),
        ("malformed number", archive().pax("size", b"0x10").file("f", b"")),
        ("two pax headers", archive().pax("path", b"a").pax("path", b"b").file("f", b"")),
        ("both a pax and a GNU", archive().pax("path", b"a").member(b'L', b"l", b"", b"b\0").file("f", b"")),
        ("two long names", archive().member(b'L', b"", b"", b"a").member(b'L', b"", b"", b"b").file("f", b"")),
        ("ends after a header", archive().member(b'L', b"", b"", b"a\0")),
        ("sparse", archive().pax("GNU.sparse.major", b"1").file("f", b"")),
        ("sparse", archive().member(b'S', b"f", b"", b"")),
        ("global", archive().member(b'g', b"", b"", b"12 path=abc\n").file("f", b"")),
        ("no file", archive().member(b'5', b"d/", b"", &inner)),
        ("no file", archive().member(b'2', b"l", b"t", &inner)),
        ("unknown type", archive().member(b'Z', b"f", b"", b"")),
        ("folder's name", archive().member(b'0', b"f/", b"", b"")),
        ("malformed number", archive().header(b'0', b"f", b"", &[(124, b"9\0")])),
        (
            "absurd",
            archive().header(b'0', b"f", b"", &[(124, &[0x80, 0, 0, 0, 0xff, 255, 255, 255, 255, 255, 255, 255])]),
        ),
        ("malformed number", archive().header(b'0', b"f", b"", &[(124, &[0xff; 12])])),
        ("more than a megabyte", archive().header(b'x', b"f", b"", &[(124, b"77777777777\0")])),
        ("lone zero block", archive().file("a", b"").data(&[0]).file("b", b"")),
        ("ends within", archive().header(b'0', b"f", b"", &[(124, b"00000001000\0")])),
        ("longer than any", archive().pax("path", ("d/".repeat(32_768) + "f").as_bytes()).file("f", b"")),
        ("longer than any", archive().pax("path", &[b'n'; 256]).file("f", b"")),
        ("zero byte", archive().pax("path", b"a\0b").file("f", b"")),
    ];
    for (expected, archive) in cases {
        let scene = Scene::new();
        let bytes = if expected == "ends within" { archive.cut() } else { archive.finish() };
        let error = unpack(&bytes, &scene.root()).map(|packed| listing(packed.toc.entries())).unwrap_err().to_string();
        assert!(error.contains(expected), "expected {expected:?}: {error}");
        scene.check_host();
    }
    let wrong = archive().file("f", b"").cut();
    let damaged = [&b"g"[..], &wrong[1..]].concat();
    assert!(unpack(&damaged, &Scene::new().root()).map(drop).unwrap_err().to_string().contains("checksum"));
}

#[test]
fn the_pax_size_holds_and_data_stays_data() {
    let inner = archive().file("smuggled", b"x").cut();
    let size = inner.len().to_string();
    let archive = archive()
        .pax("size", size.as_bytes())
        .header(b'0', b"data", b"", &[])
        .data(&inner)
        .header(b'0', b"base256", b"", &[(124, &[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3])])
        .data(b"abc")
        .member(b'L', b"", b"", format!("{}\0", "n".repeat(200)).as_bytes())
        .pax("mtime", b"-1.5")
        .file("short", b"");
    let bytes = archive.finish();
    let scene = Scene::new();
    let packed = unpack(&bytes, &scene.root()).unwrap();
    assert_eq!(
        listing(packed.toc.entries()),
        ["base256 3", &format!("data {size}"), &format!("{} 0", "n".repeat(200))]
    );
    assert_eq!(packed.toc.entries()[2].mtime, -2);
    assert_eq!(fs::read(scene.root().join("data")).unwrap(), inner);
    // GNU tar and Python see the same names.
    let path = scene.folder.path().join("a.tar");
    fs::write(&path, &bytes).unwrap();
    let expected = format!("data\nbase256\n{}\n", "n".repeat(200));
    let gnu = Command::new("tar").arg("-tf").arg(&path).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&gnu.stdout), expected);
    let program = "import sys, tarfile; [print(m.name) for m in tarfile.open(sys.argv[1])]";
    if let Ok(python) = Command::new("python3").args(["-c", program]).arg(&path).output() {
        assert_eq!(String::from_utf8_lossy(&python.stdout), expected);
    }
    fs::remove_file(&path).unwrap();
}

#[test]
fn names_are_bytes_and_many_or_deep_ones_do_no_harm() {
    let deep = "d/".repeat(2000) + "f";
    let archive = archive().member(b'0', b"\xff\xfe", b"", b"").pax("path", deep.as_bytes()).file("x", b"");
    let scene = Scene::new();
    let packed = unpack(&archive.finish(), &scene.root()).unwrap();
    assert_eq!(packed.toc.entries().len(), 2002);
    assert!(packed.toc.get(b"\xff\xfe").is_some());

    let many = (0..2000).fold(Archive::default(), |archive, index| archive.file(&format!("f{index}"), b""));
    let few = Limits { entries: 1999, ..Limits::DEFAULT };
    let error = apply(&many.finish()[..], None, &mut Nothing, few).map(drop).unwrap_err();
    assert_eq!(error.to_string(), "the archive is refused: it has more than 1999 entries");
}

#[test]
fn any_damage_to_an_archive_is_survived() {
    let good = archive()
        .pax("SCHILY.xattr.user.a", b"1\n2")
        .file("a", b"content")
        .dir("d")
        .symlink("d/l", "../a")
        .hard_link("d/h", "a")
        .file("d/.wh.x", b"")
        .finish();
    let mut state = 7u32;
    let mut random = move |below: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize % below
    };
    for _ in 0..3000 {
        let mut bad = good.clone();
        for _ in 0..=random(3) {
            let at = random(bad.len());
            bad[at] = [0, b'/', b'.', b'7', 0xff, b'x'][random(6)];
        }
        // Make the checksums right again, or little gets past them.
        for block in bad.chunks_exact_mut(512).filter(|block| block[257..262] == *b"ustar") {
            block[148..156].copy_from_slice(b"        ");
            let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
        drop(apply(&bad[..], None, &mut Nothing, Limits::DEFAULT));
    }
}

#[test]
fn what_this_user_may_not_do_is_noticed_once() {
    let mut notices = Notices::default();
    for path in ["a", "b"] {
        notices.add(NoticeKind::Owner, path.as_bytes());
    }
    let mut more = Notices::default();
    more.add(NoticeKind::Owner, b"c");
    notices.merge(more);
    let notices = notices.into_vec();
    assert_eq!(
        notices[0].to_string(),
        "files keep this user as their owner, because it may not give them away (3 of them, the first /a)"
    );

    let owned: &[(usize, &[u8])] = &[(108, b"0000041\0"), (329, b"0000001\0"), (337, b"0000003\0")];
    let archive = archive().header(b'0', b"f", b"", owned).header(b'3', b"null", b"", owned).hard_link("null2", "null");
    let root = tempfile::tempdir().unwrap();
    let packed = unpack(&archive.finish(), root.path()).unwrap();
    assert_eq!(listing(packed.toc.entries()), ["f 0", "null c 1:3", "null2 c 1:3"]);
    assert_eq!(packed.toc.get(b"f").unwrap().uid, 33);
    let kinds: Vec<_> = packed.notices.into_vec().iter().map(|notice| notice.kind).collect();
    assert_eq!(kinds, if is_root() { vec![] } else { vec![NoticeKind::Owner, NoticeKind::Device] });
}

/// Everything below a folder, as far as a later step can see it.
pub(in crate::layer) fn on_disk(root: &Path) -> BTreeMap<String, String> {
    fn visit(root: &Path, path: &Path, found: &mut BTreeMap<String, String>) {
        for child in fs::read_dir(path).unwrap() {
            let child = child.unwrap().path();
            let stat = fs::symlink_metadata(&child).unwrap();
            let content = match stat.file_type() {
                kind if kind.is_file() => content(&fs::read(&child).unwrap()),
                kind if kind.is_symlink() => fs::read_link(&child).unwrap().to_str().unwrap().to_owned(),
                _ => String::new(),
            };
            let links = if stat.is_dir() { 1 } else { stat.nlink() };
            let attributes: Vec<_> = xattr::list(&child).unwrap().collect();
            // The time of a whiteout is that of its making, and means nothing.
            let whiteout = stat.file_type().is_char_device() && stat.rdev() == 0;
            let line = format!(
                "{:o} {}:{} {} x{links} {} {content} {attributes:?}",
                stat.mode(),
                stat.uid(),
                stat.gid(),
                if whiteout { 0 } else { stat.mtime() },
                stat.rdev()
            );
            found.insert(child.strip_prefix(root).unwrap().to_str().unwrap().to_owned(), line);
            if stat.is_dir() {
                visit(root, &child, found);
            }
        }
    }
    /// What can be read in a failed assertion: a digest in place of what is long.
    fn content(bytes: &[u8]) -> String {
        if bytes.len() > 200 {
            crate::image::Digest::of(bytes).to_string()
        } else {
            String::from_utf8_lossy(bytes).into_owned()
        }
    }
    let mut found = BTreeMap::new();
    visit(root, root, &mut found);
    found
}
