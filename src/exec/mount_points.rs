//! The places that every sandbox mounts on, as a layer below all others.
//!
//! What a tree lacks of them, a step makes and removes again. A tree without `/proc`, which nobody made to be run in, lacks
//! most: for this one layer instead, a hundred short steps take a tenth less time.

use super::{Exec, ExecError};
use crate::{
    image::{ContentDigest, DiffId},
    layer::{Content, Entry, EntryKind, Form, Item, View},
};
use std::{
    path::{Path, PathBuf},
    sync::Mutex,
};

const FOLDERS: [&str; 4] = ["dev", "etc", "proc", "sys"];
const FILES: [&str; 3] = ["etc/hostname", "etc/hosts", "etc/resolv.conf"];

/// The layer, once a step of this build needed it.
#[derive(Debug, Default)]
pub struct MountPoints(Mutex<Option<DiffId>>);

impl MountPoints {
    /// The folder to lay below those of `tree`, if that lacks what it has.
    pub(super) fn below(&self, exec: &Exec, tree: &View) -> Result<Option<PathBuf>, ExecError> {
        if tree.lookup(b"proc").is_some() {
            return Ok(None);
        }
        let mut known = self.0.lock().expect("no panic while making a layer");
        let diff_id = match *known {
            Some(diff_id) => diff_id,
            None => *known.insert(exec.layers.from_files(items(), None, Form::Folder)?.diff_id),
        };
        Ok(Some(exec.layers.folder(&diff_id)?))
    }
}

/// All that `tree` has none of. What a step leaves there is only its doing if it is not empty.
pub(super) fn absent_from(tree: &View) -> impl Iterator<Item = PathBuf> {
    let absent = |path: &&str| tree.lookup(path.as_bytes()).is_none();
    FOLDERS.into_iter().chain(FILES).filter(absent).map(|path| Path::new("/").join(path))
}

fn items() -> Vec<Item> {
    let nothing = EntryKind::File { size: 0, digest: ContentDigest::of(b"") };
    let folders = FOLDERS.iter().map(|path| Item::new(Entry::new(*path, EntryKind::Dir { opaque: false })));
    let files = FILES.iter().map(|path| Item::file(Entry::new(*path, nothing.clone()), Content::Bytes(Vec::new())));
    folders.chain(files).collect()
}
