//! Folders that are no layers (caches of steps), as a canonical tar and back.

use super::{
    LayerError, Layers, apply, diff,
    folder::open_root,
    pack::{Target, pack},
};
use crate::image::DiffId;
use std::{
    io::{Read, Write},
    path::Path,
};

impl Layers {
    /// Writes what is in `folder` as a canonical tar, and returns its digest. Nobody may write to the folder meanwhile. A
    /// socket, to which nobody can listen then, is removed.
    pub fn pack_folder(&self, folder: &Path, output: impl Write) -> Result<DiffId, LayerError> {
        let (packed, _) = pack(diff::everything(folder)?, None, self.store.root(), output)?;
        Ok(packed.diff_id)
    }

    /// Unpacks `archive`, which may come from anybody, into the empty `folder`, and returns its digest. What is there may be
    /// used only if that is the one which was expected.
    pub fn unpack_folder(&self, folder: &Path, archive: impl Read + Send) -> Result<DiffId, LayerError> {
        let target = Target { root: open_root(folder)?, overlay: self.overlay };
        let packed = apply::apply(archive, Some(&target), &mut self.below(&[]), self.limits)?;
        Ok(packed.diff_id)
    }
}
