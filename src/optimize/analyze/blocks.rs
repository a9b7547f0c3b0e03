//! Bytes in bytes: folders in folders, packages in ecosystems. What a tree map shows.

use crate::{
    layer::{EntryKind, View},
    optimize::owner::Inventory,
};
use serde::Serialize;
use std::collections::BTreeMap;

/// Folders deeper than this are one block: nobody sees them, and no path shall make anything recurse deeply.
const DEEPEST: usize = 24;
/// A block that is smaller than this part of the whole is put together with its like.
const SMALLEST: u64 = 3000;
/// What those are called together.
const REST: &str = "…";

/// Something that takes bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Block {
    /// What it is called within the block around it.
    pub name: String,
    /// Bytes, those of its parts included.
    pub bytes: u64,
    /// What it consists of, the largest first; nothing if it is not divided.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Block>,
}

/// A block that is still growing.
#[derive(Default)]
struct Growing {
    bytes: u64,
    parts: BTreeMap<String, Growing>,
}

/// The files that a container sees, by folder.
pub(super) fn by_path(view: &View) -> Block {
    let mut root = Growing::default();
    for (path, bytes) in files(view) {
        root.add(&path_names(path), bytes);
    }
    root.into_block("/".to_owned())
}

/// The same files by ecosystem and package; those of no package by folder.
pub(super) fn by_package(view: &View, inventory: &Inventory) -> Block {
    let mut root = Growing::default();
    for (path, bytes) in files(view) {
        let names = if let Some(package) = inventory.owner(path) {
            vec![package.ecosystem.name().to_owned(), package.name.clone()]
        } else {
            ["no package".to_owned()].into_iter().chain(path_names(path).into_iter().take(3)).collect()
        };
        root.add(&names, bytes);
    }
    root.into_block("packages".to_owned())
}

fn files(view: &View) -> impl Iterator<Item = (&[u8], u64)> {
    view.walk(b"").filter_map(|hit| match hit.entry.kind {
        EntryKind::File { size, .. } => Some((hit.entry.path.as_slice(), size)),
        // If the file's own name is hidden, this one has to stand for it.
        EntryKind::HardLink { ref target } if view.lookup(target).is_none_or(|file| file.layer != hit.layer) => {
            hit.file().map(|(size, _)| (hit.entry.path.as_slice(), size))
        }
        EntryKind::HardLink { .. }
        | EntryKind::Dir { .. }
        | EntryKind::Symlink { .. }
        | EntryKind::CharDevice { .. }
        | EntryKind::BlockDevice { .. }
        | EntryKind::Fifo
        | EntryKind::Whiteout => None,
    })
}

fn path_names(path: &[u8]) -> Vec<String> {
    let names = path.split(|&byte| byte == b'/').take(DEEPEST);
    names.map(|name| String::from_utf8_lossy(name).into_owned()).collect()
}

impl Growing {
    fn add(&mut self, names: &[String], bytes: u64) {
        self.bytes += bytes;
        let mut block = self;
        for name in names {
            block = block.parts.entry(name.clone()).or_default();
            block.bytes += bytes;
        }
    }

    fn into_block(self, name: String) -> Block {
        let smallest = self.bytes / SMALLEST;
        self.cut(name, smallest)
    }

    fn cut(self, name: String, smallest: u64) -> Block {
        let (large, small): (Vec<_>, Vec<_>) = self.parts.into_iter().partition(|(_, part)| part.bytes > smallest);
        let mut parts: Vec<Block> = large.into_iter().map(|(name, part)| part.cut(name, smallest)).collect();
        parts.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name)));
        let rest: u64 = small.iter().map(|(_, part)| part.bytes).sum();
        if rest > 0 && !parts.is_empty() {
            parts.push(Block { name: REST.to_owned(), bytes: rest, parts: Vec::new() });
        }
        Block { name, bytes: self.bytes, parts }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimize::owner::testing::*;

    /// Every block is as large as its parts.
    fn check_sums(block: &Block) {
        let parts: u64 = block.parts.iter().map(|part| part.bytes).sum();
        assert!(block.parts.is_empty() || parts == block.bytes, "{}: {parts} of {}", block.name, block.bytes);
        block.parts.iter().for_each(check_sums);
    }

    #[test]
    fn blocks_are_as_large_as_their_parts() {
        let link = |path: &str, target: &str| node(path, EntryKind::HardLink { target: target.into() });
        let many = (0..50).map(|number| file(&format!("many/{number}"), "1"));
        let deep = format!("{}end", "d/".repeat(100));
        let mut lower =
            vec![file("a/large", "x".repeat(200_000)), file("a/first", "1234"), link("a/second", "a/first")];
        lower.extend(many.chain([file(&deep, "deep")]));
        let image = Image::of_layers(&[lower, vec![node("a/first", EntryKind::Whiteout)]]);
        let block = by_path(&image.view);
        assert_eq!(block.bytes, 200_000 + 4 + 50 + 4);
        check_sums(&block);
        assert_eq!(block.parts[0].name, "a");
        assert_eq!(block.parts.last().unwrap().name, REST);
        let packages = by_package(&image.view, &image.inventory());
        assert_eq!(packages.bytes, block.bytes);
        check_sums(&packages);
    }
}
