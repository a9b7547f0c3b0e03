//! Small images for tests, in a store of their own.

use super::{ImageTree, Inventory, Package};
use crate::{
    image::{ContentDigest, DiffId},
    layer::{Content, Entry, EntryKind, Form, Item, Layers, OverlayXattrs, View},
    store::Store,
};

pub(in crate::optimize) struct Image {
    folder: tempfile::TempDir,
    pub(in crate::optimize) layers: Layers,
    pub(in crate::optimize) diff_ids: Vec<DiffId>,
    pub(in crate::optimize) view: View,
}

impl Image {
    /// Of one layer with these files.
    pub(in crate::optimize) fn new(files: &[(&str, &str)]) -> Self {
        Self::of_layers(&[files.iter().map(|(path, text)| file(path, text)).collect()])
    }

    /// Of several layers.
    pub(in crate::optimize) fn of_layers(layers: &[Vec<Node>]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        let made = Layers::new(store, OverlayXattrs::of_this_process());
        let diff_ids: Vec<DiffId> = layers
            .iter()
            .map(|nodes| {
                let items = nodes.iter().map(Node::item).collect();
                made.from_files(items, None, Form::Folder).unwrap().diff_id
            })
            .collect();
        let view = made.view(&diff_ids).unwrap();
        Self { folder, layers: made, diff_ids, view }
    }

    pub(in crate::optimize) fn tree(&self) -> ImageTree<'_> {
        assert!(self.folder.path().exists());
        ImageTree::new(&self.view, &self.layers, &self.diff_ids)
    }

    pub(in crate::optimize) fn inventory(&self) -> Inventory {
        Inventory::of(&self.tree()).unwrap()
    }
}

/// An entry and, of a file, its bytes.
#[derive(Clone)]
pub(in crate::optimize) struct Node {
    pub(in crate::optimize) entry: Entry,
    bytes: Vec<u8>,
}

impl Node {
    fn item(&self) -> Item {
        match self.entry.kind {
            EntryKind::File { .. } => Item::file(self.entry.clone(), Content::Bytes(self.bytes.clone())),
            EntryKind::Dir { .. }
            | EntryKind::Symlink { .. }
            | EntryKind::HardLink { .. }
            | EntryKind::CharDevice { .. }
            | EntryKind::BlockDevice { .. }
            | EntryKind::Fifo
            | EntryKind::Whiteout => Item::new(self.entry.clone()),
        }
    }
}

pub(in crate::optimize) fn file(path: &str, bytes: impl AsRef<[u8]>) -> Node {
    let bytes = bytes.as_ref().to_vec();
    let kind = EntryKind::File { size: bytes.len() as u64, digest: ContentDigest::of(&bytes) };
    Node { entry: Entry::new(path, kind), bytes }
}

pub(in crate::optimize) fn program(path: &str, bytes: impl AsRef<[u8]>) -> Node {
    let mut node = file(path, bytes);
    node.entry.mode = 0o755;
    node
}

pub(in crate::optimize) fn node(path: &str, kind: EntryKind) -> Node {
    Node { entry: Entry::new(path, kind), bytes: Vec::new() }
}

/// `name version: file file` of each package.
pub(super) fn listing(packages: &[Package]) -> Vec<String> {
    let files = |package: &Package| {
        let paths: Vec<_> = package.files.iter().map(|path| String::from_utf8_lossy(path).into_owned()).collect();
        paths.join(" ")
    };
    packages.iter().map(|package| format!("{} {}: {}", package.name, package.version, files(package))).collect()
}
