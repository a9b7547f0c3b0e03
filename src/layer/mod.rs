//! Layers: trees of files in each form that something may want, every form made at most once.
//!
//! ```text
//! upper directory --diff--+                          +--> folder   an overlay lower directory
//! list of files --files---+--pack--> DiffId, table --+--> blob     its tar, compressed once per encoding
//! archive (pulled) --apply-----------^
//! ```
//!
//! A layer is named by its [`DiffId`], the SHA-256 of its tar. What this program makes is *canonical*: the tar follows
//! from the contents table ([`Toc`]) and the files' bytes alone (`tar_writer`), so each form can be made from each
//! other. What was pulled is not: its tar exists in its blob only, which is therefore decompressed where a canonical
//! layer would be packed.
//!
//! | form | made by | kept |
//! |---|---|---|
//! | table | every way into the store; [`Layers::toc`] reads a pulled blob if it must | as a blob, and in memory |
//! | folder | [`Layers::from_upper`] *is* one; [`Layers::folder`] unpacks | by `DiffId` |
//! | blob | [`Layers::from_files`], [`Layers::blob`]; a pulled one serves as it is | by digest, and noted by encoding |
//!
//! Who reads most files of a layer once needs no folder: [`Layers::contents`] has them one after the other in one file.
//!
//! Invariants:
//!
//! - Nothing gets a name in the store before its digest was computed from what was written; a blob made here is the
//!   tar of its `DiffId` or an error.
//! - Of one layer, one process at a time makes a form; others wait and find it. (Only to unpack a *lower* layer that a
//!   hard link leads to, nobody waits: that could go in a circle. Then work is done twice, and one result is kept.)
//! - No archive, table or file of the person who builds makes anything be read or written outside of its root.
//! - Overlay's and this machine's own attributes are in no table.
//!
//! Absent: which layers an image has, registries, and when a form is worth making. Calls block for as long as the work
//! takes and use all processors.

mod apply;
mod archive;
mod archive_name;
mod blobs;
mod chunked;
mod compress;
mod compression;
mod contents;
mod cut;
mod decompress;
mod diff;
mod entry_path;
mod error;
mod files;
mod folder;
mod loose;
mod notice;
mod ordered;
mod pack;
mod resolve;
mod spool;
mod stream;
mod tar_reader;
mod tar_writer;
mod toc;
mod toc_encoding;
mod unpack_tree;
mod upper;
mod view;

#[cfg(test)]
mod test_archive;

pub use archive::{Unpacked, is_archive};
pub use compression::{Algorithm, Compression, CompressionError};
pub use contents::Contents;
pub use decompress::Format;
pub use diff::{Owners, UpperDir};
pub use error::LayerError;
pub use files::{Content, Form, Item, Stream};
pub use folder::OverlayXattrs;
pub use notice::{Notice, NoticeKind};
pub use resolve::{LastLink, ResolveError, Resolved};
pub use spool::SpooledContent;
pub use stream::Limits;
pub use tar_reader::ArchiveError;
pub use toc::{Entry, EntryKind, Toc, TocError};
pub use view::{Hit, View};

use crate::{
    image::{BlobDigest, DiffId},
    store::{LayerBlob, LayerRow, StageDir, Store},
};
use error::At;
use folder::{open_file, open_root};
use pack::{Packed, Target, pack};
use rustix::fs::Mode;
use spool::Spooled;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Instant,
};

/// Largest encoded table that is read from the store.
const MAX_TOC: u64 = 1 << 30;

/// All layers of a store. Clones are the same.
#[derive(Clone)]
pub struct Layers {
    store: Store,
    overlay: OverlayXattrs,
    limits: Limits,
    known: Arc<Mutex<Known>>,
    on_packed: Option<Arc<OnPacked>>,
}

/// Hears of each blob that was made of files or of another blob.
type OnPacked = dyn Fn(&LayerPacked) + Send + Sync;

/// A layer that was packed and compressed, for who wants to know where the time went.
#[derive(Debug)]
pub struct LayerPacked {
    /// Its name.
    pub diff_id: DiffId,
    /// How its blob is encoded.
    pub encoding: String,
    /// When that began.
    pub began: Instant,
}

/// What is remembered for as long as the process lives.
#[derive(Default)]
struct Known {
    tocs: HashMap<DiffId, Arc<Toc>>,
    /// What pulled layers lie on in their image.
    lower: HashMap<DiffId, Arc<[DiffId]>>,
    /// What layers are said to be as blobs that nobody has looked into yet.
    claimed: HashMap<DiffId, LayerBlob>,
    /// Which blobs images said their layers to be.
    pulled: HashMap<DiffId, BTreeSet<BlobDigest>>,
    /// What of that was looked into, and whether it is so.
    looked_into: HashMap<(DiffId, BlobDigest), bool>,
    /// Contents of layers that somebody holds.
    contents: HashMap<DiffId, Weak<Spooled>>,
}

/// A layer that the store has now.
#[derive(Debug, Clone)]
pub struct Made {
    /// Its name. [`DiffId::empty`] if nothing changed; then there is no folder.
    pub diff_id: DiffId,
    /// Its contents.
    pub toc: Arc<Toc>,
    /// What its folder lacks.
    pub notices: Vec<Notice>,
}

impl Layers {
    /// The layers of `store`, whose folders are mounted by overlay reading `overlay`.
    pub fn new(store: Store, overlay: OverlayXattrs) -> Self {
        Self { store, overlay, limits: Limits::DEFAULT, known: Arc::default(), on_packed: None }
    }

    /// The same; `hear` is told of each layer that is packed and compressed from now on.
    #[must_use]
    pub fn telling(self, hear: impl Fn(&LayerPacked) + Send + Sync + 'static) -> Self {
        Self { on_packed: Some(Arc::new(hear)), ..self }
    }

    fn packed(&self, diff_id: DiffId, compression: Compression, began: Instant) {
        if let Some(hear) = &self.on_packed {
            hear(&LayerPacked { diff_id, encoding: compression.encoding(), began });
        }
    }

    /// The store that they are in.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The same with other limits for archives.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// The layer that a step made: its upper directory becomes the layer's folder. If nothing changed, it stays where it
    /// is.
    pub fn from_upper(&self, upper: &UpperDir<'_>) -> Result<Made, LayerError> {
        let items = diff::diff(upper)?;
        let (packed, _) = pack(items, None, self.store.root(), io::sink())?;
        if packed.diff_id != DiffId::empty() {
            open_to_all(upper.path)?;
            self.store.commit_layer_dir(upper.path, &packed.diff_id)?;
        }
        self.keep(packed, true)
    }

    /// Marks in `folder`, a changed copy of the whole tree `lower`, what is deleted there, as overlay would have: then it is
    /// as good as an upper directory that holds much which is no change. What is in `absent`, sorted, was never copied.
    pub fn mark_deletions(&self, folder: &Path, lower: &View, absent: &[Vec<u8>]) -> Result<(), LayerError> {
        diff::mark_deletions(folder, lower, absent)
    }

    /// The layer of `items`, in any order, kept in one form. Folders that `items` need and do not name are made as root
    /// would; name those that the tree below has, or they change there. No time is after `epoch`.
    pub fn from_files(&self, items: Vec<Item>, epoch: Option<i64>, form: Form) -> Result<Made, LayerError> {
        let items = files::prepare(items, epoch, |layer| self.files(layer))?;
        match form {
            Form::Folder => {
                let (stage, target) = self.stage()?;
                let (packed, _) = pack(items, Some(&target), self.store.root(), io::sink())?;
                if packed.diff_id != DiffId::empty() {
                    self.store.commit_layer_dir(stage.path(), &packed.diff_id)?;
                }
                self.keep(packed, true)
            }
            Form::Blob(compression) => {
                // What holds another tar cannot stand for the layer: it is made when it is asked for.
                let compression = compression.of_the_same_tar();
                let (packed, (blob, index)) = self.pack_blob(items, compression)?;
                let made = self.keep(packed, true)?;
                self.note_blob(&made.diff_id, compression, blob, index)?;
                Ok(made)
            }
        }
    }

    /// Unpacks `archive`, compressed or not, as the layer `diff_id` on top of the layers `lower`, lowest first. The
    /// caller verifies the digest of what it hands in, if it has one; that the content is `diff_id` is verified here. If
    /// the layer is unpacked already, nothing is read.
    pub fn apply(&self, diff_id: &DiffId, lower: &[DiffId], archive: impl Read + Send) -> Result<Made, LayerError> {
        self.remember_lower(diff_id, lower);
        let _alone = self.store.lock(&lock_name(diff_id))?;
        if self.store.layer_dir(diff_id)?.is_some()
            && let Some(toc) = self.known_toc(diff_id)?
        {
            return Ok(Made { diff_id: *diff_id, toc, notices: Vec::new() });
        }
        self.unpack(diff_id, lower, archive)
    }

    /// Notes that `blob`, which is or will be in the store, is the layer `diff_id` of an image, on top of the layers
    /// `lower`. Nothing is read before a form is asked for.
    pub fn pulled(
        &self,
        diff_id: &DiffId,
        lower: &[DiffId],
        blob: &BlobDigest,
        size: u64,
        media_type: &str,
    ) -> Result<(), LayerError> {
        self.remember_lower(diff_id, lower);
        self.known().pulled.entry(*diff_id).or_default().insert(*blob);
        let encoding = format!("{}{media_type}", blobs::ORIGINAL);
        if self.store.layer_blob(diff_id, &encoding)?.is_some_and(|known| known.digest == *blob) {
            return Ok(());
        }
        Ok(self.store.put_layer_blob(diff_id, &encoding, blob, size, media_type)?)
    }

    /// Notes what the descriptor of a pulled blob says of its list of files, if it has one.
    pub fn pulled_index(
        &self,
        diff_id: &DiffId,
        blob: &BlobDigest,
        annotations: &BTreeMap<String, String>,
    ) -> Result<(), LayerError> {
        match chunked::index_of(diff_id, annotations) {
            Some(index) => Ok(self.store.put_blob_index(blob, &index)?),
            None => Ok(()),
        }
    }

    /// Notes for the life of this process that somebody says `blob`, which is elsewhere, to be the layer `diff_id`.
    pub fn claim(&self, diff_id: &DiffId, blob: LayerBlob) {
        self.known().claimed.insert(*diff_id, blob);
    }

    /// What the layer is said to be as a blob.
    pub fn claimed(&self, diff_id: &DiffId) -> Option<LayerBlob> {
        self.known().claimed.get(diff_id).cloned()
    }

    /// Takes a blob that is in the store and is said to be the layer `diff_id` on top of `lower`: only if its content is, it
    /// counts as one of the layer's blobs from now on, and its contents are known.
    pub fn accept(&self, diff_id: &DiffId, lower: &[DiffId], blob: &LayerBlob) -> Result<(), LayerError> {
        let archive = self.store.open_blob(&blob.digest)?.ok_or(LayerError::Absent(*diff_id))?;
        let packed = apply::apply(archive, None, &mut self.below(lower), self.limits)?;
        check_diff_id(diff_id, &packed)?;
        let canonical = self.store.layer(diff_id)?.is_some_and(|layer| layer.canonical);
        self.keep(packed, canonical)?;
        self.pulled(diff_id, lower, &blob.digest, blob.size, &blob.media_type)
    }

    /// Whether the layer's contents can be told from what is here.
    pub fn has_table(&self, diff_id: &DiffId) -> Result<bool, LayerError> {
        Ok(self.known_toc(diff_id)?.is_some() || self.has_blob(diff_id)?)
    }

    /// Whether the layer's files are here, in whatever form.
    pub fn has_files(&self, diff_id: &DiffId) -> Result<bool, LayerError> {
        let unpacked = self.store.layer_dir(diff_id)?.is_some() && self.known_toc(diff_id)?.is_some();
        Ok(unpacked || self.has_blob(diff_id)?)
    }

    /// Whether some blob of the layer is here. The empty layer needs none.
    pub fn has_blob(&self, diff_id: &DiffId) -> Result<bool, LayerError> {
        if *diff_id == DiffId::empty() {
            return Ok(true);
        }
        for blob in self.blobs_here(diff_id)? {
            // Asked for by its digest it counts as used, so it stays until it is.
            if self.store.blob_size(&blob.digest)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The layer's contents.
    pub fn toc(&self, diff_id: &DiffId) -> Result<Arc<Toc>, LayerError> {
        self.toc_over(diff_id, &self.lower_of(diff_id))
    }

    /// The tree that `layers` make, lowest first.
    pub fn view(&self, layers: &[DiffId]) -> Result<View, LayerError> {
        let tocs = (0..layers.len()).map(|top| self.toc_over(&layers[top], &layers[..top]));
        Ok(View::new(tocs.collect::<Result<_, _>>()?))
    }

    /// The layer's folder, unpacked now if it was not. The empty layer has one too, but mounts need none for it.
    pub fn folder(&self, diff_id: &DiffId) -> Result<PathBuf, LayerError> {
        if let Some(path) = self.store.layer_dir(diff_id)? {
            return Ok(path);
        }
        let _alone = self.store.lock(&lock_name(diff_id))?;
        self.folder_over(diff_id, &self.lower_of(diff_id))
    }

    /// Opens a regular file of the layer, by its path or that of a hard link.
    pub fn open_file(&self, diff_id: &DiffId, path: &[u8]) -> Result<File, LayerError> {
        let root = open_root(&self.folder(diff_id)?)?;
        open_file(&root, path).at_entry(path)
    }

    fn folder_over(&self, diff_id: &DiffId, lower: &[DiffId]) -> Result<PathBuf, LayerError> {
        if let Some(path) = self.store.layer_dir(diff_id)? {
            return Ok(path);
        }
        if *diff_id == DiffId::empty() {
            let (stage, _) = self.stage()?;
            return Ok(self.store.commit_layer_dir(stage.path(), diff_id)?);
        }
        let blob = self.any_blob(diff_id)?.ok_or(LayerError::Absent(*diff_id))?;
        self.unpack(diff_id, lower, blob)?;
        self.store.layer_dir(diff_id)?.ok_or(LayerError::Absent(*diff_id))
    }

    fn toc_over(&self, diff_id: &DiffId, lower: &[DiffId]) -> Result<Arc<Toc>, LayerError> {
        if let Some(toc) = self.known_toc(diff_id)? {
            return Ok(toc);
        }
        // Reading the archive is the larger part of unpacking it; but the disk is only written for who wants a folder.
        let blob = self.any_blob(diff_id)?.ok_or(LayerError::Absent(*diff_id))?;
        let packed = apply::apply(blob, None, &mut self.below(lower), self.limits)?;
        check_diff_id(diff_id, &packed)?;
        Ok(self.keep(packed, false)?.toc)
    }

    fn known_toc(&self, diff_id: &DiffId) -> Result<Option<Arc<Toc>>, LayerError> {
        if *diff_id == DiffId::empty() {
            return Ok(Some(Arc::default()));
        }
        if let Some(toc) = self.known().tocs.get(diff_id) {
            return Ok(Some(Arc::clone(toc)));
        }
        let Some(blob) = self.store.layer(diff_id)?.and_then(|layer| layer.toc) else { return Ok(None) };
        let Some(encoded) = self.store.read_blob(&blob, MAX_TOC)? else { return Ok(None) };
        let toc = Arc::new(Toc::decode(&encoded)?);
        self.known().tocs.insert(*diff_id, Arc::clone(&toc));
        Ok(Some(toc))
    }

    fn unpack(&self, diff_id: &DiffId, lower: &[DiffId], archive: impl Read + Send) -> Result<Made, LayerError> {
        let (stage, target) = self.stage()?;
        let packed = apply::apply(archive, Some(&target), &mut self.below(lower), self.limits)?;
        check_diff_id(diff_id, &packed)?;
        self.store.commit_layer_dir(stage.path(), diff_id)?;
        // A layer that was made here stays canonical when it is unpacked from its blob.
        let canonical = self.store.layer(diff_id)?.is_some_and(|layer| layer.canonical);
        self.keep(packed, canonical)
    }

    /// An empty folder in which a layer can be made, as every image's root is.
    fn stage(&self) -> Result<(StageDir, Target), LayerError> {
        let stage = self.store.stage_dir()?;
        open_to_all(stage.path())?;
        let target = Target { root: open_root(stage.path())?, overlay: self.overlay };
        Ok((stage, target))
    }

    /// Keeps the table of a layer.
    fn keep(&self, packed: Packed, canonical: bool) -> Result<Made, LayerError> {
        let Packed { toc, diff_id, size, notices } = packed;
        let blob = self.store.put_blob(&toc.encode())?;
        self.store.put_layer(&LayerRow { diff_id, toc: Some(blob), size, canonical })?;
        let toc = Arc::new(toc);
        self.known().tocs.insert(diff_id, Arc::clone(&toc));
        Ok(Made { diff_id, toc, notices: notices.into_vec() })
    }

    fn below<'a>(&'a self, lower: &'a [DiffId]) -> LowerLayers<'a> {
        LowerLayers { layers: self, diff_ids: lower, view: None }
    }

    fn remember_lower(&self, diff_id: &DiffId, lower: &[DiffId]) {
        self.known().lower.insert(*diff_id, lower.into());
    }

    fn lower_of(&self, diff_id: &DiffId) -> Arc<[DiffId]> {
        self.known().lower.get(diff_id).cloned().unwrap_or_default()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The layers below one that is being unpacked. Their tables are only read if it comes to that. Each of them in turn
/// has only those below it, so this ends however images contradict each other.
struct LowerLayers<'a> {
    layers: &'a Layers,
    diff_ids: &'a [DiffId],
    view: Option<View>,
}

impl LowerLayers<'_> {
    fn view(&mut self) -> Result<&View, LayerError> {
        Ok(match self.view.take() {
            Some(view) => self.view.insert(view),
            None => self.view.insert(self.layers.view(self.diff_ids)?),
        })
    }
}

impl apply::Below for LowerLayers<'_> {
    fn entry(&mut self, path: &[u8]) -> Result<Option<Entry>, LayerError> {
        Ok(self.view()?.lookup(path).map(|hit| hit.entry.clone()))
    }

    fn file(&mut self, path: &[u8]) -> Result<Option<(Entry, File)>, LayerError> {
        let found = self.view()?.lookup(path).and_then(|hit| Some((hit.layer, hit.entry.clone(), hit.file()?)));
        let Some((layer, entry, (size, digest))) = found else { return Ok(None) };
        let folder = self.layers.folder_over(&self.diff_ids[layer], &self.diff_ids[..layer])?;
        let file = open_file(open_root(&folder)?, path).at_entry(path)?;
        Ok(Some((Entry { kind: EntryKind::File { size, digest }, ..entry }, file)))
    }
}

fn lock_name(diff_id: &DiffId) -> String {
    format!("layer {diff_id}")
}

fn check_diff_id(expected: &DiffId, packed: &Packed) -> Result<(), LayerError> {
    if packed.diff_id == *expected {
        return Ok(());
    }
    Err(LayerError::WrongLayer { expected: *expected, actual: packed.diff_id })
}

/// A tree's root is open to every user in it; a folder in the store's `tmp/` is not.
fn open_to_all(path: &std::path::Path) -> Result<(), LayerError> {
    rustix::fs::chmod(path, Mode::from_raw_mode(0o755)).at(path)
}

#[cfg(test)]
mod tests;
