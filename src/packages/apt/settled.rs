//! What follows from all packages of a tree together: the last layer of a request, which is of this tree alone.
//!
//! | made | by |
//! |---|---|
//! | `/etc/ld.so.cache` | [`loader`] |
//! | `/var/lib/dpkg/alternatives`, links | [`choices`] |

use super::{
    choices,
    loader::{self, Found, Libraries},
};
use crate::{
    layer::{Entry, EntryKind, Item, View},
    packages::{
        PackageError, TreeBelow,
        files::{Tree, text_item},
    },
};
use flashbuild_frontend::package::{Package, PackageContent, PackageFile, PackageLayout, PackageOp, Settled};
use std::collections::BTreeSet;

/// The layer of `packages`, for Debian's `architecture`.
pub(super) fn layer(packages: &[Package], architecture: &str) -> Settled {
    let file = |path: &str, mode, content| PackageFile { path: format!("/{path}"), mode, content };
    let said = |package: &Package| Package { layout: PackageLayout::DebAlternatives, ..package.clone() };
    Settled {
        said: PackageOp {
            packages: packages.iter().map(said).collect(),
            files: vec![file(choices::SAID, 0o755, PackageContent::Folder)],
        },
        layer: PackageOp {
            packages: Vec::new(),
            files: vec![
                file(loader::CACHE, 0o644, PackageContent::LoaderCache(architecture.to_owned())),
                file(choices::FOLDER, 0o755, PackageContent::Alternatives),
            ],
        },
    }
}

/// Which layers of a tree have settings that the layer depends on: positions, the lowest 0.
pub(in crate::packages) fn settings_in(view: &View) -> BTreeSet<usize> {
    let is_setting = |path: &[u8]| loader::is_setting(path) || choices::is_setting(path);
    let found = view.walk(b"etc").chain(view.walk(choices::FOLDER.as_bytes()));
    found.filter(|hit| is_setting(&hit.entry.path)).map(|hit| hit.layer).collect()
}

/// Which layers have other files that it depends on. Those with settings are here.
pub(in crate::packages) fn libraries_in(op: &PackageOp, tree: &TreeBelow) -> Result<BTreeSet<usize>, PackageError> {
    let mut layers = BTreeSet::new();
    for file in &op.files {
        if let PackageContent::LoaderCache(architecture) = &file.content {
            layers.extend(Libraries::find(tree, architecture)?.layers());
        }
    }
    Ok(layers)
}

/// The files of the layer, on top of `tree`, which was `before` without its packages; they say what is in `said`.
pub(in crate::packages) fn settle(
    op: &PackageOp,
    tree: &TreeBelow,
    before: &View,
    said: &TreeBelow,
    time: i64,
) -> Result<Vec<Item>, PackageError> {
    let mut made = Vec::new();
    for file in &op.files {
        match &file.content {
            PackageContent::LoaderCache(architecture) => {
                let Found { libraries, links } = Libraries::find(tree, architecture)?.read()?;
                made.extend(links.into_iter().map(|(path, target)| link(&path, &target, time)));
                let table = loader::write(architecture, libraries);
                made.push(text_item(file.path.trim_start_matches('/').as_bytes(), table, file.mode, time));
            }
            PackageContent::Alternatives => made.extend(choices::make(said, tree, before, time)?),
            PackageContent::Folder | PackageContent::Text(_) | PackageContent::Link(_) | PackageContent::Absent => {}
        }
    }
    let mut items = Tree::new(time);
    items.put_all(folders_of(tree.view(), &made));
    items.put_all(made);
    Ok(items.into_items())
}

fn link(path: &[u8], target: &str, time: i64) -> Item {
    let kind = EntryKind::Symlink { target: target.as_bytes().to_vec() };
    Item::new(Entry { mode: 0o777, mtime: time, ..Entry::new(path, kind) })
}

/// The folders of `items` as they are in the tree below: naming them otherwise would change them.
fn folders_of(view: &View, items: &[Item]) -> Vec<Item> {
    let paths = items.iter().map(|item| &item.entry().path);
    let folders: BTreeSet<&[u8]> = paths
        .flat_map(|path| path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(end, _)| &path[..end]))
        .collect();
    let there = folders.into_iter().filter_map(|folder| view.lookup(folder)).filter(|hit| hit.entry.is_dir());
    there.map(|hit| Item::new(Entry { kind: EntryKind::Dir { opaque: false }, ..hit.entry.clone() })).collect()
}
