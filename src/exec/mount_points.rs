//! The places that every sandbox mounts on, in a folder below the layers of a tree.
//!
//! What a tree lacks of them, a step makes and removes again. A tree without `/proc`, which nobody made to be run in, lacks
//! most: they are made once a build instead.

use super::{Exec, ExecError};
use crate::{layer::View, store::StageDir};
use std::{
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Mutex,
};

const FOLDERS: [&str; 4] = ["dev", "etc", "proc", "sys"];
const FILES: [&str; 3] = ["etc/hostname", "etc/hosts", "etc/resolv.conf"];

/// The folder, once a step of this build needed it.
#[derive(Debug, Default)]
pub struct MountPoints(Mutex<Option<StageDir>>);

impl MountPoints {
    /// The folder to lay below those of `tree`, if that lacks what it has.
    pub(super) fn below(&self, exec: &Exec, tree: &View) -> Result<Option<PathBuf>, ExecError> {
        if tree.lookup(b"proc").is_some() {
            return Ok(None);
        }
        let mut known = self.0.lock().expect("no panic while making a folder");
        let stage = if let Some(stage) = &*known {
            stage
        } else {
            let stage = exec.store.stage_dir()?;
            make(stage.path()).map_err(|error| ExecError::Context { path: stage.path().to_owned(), error })?;
            known.insert(stage)
        };
        Ok(Some(stage.path().to_owned()))
    }
}

/// All that `tree` has none of. What a step leaves there is only its doing if it is not empty.
pub(super) fn absent_from(tree: &View) -> impl Iterator<Item = PathBuf> {
    let absent = |path: &&str| tree.lookup(path.as_bytes()).is_none();
    FOLDERS.into_iter().chain(FILES).filter(absent).map(|path| Path::new("/").join(path))
}

/// With the modes that a sandbox would make them with, whatever the mask of this process.
fn make(root: &Path) -> io::Result<()> {
    let set_mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
    for folder in FOLDERS.map(|name| root.join(name)) {
        DirBuilder::new().mode(0o755).create(&folder)?;
        set_mode(&folder, 0o755)?;
    }
    for file in FILES.map(|name| root.join(name)) {
        File::create_new(&file)?;
        set_mode(&file, 0o644)?;
    }
    // The root of a tree is that of its lowest layer where no other says more.
    set_mode(root, 0o755)
}
