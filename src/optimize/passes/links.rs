//! Equal files of one layer, which can be names of one file.

use super::hidden::is_visible;
use crate::{
    image::ContentDigest,
    layer::{EntryKind, View},
};
use std::collections::{BTreeMap, HashMap};

/// Smaller files save no more than the record of a tar that has their name.
const SMALLEST: u64 = 1024;

/// Two visible files of a layer that differ in nothing but their names: the later one, and the first.
pub(in crate::optimize) struct Equal<'a> {
    pub(in crate::optimize) path: &'a [u8],
    #[cfg_attr(not(test), expect(dead_code, reason = "links are made by the next part"))]
    pub(in crate::optimize) first: &'a [u8],
    pub(in crate::optimize) bytes: u64,
}

/// Everything that names of one file share.
type Same<'a> = (ContentDigest, u32, u32, u32, i64, &'a BTreeMap<Vec<u8>, Vec<u8>>);

/// The equal files of a layer of a tree.
pub(in crate::optimize) fn equal(view: &View, layer: usize) -> Vec<Equal<'_>> {
    let mut firsts: HashMap<Same<'_>, &[u8]> = HashMap::new();
    let mut found = Vec::new();
    for entry in view.layers()[layer].entries() {
        let EntryKind::File { size, digest } = entry.kind else { continue };
        if size < SMALLEST || !is_visible(view, layer, &entry.path) {
            continue;
        }
        let same = (digest, entry.mode, entry.uid, entry.gid, entry.mtime, &entry.xattrs);
        let first = *firsts.entry(same).or_insert(&entry.path);
        if first != entry.path.as_slice() {
            found.push(Equal { path: &entry.path, first, bytes: size });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimize::owner::testing::*;

    #[test]
    fn files_are_equal_if_nothing_tells_them_apart() {
        let text = "x".repeat(2000);
        let mut newer = file("newer", &text);
        newer.entry.mtime = 1;
        let small = "y".repeat(1000);
        let layer = vec![
            file("a", &text),
            file("b", &text),
            program("program", &text),
            newer,
            file("small-1", &small),
            file("small-2", &small),
        ];
        let image = Image::of_layers(&[layer.clone(), vec![file("c", &text)]]);
        let found = |layer| {
            equal(&image.view, layer).iter().map(|it| (it.path.to_vec(), it.first.to_vec())).collect::<Vec<_>>()
        };
        assert_eq!(found(0), [(b"b".to_vec(), b"a".to_vec())]);
        assert_eq!(found(1), [], "a layer stands alone");
    }
}
