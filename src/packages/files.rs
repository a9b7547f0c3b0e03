//! Files on both sides of a plan: lock files of the context, and the tree that packages become.

use super::PackageError;
use crate::{
    image::ContentDigest,
    layer::{Content, Entry, EntryKind, Item, Stream},
};
use flashbuild_frontend::package::{Package, PackageContent, PackageFile};
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Largest lock file that is read, in bytes.
const MAX_LOCK: u64 = 256 << 20;

/// The build context, for reading single files of it. Nothing outside of it is read, wherever links lead.
#[derive(Debug)]
pub struct ContextFiles {
    root: PathBuf,
}

impl ContextFiles {
    /// Of the context in this folder.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Where the context is on this machine.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The text of a file.
    pub fn read(&self, file: &str) -> Result<String, PackageError> {
        let failed = |problem: String| PackageError::Context { file: file.to_owned(), problem };
        let bytes = self.read_bytes(file.trim_start_matches('/')).map_err(|error| failed(error.to_string()))?;
        String::from_utf8(bytes).map_err(|_| failed("it is not UTF-8 text".to_owned()))
    }

    fn read_bytes(&self, path: &str) -> io::Result<Vec<u8>> {
        let root = File::open(&self.root)?;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = File::from(openat2(&root, path, flags, Mode::empty(), resolve)?);
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
