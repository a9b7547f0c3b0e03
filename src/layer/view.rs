//! The tree that several layers make together: what an engine would show, worked out from the tables alone.
//!
//! Layers are given lowest first. A path is what the topmost layer says that has it; a whiteout there means that it is
//! not. What a layer hides of the layers below it, besides the paths that it has itself, is everything below
//!
//! - a whiteout, or anything else that is no folder, in a place where there was a folder;
//! - an opaque folder.
//!
//! A few look-ups are answered layer by layer, which costs nothing to prepare. Who asks for more, lists folders or
//! walks, gets the merged table: one array, sorted by path, made once.

use super::{
    entry_path,
    toc::{Entry, EntryKind, Toc},
};
use crate::image::ContentDigest;
use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicUsize, Ordering},
};

/// After so many look-ups the merged table is worth its making.
const FEW: usize = 512;

/// Several layers as one tree.
#[derive(Debug, Default)]
pub struct View {
    layers: Vec<Arc<Toc>>,
    merged: OnceLock<Vec<Position>>,
    look_ups: AtomicUsize,
}

/// An entry by its layer and its place there.
#[derive(Debug, Clone, Copy)]
struct Position {
    layer: usize,
    entry: usize,
}

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hit<'a> {
    /// Which layer has it: position among the layers of the view, the lowest 0.
    pub layer: usize,
    /// What that layer says. Never a whiteout.
    pub entry: &'a Entry,
    toc: &'a Toc,
}

impl Hit<'_> {
    /// Size and digest of a regular file, by whichever of its names it was found.
    pub fn file(&self) -> Option<(u64, ContentDigest)> {
        // The bytes of a hard link are its target's, also if a higher layer hides that.
        self.toc.file(&self.entry.path)
    }
}

impl View {
    /// The tree of `layers`, lowest first.
    pub fn new(layers: Vec<Arc<Toc>>) -> Self {
        Self { layers, ..Self::default() }
    }

    /// The tables that it is made of, lowest first.
    pub fn layers(&self) -> &[Arc<Toc>] {
        &self.layers
    }

    /// What is at `path` (in the spelling of [`Entry::path`]), links not followed. The root has no entry.
    pub fn lookup(&self, path: &[u8]) -> Option<Hit<'_>> {
        if self.merged.get().is_none() && self.look_ups.fetch_add(1, Ordering::Relaxed) < FEW {
            return self.lookup_by_layers(path);
        }
        let merged = self.merged();
        let found = merged.binary_search_by(|position| self.hit(*position).entry.path.as_slice().cmp(path)).ok()?;
        Some(self.hit(merged[found]))
    }

    /// What is in the folder `path`, sorted; nothing if there is no such folder.
    pub fn read_dir<'a>(&'a self, path: &'a [u8]) -> impl Iterator<Item = Hit<'a>> {
        let range = self.range_below(path);
        let mut at = range.start;
        std::iter::from_fn(move || {
            while at < range.end {
                let hit = self.hit(self.merged()[at]);
                let inside = &hit.entry.path[path.len() + usize::from(!path.is_empty())..];
                let Some(slash) = inside.iter().position(|&byte| byte == b'/') else {
                    at += 1;
                    return Some(hit);
                };
                // Everything below this sub-folder lies together.
                at = self.range_below(&hit.entry.path[..hit.entry.path.len() - inside.len() + slash]).end;
            }
            None
        })
    }

    /// Everything below the folder `path`, sorted, folders before what they hold.
    pub fn walk(&self, path: &[u8]) -> impl ExactSizeIterator<Item = Hit<'_>> + DoubleEndedIterator {
        self.merged()[self.range_below(path)].iter().map(|position| self.hit(*position))
    }

    fn hit(&self, position: Position) -> Hit<'_> {
        let toc = &*self.layers[position.layer];
        Hit { layer: position.layer, entry: &toc.entries()[position.entry], toc }
    }

    fn lookup_by_layers(&self, path: &[u8]) -> Option<Hit<'_>> {
        for (layer, toc) in self.layers.iter().enumerate().rev() {
            if let Some(entry) = toc.position(path) {
                let hit = self.hit(Position { layer, entry });
                return (!path.is_empty() && hit.entry.kind != EntryKind::Whiteout).then_some(hit);
            }
            // If the layer lacks a folder, it lacks everything below: whoever is in a table has his folders there.
            let folders = entry_path::ancestors(path).map_while(|folder| toc.get(folder));
            if folders.chain(toc.get(b"")).any(|folder| folder.kind != (EntryKind::Dir { opaque: false })) {
                return None;
            }
        }
        None
    }

    fn range_below(&self, path: &[u8]) -> std::ops::Range<usize> {
        let merged = self.merged();
        let (first, after) = entry_path::below(path);
        let place = |bound: &[u8]| merged.partition_point(|position| self.hit(*position).entry.path.as_slice() < bound);
        place(&first)..after.map_or(merged.len(), |after| place(&after))
    }

    fn merged(&self) -> &[Position] {
        self.merged.get_or_init(|| {
            let mut merged = Vec::new();
            for layer in 0..self.layers.len() {
                merged = self.add_layer(&merged, layer);
            }
            // They hid what they had to.
            merged.retain(|position| {
                let entry = self.hit(*position).entry;
                entry.kind != EntryKind::Whiteout && !entry.path.is_empty()
            });
            merged
        })
    }

    /// `lower`, with a layer on top of it: two sorted sequences become one.
    fn add_layer(&self, lower: &[Position], layer: usize) -> Vec<Position> {
        let upper = self.layers[layer].entries();
        let mut merged = Vec::with_capacity(lower.len() + upper.len());
        // Folders whose former content is hidden and may still come, innermost last. Their ranges never overlap.
        let mut hidden: Vec<&[u8]> = Vec::new();
        let mut below = lower.iter().copied().peekable();
        let path_of = |position: Position| self.hit(position).entry.path.as_slice();
        let mut take_below = |until: Option<&[u8]>, hidden: &mut Vec<&[u8]>, merged: &mut Vec<Position>| {
            while let Some(position) = below.next_if(|&next| until.is_none_or(|until| path_of(next) < until)) {
                let path = path_of(position);
                while hidden.last().is_some_and(|folder| is_past(path, folder)) {
                    hidden.pop();
                }
                if !hidden.last().is_some_and(|folder| entry_path::is_below(path, folder)) {
                    merged.push(position);
                }
            }
            // The same path: the upper layer's holds.
            below.next_if(|&next| Some(path_of(next)) == until).is_some()
        };
        for (entry, upper) in upper.iter().enumerate() {
            let was_there = take_below(Some(&upper.path), &mut hidden, &mut merged);
            let hides = upper.kind != (EntryKind::Dir { opaque: false });
            if hides && (was_there || upper.path.is_empty()) {
                while hidden.last().is_some_and(|folder| is_past(&upper.path, folder)) {
                    hidden.pop();
                }
                hidden.push(&upper.path);
            }
            merged.push(Position { layer, entry });
        }
        take_below(None, &mut hidden, &mut merged);
        merged
    }
}

/// Whether, in sorted order, nothing from `path` on lies below `folder`.
fn is_past(path: &[u8], folder: &[u8]) -> bool {
    !folder.is_empty() && path.len() >= folder.len() && {
        let (start, rest) = path.split_at(folder.len());
        start > folder || (start == folder && rest.first().is_some_and(|&byte| byte > b'/'))
    } || path.len() < folder.len() && path > folder
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::ContentDigest;
    use std::collections::BTreeMap;

    /// `name/` is a folder, `name/=` an opaque one, `-name` a whiteout, `name` a file.
    pub(super) fn layer(specs: &[&str]) -> Arc<Toc> {
        let entry = |spec: &&str| match **spec {
            ref name if name.ends_with("/=") => Entry::new(&name[..name.len() - 2], EntryKind::Dir { opaque: true }),
            ref name if name.ends_with('/') => Entry::new(&name[..name.len() - 1], EntryKind::Dir { opaque: false }),
            ref name if name.starts_with('-') => Entry::new(&name[1..], EntryKind::Whiteout),
            ref name => Entry::new(name, EntryKind::File { size: 0, digest: ContentDigest::of(b"") }),
        };
        Arc::new(Toc::new(specs.iter().map(entry).collect()).unwrap())
    }

    fn paths<'a>(hits: impl Iterator<Item = Hit<'a>>) -> Vec<String> {
        hits.map(|hit| format!("{}@{}", String::from_utf8_lossy(&hit.entry.path), hit.layer)).collect()
    }

    fn check(layers: &[&[&str]], expected: &[&str]) {
        let tables: Vec<_> = layers.iter().map(|specs| layer(specs)).collect();
        let view = View::new(tables.clone());
        assert_eq!(paths(view.walk(b"")), expected, "{layers:?}");
        // Both ways of looking up agree with the walk, on every path that any layer has.
        let by_layers = View::new(tables.clone());
        let walked: BTreeMap<_, _> = view.walk(b"").map(|hit| (hit.entry.path.clone(), hit)).collect();
        for path in tables.iter().flat_map(|toc| toc.entries()).map(|entry| &entry.path) {
            assert_eq!(view.lookup(path), walked.get(path).copied(), "merged, {path:?}");
            assert_eq!(by_layers.lookup(path), walked.get(path).copied(), "by layers, {path:?}");
        }
        assert!(by_layers.merged.get().is_none());
    }

    #[test]
    fn the_topmost_layer_that_speaks_of_a_path_decides() {
        check(&[&["a/", "a/b", "c"], &["a/", "a/b"]], &["a@1", "a/b@1", "c@0"]);
        check(&[&["a/", "a/b", "a/c"], &["a/", "-a/b"]], &["a@1", "a/c@0"]);
        check(&[&["a"], &["-a"], &["a"]], &["a@2"]);
    }

    #[test]
    fn whiteouts_files_and_opaque_folders_hide_what_was_below() {
        let base: &[&str] = &["a/", "a-b", "a/x", "a/x.d/", "a/x.d/y", "b"];
        check(&[base, &["-a"]], &["a-b@0", "b@0"]);
        check(&[base, &["a"]], &["a@1", "a-b@0", "b@0"]);
        check(&[base, &["a/="]], &["a@1", "a-b@0", "b@0"]);
        check(&[base, &["a/=", "a/new"]], &["a@1", "a-b@0", "a/new@1", "b@0"]);
        check(&[base, &["a/", "-a/x.d"]], &["a@1", "a-b@0", "a/x@0", "b@0"]);
        check(&[base, &["a/", "-a-b", "-a/x"]], &["a@1", "a/x.d@0", "a/x.d/y@0", "b@0"]);
        check(&[base, &["/=", "c"]], &["c@1"]);
        // A folder made anew after its removal does not bring its content back.
        check(&[base, &["-a"], &["a/", "a/z"]], &["a@2", "a-b@0", "a/z@2", "b@0"]);
    }

    #[test]
    fn a_folder_lists_its_children_only() {
        let view = View::new(vec![layer(&["a/", "a/b/", "a/b/c", "a/b/d/", "a/b/d/e", "a/b-x", "a/z", "q"])]);
        assert_eq!(paths(view.read_dir(b"")), ["a@0", "q@0"]);
        assert_eq!(paths(view.read_dir(b"a")), ["a/b@0", "a/b-x@0", "a/z@0"]);
        assert_eq!(paths(view.read_dir(b"a/b")), ["a/b/c@0", "a/b/d@0"]);
        assert_eq!(paths(view.read_dir(b"nowhere")), [""; 0]);
        assert_eq!(paths(view.walk(b"a/b")), ["a/b/c@0", "a/b/d@0", "a/b/d/e@0"]);
    }

    #[test]
    fn ranges_end_where_they_must() {
        for (path, folder, past) in [
            ("a/x", "a", false),
            ("a-b", "a", false),
            ("a", "a", false),
            ("a0", "a", true),
            ("b", "a", true),
            ("b", "a/long", true),
            ("a/k", "a/long", false),
            ("x", "", false),
        ] {
            assert_eq!(is_past(path.as_bytes(), folder.as_bytes()), past, "{path} {folder}");
        }
    }
}
