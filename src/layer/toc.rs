//! The contents table of a layer: everything about its files but their bytes.
//!
//! Made once, when the layer is made or first pulled, and kept for ever: keys, merged views, whiteouts, hard links and
//! the canonical tar are all worked out from tables, so that a layer need not lie unpacked to be reasoned about.
//!
//! Invariants, kept by [`Toc::new`]:
//!
//! - Entries are sorted by the bytes of their paths and no path comes twice.
//! - Every entry's folder is there before it, as a [`EntryKind::Dir`]. So a path that is absent from a table is
//!   untouched by the layer unless one of the folders above it is hidden (a whiteout, another type, opaque).
//! - The root (the empty path) is there only if it is opaque: an image's root has no other properties of its own.
//! - A hard link's target is a [`EntryKind::File`] of the same table that comes before it.

use super::entry_path;
use crate::image::ContentDigest;
use std::collections::{BTreeMap, HashSet};

/// The contents of one layer, sorted by path.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Toc {
    entries: Vec<Entry>,
}

/// One path of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Relative, `/` between components, no `.` or `..`; bytes, not text.
    pub path: Vec<u8>,
    /// What is there.
    pub kind: EntryKind,
    /// The 12 permission, set-id and sticky bits.
    pub mode: u32,
    /// Number of the owning user.
    pub uid: u32,
    /// Number of the owning group.
    pub gid: u32,
    /// Last change of the content, whole seconds since 1970.
    pub mtime: i64,
    /// Extended attributes by full name (`security.capability`). Overlay's own are never among them.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// What a path of a layer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File {
        /// Bytes.
        size: u64,
        /// Of the bytes.
        digest: ContentDigest,
    },
    /// A folder.
    Dir {
        /// Whether it hides what lower layers have in the folder of the same path.
        opaque: bool,
    },
    /// A symbolic link.
    Symlink {
        /// As written in the link; never interpreted here.
        target: Vec<u8>,
    },
    /// Another name of a file of this layer.
    HardLink {
        /// Path of that file.
        target: Vec<u8>,
    },
    /// A character device.
    CharDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
    /// Nothing: the path of the lower layers is gone.
    Whiteout,
}

/// Why entries make no table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TocError {
    /// A path is not relative and clean, or too long.
    #[error("{:?} is no path of a layer", String::from_utf8_lossy(.0))]
    Path(Vec<u8>),
    /// Two entries have the same path.
    #[error("{:?} comes twice", String::from_utf8_lossy(.0))]
    Twice(Vec<u8>),
    /// The folder of an entry is missing or is no folder.
    #[error("the folder of {:?} is missing", String::from_utf8_lossy(.0))]
    Parent(Vec<u8>),
    /// A hard link's target is no earlier file of the layer.
    #[error("the hard link {:?} leads to no file of its layer", String::from_utf8_lossy(.0))]
    Link(Vec<u8>),
    /// Bytes that no version of this program wrote.
    #[error("not a contents table: {0}")]
    Encoding(&'static str),
}

impl Entry {
    /// An entry with nothing set but what it is: owned by root, no times, the usual permissions of its type.
    pub fn new(path: impl Into<Vec<u8>>, kind: EntryKind) -> Self {
        let mode = match &kind {
            EntryKind::Dir { .. } => 0o755,
            EntryKind::Symlink { .. } => 0o777,
            EntryKind::File { .. }
            | EntryKind::HardLink { .. }
            | EntryKind::CharDevice { .. }
            | EntryKind::BlockDevice { .. }
            | EntryKind::Fifo => 0o644,
            EntryKind::Whiteout => 0,
        };
        Self { path: path.into(), kind, mode, uid: 0, gid: 0, mtime: 0, xattrs: BTreeMap::new() }
    }

    /// Whether it is a folder.
    pub fn is_dir(&self) -> bool {
        matches!(self.kind, EntryKind::Dir { .. })
    }

    /// The path for messages; bytes that are no text are replaced.
    pub fn display_path(&self) -> String {
        display(&self.path)
    }

    /// Whether what it is and what it holds is the same as in `other`, whatever their paths and times.
    pub(super) fn same_but_time(&self, other: &Self) -> bool {
        self.kind == other.kind && self.same_metadata(other)
    }

    /// Whether permissions, owner and attributes are the same as in `other`.
    pub(super) fn same_metadata(&self, other: &Self) -> bool {
        self.mode == other.mode && self.uid == other.uid && self.gid == other.gid && self.xattrs == other.xattrs
    }
}

impl Toc {
    /// Sorts `entries` and checks that they keep the invariants.
    pub fn new(mut entries: Vec<Entry>) -> Result<Self, TocError> {
        entries.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        check(&entries)?;
        Ok(Self { entries })
    }

    /// All entries, sorted by path.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Whether the layer changes nothing.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entry at `path`.
    pub fn get(&self, path: &[u8]) -> Option<&Entry> {
        self.position(path).map(|position| &self.entries[position])
    }

    /// Size and digest of the regular file at `path`, which may be another name of it.
    pub(super) fn file(&self, path: &[u8]) -> Option<(u64, ContentDigest)> {
        let mut entry = self.get(path)?;
        if let EntryKind::HardLink { target } = &entry.kind {
            entry = self.get(target)?;
        }
        if let EntryKind::File { size, digest } = entry.kind { Some((size, digest)) } else { None }
    }

    /// Where the entry at `path` is.
    pub(super) fn position(&self, path: &[u8]) -> Option<usize> {
        self.entries.binary_search_by(|entry| entry.path.as_slice().cmp(path)).ok()
    }

    /// Bytes of all files, each counted once however many names it has.
    pub fn content_size(&self) -> u64 {
        let size = |entry: &Entry| if let EntryKind::File { size, .. } = entry.kind { size } else { 0 };
        self.entries.iter().map(size).sum()
    }
}

fn check(entries: &[Entry]) -> Result<(), TocError> {
    let mut folder_known: Option<&[u8]> = None;
    let mut files: HashSet<&[u8]> = HashSet::new();
    let links = entries.iter().any(|entry| matches!(entry.kind, EntryKind::HardLink { .. }));
    let find = |path: &[u8]| entries.binary_search_by(|entry| entry.path.as_slice().cmp(path)).ok();
    for (position, entry) in entries.iter().enumerate() {
        let path = entry.path.as_slice();
        if !entry_path::is_canonical(path) || (path.is_empty() && entry.kind != (EntryKind::Dir { opaque: true })) {
            return Err(TocError::Path(entry.path.clone()));
        }
        if position > 0 && entries[position - 1].path == path {
            return Err(TocError::Twice(entry.path.clone()));
        }
        let folder = entry_path::parent(path);
        if !folder.is_empty() && folder_known != Some(folder) {
            if !find(folder).is_some_and(|found| entries[found].is_dir()) {
                return Err(TocError::Parent(entry.path.clone()));
            }
            folder_known = Some(folder);
        }
        match &entry.kind {
            EntryKind::File { .. } if links => {
                files.insert(path);
            }
            EntryKind::HardLink { target } if !files.contains(target.as_slice()) => {
                return Err(TocError::Link(entry.path.clone()));
            }
            EntryKind::File { .. }
            | EntryKind::HardLink { .. }
            | EntryKind::Dir { .. }
            | EntryKind::Symlink { .. }
            | EntryKind::CharDevice { .. }
            | EntryKind::BlockDevice { .. }
            | EntryKind::Fifo
            | EntryKind::Whiteout => {}
        }
    }
    Ok(())
}

/// A path for messages.
pub(super) fn display(path: &[u8]) -> String {
    format!("/{}", String::from_utf8_lossy(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dir(path: &str) -> Entry {
        Entry::new(path, EntryKind::Dir { opaque: false })
    }

    fn file(path: &str) -> Entry {
        Entry::new(path, EntryKind::File { size: 0, digest: ContentDigest::of(b"") })
    }

    fn link(path: &str, target: &str) -> Entry {
        Entry::new(path, EntryKind::HardLink { target: target.into() })
    }

    #[test]
    fn entries_are_sorted_and_found() {
        let toc = Toc::new(vec![file("a/b"), file("a-b"), dir("a")]).unwrap();
        let paths: Vec<_> = toc.entries().iter().map(|entry| entry.path.as_slice()).collect();
        assert_eq!(paths, [&b"a"[..], b"a-b", b"a/b"]);
        assert!(toc.get(b"a/b").is_some() && toc.get(b"a/c").is_none());
    }

    #[test]
    fn what_breaks_an_invariant_is_refused() {
        let cases = [
            (vec![file("/a")], TocError::Path(b"/a".to_vec())),
            (vec![dir("")], TocError::Path(Vec::new())),
            (vec![file("a"), file("a")], TocError::Twice(b"a".to_vec())),
            (vec![file("a/b")], TocError::Parent(b"a/b".to_vec())),
            (vec![file("a"), file("a/b")], TocError::Parent(b"a/b".to_vec())),
            (vec![link("a", "b"), file("b")], TocError::Link(b"a".to_vec())),
            (vec![dir("a"), link("b", "a")], TocError::Link(b"b".to_vec())),
        ];
        for (entries, expected) in cases {
            assert_eq!(Toc::new(entries), Err(expected));
        }
        assert!(Toc::new(vec![file("a"), link("b", "a")]).is_ok());
        assert!(Toc::new(vec![Entry::new("", EntryKind::Dir { opaque: true })]).is_ok());
    }
}
