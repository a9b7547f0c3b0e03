//! The files of a package while its layer is put together.

use crate::{
    image::ContentDigest,
    layer::{Content, Entry, EntryKind, Item, LayerError, Unpacked},
};
use std::collections::BTreeMap;

/// Largest file of a package that is read whole, to make another of it.
const MAX_READ: u64 = 16 << 20;

/// What a package comes to: its own files, and what its scripts would have made of them. Paths are those of
/// [`Entry::path`].
pub(super) struct PackageTree<'a> {
    /// What came in the package, at the paths that it has there.
    data: &'a Unpacked,
    items: BTreeMap<Vec<u8>, Item>,
    /// Time of what is made.
    time: i64,
}

impl<'a> PackageTree<'a> {
    pub(super) fn new(data: &'a Unpacked, time: i64) -> Self {
        Self { data, items: BTreeMap::new(), time }
    }

    /// Adds an item as it is, in the place of what is there.
    pub(super) fn insert(&mut self, item: Item) {
        self.items.insert(item.entry().path.clone(), item);
    }

    /// What is at `path`.
    pub(super) fn get(&self, path: &str) -> Option<&Entry> {
        self.items.get(path.as_bytes()).map(Item::entry)
    }

    /// All entries, by path.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.items.values().map(Item::entry)
    }

    /// The content of a file of the package, at its path in the package.
    pub(super) fn read(&self, path: &[u8]) -> Result<Option<Vec<u8>>, LayerError> {
        self.data.read(path, MAX_READ)
    }

    /// Makes a file.
    pub(super) fn file(&mut self, path: &str, bytes: impl Into<Vec<u8>>) {
        let bytes = bytes.into();
        let kind = EntryKind::File { size: bytes.len() as u64, digest: ContentDigest([0; 32]) };
        let entry = Entry { mtime: self.time, ..Entry::new(path, kind) };
        self.insert(Item::file_to_hash(entry, Content::Bytes(bytes)));
    }

    /// Makes a symbolic link.
    pub(super) fn link(&mut self, path: &str, target: &str) {
        self.make(path, EntryKind::Symlink { target: target.into() }, 0o777);
    }

    /// Makes a folder, if it is not there.
    pub(super) fn folder(&mut self, path: &str, mode: u32) {
        if self.get(path).is_none() {
            self.make(path, EntryKind::Dir { opaque: false }, mode);
        }
    }

    pub(super) fn into_items(self) -> Vec<Item> {
        self.items.into_values().collect()
    }

    fn make(&mut self, path: &str, kind: EntryKind, mode: u32) {
        self.insert(Item::new(Entry { mode, mtime: self.time, ..Entry::new(path, kind) }));
    }
}
