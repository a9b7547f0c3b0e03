//! What of a layer is kept. It follows from the whole image, for every layer above the base:
//!
//! | entry | kept |
//! |---|---|
//! | a file that a container sees | unless a pass removes it |
//! | a file that a later layer hides | unless `hidden` is among the passes, or another of its names is seen |
//! | a folder | if a container sees it and it is not removed, or it holds something that is kept |
//! | a deletion | if there is still something below to delete |
//!
//! Where a removed file would uncover one of a lower layer, a deletion takes its place. Files of the base are never removed:
//! that would save nothing, because the base stays as it is.

use super::{Image, Kept, remake, remake::Bytes};
use crate::{
    image::ContentDigest,
    layer::{Entry, EntryKind, View},
    optimize::{
        passes::hidden::is_visible,
        strip::{Half, Stripped},
    },
};
use std::collections::{BTreeMap, HashMap, HashSet};

/// A file that gets other bytes.
#[derive(Debug)]
pub(super) enum Changed {
    /// A program without a part of it.
    Program(Stripped),
    /// A database that says less.
    Database(Vec<u8>),
}

impl Changed {
    fn kept(&self, entry: &Entry) -> Kept {
        let (size, digest, bytes) = match self {
            Self::Program(program) => (program.size, program.digest, Bytes::Half(Half::Program(program.cut.clone()))),
            Self::Database(text) => (text.len() as u64, ContentDigest::of(text), Bytes::New(text.clone())),
        };
        Kept { entry: Entry { kind: EntryKind::File { size, digest }, ..entry.clone() }, bytes }
    }
}

/// One layer, and all that decides about its entries.
pub(super) struct Layer<'a> {
    pub(super) image: &'a Image<'a>,
    pub(super) index: usize,
    pub(super) drops_hidden: bool,
    pub(super) unseen: &'a HashSet<(usize, &'a [u8])>,
    pub(super) removed: &'a BTreeMap<Vec<u8>, usize>,
    /// Files that become links: to which file.
    pub(super) equal: &'a HashMap<&'a [u8], (&'a [u8], u64)>,
    /// Files that get other bytes.
    pub(super) changed: &'a BTreeMap<Vec<u8>, Changed>,
    /// What the layers below came to.
    pub(super) under: &'a View,
}

impl Layer<'_> {
    /// The entries that are kept, sorted by path.
    pub(super) fn kept(&self) -> Vec<Kept> {
        let entries = self.image.view.layers()[self.index].entries();
        let mut kept: BTreeMap<&[u8], Kept> = BTreeMap::new();
        // Where the bytes of a file are now, if its own name is gone: under the first of its other names.
        let mut moved: HashMap<&[u8], &[u8]> = HashMap::new();
        for entry in entries.iter().filter(|entry| !entry.is_dir()) {
            if let Some(entry) = self.entry(entry, &mut moved) {
                kept.insert(&entry.0.path, entry.1);
            }
        }
        let mut needed: HashSet<&[u8]> = HashSet::new();
        for path in kept.keys() {
            let mut folder = remake::parent(path);
            while !folder.is_empty() && needed.insert(folder) {
                folder = remake::parent(folder);
            }
        }
        for entry in entries.iter().filter(|entry| entry.is_dir()) {
            let is_seen = || !self.drops_hidden || is_visible(self.image.view, self.index, &entry.path);
            let stays = entry.path.is_empty()
                || needed.contains(&entry.path[..])
                || !self.removed.contains_key(&entry.path) && is_seen();
            if stays {
                kept.insert(&entry.path, Kept::from(entry.clone()));
                let mut folder = remake::parent(&entry.path);
                while !folder.is_empty() && needed.insert(folder) {
                    folder = remake::parent(folder);
                }
            }
        }
        // Folders that were passed before it was known that something in them stays.
        for entry in entries.iter().filter(|entry| entry.is_dir() && needed.contains(&entry.path[..])) {
            kept.entry(&entry.path).or_insert_with(|| Kept::from(entry.clone()));
        }
        kept.into_values().collect()
    }

    /// What becomes of an entry that is no folder.
    fn entry<'e>(&self, entry: &'e Entry, moved: &mut HashMap<&'e [u8], &'e [u8]>) -> Option<(&'e Entry, Kept)> {
        let path = entry.path.as_slice();
        let covers = |entry: &'e Entry| {
            let deletion = || Kept::from(Entry::new(path, EntryKind::Whiteout));
            self.under.lookup(path).is_some().then(|| (entry, deletion()))
        };
        if self.removed.get(path) == Some(&self.index) {
            return covers(entry);
        }
        match &entry.kind {
            EntryKind::Whiteout if self.drops_hidden => covers(entry),
            EntryKind::File { .. } if self.unseen.contains(&(self.index, path)) => None,
            EntryKind::File { .. } => {
                // Its bytes are kept for another name; this one is seen by nobody.
                if self.drops_hidden && !is_visible(self.image.view, self.index, path) {
                    return None;
                }
                let linked = self.equal.get(path).map(|(first, _)| {
                    let kind = EntryKind::HardLink { target: first.to_vec() };
                    Kept::from(Entry { kind, ..entry.clone() })
                });
                let changed = self.changed.get(path).map(|changed| changed.kept(entry));
                Some((entry, linked.or(changed).unwrap_or_else(|| Kept::from(entry.clone()))))
            }
            EntryKind::HardLink { target } => {
                if self.drops_hidden && !is_visible(self.image.view, self.index, path) {
                    return None;
                }
                Some((entry, self.link(entry, target, moved)))
            }
            EntryKind::Symlink { .. }
            | EntryKind::CharDevice { .. }
            | EntryKind::BlockDevice { .. }
            | EntryKind::Fifo
                if self.drops_hidden && !is_visible(self.image.view, self.index, path) =>
            {
                None
            }
            EntryKind::Whiteout
            | EntryKind::Dir { .. }
            | EntryKind::Symlink { .. }
            | EntryKind::CharDevice { .. }
            | EntryKind::BlockDevice { .. }
            | EntryKind::Fifo => Some((entry, Kept::from(entry.clone()))),
        }
    }

    /// A hard link whose target may be gone, or be a link itself now.
    fn link<'e>(&self, entry: &'e Entry, target: &'e [u8], moved: &mut HashMap<&'e [u8], &'e [u8]>) -> Kept {
        let toc = &self.image.view.layers()[self.index];
        let to = |target: &[u8]| Entry { kind: EntryKind::HardLink { target: target.to_vec() }, ..entry.clone() };
        let is_gone = self.removed.get(target) == Some(&self.index)
            || self.drops_hidden && !is_visible(self.image.view, self.index, target);
        if !is_gone {
            let first = self.equal.get(target).map_or(target, |(first, _)| first);
            return Kept::from(to(first));
        }
        if let Some(first) = moved.get(target) {
            return Kept::from(to(first));
        }
        moved.insert(target, &entry.path);
        let kind = toc.get(target).map_or_else(|| entry.kind.clone(), |file| file.kind.clone());
        Kept { entry: Entry { kind, ..entry.clone() }, bytes: Bytes::Of(target.to_vec()) }
    }
}
