//! Wheels that the tests make themselves: good ones to files, hostile ones to refusals.

use super::{can_compile, record::Rows, unpack};
use crate::{
    layer::{Compression, Entry, EntryKind, Form, Item, Layers, OverlayXattrs},
    packages::{files::Tree, parts::Opened},
    store::Store,
};
use flashbuild_frontend::package::{Package, PackageLayout, PackagePart, WheelLayout};
use std::{
    collections::BTreeMap,
    fs::File,
    io::{Read as _, Seek as _, Write as _},
};
use zip::{ZipWriter, write::SimpleFileOptions};

/// A wheel in the making; `RECORD` is written for what was added, unless a test brings its own.
pub(in super::super) struct WheelFile {
    files: Vec<(String, Vec<u8>, u32)>,
    record: Option<String>,
}

impl WheelFile {
    pub(in super::super) fn new() -> Self {
        let wheel = Self { files: Vec::new(), record: None };
        wheel
            .file("demo/__init__.py", b"answer = 42\n")
            .file("demo-1.0.dist-info/METADATA", b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n")
            .file("demo-1.0.dist-info/WHEEL", b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    }

    pub(in super::super) fn file(self, name: &str, content: &[u8]) -> Self {
        self.file_with_mode(name, content, 0o100_644)
    }

    fn file_with_mode(mut self, name: &str, content: &[u8], mode: u32) -> Self {
        self.files.retain(|(known, ..)| known != name);
        self.files.push((name.to_owned(), content.to_vec(), mode));
        self
    }

    fn record(mut self, text: &str) -> Self {
        self.record = Some(text.to_owned());
        self
    }

    pub(in super::super) fn write(&self) -> File {
        let mut rows = Rows::default();
        for (name, content, _) in &self.files {
            rows.made(name, content);
        }
        let record = self.record.clone().unwrap_or_else(|| rows.finish("demo-1.0.dist-info/RECORD"));
        let own = ("demo-1.0.dist-info/RECORD".to_owned(), record.into_bytes(), 0o100_644);
        let mut zip = ZipWriter::new(tempfile::tempfile().unwrap());
        for (name, content, mode) in self.files.iter().chain([&own]) {
            let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
            if mode & 0o170_000 == 0o120_000 {
                zip.add_symlink(name, String::from_utf8(content.clone()).unwrap(), options).unwrap();
            } else {
                zip.start_file(name, options.unix_permissions(mode & 0o777)).unwrap();
                zip.write_all(content).unwrap();
            }
        }
        let mut file = zip.finish().unwrap();
        file.rewind().unwrap();
        file
    }
}

fn package() -> Package {
    let layout = WheelLayout {
        site: "/v/lib/site".to_owned(),
        scripts: "/v/bin".to_owned(),
        data: "/v".to_owned(),
        headers: "/v/include".to_owned(),
        interpreter: "/v/bin/python".to_owned(),
        requested: true,
        bytecode: None,
    };
    Package {
        name: "demo".to_owned(),
        version: "1.0".to_owned(),
        artifact: format!("sha256:{}", "0".repeat(64)).parse().unwrap(),
        layout: PackageLayout::Wheel(layout),
        part: None,
    }
}

fn items(wheel: &WheelFile) -> Result<Vec<Item>, String> {
    items_of(wheel.write())
}

fn items_of(wheel: File) -> Result<Vec<Item>, String> {
    let package = package();
    let PackageLayout::Wheel(layout) = &package.layout else { unreachable!("it is a wheel") };
    unpack(&package, layout, wheel, 7).map_err(|error| error.to_string())
}

/// Unpacks into a layer; what was refused there or before, as text.
fn made(wheel: &WheelFile) -> Result<(tempfile::TempDir, std::path::PathBuf), String> {
    made_of(wheel.write())
}

fn made_of(wheel: File) -> Result<(tempfile::TempDir, std::path::PathBuf), String> {
    let folder = tempfile::tempdir().unwrap();
    let layers = Layers::new(Store::open(folder.path()).unwrap(), OverlayXattrs::User);
    let made = layers.from_files(items_of(wheel)?, None, Form::Folder).map_err(|error| error.to_string())?;
    let path = layers.folder(&made.diff_id).unwrap();
    Ok((folder, path))
}

#[test]
fn files_go_where_their_scheme_says() {
    let wheel = WheelFile::new()
        .file_with_mode("demo/tool", b"\x7fELF", 0o100_755)
        .file("demo-1.0.data/purelib/pure.py", b"")
        .file("demo-1.0.data/platlib/plat.so", b"x")
        .file("demo-1.0.data/headers/demo.h", b"h")
        .file("demo-1.0.data/data/share/demo.txt", b"d")
        .file("demo-1.0.data/scripts/hello", b"#!python -E\nprint('hello')\n")
        .file("demo-1.0.data/scripts/shell", b"#!/bin/sh\n")
        .file("demo-1.0.dist-info/entry_points.txt", b"[console_scripts]\ndemo = demo:main\n");
    let (_folder, root) = made(&wheel).unwrap();
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
    assert_eq!(read("v/lib/site/demo/__init__.py"), "answer = 42\n");
    assert_eq!(read("v/bin/hello"), "#!/v/bin/python -E\nprint('hello')\n");
    assert_eq!(read("v/share/demo.txt"), "d");
    assert_eq!(read("v/include/demo/demo.h"), "h");
    assert!(root.join("v/lib/site/pure.py").exists() && root.join("v/lib/site/plat.so").exists());
    let record = read("v/lib/site/demo-1.0.dist-info/RECORD");
    let lines: Vec<&str> = record.lines().map(|line| line.split(',').next().unwrap()).collect();
    let expected = [
        "../../bin/demo",
        "../../bin/hello",
        "../../bin/shell",
        "../../include/demo/demo.h",
        "../../share/demo.txt",
        "demo-1.0.dist-info/INSTALLER",
        "demo-1.0.dist-info/METADATA",
        "demo-1.0.dist-info/RECORD",
        "demo-1.0.dist-info/REQUESTED",
        "demo-1.0.dist-info/WHEEL",
        "demo-1.0.dist-info/entry_points.txt",
        "demo/__init__.py",
        "demo/tool",
        "plat.so",
        "pure.py",
    ];
    assert_eq!(lines, expected);
    let modes: Vec<(String, u32)> =
        items(&wheel).unwrap().iter().map(|item| (item.entry().display_path(), item.entry().mode)).collect();
    let executable: Vec<&str> =
        modes.iter().filter(|(_, mode)| *mode == 0o755).map(|(path, _)| path.as_str()).collect();
    assert_eq!(executable, ["/v/bin/demo", "/v/bin/hello", "/v/bin/shell", "/v/lib/site/demo/tool"]);
}

#[test]
fn the_same_wheel_is_the_same_layer() {
    let folder = tempfile::tempdir().unwrap();
    let layers = Layers::new(Store::open(folder.path()).unwrap(), OverlayXattrs::User);
    let large = WheelFile::new().file("demo/large.bin", &vec![7; 1 << 20]);
    let make = |form| layers.from_files(items(&large).unwrap(), None, form).unwrap();
    let (one, other) = (make(Form::Folder), make(Form::Blob(Compression::default())));
    assert_eq!(one.diff_id, other.diff_id);
    assert!(one.toc.entries().iter().all(|entry| entry.is_dir() || entry.mtime == 7));
    assert!(one.toc.entries().iter().any(|entry| matches!(entry.kind, EntryKind::File { size: 1_048_576, .. })));
}

#[test]
fn hostile_wheels_are_refused() {
    let new = WheelFile::new;
    let lie = "demo/__init__.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0\n";
    for (wheel, problem) in [
        (new().file("../../etc/passwd", b"x"), "no path inside"),
        (new().file("/etc/passwd", b"x"), "no path inside"),
        (new().file("demo/./x", b"x"), "no path inside"),
        (new().file("demo\\..\\x", b"x"), "no path inside"),
        (new().file("demo-1.0.data/scripts/../../x", b"x"), "no path inside"),
        (new().file("demo-1.0.data/nowhere/x", b"x"), "not known"),
        (new().file("demo-1.0.data/scripts/python", b"x"), "part of the environment"),
        (new().file("demo-1.0.data/data/pyvenv.cfg", b"x"), "part of the environment"),
        (new().file_with_mode("demo/link", b"/etc/passwd", 0o120_777), "a link"),
        (new().file("demo-1.0.dist-info/entry_points.txt", b"[console_scripts]\n../x = a:b\n"), "no name of a script"),
        (new().file("demo-1.0.dist-info/entry_points.txt", b"[console_scripts]\nx = a:b()\n"), "names no function"),
        (new().file("other-2.0.dist-info/METADATA", b"x"), "2 .dist-info folders"),
        (new().file("demo-1.0.dist-info/WHEEL", b"Wheel-Version: 2.0\n"), "only 1.x"),
        (new().record(lie), "not what RECORD says"),
        (new().record("/etc/passwd,,\n"), "outside of the package"),
        (new().record("../../../etc/passwd,,\n"), "outside of the package"),
        (new().record("demo/__init__.py,md5=AAAA,0\n"), "not safe"),
        (new().file("demo/.wh.x", b""), "mean deletions"),
        (new().file("demo/bomb", &vec![0; 200 << 20]), "zip bomb"),
    ] {
        let refused = made(&wheel).map(drop).expect_err(problem);
        assert!(refused.contains(problem), "{problem}: {refused}");
    }
}

#[test]
fn an_archive_that_lies_about_itself_is_refused() {
    // In the entry of the first file in the archive's directory: its size, and its checksum.
    for (offset, value, problem) in [
        (24, 4_u32.to_le_bytes().as_slice(), "longer than the archive says"),
        (24, &20_u32.to_le_bytes(), "shorter than the archive says"),
        (16, &[0; 4], "its checksum is not that of the archive"),
    ] {
        let mut wheel = WheelFile::new().record("").write();
        let mut bytes = Vec::new();
        wheel.read_to_end(&mut bytes).unwrap();
        let entry = bytes.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
        bytes[entry + offset..][..value.len()].copy_from_slice(value);
        wheel.set_len(0).unwrap();
        wheel.rewind().unwrap();
        wheel.write_all(&bytes).unwrap();
        let refused = made_of(wheel).map(drop).expect_err(problem);
        assert!(refused.contains(problem), "{problem}: {refused}");
    }
}

#[test]
fn a_file_that_is_cut_or_changed_is_refused() {
    let wheel = WheelFile::new().write();
    let length = wheel.metadata().unwrap().len();
    wheel.set_len(length / 2).unwrap();
    let package = package();
    let PackageLayout::Wheel(layout) = &package.layout else { unreachable!("it is a wheel") };
    let error = unpack(&package, layout, wheel, 7).unwrap_err().to_string();
    assert!(error.starts_with("demo 1.0 is refused: it is no intact zip archive"), "{error}");
}

/// In parts it is what it is as a whole, entry by entry: scripts, schemes, bytecode and what is written about it.
#[test]
fn the_parts_of_a_huge_wheel_are_the_wheel() {
    let large: Vec<u8> = (0..2_u32 << 20).map(|number| (number % 251) as u8).collect();
    let wheel = WheelFile::new()
        .file("demo/sub/__init__.py", b"x = 1\n")
        .file("demo/sub/data.json", b"{}")
        .file("demo/lib/large.so", &large)
        .file("demo/lib/other.so", &large[1..])
        .file_with_mode("demo/bin/tool", b"\x7fELF", 0o100_755)
        .file("demo/include/a.h", b"a")
        .file("demo/include/b/b.h", b"b")
        .file("demo-1.0.data/purelib/pure.py", b"y = 2\n")
        .file("demo-1.0.data/headers/demo.h", b"h")
        .file("demo-1.0.data/data/share/demo.txt", b"d")
        .file("demo-1.0.data/scripts/hello", b"#!python\nprint('hello')\n")
        .file("demo-1.0.data/scripts/shell", b"#!/bin/sh\n")
        .file("demo-1.0.dist-info/entry_points.txt", b"[console_scripts]\ndemo = demo:main\n");
    let mut package = package();
    let PackageLayout::Wheel(mut layout) = package.layout.clone() else { unreachable!("it is a wheel") };
    layout.bytecode = ["3.11", "3.12", "3.13"].map(str::to_owned).into_iter().find(|version| can_compile(version));
    let compiles = layout.bytecode.is_some();
    package.layout = PackageLayout::Wheel(layout.clone());
    let folder = tempfile::tempdir().unwrap();
    let layers = Layers::new(Store::open(folder.path()).unwrap(), OverlayXattrs::User);
    let entries = |items: Vec<Item>| {
        let mut tree = Tree::new(7);
        tree.put_all(items);
        layers.from_files(tree.into_items(), None, Form::Folder).unwrap().toc.entries().to_vec()
    };
    let whole: BTreeMap<Vec<u8>, Entry> = entries(unpack(&package, &layout, wheel.write(), 7).unwrap())
        .into_iter()
        .map(|e| (e.path.clone(), e))
        .collect();
    for count in [2, 4, 8] {
        let (opened, mut union) = (Opened::default(), BTreeMap::new());
        for number in 1..=count {
            let part = Package { part: Some(PackagePart { number, of: count }), ..package.clone() };
            let items = opened.take(&part, || unpack(&package, &layout, wheel.write(), 7)).unwrap();
            let paths: Vec<String> = items.iter().map(|item| item.entry().display_path()).collect();
            for entry in entries(items) {
                let known = union.insert(entry.path.clone(), entry.clone());
                assert!(known.is_none_or(|known| known == entry && entry.is_dir()), "{}", entry.display_path());
            }
            let has = |name: &str| paths.iter().any(|path| path.ends_with(name));
            for name in ["RECORD", "METADATA", "demo/__init__.py", "pure.py"] {
                assert_eq!(has(name), number == 1, "{name} in {number}: {paths:?}");
            }
            assert_eq!(has(".pyc"), number == 1 && compiles, "{paths:?}");
        }
        assert_eq!(union, whole);
    }
}
