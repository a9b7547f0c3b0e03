//! Bytes that no container sees: a later layer replaces or deletes the file.

use crate::layer::{EntryKind, View};
use std::collections::HashSet;

/// A file whose bytes are in a layer for nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::optimize) struct Hidden<'a> {
    /// Position of the layer, the lowest 0.
    pub(in crate::optimize) layer: usize,
    pub(in crate::optimize) path: &'a [u8],
    pub(in crate::optimize) bytes: u64,
    /// Whether something is at the path in the end, or nothing.
    pub(in crate::optimize) replaced: bool,
}

/// All hidden files of a tree's layers.
pub(in crate::optimize) fn hidden(view: &View) -> Vec<Hidden<'_>> {
    let mut found = Vec::new();
    for (layer, toc) in view.layers().iter().enumerate() {
        // The bytes of a file are seen if one of its names is.
        let mut seen: HashSet<&[u8]> = HashSet::new();
        for entry in toc.entries() {
            if let EntryKind::HardLink { target } = &entry.kind
                && is_visible(view, layer, &entry.path)
            {
                seen.insert(target);
            }
        }
        for entry in toc.entries() {
            if let EntryKind::File { size, .. } = entry.kind
                && size > 0
                && !seen.contains(&entry.path[..])
                && !is_visible(view, layer, &entry.path)
            {
                let replaced = view.lookup(&entry.path).is_some();
                found.push(Hidden { layer, path: &entry.path, bytes: size, replaced });
            }
        }
    }
    found
}

/// Whether what a layer has at a path is what a container sees there.
pub(in crate::optimize) fn is_visible(view: &View, layer: usize, path: &[u8]) -> bool {
    view.lookup(path).is_some_and(|hit| hit.layer == layer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimize::owner::testing::*;

    #[test]
    fn what_later_layers_hide_is_found_unless_another_name_shows_it() {
        let link = |path: &str, target: &str| node(path, EntryKind::HardLink { target: target.into() });
        let gone = |path: &str| node(path, EntryKind::Whiteout);
        let image = Image::of_layers(&[
            vec![
                file("a", "1"),
                file("b", "22"),
                file("d/c", "333"),
                file("l1", "4444"),
                link("l2", "l1"),
                file("k", "5"),
            ],
            vec![file("a", "x"), gone("b"), gone("d"), gone("l1")],
            vec![file("a", "yy")],
        ]);
        let found: Vec<_> =
            hidden(&image.view).into_iter().map(|it| (it.layer, it.path, it.bytes, it.replaced)).collect();
        let expected = [(0, &b"a"[..], 1, true), (0, b"b", 2, false), (0, b"d/c", 3, false), (1, b"a", 1, true)];
        assert_eq!(found, expected);
    }
}
