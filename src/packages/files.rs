//! Files on both sides of a plan: lock files of the context, and the tree that packages become.

use super::PackageError;
use crate::{
    image::{ContentDigest, DiffId},
    layer::{Content, Entry, EntryKind, Hit, Item, LastLink, LayerError, Layers, Stream, View},
};
use flashbuild_frontend::package::{Package, PackageContent, PackageFile};
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use std::{
    collections::BTreeMap,
    fmt,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Largest lock file that is read, in bytes.
const MAX_LOCK: u64 = 256 << 20;

/// The files of a context, an image or a stage, for reading single ones of them. Nothing outside is read, wherever links lead.
#[derive(Debug)]
pub struct ContextFiles {
    root: PathBuf,
    /// What has the files, if not that folder.
    tree: Option<LayerFiles>,
    place: &'static str,
}

/// Layers, lowest first, whose files are here.
struct LayerFiles {
    layers: Layers,
    diff_ids: Vec<DiffId>,
}

/// The tree below packages, as far as their plan depends on it.
#[derive(Debug, Default)]
pub struct TreeBelow {
    view: View,
    files: Option<LayerFiles>,
}

impl TreeBelow {
    /// A tree of which is known what is in it, and no more.
    pub fn of_tables(view: View) -> Self {
        Self { view, files: None }
    }

    /// A tree whose layers' files are here, as far as they are [read](super::Packages::reads_below).
    pub fn of_files(layers: Layers, diff_ids: Vec<DiffId>) -> Result<Self, PackageError> {
        let view = layers.view(&diff_ids)?;
        Ok(Self { view, files: Some(LayerFiles { layers, diff_ids }) })
    }

    /// What is in it.
    pub(super) fn view(&self) -> &View {
        &self.view
    }

    /// The text of a file of at most so many bytes; nothing if there is none. What is not UTF-8 in it is replaced.
    pub(super) fn read(&self, path: &[u8], most: u64) -> Result<Option<String>, PackageError> {
        Ok(self.read_bytes(path, most)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// The same for a path of which any part may be a link.
    pub(super) fn read_through_links(&self, path: &[u8], most: u64) -> Result<Option<String>, PackageError> {
        match self.view.resolve(path, LastLink::Follow) {
            Ok(found) if found.exists() => self.read(&found.existing, most),
            Ok(_) | Err(_) => Ok(None),
        }
    }

    /// The bytes of a file of at most so many; nothing if there is none.
    pub(super) fn read_bytes(&self, path: &[u8], most: u64) -> Result<Option<Vec<u8>>, PackageError> {
        let Some(hit) = self.view.lookup(path) else { return Ok(None) };
        if hit.file().is_none_or(|(size, _)| size > most) {
            return Ok(None);
        }
        let Some(file) = self.open(&hit)? else { return Ok(None) };
        let mut bytes = Vec::new();
        file.take(most)
            .read_to_end(&mut bytes)
            .map_err(|error| LayerError::Io { path: hit.entry.display_path().into(), error })?;
        Ok(Some(bytes))
    }

    /// Opens a file of the tree; nothing if only tables are here.
    pub(super) fn open(&self, hit: &Hit<'_>) -> Result<Option<File>, PackageError> {
        let Some(files) = &self.files else { return Ok(None) };
        Ok(Some(files.layers.open_file(&files.diff_ids[hit.layer], &hit.entry.path)?))
    }

    /// The names in a folder, sorted; links to it are followed.
    pub(super) fn names_in(&self, folder: &[u8]) -> Vec<String> {
        let Ok(found) = self.view.resolve(folder, LastLink::Follow) else { return Vec::new() };
        let name = |hit: Hit<'_>| {
            let name = hit.entry.path.rsplit(|&byte| byte == b'/').next()?;
            std::str::from_utf8(name).ok().map(str::to_owned)
        };
        if found.exists() { self.view.read_dir(&found.existing).filter_map(name).collect() } else { Vec::new() }
    }
}

impl fmt::Debug for LayerFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LayerFiles").field(&self.diff_ids).finish()
    }
}

impl ContextFiles {
    /// Of the context in this folder.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), tree: None, place: "the build context" }
    }

    /// Of a context that has a name.
    pub fn named(root: impl Into<PathBuf>) -> Self {
        Self { place: "the context that --from names", ..Self::new(root) }
    }

    /// Of a tree whose layers' files are here. Folders on this machine stay those of the context in `root`.
    pub fn of_tree(root: impl Into<PathBuf>, layers: Layers, diff_ids: Vec<DiffId>) -> Self {
        Self { root: root.into(), tree: Some(LayerFiles { layers, diff_ids }), place: "what --from names" }
    }

    /// Where the context is on this machine.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The text of a file.
    pub fn read(&self, file: &str) -> Result<String, PackageError> {
        let failed = |problem: String| PackageError::Context { file: file.to_owned(), place: self.place, problem };
        let opened = match &self.tree {
            None => self.open(file.trim_start_matches('/')).map_err(|error| failed(error.to_string()))?,
            Some(tree) => tree.open(file)?.ok_or_else(|| failed("there is no such file".to_owned()))?,
        };
        let bytes = read_all(opened).map_err(|error| failed(error.to_string()))?;
        String::from_utf8(bytes).map_err(|_| failed("it is not UTF-8 text".to_owned()))
    }

    fn open(&self, path: &str) -> io::Result<File> {
        let root = File::open(&self.root)?;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        Ok(File::from(openat2(&root, path, flags, Mode::empty(), resolve)?))
    }
}

impl LayerFiles {
    fn open(&self, path: &str) -> Result<Option<File>, PackageError> {
        let view = self.layers.view(&self.diff_ids)?;
        let Ok(found) = view.resolve(path.as_bytes(), LastLink::Follow) else { return Ok(None) };
        match found.hit.filter(|hit| found.missing.is_empty() && hit.file().is_some()) {
            None => Ok(None),
            Some(hit) => Ok(Some(self.layers.open_file(&self.diff_ids[hit.layer], &hit.entry.path)?)),
        }
    }
}

fn read_all(file: File) -> io::Result<Vec<u8>> {
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    if metadata.len() > MAX_LOCK {
        return Err(io::Error::other(format!("it has more than {MAX_LOCK} bytes")));
    }
    let mut bytes = Vec::new();
    file.take(MAX_LOCK).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// An artifact as it is, at an absolute path.
pub(super) fn one_file(package: &Package, path: &str, artifact: File, time: i64) -> Result<Vec<Item>, PackageError> {
    let failed = |error: io::Error| PackageError::Artifact { name: package.name.clone(), problem: error.to_string() };
    let size = artifact.metadata().map_err(failed)?.len();
    // The digest is found out as the file is read.
    let kind = EntryKind::File { size, digest: ContentDigest::of(b"") };
    let entry = Entry { mode: 0o644, mtime: time, ..Entry::new(path.trim_start_matches('/').as_bytes(), kind) };
    Ok(vec![Item::file_to_hash(entry, Content::Stream(Arc::new(Whole { file: Arc::new(artifact), length: size })))])
}

/// All of a file.
#[derive(Debug)]
struct Whole {
    file: Arc<File>,
    length: u64,
}

impl Stream for Whole {
    fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(At { file: Arc::clone(&self.file), position: 0, length: self.length }))
    }
}

/// A part of a file, read without moving anybody else's position.
pub(super) struct At {
    pub(super) file: Arc<File>,
    pub(super) position: u64,
    /// Where it ends.
    pub(super) length: u64,
}

impl Read for At {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.length.saturating_sub(self.position)).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        let count = self.file.read_at(&mut buffer[..wanted], self.position)?;
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for At {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(offset) => self.length.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

/// Files by their path; of two with one path, the later stays.
pub(super) struct Tree {
    items: BTreeMap<Vec<u8>, Item>,
    time: i64,
}

impl Tree {
    /// An empty tree whose own files have this time.
    pub(super) fn new(time: i64) -> Self {
        Self { items: BTreeMap::new(), time }
    }

    pub(super) fn put_all(&mut self, items: Vec<Item>) {
        for item in items {
            self.items.insert(item.entry().path.clone(), item);
        }
    }

    /// Adds files that a plan made up.
    pub(super) fn put_files(&mut self, files: &[PackageFile]) {
        for file in files {
            let path = file.path.trim_start_matches('/').as_bytes();
            let item = match &file.content {
                PackageContent::Folder => Item::new(self.entry(path, EntryKind::Dir { opaque: false }, file.mode)),
                PackageContent::Text(text) => text_item(path, text.clone().into_bytes(), file.mode, self.time),
                PackageContent::Absent => Item::new(self.entry(path, EntryKind::Whiteout, 0)),
                // Of a tree that is not here.
                PackageContent::Alternatives | PackageContent::LoaderCache(_) => continue,
                PackageContent::Link(target) => {
                    Item::new(self.entry(path, EntryKind::Symlink { target: target.clone().into_bytes() }, 0o777))
                }
            };
            self.items.insert(path.to_vec(), item);
        }
    }

    fn entry(&self, path: &[u8], kind: EntryKind, mode: u32) -> Entry {
        Entry { mode, mtime: self.time, ..Entry::new(path, kind) }
    }

    /// All of it, with the folders above.
    pub(super) fn into_items(mut self) -> Vec<Item> {
        let paths: Vec<Vec<u8>> = self.items.keys().cloned().collect();
        for path in paths {
            for (end, _) in path.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
                let folder = &path[..end];
                if !self.items.contains_key(folder) {
                    let entry = self.entry(folder, EntryKind::Dir { opaque: false }, 0o755);
                    self.items.insert(folder.to_vec(), Item::new(entry));
                }
            }
        }
        self.items.into_values().collect()
    }
}

/// A file whose bytes are known.
pub(super) fn text_item(path: &[u8], bytes: Vec<u8>, mode: u32, time: i64) -> Item {
    let kind = EntryKind::File { size: bytes.len() as u64, digest: ContentDigest::of(&bytes) };
    Item::file(Entry { mode, mtime: time, ..Entry::new(path, kind) }, Content::Bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_stay_inside_of_the_context() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret"), "secret").unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("lock"), "six").unwrap();
        std::os::unix::fs::symlink("lock", folder.path().join("link")).unwrap();
        std::os::unix::fs::symlink(outside.path().join("secret"), folder.path().join("out")).unwrap();
        let files = ContextFiles::new(folder.path());
        for path in ["lock", "/lock", "link", "../lock"] {
            assert_eq!(files.read(path).unwrap(), "six", "{path}");
        }
        let error = files.read("out").unwrap_err().to_string();
        assert!(error.starts_with("cannot read out of the build context: No such file"), "{error}");
        assert!(files.read(".").is_err());
    }
}
