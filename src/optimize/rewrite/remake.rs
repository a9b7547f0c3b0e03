//! A new layer of the entries of an old one.

use crate::{
    image::DiffId,
    layer::{Compression, Content, Entry, EntryKind, Form, Item, LayerError, Layers},
    optimize::strip::{Half, HalfOfFile},
};
use std::{
    sync::{Arc, Mutex, OnceLock, PoisonError},
    thread,
};

/// An entry of a layer to be made.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) entry: Entry,
    /// Where the bytes of a file are in the old layer, if that is not the entry's own path.
    pub(super) from: Option<Vec<u8>>,
    /// Which half of them, if it is one.
    pub(super) half: Option<Half>,
}

impl From<Entry> for Kept {
    fn from(entry: Entry) -> Self {
        Self { entry, from: None, half: None }
    }
}

/// Makes a layer of `kept`, whose bytes the layer `old` has.
pub(super) fn layer(
    layers: &Layers,
    old: &DiffId,
    kept: Vec<Kept>,
    compression: Compression,
) -> Result<DiffId, LayerError> {
    if kept.is_empty() {
        return Ok(DiffId::empty());
    }
    let items = kept.into_iter().map(|kept| item(layers, old, kept)).collect();
    Ok(layers.from_files(items, None, Form::Blob(compression))?.diff_id)
}

/// Makes a layer of each of `parts`, whose bytes the layer `old` has, several at a time: small ones do not keep all
/// processors busy.
pub(super) fn layers(
    layers: &Layers,
    old: &DiffId,
    parts: Vec<Vec<Kept>>,
    compression: Compression,
) -> Result<Vec<DiffId>, LayerError> {
    let made: Vec<OnceLock<Result<DiffId, LayerError>>> = parts.iter().map(|_| OnceLock::new()).collect();
    let queue = Mutex::new(parts.into_iter().zip(&made));
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || {
        while let Some((part, place)) = next() {
            let made = layer(layers, old, part, compression);
            place.set(made).expect("every part is made once");
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    drop(queue);
    made.into_iter().map(|made| made.into_inner().expect("every part was made")).collect()
}

/// As the new layer has it. What the table says of the bytes is checked when they are read.
pub(super) fn item(layers: &Layers, old: &DiffId, Kept { entry, from, half }: Kept) -> Item {
    match entry.kind {
        EntryKind::File { .. } => {
            let path = from.unwrap_or_else(|| entry.path.clone());
            let content = match half {
                None => Content::Layer { layer: *old, path },
                Some(half) => Content::Stream(Arc::new(HalfOfFile { layers: layers.clone(), layer: *old, path, half })),
            };
            Item::file(entry, content)
        }
        EntryKind::Dir { .. }
        | EntryKind::Symlink { .. }
        | EntryKind::HardLink { .. }
        | EntryKind::CharDevice { .. }
        | EntryKind::BlockDevice { .. }
        | EntryKind::Fifo
        | EntryKind::Whiteout => Item::new(entry),
    }
}

/// The folder that `path` is in; the root's is the root.
pub(super) fn parent(path: &[u8]) -> &[u8] {
    path.iter().rposition(|&byte| byte == b'/').map_or(&[], |slash| &path[..slash])
}
