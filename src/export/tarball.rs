//! The files of an image as one tar.

use super::ExportError;
use crate::{
    image::DiffId,
    layer::{Compression, Content, Entry, EntryKind, Form, Item, Layers},
};
use std::{
    collections::HashMap,
    io::{self, Write},
};

/// Writes the files of trees to one tar, each below its folder; an empty name is no folder. Equal trees make equal
/// archives.
///
/// The archive is the canonical tar of a layer that has all of the files, so what holds for layers holds for it.
pub fn write_tarball(
    layers: &Layers,
    trees: &[(String, Vec<DiffId>)],
    mut writer: impl Write,
) -> Result<(), ExportError> {
    let mut items = Vec::new();
    for (folder, diff_ids) in trees {
        add(layers, folder.as_bytes(), diff_ids, &mut items)?;
    }
    let plain: Compression = Compression::PLAIN;
    let made = layers.from_files(items, None, Form::Blob(plain))?;
    let blob = layers.blob(&made.diff_id, &plain)?;
    let mut tar = layers.store().open_blob(&blob.digest)?.ok_or(ExportError::BlobAbsent(blob.digest))?;
    io::copy(&mut tar, &mut writer).and_then(|_| writer.flush()).map_err(ExportError::Archive)
}

fn add(layers: &Layers, folder: &[u8], diff_ids: &[DiffId], items: &mut Vec<Item>) -> Result<(), ExportError> {
    let view = layers.view(diff_ids)?;
    let placed = |path: &[u8]| if folder.is_empty() { path.to_vec() } else { [folder, b"/", path].concat() };
    // Where a file of a layer came first: its other names become links.
    let mut first_names: HashMap<(usize, Vec<u8>), Vec<u8>> = HashMap::new();
    for hit in view.walk(b"") {
        let mut entry = Entry { path: placed(&hit.entry.path), ..hit.entry.clone() };
        let Some((size, digest)) = hit.file() else {
            if let EntryKind::Dir { opaque } = &mut entry.kind {
                *opaque = false;
            }
            items.push(Item::new(entry));
            continue;
        };
        let name = if let EntryKind::HardLink { target } = &hit.entry.kind { target } else { &hit.entry.path };
        if let Some(first) = first_names.get(&(hit.layer, name.clone())) {
            entry.kind = EntryKind::HardLink { target: first.clone() };
            items.push(Item::new(entry));
            continue;
        }
        first_names.insert((hit.layer, name.clone()), entry.path.clone());
        entry.kind = EntryKind::File { size, digest };
        let content = Content::Layer { layer: diff_ids[hit.layer], path: hit.entry.path.clone() };
        items.push(Item::file(entry, content));
    }
    Ok(())
}
