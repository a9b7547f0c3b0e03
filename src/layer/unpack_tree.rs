//! The tree that an archive's entries make one after the other, before any of it is on disk.
//!
//! Later entries replace earlier ones, as `tar -x` does it. Two names of a file are two names of one node, so what
//! happens to one name leaves the other's content alone. Links on the way to an entry are followed here, in the
//! archive's own tree and never beyond its root; so by the time something is written, its path has no links in it.
//!
//! Deletions are about the layers below and never about entries of the same archive, in whichever order they come
//! (image-spec `layer.md`): a file that is also deleted is there; a folder that is also deleted is there and opaque.

use super::{
    archive_name::refused,
    entry_path,
    tar_reader::ArchiveError,
    toc::{Entry, EntryKind},
};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

/// As many links as the kernel follows.
const MAX_LINKS: usize = 40;

#[derive(Default)]
pub(super) struct UnpackTree {
    /// Entries without a path: they may have several.
    nodes: Vec<Entry>,
    paths: BTreeMap<Vec<u8>, usize>,
    absent: BTreeSet<Vec<u8>>,
    opaque: BTreeSet<Vec<u8>>,
    /// Folders that no entry spoke of.
    implicit: BTreeSet<Vec<u8>>,
}

impl UnpackTree {
    /// The path of `components` without links on the way, and the folders on the way that are new, outermost first.
    pub(super) fn place(&mut self, components: &[&[u8]]) -> Result<(Vec<u8>, Vec<Vec<u8>>), ArchiveError> {
        let Some((name, folders)) = components.split_last() else { return Ok((Vec::new(), Vec::new())) };
        let whole = || components.join(&b'/');
        let mut ahead: VecDeque<Vec<u8>> = folders.iter().map(|name| name.to_vec()).collect();
        let mut folder = Vec::new();
        let mut made = Vec::new();
        let mut links = 0;
        while let Some(component) = ahead.pop_front() {
            if component == b".." {
                folder = entry_path::parent(&folder).to_vec();
                continue;
            }
            let here = entry_path::join(&folder, &component);
            match self.get(&here).map(|node| &node.kind) {
                Some(EntryKind::Dir { .. }) => folder = here,
                Some(EntryKind::Symlink { target }) => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(refused(&whole(), "too many links on its way"));
                    }
                    if target.starts_with(b"/") {
                        folder.clear();
                    }
                    let names = target.split(|&byte| byte == b'/').filter(|name| !matches!(*name, b"" | b"."));
                    names.rev().for_each(|name| ahead.push_front(name.to_vec()));
                }
                Some(_) => return Err(refused(&whole(), "it is inside of something that is no folder")),
                None => {
                    if !entry_path::is_canonical(&here) {
                        return Err(refused(&whole(), "its path is longer than any file system takes"));
                    }
                    self.insert(&here, Entry::new("", EntryKind::Dir { opaque: false }));
                    self.implicit.insert(here.clone());
                    made.push(here.clone());
                    folder = here;
                }
            }
        }
        let path = entry_path::join(&folder, name);
        if entry_path::is_canonical(&path) {
            Ok((path, made))
        } else {
            Err(refused(&whole(), "its path is longer than any file system takes"))
        }
    }

    pub(super) fn get(&self, path: &[u8]) -> Option<&Entry> {
        self.paths.get(path).map(|&node| &self.nodes[node])
    }

    /// Takes away what is at `path` and returns all paths that are gone, the innermost first.
    pub(super) fn remove(&mut self, path: &[u8]) -> Vec<Vec<u8>> {
        let Some(node) = self.paths.remove(path) else { return Vec::new() };
        let mut gone = vec![path.to_vec()];
        if self.nodes[node].is_dir() {
            let (first, after) = entry_path::below(path);
            let inside = |path: &Vec<u8>| after.as_ref().is_none_or(|after| path < after);
            gone.extend(self.paths.range(first.clone()..).map(|(path, _)| path.clone()).take_while(inside));
            // What was deleted in there is deleted no more: what comes in its place hides it anyway.
            let marks: Vec<_> = self.absent.range(first..).take_while(|path| inside(path)).cloned().collect();
            for mark in &marks {
                self.absent.remove(mark);
            }
        }
        for path in &gone {
            self.paths.remove(path);
            self.opaque.remove(path);
            self.implicit.remove(path);
        }
        gone.reverse();
        gone
    }

    /// Puts a node at `path`, where there is none or, for folders, one that changes its metadata.
    pub(super) fn insert(&mut self, path: &[u8], node: Entry) {
        self.implicit.remove(path);
        if let Some(&known) = self.paths.get(path) {
            self.nodes[known] = node;
            return;
        }
        if self.absent.remove(path) && node.is_dir() {
            self.opaque.insert(path.to_vec());
        }
        self.nodes.push(node);
        self.paths.insert(path.to_vec(), self.nodes.len() - 1);
    }

    /// Gives the node at `target` a second name.
    pub(super) fn link(&mut self, target: &[u8], path: &[u8]) {
        if let Some(&node) = self.paths.get(target) {
            self.absent.remove(path);
            self.paths.insert(path.to_vec(), node);
        }
    }

    /// Notes that the layers below have nothing at `path`.
    pub(super) fn white_out(&mut self, path: &[u8]) {
        match self.get(path).map(Entry::is_dir) {
            None => self.absent.insert(path.to_vec()),
            Some(true) => self.opaque.insert(path.to_vec()),
            Some(false) => false,
        };
    }

    /// Notes that the layers below have nothing in the folder `path`. It is there, or the root.
    pub(super) fn make_opaque(&mut self, path: &[u8]) {
        self.opaque.insert(path.to_vec());
    }

    /// The entries of the layer's table. Folders that nobody described are as `describe` says.
    pub(super) fn into_entries<E>(
        mut self,
        mut describe: impl FnMut(&[u8]) -> Result<Option<Entry>, E>,
    ) -> Result<Vec<Entry>, E> {
        for path in &self.implicit {
            if let Some(known) = describe(path)?.filter(Entry::is_dir) {
                self.nodes[self.paths[path]] = Entry { kind: EntryKind::Dir { opaque: false }, ..known };
            }
        }
        let mut first_names: HashMap<usize, &[u8]> = HashMap::new();
        let mut entries = Vec::with_capacity(self.paths.len() + self.absent.len());
        for (path, &node) in &self.paths {
            let mut entry = Entry { path: path.clone(), ..self.nodes[node].clone() };
            match &mut entry.kind {
                EntryKind::Dir { opaque } => *opaque = self.opaque.contains(path),
                // A link's second name is as good as another link; only files are worth sharing.
                EntryKind::File { .. } => {
                    let first = *first_names.entry(node).or_insert(path);
                    if first != path.as_slice() {
                        entry.kind = EntryKind::HardLink { target: first.to_vec() };
                    }
                }
                EntryKind::Symlink { .. }
                | EntryKind::HardLink { .. }
                | EntryKind::CharDevice { .. }
                | EntryKind::BlockDevice { .. }
                | EntryKind::Fifo
                | EntryKind::Whiteout => {}
            }
            entries.push(entry);
        }
        entries.extend(self.absent.iter().map(|path| Entry::new(path.clone(), EntryKind::Whiteout)));
        if self.opaque.contains(&b""[..]) {
            entries.push(Entry::new("", EntryKind::Dir { opaque: true }));
        }
        Ok(entries)
    }
}
