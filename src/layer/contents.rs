//! The contents of a layer's files without its folder, for who reads most of them once, to make other layers of them.
//!
//! Beside the bytes themselves, names, folders, owners and times cost the most of unpacking a layer, and again when they are
//! removed. Who reads in one go needs none of them.

use super::{
    Compression, Item, LayerError, Layers, Made, Unpacked, apply, check_diff_id,
    error::At,
    files::{self, LayerFiles},
    folder::open_root,
    spool::{Spool, Spooled},
};
use crate::image::DiffId;
use std::{io, io::Read, sync::Arc};

/// Contents of the files of a layer. They are at hand, for all who read them in this process, as long as this lives.
#[derive(Debug)]
pub struct Contents {
    /// Where there is a folder, nothing else is needed.
    _spooled: Option<Arc<Spooled>>,
}

impl Layers {
    /// Brings the contents of the layer's files out of its blob, unless it has a folder.
    pub fn contents(&self, diff_id: &DiffId) -> Result<Contents, LayerError> {
        if let Some(known) = self.at_hand(diff_id) {
            return Ok(Contents { _spooled: Some(known) });
        }
        if *diff_id == DiffId::empty() || self.store.layer_dir(diff_id)?.is_some() {
            return Ok(Contents { _spooled: None });
        }
        let blob = self.any_blob(diff_id)?.ok_or(LayerError::Absent(*diff_id))?;
        let mut spool = Spool::new(&self.store)?;
        let lower = self.lower_of(diff_id);
        let packed = apply::read_into(&mut spool, blob, &mut self.below(&lower), self.limits)?;
        check_diff_id(diff_id, &packed)?;
        Ok(self.hold(diff_id, spool.finish()?))
    }

    /// Makes a layer of `items`, as [`Layers::from_files`] does, that will be divided: it is in no image, so its blob need not be
    /// small, and what is in its files is at hand.
    pub fn from_files_to_divide(&self, items: Vec<Item>, epoch: Option<i64>) -> Result<(Made, Contents), LayerError> {
        let items = files::prepare(items, epoch, |layer| self.files(layer))?;
        let mut spool = Spool::new(&self.store)?;
        let (packed, (blob, index)) = self.pack_blob_and_spool(items, Compression::QUICK, &mut spool)?;
        let made = self.keep(packed, true)?;
        self.note_blob(&made.diff_id, Compression::QUICK, blob, index)?;
        let contents = self.hold(&made.diff_id, spool.finish()?);
        Ok((made, contents))
    }

    /// Lets the contents of `archive` serve as those of the layer that was made of it; `None` if the layer has others too.
    pub fn contents_of_archive(&self, made: &Made, archive: &Unpacked) -> Option<Contents> {
        let has_all = archive.contents.has_files_of(&made.toc);
        has_all.then(|| self.hold(&made.diff_id, Arc::clone(&archive.contents)))
    }

    /// Reads a regular file of the layer, by its path or that of a hard link: from its contents if they are at hand, or
    /// else out of its folder, unpacked now if it was not.
    pub fn read_file(&self, diff_id: &DiffId, path: &[u8]) -> Result<Box<dyn Read + Send>, LayerError> {
        if let Some(contents) = self.at_hand(diff_id)
            && let Some((size, digest)) = self.toc(diff_id)?.file(path)
        {
            let content = contents.open(&digest, size).ok_or(io::ErrorKind::NotFound).at_entry(path)?;
            return Ok(Box::new(content));
        }
        Ok(Box::new(self.open_file(diff_id, path)?))
    }

    /// Where files of the layer are to be read from.
    pub(super) fn files(&self, diff_id: &DiffId) -> Result<LayerFiles, LayerError> {
        match self.at_hand(diff_id) {
            Some(contents) => Ok(LayerFiles::Contents(self.toc(diff_id)?, contents)),
            None => Ok(LayerFiles::Folder(open_root(&self.folder(diff_id)?)?)),
        }
    }

    fn hold(&self, diff_id: &DiffId, contents: Arc<Spooled>) -> Contents {
        self.known().contents.insert(*diff_id, Arc::downgrade(&contents));
        Contents { _spooled: Some(contents) }
    }

    fn at_hand(&self, diff_id: &DiffId) -> Option<Arc<Spooled>> {
        self.known().contents.get(diff_id)?.upgrade()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        layer::{Compression, Content, Form, Item, OverlayXattrs, test_archive::Archive},
        store::Store,
    };

    #[test]
    fn a_layer_is_made_of_another_without_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let layers = Layers::new(store.clone(), OverlayXattrs::of_this_process());
        let tar = Archive::default().file("d/f", &vec![7; 400_000]).file("e", b"e").hard_link("h", "e").finish();
        let archive = layers.unpack_archive(&tar[..]).unwrap();
        let blob = Form::Blob(Compression::default());
        let made = layers.from_files(archive.items(b"").unwrap(), None, blob).unwrap();
        let part = || {
            let entries = made.toc.entries().iter().filter(|entry| entry.path != b"d/f");
            let item = |path: &[u8]| Content::Layer { layer: made.diff_id, path: path.to_vec() };
            let items = entries.map(|entry| match made.toc.file(&entry.path) {
                Some(_) if entry.path == b"e" => Item::file(entry.clone(), item(b"h")),
                Some(_) | None => Item::new(entry.clone()),
            });
            layers.from_files(items.collect(), None, blob).unwrap().diff_id
        };
        let text = |path: &[u8]| {
            let mut text = String::new();
            layers.read_file(&made.diff_id, path).unwrap().read_to_string(&mut text).map(|_| text).unwrap()
        };
        let unpacked = || store.layer_dir(&made.diff_id).unwrap().is_some();

        let contents = layers.contents(&made.diff_id).unwrap();
        let (of_blob, text_of_blob) = (part(), text(b"h"));
        drop(contents);
        let contents = layers.contents_of_archive(&made, &archive).unwrap();
        let (of_archive, text_of_archive) = (part(), text(b"h"));
        assert!(!unpacked());
        drop((contents, archive));
        assert_eq!((part(), text(b"h")), (of_blob, text_of_blob.clone()));
        assert!(unpacked());
        assert_eq!((of_archive, text_of_archive), (of_blob, text_of_blob));
    }
}
