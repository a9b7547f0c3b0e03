//! A package's tarball becomes the files of its folder, as npm unpacks it (pacote, `fetcher.js`; bin-links).
//!
//! | in the tarball | in the tree |
//! |---|---|
//! | the first component of every path, whatever it is called | the package's folder |
//! | owners, times, permissions | root, one time for all, `0644` or what an executable adds to it; folders `0755` |
//! | `.gitignore` | `.npmignore`, unless that is there too |
//! | symbolic links, devices, pipes | nothing |
//! | a program | executable, and its first line ends as a kernel expects it |
//!
//! Who packed it may be anybody: it is unpacked aside first by the reader that layers have, which refuses whatever
//! leaves the tarball's own root.

use super::{
    bin::{BinField, Bins, Text},
    lock::relative,
};
use crate::{
    image::ContentDigest,
    layer::{Content, Entry, EntryKind, Item, LayerError, Limits, Stream, Unpacked},
};
use flashbuild_frontend::package::TarballLayout;
use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read},
    sync::Arc,
};

/// What a tarball may cost. The largest packages that there are have some tens of thousands of files.
pub(super) const LIMITS: Limits = Limits { entries: 1_000_000, bytes: 8 << 30, ratio: 200, free: 256 << 20 };
/// Largest `package.json` that is read.
const MAX_MANIFEST: u64 = 16 << 20;
/// Largest program that is rewritten; beyond that it is hardly a script.
const MAX_SCRIPT: u64 = 16 << 20;

/// Why a tarball is no package.
#[derive(Debug, thiserror::Error)]
pub(super) enum TarballError {
    /// It could not be unpacked.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// Something that no package may have.
    #[error("it has {what} {path}, which no package may have")]
    Refused {
        /// What it is.
        what: &'static str,
        /// Path in the tarball.
        path: String,
    },
    /// Its description cannot be read.
    #[error("its package.json cannot be read: {0}")]
    Manifest(String),
}

/// A package in its place.
pub(super) struct Placed {
    /// Its files; folders above them are not among them.
    pub(super) items: Vec<Item>,
    /// Whether it wants something to be run now.
    pub(super) has_install_script: bool,
}

/// The files of an unpacked tarball with the modification time `time`.
pub(super) fn place(unpacked: Unpacked, layout: &TarballLayout, time: i64) -> Result<Placed, TarballError> {
    let files = Files::of(unpacked)?;
    let manifest = files.manifest();
    let has_install_script =
        manifest.as_ref().is_ok_and(|manifest| manifest.wants_install(files.kept.contains_key(&b"binding.gyp"[..])));
    let programs = match &layout.programs {
        Some(programs) => programs.clone(),
        None => manifest?.programs(),
    };
    // A program that is not there is not linked.
    let programs: Bins = programs.into_iter().filter(|(_, file)| files.kept.contains_key(file.as_bytes())).collect();
    let linked = programs.values().filter(|_| !layout.bin_folders.is_empty());
    let mut items = files.place(&in_layer(&layout.folder), &linked.map(String::as_bytes).collect(), time)?;
    for folder in &layout.bin_folders {
        for (name, file) in &programs {
            let path = format!("{}/{name}", in_layer(folder));
            let target = relative(&path, &format!("{}/{file}", in_layer(&layout.folder))).into_bytes();
            items.push(Item::new(Entry { mtime: time, ..Entry::new(path, EntryKind::Symlink { target }) }));
        }
    }
    Ok(Placed { items, has_install_script })
}

/// What a `package.json` says that matters here.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Manifest {
    name: String,
    bin: Option<BinField>,
    scripts: BTreeMap<String, Text>,
    gypfile: Option<bool>,
}

impl Manifest {
    fn programs(self) -> Bins {
        self.bin.map_or_else(Bins::new, |bin| bin.normalized(&self.name))
    }

    /// Whether npm would run something: `node-gyp` too, where there is something to build and nothing else is said.
    fn wants_install(&self, has_binding: bool) -> bool {
        let has = |event: &str| matches!(self.scripts.get(event), Some(Text::Is(script)) if !script.is_empty());
        let builds = has_binding && self.gypfile != Some(false);
        builds || ["preinstall", "install", "postinstall"].into_iter().any(has)
    }
}

/// An absolute path as [`Entry::path`] has it.
fn in_layer(path: &str) -> String {
    path.trim_start_matches('/').to_owned()
}

/// A tarball, and what of it is kept.
struct Files {
    unpacked: Arc<Unpacked>,
    /// Entries by their path in the package's folder.
    kept: BTreeMap<Vec<u8>, Entry>,
}

/// A file of a tarball, which is there as long as this is.
#[derive(Debug)]
struct InTarball {
    unpacked: Arc<Unpacked>,
    path: Vec<u8>,
}

impl Stream for InTarball {
    fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(self.unpacked.open_file(&self.path).map_err(io::Error::other)?))
    }
}

impl Files {
    fn of(unpacked: Unpacked) -> Result<Self, TarballError> {
        let mut kept: BTreeMap<Vec<u8>, Entry> = BTreeMap::new();
        let mut ignores = Vec::new();
        for entry in unpacked.toc().entries() {
            let refused = |what| TarballError::Refused { what, path: entry.display_path() };
            match entry.kind {
                EntryKind::HardLink { .. } => return Err(refused("the hard link")),
                EntryKind::Whiteout | EntryKind::Dir { opaque: true } => return Err(refused("the deletion")),
                EntryKind::Symlink { .. }
                | EntryKind::CharDevice { .. }
                | EntryKind::BlockDevice { .. }
                | EntryKind::Fifo => continue,
                EntryKind::Dir { opaque: false } | EntryKind::File { .. } => {}
            }
            let Some(slash) = entry.path.iter().position(|&byte| byte == b'/') else { continue };
            let inside = entry.path[slash + 1..].to_vec();
            if !entry.is_dir() && inside.rsplit(|&byte| byte == b'/').next() == Some(b".gitignore") {
                ignores.push((inside, entry.clone()));
            } else {
                kept.insert(inside, entry.clone());
            }
        }
        for (inside, entry) in ignores {
            let folder = &inside[..inside.len() - b".gitignore".len()];
            kept.entry([folder, b".npmignore"].concat()).or_insert(entry);
        }
        Ok(Self { unpacked: Arc::new(unpacked), kept })
    }

    /// What the package says of itself.
    fn manifest(&self) -> Result<Manifest, TarballError> {
        let Some(entry) = self.kept.get(&b"package.json"[..]) else { return Ok(Manifest::default()) };
        let text = self.read(entry, MAX_MANIFEST)?;
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
        serde_json::from_slice(text).map_err(|error| TarballError::Manifest(error.to_string()))
    }

    fn place(&self, folder: &str, programs: &BTreeSet<&[u8]>, time: i64) -> Result<Vec<Item>, TarballError> {
        let item = |(inside, entry): (&Vec<u8>, &Entry)| {
            let path = [folder.as_bytes(), b"/", inside].concat();
            let placed = Entry { mtime: time, ..Entry::new(path, entry.kind.clone()) };
            let is_program = programs.contains(inside.as_slice());
            if entry.is_dir() {
                return Ok(Item::new(placed));
            }
            if is_program && let Some(bytes) = self.with_unix_first_line(entry)? {
                let kind = EntryKind::File { size: bytes.len() as u64, digest: ContentDigest::of(&bytes) };
                return Ok(Item::file(Entry { kind, mode: 0o755, ..placed }, Content::Bytes(bytes)));
            }
            let mode = if is_program { 0o755 } else { ((entry.mode | 0o666) & !0o022) & 0o777 };
            let content = InTarball { unpacked: Arc::clone(&self.unpacked), path: entry.path.clone() };
            Ok(Item::file(Entry { mode, ..placed }, Content::Stream(Arc::new(content))))
        };
        self.kept.iter().map(item).collect()
    }

    /// The program's bytes with another first line, if that begins with `#!` and ends as on Windows (bin-links,
    /// `fix-bin.js`).
    fn with_unix_first_line(&self, entry: &Entry) -> Result<Option<Vec<u8>>, TarballError> {
        /// Where the first line has to end.
        const LINE: u64 = 2048;
        let EntryKind::File { size, .. } = entry.kind else { return Ok(None) };
        let beginning = self.read(entry, LINE)?;
        let Some(end) = beginning.iter().position(|&byte| byte == b'\n') else { return Ok(None) };
        if size > MAX_SCRIPT || !beginning.starts_with(b"#!") || end < 4 || beginning[end - 1] != b'\r' {
            return Ok(None);
        }
        let mut bytes = self.read(entry, MAX_SCRIPT)?;
        bytes.remove(end - 1);
        Ok(Some(bytes))
    }

    /// The first `limit` bytes of a file.
    fn read(&self, entry: &Entry, limit: u64) -> Result<Vec<u8>, TarballError> {
        let mut bytes = Vec::new();
        let failed = |error| LayerError::Io { path: entry.display_path().into(), error };
        self.unpacked.open_file(&entry.path)?.take(limit).read_to_end(&mut bytes).map_err(failed)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        layer::{Form, Layers, OverlayXattrs},
        store::Store,
    };
    use std::io::Write as _;

    fn layers() -> (tempfile::TempDir, Layers) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        (folder, Layers::new(store, OverlayXattrs::Trusted))
    }

    fn packed(entries: &[Packed<'_>]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, kind, mode, content) in entries {
            let mut header = tar::Header::new_ustar();
            header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
            header.set_entry_type(*kind);
            header.set_mode(*mode);
            if *kind == tar::EntryType::Regular {
                header.set_size(content.len() as u64);
            } else {
                header.as_mut_bytes()[157..157 + content.len()].copy_from_slice(content);
                header.set_size(0);
            }
            header.set_cksum();
            let data: &[u8] = if *kind == tar::EntryType::Regular { content } else { b"" };
            builder.append(&header, data).unwrap();
        }
        let tar = builder.into_inner().unwrap();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gzip.write_all(&tar).unwrap();
        gzip.finish().unwrap()
    }

    /// Name, type, permissions, and content or target.
    type Packed<'a> = (&'a str, tar::EntryType, u32, &'a [u8]);

    const TIME: i64 = 315_532_800;
    const FILE: tar::EntryType = tar::EntryType::Regular;

    fn layout(programs: Option<&[(&str, &str)]>) -> TarballLayout {
        let owned = |programs: &[(&str, &str)]| {
            programs.iter().map(|(name, file)| ((*name).to_owned(), (*file).to_owned())).collect()
        };
        TarballLayout {
            folder: "/app/node_modules/p".to_owned(),
            bin_folders: vec!["/app/node_modules/.bin".to_owned()],
            programs: programs.map(owned),
        }
    }

    #[track_caller]
    fn check(entries: &[Packed<'_>], layout: &TarballLayout, expected: &[&str]) {
        let (_folder, layers) = layers();
        let unpacked = layers.unpack_archive(&packed(entries)[..]).unwrap();
        let made = layers.from_files(place(unpacked, layout, TIME).unwrap().items, None, Form::Folder).unwrap();
        let below = made.toc.entries().iter().filter(|entry| entry.path.starts_with(b"app/node_modules/"));
        let line = |entry: &Entry| {
            assert_eq!((entry.uid, entry.gid), (0, 0));
            let path = String::from_utf8_lossy(&entry.path["app/node_modules/".len()..]).into_owned();
            if let EntryKind::Symlink { target } = &entry.kind {
                return format!("{path} -> {}", String::from_utf8_lossy(target));
            }
            format!("{path} {:o}", entry.mode)
        };
        assert_eq!(below.map(line).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn the_first_folder_goes_and_permissions_are_normal() {
        check(
            &[
                ("anything/package.json", FILE, 0o600, b"{}"),
                ("anything/run", FILE, 0o4711, b"x"),
                ("anything/lib/", tar::EntryType::Directory, 0o700, b""),
                ("other/lib/x.js", FILE, 0o666, b"x"),
                ("stray", FILE, 0o644, b"x"),
            ],
            &layout(None),
            &["p 755", "p/lib 755", "p/lib/x.js 644", "p/package.json 644", "p/run 755"],
        );
    }

    #[test]
    fn links_are_not_unpacked_and_ignore_files_are_renamed() {
        check(
            &[
                ("p/.gitignore", FILE, 0o644, b"a"),
                ("p/d/.gitignore", FILE, 0o644, b"a"),
                ("p/d/.npmignore", FILE, 0o644, b"b"),
                ("p/l", tar::EntryType::Symlink, 0o777, b"/etc/passwd"),
            ],
            &layout(None),
            &["p 755", "p/.npmignore 644", "p/d 755", "p/d/.npmignore 644"],
        );
    }

    #[test]
    fn programs_are_linked_executable_and_start_on_unix() {
        let (_folder, layers) = layers();
        let archive = packed(&[
            ("p/package.json", FILE, 0o644, br#"{"name": "@s/p", "bin": {"one": "./one.js", "gone": "gone.js"}}"#),
            ("p/one.js", FILE, 0o644, b"#!/usr/bin/env node\r\nx\r\n"),
            ("p/two.js", FILE, 0o644, b"#!/usr/bin/env node\n"),
        ]);
        let found = |layout: &TarballLayout| {
            let unpacked = layers.unpack_archive(&archive[..]).unwrap();
            let made = layers.from_files(place(unpacked, layout, TIME).unwrap().items, None, Form::Folder).unwrap();
            let links = made.toc.entries().iter().filter(|entry| matches!(entry.kind, EntryKind::Symlink { .. }));
            let names: Vec<_> = links.map(Entry::display_path).collect();
            (made.diff_id, names)
        };
        let (diff_id, names) = found(&layout(None));
        assert_eq!(names, ["/app/node_modules/.bin/one"]);
        let mut text = String::new();
        layers.open_file(&diff_id, b"app/node_modules/p/one.js").unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "#!/usr/bin/env node\nx\r\n");
        let (_, names) = found(&layout(Some(&[("2", "two.js")])));
        assert_eq!(names, ["/app/node_modules/.bin/2"]);
    }

    #[test]
    fn what_npm_would_run_is_an_install_script() {
        for (manifest, has_binding, expected) in [
            (r#"{"scripts": {"test": "x", "prepare": "y"}}"#, false, false),
            (r#"{"scripts": {"postinstall": "x"}}"#, false, true),
            (r#"{"scripts": {"preinstall": ""}}"#, false, false),
            (r#"{"scripts": {"install": 7}}"#, false, false),
            ("{}", true, true),
            (r#"{"gypfile": false}"#, true, false),
        ] {
            let manifest: Manifest = serde_json::from_str(manifest).unwrap();
            assert_eq!(manifest.wants_install(has_binding), expected);
        }
    }

    #[test]
    fn hostile_tarballs_are_refused() {
        let cases: [(&[Packed<'_>], &str); 4] = [
            (&[("p/../../etc/x", FILE, 0o644, b"x")], "the archive's entry \"p/../../etc/x\" is refused"),
            (&[("/etc/x", FILE, 0o644, b"x")], "the archive's entry \"/etc/x\" is refused"),
            (
                &[("p/a", FILE, 0o644, b"x"), ("p/b", tar::EntryType::Link, 0o644, b"p/a")],
                "it has the hard link /p/b, which no package may have",
            ),
            (&[("p/d/.wh.x", FILE, 0o644, b"x")], "it has the deletion /p/d/x, which no package may have"),
        ];
        for (entries, expected) in cases {
            let (_folder, layers) = layers();
            let unpacked = layers.unpack_archive(&packed(entries)[..]).map_err(TarballError::from);
            let error = unpacked.and_then(|unpacked| place(unpacked, &layout(None), TIME)).map(drop).unwrap_err();
            assert!(error.to_string().starts_with(expected), "{error}");
        }
        let bomb = packed(&[("p/x", FILE, 0o644, &vec![0; 1 << 24])]);
        let (_folder, layers) = layers();
        let strict = layers.with_limits(Limits { free: 1 << 20, ..LIMITS });
        assert!(
            strict.unpack_archive(&bomb[..]).unwrap_err().to_string().contains("more than 200 bytes for each byte")
        );
    }
}
