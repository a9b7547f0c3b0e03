//! A layer from a list of files: what `COPY`, `ADD` and packages make.

use super::{
    entry_path,
    error::{At, LayerError},
    pack::{Check, Packable, Source},
    spool::Spooled,
    tar_writer::WHITEOUT_PREFIX,
    toc::{Entry, EntryKind, Toc, TocError},
};
use crate::image::DiffId;
use std::{
    collections::{HashMap, hash_map},
    fmt,
    io::{self, Read},
    os::{fd::OwnedFd, unix::ffi::OsStrExt as _},
    path::PathBuf,
    sync::Arc,
};

/// One entry of a layer to be made.
#[derive(Debug)]
pub struct Item {
    pub(super) entry: Entry,
    content: Content,
    digest_known: bool,
}

/// Where the bytes of a file are.
#[derive(Debug)]
pub enum Content {
    /// There are none: the entry is no regular file.
    None,
    /// In memory.
    Bytes(Vec<u8>),
    /// In a file of the person who builds.
    Host {
        /// An opened folder; nothing outside of it is ever read.
        root: Arc<OwnedFd>,
        /// Relative path beneath it. No component may be a link: who walked the folder knows where links lead, and one
        /// that appears since then is an attack or a race.
        path: PathBuf,
    },
    /// In a file of another layer, which is unpacked for it if need be.
    Layer {
        /// The layer.
        layer: DiffId,
        /// Path of the file there, or of a hard link.
        path: Vec<u8>,
    },
    /// Wherever [`Stream::open`] finds them: in an archive that is read as the layer is packed.
    Stream(Arc<dyn Stream>),
}

/// Where the files of a layer are read from.
pub(super) enum LayerFiles {
    /// Its folder.
    Folder(Arc<OwnedFd>),
    /// Its contents, one after the other.
    Contents(Arc<Toc>, Arc<Spooled>),
}

impl LayerFiles {
    fn source(&self, path: Vec<u8>) -> Result<Source, LayerError> {
        match self {
            Self::Folder(root) => Ok(Source::File { root: Arc::clone(root), path }),
            Self::Contents(toc, contents) => {
                let (size, digest) = toc.file(&path).ok_or(io::ErrorKind::NotFound).at_entry(&path)?;
                Ok(Source::Stream(Arc::new(contents.file(digest, size))))
            }
        }
    }
}

/// Bytes of a file that are read in one pass, by whichever thread comes to them.
pub trait Stream: fmt::Debug + Send + Sync {
    /// The bytes from their beginning. A reader that finds out that they are not what they should be says so at their
    /// end.
    fn open(&self) -> io::Result<Box<dyn Read + Send>>;
}

impl Item {
    /// An entry that is no regular file.
    pub fn new(entry: Entry) -> Self {
        Self { entry, content: Content::None, digest_known: true }
    }

    /// A file whose size and digest are known; it is an error if they turn out to be others.
    pub fn file(entry: Entry, content: Content) -> Self {
        Self { entry, content, digest_known: true }
    }

    /// A file whose size is known. The digest in `entry` means nothing and is computed.
    pub fn file_to_hash(entry: Entry, content: Content) -> Self {
        Self { entry, content, digest_known: false }
    }

    /// The entry as it was given.
    pub fn entry(&self) -> &Entry {
        &self.entry
    }
}

/// In which form a new layer is kept; the others are made from it when they are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Unpacked, for a step that runs on it.
    Folder,
    /// Compressed, for an image that is pushed or exported.
    Blob(super::Compression),
}

/// Sorts items, adds the folders that are missing (of root, 0755, of the epoch), lets no time be later than `epoch`,
/// gives the bytes of linked files to their first names, and finds out where the bytes are.
pub(super) fn prepare(
    mut items: Vec<Item>,
    epoch: Option<i64>,
    mut open_layer: impl FnMut(&DiffId) -> Result<LayerFiles, LayerError>,
) -> Result<Vec<Packable>, LayerError> {
    items.sort_unstable_by(|a, b| a.entry.path.cmp(&b.entry.path));
    add_missing_folders(&mut items, epoch);
    links_after_files(&mut items);
    let mut opened: HashMap<DiffId, LayerFiles> = HashMap::new();
    let mut packable = Vec::with_capacity(items.len());
    for Item { mut entry, content, digest_known } in items {
        if !entry_path::is_canonical(&entry.path) {
            return Err(TocError::Path(entry.path).into());
        }
        check_name(&entry.path)?;
        entry.mtime = clamp(entry.mtime, epoch);
        let source = match content {
            Content::None => Source::None,
            Content::Bytes(bytes) => Source::Bytes(bytes),
            Content::Host { root, path } => Source::File { root, path: path.as_os_str().as_bytes().to_vec() },
            Content::Layer { layer, path } => {
                let files = match opened.entry(layer) {
                    hash_map::Entry::Occupied(known) => known.into_mut(),
                    hash_map::Entry::Vacant(new) => new.insert(open_layer(&layer)?),
                };
                files.source(path)?
            }
            Content::Stream(stream) => Source::Stream(stream),
        };
        packable.push(Packable { entry, source, check: if digest_known { Check::Verify } else { Check::Compute } });
    }
    Ok(packable)
}

/// A time, but none after the epoch.
pub(super) fn clamp(mtime: i64, epoch: Option<i64>) -> i64 {
    epoch.map_or(mtime, |epoch| mtime.min(epoch))
}

/// Refuses names that every reader of the layer would take for whiteouts (image-spec `layer.md`, "Whiteouts").
pub(super) fn check_name(path: &[u8]) -> Result<(), LayerError> {
    match entry_path::split(path) {
        Some((_, name)) if name.starts_with(WHITEOUT_PREFIX) => Err(LayerError::Inexpressible {
            path: path.to_vec(),
            reason: "names that begin with `.wh.` mean deletions in an image layer",
        }),
        _ => Ok(()),
    }
}

fn add_missing_folders(items: &mut Vec<Item>, epoch: Option<i64>) {
    let known = |path: &[u8]| items.binary_search_by(|item| item.entry.path.as_slice().cmp(path)).is_ok();
    let mut missing: Vec<Vec<u8>> = Vec::new();
    let mut last_folder: &[u8] = b"";
    for Item { entry, .. } in items.iter() {
        // Neighbours mostly share their folder.
        if entry_path::parent(&entry.path) != last_folder {
            last_folder = entry_path::parent(&entry.path);
            let above = entry_path::ancestors(&entry.path).filter(|folder| !known(folder));
            missing.extend(above.map(<[u8]>::to_vec));
        }
    }
    if missing.is_empty() {
        return;
    }
    missing.sort_unstable();
    missing.dedup();
    items.extend(missing.into_iter().map(|path| {
        let folder = Entry::new(path, EntryKind::Dir { opaque: false });
        Item::new(Entry { mtime: epoch.unwrap_or(0), ..folder })
    }));
    items.sort_unstable_by(|a, b| a.entry.path.cmp(&b.entry.path));
}

/// Where a hard link sorts before its file, they change places.
fn links_after_files(items: &mut [Item]) {
    let mut first_names: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
    for Item { entry, .. } in items.iter() {
        if let EntryKind::HardLink { target } = &entry.kind
            && entry.path < *target
        {
            // The items are sorted: the first name that comes is the first of all.
            first_names.entry(target.clone()).or_insert_with(|| entry.path.clone());
        }
    }
    if first_names.is_empty() {
        return;
    }
    let position = |items: &[Item], path: &[u8]| items.binary_search_by(|item| item.entry.path.as_slice().cmp(path));
    for (target, first) in &first_names {
        if let (Ok(file), Ok(link)) = (position(items, target), position(items, first)) {
            // Everything but the paths is exchanged.
            items.swap(file, link);
            items[file].entry.path.clone_from(target);
            items[link].entry.path.clone_from(first);
        }
    }
    for Item { entry, .. } in items.iter_mut() {
        if let EntryKind::HardLink { target } = &mut entry.kind
            && let Some(first) = first_names.get(target)
        {
            target.clone_from(first);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{image::ContentDigest, layer::toc::Toc};

    fn file(path: &str) -> Item {
        let entry = Entry::new(path, EntryKind::File { size: 1, digest: ContentDigest([0; 32]) });
        Item::file_to_hash(entry, Content::Bytes(vec![1]))
    }

    fn link(path: &str, target: &str) -> Item {
        Item::new(Entry::new(path, EntryKind::HardLink { target: target.into() }))
    }

    fn prepared(items: Vec<Item>) -> Vec<Packable> {
        prepare(items, Some(7), |_| unreachable!()).unwrap()
    }

    #[test]
    fn missing_folders_are_of_root_and_of_the_epoch() {
        let items = prepared(vec![file("a/b/c"), file("a/b/d"), file("x")]);
        let paths: Vec<_> = items.iter().map(|item| String::from_utf8_lossy(&item.entry.path).into_owned()).collect();
        assert_eq!(paths, ["a", "a/b", "a/b/c", "a/b/d", "x"]);
        assert_eq!((items[0].entry.mode, items[0].entry.mtime), (0o755, 7));
    }

    #[test]
    fn the_first_name_of_a_file_has_its_bytes() {
        let items = prepared(vec![link("a", "c"), link("b", "c"), file("c"), link("d", "c")]);
        let kinds: Vec<_> = items.iter().map(|item| item.entry.kind.clone()).collect();
        let to_first = EntryKind::HardLink { target: b"a".to_vec() };
        assert!(matches!(kinds[0], EntryKind::File { .. }) && matches!(items[0].source, Source::Bytes(_)));
        assert_eq!(kinds[1..], [to_first.clone(), to_first.clone(), to_first]);
        assert!(Toc::new(items.into_iter().map(|item| item.entry).collect()).is_ok());
    }

    #[test]
    fn names_of_whiteouts_are_refused() {
        let error = prepare(vec![file("a/.wh.b")], None, |_| unreachable!()).map(drop).unwrap_err();
        assert_eq!(
            error.to_string(),
            "/a/.wh.b cannot be part of a layer: names that begin with `.wh.` mean deletions in an image layer"
        );
    }
}
