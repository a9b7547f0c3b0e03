//! The contents of many files, one after the other in one file of the store's `tmp/`.
//!
//! What is only read once more, to be packed, needs no names, folders, owners and times of its own: making and removing
//! those costs more than the bytes.

use super::{
    LayerError,
    error::At,
    files::Stream,
    toc::{EntryKind, Toc},
};
use crate::{
    image::ContentDigest,
    store::{StageDir, Store},
};
use std::{
    collections::HashMap,
    fs::File,
    io::{self, BufWriter, Read, Write},
    os::unix::fs::FileExt,
    path::PathBuf,
    sync::Arc,
};

/// How much is written at once.
const BUFFER: usize = 1 << 20;

/// Takes contents.
pub(super) struct Spool {
    file: BufWriter<File>,
    path: PathBuf,
    begins: HashMap<ContentDigest, u64>,
    end: u64,
    folder: StageDir,
}

impl Spool {
    pub(super) fn new(store: &Store) -> Result<Self, LayerError> {
        let folder = store.stage_dir()?;
        let path = folder.path().join("contents");
        let file = File::options().read(true).write(true).create_new(true).open(&path).at(&path)?;
        Ok(Self { file: BufWriter::with_capacity(BUFFER, file), path, begins: HashMap::new(), end: 0, folder })
    }

    /// Takes the next bytes of the content that is being written.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), LayerError> {
        self.file.write_all(bytes).at(&self.path)
    }

    /// Ends a content of `size` bytes.
    pub(super) fn end(&mut self, digest: ContentDigest, size: u64) {
        self.begins.entry(digest).or_insert(self.end);
        self.end += size;
    }

    /// Nothing more comes.
    pub(super) fn finish(self) -> Result<Arc<Spooled>, LayerError> {
        let Self { file, path, begins, folder, .. } = self;
        let file = file.into_inner().map_err(io::IntoInnerError::into_error).at(&path)?;
        Ok(Arc::new(Spooled { file, begins, _folder: folder }))
    }
}

/// Has contents, for as long as it lives.
#[derive(Debug)]
pub(super) struct Spooled {
    file: File,
    begins: HashMap<ContentDigest, u64>,
    _folder: StageDir,
}

impl Spooled {
    /// Whether all files of a layer were taken.
    pub(super) fn has_files_of(&self, toc: &Toc) -> bool {
        toc.entries().iter().all(|entry| match &entry.kind {
            EntryKind::File { digest, .. } => self.begins.contains_key(digest),
            EntryKind::Dir { .. }
            | EntryKind::Symlink { .. }
            | EntryKind::HardLink { .. }
            | EntryKind::CharDevice { .. }
            | EntryKind::BlockDevice { .. }
            | EntryKind::Fifo
            | EntryKind::Whiteout => true,
        })
    }

    /// A file of that digest and size, to be read whenever it is needed.
    pub(super) fn file(self: &Arc<Self>, digest: ContentDigest, size: u64) -> SpooledFile {
        SpooledFile { spooled: Arc::clone(self), digest, size }
    }

    /// The content of that digest and size, if it was taken.
    pub(super) fn open(self: &Arc<Self>, digest: &ContentDigest, size: u64) -> Option<SpooledContent> {
        let at = *self.begins.get(digest)?;
        Some(SpooledContent { spooled: Arc::clone(self), at, left: size })
    }
}

/// A regular file whose content was taken.
#[derive(Debug)]
pub(super) struct SpooledFile {
    spooled: Arc<Spooled>,
    digest: ContentDigest,
    size: u64,
}

impl Stream for SpooledFile {
    fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        let content = self.spooled.open(&self.digest, self.size).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(content))
    }
}

/// Reads one content.
#[derive(Debug)]
pub struct SpooledContent {
    spooled: Arc<Spooled>,
    at: u64,
    left: u64,
}

impl Read for SpooledContent {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let count = self.spooled.file.read_at(&mut buffer[..length], self.at)?;
        self.at += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}
