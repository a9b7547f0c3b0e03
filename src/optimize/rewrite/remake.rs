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
    /// Where the bytes are, of a file.
    pub(super) bytes: Bytes,
}

/// Where the bytes of a file come from.
#[derive(Debug, Clone)]
pub(super) enum Bytes {
    /// They are those that the old layer has at the entry's path.
    Same,
    /// They are those that it has at another path.
    Of(Vec<u8>),
    /// They are one half of those at the entry's path.
    Half(Half),
    /// They are new.
    New(Vec<u8>),
}

impl From<Entry> for Kept {
    fn from(entry: Entry) -> Self {
        Self { entry, bytes: Bytes::Same }
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
pub(super) fn item(layers: &Layers, old: &DiffId, Kept { entry, bytes }: Kept) -> Item {
    match entry.kind {
        EntryKind::File { .. } => {
            let (layer, path) = (*old, entry.path.clone());
            let content = match bytes {
                Bytes::Same => Content::Layer { layer, path },
                Bytes::Of(other) => Content::Layer { layer, path: other },
                Bytes::Half(half) => {
                    Content::Stream(Arc::new(HalfOfFile { layers: layers.clone(), layer, path, half }))
                }
                Bytes::New(bytes) => Content::Bytes(bytes),
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
