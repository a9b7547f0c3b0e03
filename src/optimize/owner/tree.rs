//! The merged tree of an image, with the bytes of its files.

use crate::{
    image::DiffId,
    layer::{EntryKind, Hit, LastLink, LayerError, Layers, Resolved, View},
};
use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    fs::File,
    io::{self, Read as _},
};

/// Bytes that are read of one image at most: databases, records, build information.
const MOST_BYTES: u64 = 2 << 30;
/// Notes that are kept.
const MOST_NOTES: usize = 50;

/// The merged tree of an image. Its layers are unpacked where a file of theirs is read.
pub struct ImageTree<'a> {
    view: &'a View,
    layers: &'a Layers,
    diff_ids: &'a [DiffId],
    /// The only layer whose files are read; all if there is none.
    only: Option<usize>,
    read: Cell<u64>,
    notes: RefCell<Vec<String>>,
    /// Where folders lead.
    folders: RefCell<HashMap<Vec<u8>, Option<Vec<u8>>>>,
}

impl<'a> ImageTree<'a> {
    /// The tree that `diff_ids`, lowest first, make together, which is `view`.
    pub fn new(view: &'a View, layers: &'a Layers, diff_ids: &'a [DiffId]) -> Self {
        Self {
            view,
            layers,
            diff_ids,
            only: None,
            read: Cell::new(0),
            notes: RefCell::default(),
            folders: RefCell::default(),
        }
    }

    /// The same, but the files of all other layers than this one cannot be read: they count as absent.
    #[must_use]
    pub fn reading_only(self, layer: usize) -> Self {
        Self { only: Some(layer), ..self }
    }

    /// Whether the bytes of what was found may be read.
    pub(super) fn is_readable(&self, hit: &Hit<'_>) -> bool {
        self.only.is_none_or(|only| only == hit.layer)
    }

    /// The tables.
    pub fn view(&self) -> &'a View {
        self.view
    }

    /// Where `path`, however it is spelled, is in the tree: the links of the folders on its way are followed, one at its
    /// end is not. `None` if there is nothing.
    pub(super) fn locate(&self, path: &[u8]) -> Option<(Vec<u8>, Hit<'a>)> {
        let path = path.strip_prefix(b"/").unwrap_or(path);
        let slash = path.iter().rposition(|&byte| byte == b'/');
        let (folder, name) = slash.map_or((&b""[..], path), |slash| (&path[..slash], &path[slash + 1..]));
        if matches!(name, b"" | b"." | b"..") {
            let resolved = self.view.resolve(path, LastLink::Keep).ok().filter(Resolved::exists)?;
            return Some((resolved.existing.clone(), resolved.hit?));
        }
        let folder = self.folder(folder)?;
        let path = if folder.is_empty() { name.to_vec() } else { [&folder[..], b"/", name].concat() };
        let hit = self.view.lookup(&path)?;
        Some((path, hit))
    }

    fn folder(&self, folder: &[u8]) -> Option<Vec<u8>> {
        if folder.is_empty() {
            return Some(Vec::new());
        }
        if let Some(known) = self.folders.borrow().get(folder) {
            return known.clone();
        }
        let resolved = self.view.resolve(folder, LastLink::Follow).ok().filter(Resolved::exists);
        let found = resolved.map(|it| it.existing);
        self.folders.borrow_mut().insert(folder.to_vec(), found.clone());
        found
    }

    /// Where `path` is, if it is anything but a folder.
    pub(super) fn file_at(&self, path: &[u8]) -> Option<Vec<u8>> {
        self.locate(path).filter(|(_, hit)| !hit.entry.is_dir()).map(|(path, _)| path)
    }

    /// Where `path` leads, if that is a regular file, and its bytes; links are followed.
    pub(crate) fn file_behind(&self, path: &[u8]) -> Option<(u64, Vec<u8>)> {
        let resolved = self.view.resolve(path, LastLink::Follow).ok().filter(Resolved::exists)?;
        let (size, _) = resolved.hit?.file()?;
        Some((size, resolved.existing))
    }

    /// Opens a regular file; links are followed. `None` if there is none.
    pub(crate) fn open(&self, path: &[u8]) -> Result<Option<(u64, File)>, LayerError> {
        let Some(hit) = self.find(path) else { return Ok(None) };
        let Some((size, _)) = hit.file() else { return Ok(None) };
        Ok(Some((size, self.open_hit(&hit)?)))
    }

    /// What is at `path`, if its bytes may be read; links are followed.
    fn find(&self, path: &[u8]) -> Option<Hit<'a>> {
        let resolved = self.view.resolve(path, LastLink::Follow).ok().filter(Resolved::exists)?;
        resolved.hit.filter(|hit| self.is_readable(hit))
    }

    /// Opens the file that was found.
    pub(crate) fn open_hit(&self, hit: &Hit<'_>) -> Result<File, LayerError> {
        let path = match &hit.entry.kind {
            EntryKind::HardLink { target } => target,
            EntryKind::File { .. }
            | EntryKind::Dir { .. }
            | EntryKind::Symlink { .. }
            | EntryKind::CharDevice { .. }
            | EntryKind::BlockDevice { .. }
            | EntryKind::Fifo
            | EntryKind::Whiteout => &hit.entry.path,
        };
        self.layers.open_file(&self.diff_ids[hit.layer], path)
    }

    /// The bytes of a file; `None` if there is none, or if it is larger than `limit`, which is noted.
    pub(in crate::optimize) fn read(&self, path: &[u8], limit: u64) -> Result<Option<Vec<u8>>, LayerError> {
        let Some(hit) = self.find(path) else { return Ok(None) };
        let Some((size, _)) = hit.file() else { return Ok(None) };
        let read = self.read.get().saturating_add(size);
        if size > limit || read > MOST_BYTES {
            self.note(format!("{} is too large to be read: {size} bytes", shown(path)));
            return Ok(None);
        }
        self.read.set(read);
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
        let file = self.layers.read_file(&self.diff_ids[hit.layer], &hit.entry.path)?;
        let done = file.take(limit).read_to_end(&mut bytes);
        done.map_err(|error: io::Error| LayerError::Io { path: shown(path).into(), error })?;
        Ok(Some(bytes))
    }

    /// Its text; bytes that are none are replaced.
    pub(super) fn read_text(&self, path: &[u8], limit: u64) -> Result<Option<String>, LayerError> {
        let bytes = self.read(path, limit)?;
        Ok(bytes.map(|bytes| match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        }))
    }

    /// Keeps what a person should know.
    pub(super) fn note(&self, note: String) {
        let mut notes = self.notes.borrow_mut();
        if notes.len() < MOST_NOTES {
            notes.push(note);
        }
    }

    pub(super) fn take_notes(&self) -> Vec<String> {
        self.notes.take()
    }
}

/// A path for messages.
pub(super) fn shown(path: &[u8]) -> String {
    format!("/{}", String::from_utf8_lossy(path.strip_prefix(b"/").unwrap_or(path)))
}
