//! Files become a layer: one pass that reads every file once.
//!
//! Other threads read small files ahead, in batches, and hash them; this thread takes the batches in order and writes
//! the canonical tar into SHA-256 and wherever it goes. Where the layer becomes a folder, the reading threads write its
//! files too. Large files are read by this thread, piece by piece: memory stays bounded, and for them hashing and
//! writing cost more than the opening.

use super::{
    entry_path,
    error::{At, LayerError},
    files::Stream,
    folder::{self, Folder, OverlayXattrs},
    notice::Notices,
    ordered::{Ordered, processors},
    spool::Spool,
    tar_writer::TarWriter,
    toc::{Entry, EntryKind, Toc},
};
use crate::image::{ContentDigest, DiffId, Sha256};
use rustix::fs::fstat;
use std::{
    fs::File,
    io::{self, Read, Write},
    os::fd::OwnedFd,
    path::Path,
    sync::Arc,
};

/// Up to this size, a file is read whole, by another thread.
const SMALL: u64 = 256 * 1024;
/// A batch ends after so many bytes or entries.
const BATCH_BYTES: u64 = 256 * 1024;
const BATCH_ENTRIES: usize = 128;

/// An entry of a layer to be made, and where its bytes are.
pub(super) struct Packable {
    pub(super) entry: Entry,
    pub(super) source: Source,
    pub(super) check: Check,
}

/// Where a file's bytes are.
#[derive(Clone)]
pub(super) enum Source {
    /// There are none.
    None,
    /// In memory.
    Bytes(Vec<u8>),
    /// In a file beneath a folder.
    File { root: Arc<OwnedFd>, path: Vec<u8> },
    /// Wherever the stream has them.
    Stream(Arc<dyn Stream>),
}

impl Source {
    /// The file of the same path beneath `root`, if `entry` is one.
    pub(super) fn beneath(root: &Arc<OwnedFd>, entry: &Entry) -> Self {
        if let EntryKind::File { .. } = entry.kind {
            Self::File { root: Arc::clone(root), path: entry.path.clone() }
        } else {
            Self::None
        }
    }
}

/// What the digest in an entry is worth.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Check {
    /// Nothing: it has to be computed.
    Compute,
    /// It was promised by the caller and has to be true.
    Verify,
    /// It is known, or the digest of the whole tells.
    Trust,
}

/// Where a layer's folder is being made.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) root: Arc<OwnedFd>,
    pub(super) overlay: OverlayXattrs,
}

/// A layer that was packed.
pub(super) struct Packed {
    pub(super) toc: Toc,
    pub(super) diff_id: DiffId,
    /// Bytes of the tar.
    pub(super) size: u64,
    pub(super) notices: Notices,
}

/// Writes the canonical tar of `items`, sorted by path, to `output`, and the files to `target`, an empty folder. Where
/// `output` lies is only for messages.
pub(super) fn pack<W: Write>(
    items: Vec<Packable>,
    target: Option<&Target>,
    output_path: &Path,
    output: W,
) -> Result<(Packed, W), LayerError> {
    pack_all(items, target, None, output_path, output)
}

/// The same, and the contents of all files go to `spool`.
pub(super) fn pack_and_spool<W: Write>(
    items: Vec<Packable>,
    spool: &mut Spool,
    output_path: &Path,
    output: W,
) -> Result<(Packed, W), LayerError> {
    pack_all(items, None, Some(spool), output_path, output)
}

fn pack_all<W: Write>(
    items: Vec<Packable>,
    target: Option<&Target>,
    mut spool: Option<&mut Spool>,
    output_path: &Path,
    output: W,
) -> Result<(Packed, W), LayerError> {
    let mut notices = Notices::default();
    if let Some(target) = target {
        let mut folder = Folder::new(Arc::clone(&target.root));
        for Packable { entry, .. } in items.iter().filter(|item| item.entry.is_dir() && !item.entry.path.is_empty()) {
            folder.make_dir(&entry.path).at_entry(&entry.path)?;
        }
    }
    let mut tar = TarWriter::new(Hashed { output, hash: Sha256::default() });
    let mut entries = Vec::with_capacity(items.len());
    let mut batches = batches(items).into_iter();
    let reading = target.cloned();
    let mut readers = Ordered::new(processors(), move || {
        let mut reader = Reader { folder: reading.as_ref().map(|target| Folder::new(Arc::clone(&target.root))) };
        move |batch| reader.read_batch(batch)
    });
    loop {
        while !readers.is_full()
            && let Some(batch) = batches.next()
        {
            readers.submit(batch);
        }
        let Some(read) = readers.next() else { break };
        let (batch, more) = read?;
        notices.merge(more);
        for mut item in batch {
            match item.content {
                ReadContent::None => tar.entry(&item.entry).at(output_path)?,
                ReadContent::Whole(bytes) => {
                    tar.file_bytes(&item.entry, &bytes).at(output_path)?;
                    if let Some(spool) = &mut spool {
                        spool.write(&bytes)?;
                    }
                }
                ReadContent::Large(file) => {
                    let mut large = LargeFile::open(&file, &item.entry, target, spool.as_deref_mut())?;
                    tar.file(&item.entry, &mut large).at(output_path)?;
                    large.finish(&mut item.entry, &mut notices)?;
                }
            }
            if let (Some(spool), EntryKind::File { size, digest }) = (&mut spool, &item.entry.kind) {
                spool.end(*digest, *size);
            }
            entries.push(item.entry);
        }
    }
    let (hashed, size) = tar.finish().at(output_path)?;
    let toc = Toc::new(entries)?;
    if let Some(target) = target {
        finish_folder(&toc, target, &mut notices)?;
    }
    let packed = Packed { toc, diff_id: DiffId(hashed.hash.finish()), size, notices };
    Ok((packed, hashed.output))
}

/// Everything but files and folders, which are there by now; then the folders' metadata, innermost first, because
/// what is made in a folder changes its time.
fn finish_folder(toc: &Toc, target: &Target, notices: &mut Notices) -> Result<(), LayerError> {
    let mut folder = Folder::new(Arc::clone(&target.root));
    for entry in toc.entries() {
        folder.make_node(entry, notices)?;
    }
    finish_dirs(toc, &mut folder, target.overlay, notices)
}

/// Marks opaque folders and gives all folders their metadata, innermost first.
pub(super) fn finish_dirs(
    toc: &Toc,
    folder: &mut Folder,
    overlay: OverlayXattrs,
    notices: &mut Notices,
) -> Result<(), LayerError> {
    for entry in toc.entries().iter().rev() {
        if let EntryKind::Dir { opaque } = entry.kind {
            if opaque {
                folder.make_opaque(&entry.path, overlay).at_entry(&entry.path)?;
            }
            if !entry.path.is_empty() {
                folder.set_metadata(entry, notices)?;
            }
        }
    }
    Ok(())
}

fn batches(items: Vec<Packable>) -> Vec<Vec<Packable>> {
    let mut batches = Vec::with_capacity(items.len() / BATCH_ENTRIES + 1);
    let mut batch = Vec::new();
    let mut bytes = 0;
    for item in items {
        if let EntryKind::File { size, .. } = item.entry.kind {
            bytes += size;
        }
        batch.push(item);
        if bytes >= BATCH_BYTES || batch.len() == BATCH_ENTRIES {
            batches.push(std::mem::take(&mut batch));
            bytes = 0;
        }
    }
    batches.push(batch);
    batches
}

/// A thread that reads ahead, and writes what it read where the layer becomes a folder.
struct Reader {
    folder: Option<Folder>,
}

struct ReadItem {
    entry: Entry,
    content: ReadContent,
}

enum ReadContent {
    None,
    Whole(Vec<u8>),
    Large(LargeSource),
}

impl Reader {
    fn read_batch(&mut self, batch: Vec<Packable>) -> Result<(Vec<ReadItem>, Notices), LayerError> {
        let mut notices = Notices::default();
        let read = batch.into_iter().map(|item| self.read(item, &mut notices)).collect::<Result<_, _>>()?;
        Ok((read, notices))
    }

    fn read(&mut self, item: Packable, notices: &mut Notices) -> Result<ReadItem, LayerError> {
        let Packable { mut entry, source, check } = item;
        let EntryKind::File { size, .. } = entry.kind else {
            return Ok(ReadItem { entry, content: ReadContent::None });
        };
        let bytes = match source {
            Source::None => Vec::new(),
            Source::Bytes(bytes) => bytes,
            source @ (Source::File { .. } | Source::Stream(_)) if size > SMALL => {
                return Ok(ReadItem { entry, content: ReadContent::Large(LargeSource { source, check }) });
            }
            Source::Stream(stream) => {
                let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0) + 1);
                let reader = stream.open().at_entry(&entry.path)?;
                reader.take(size + 1).read_to_end(&mut bytes).at_entry(&entry.path)?;
                bytes
            }
            Source::File { root, path } => {
                let opened = OpenedFile::open(&root, &path, size)?;
                let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0) + 1);
                (&opened.file).take(size + 1).read_to_end(&mut bytes).at(entry_path::as_path(&path))?;
                opened.check_unchanged(bytes.len() as u64)?;
                bytes
            }
        };
        if check != Check::Trust {
            settle_digest(&mut entry, ContentDigest::of(&bytes), bytes.len() as u64, check)?;
        }
        if let Some(folder) = &mut self.folder {
            let mut file = folder.create_file(&entry.path).at_entry(&entry.path)?;
            file.write_all(&bytes).at_entry(&entry.path)?;
            folder::set_file_metadata(&file, &entry, notices)?;
        }
        Ok(ReadItem { entry, content: ReadContent::Whole(bytes) })
    }
}

/// A file that is read piece by piece.
struct LargeSource {
    source: Source,
    check: Check,
}

/// Reads a large file, and hashes and copies what it reads.
struct LargeFile<'a> {
    input: LargeInput<'a>,
    check: Check,
    hash: Option<blake3::Hasher>,
    copy: Option<File>,
    spool: Option<&'a mut Spool>,
    read: u64,
}

enum LargeInput<'a> {
    File(OpenedFile<'a>),
    /// A stream, and the path of its entry.
    Stream(Box<dyn Read + Send>, Vec<u8>),
}

impl LargeInput<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, LayerError> {
        match self {
            Self::File(opened) => opened.file.read(buffer).at(entry_path::as_path(opened.path)),
            Self::Stream(reader, path) => reader.read(buffer).at_entry(path),
        }
    }

    fn changed(&self) -> LayerError {
        match self {
            Self::File(opened) => opened.changed(),
            Self::Stream(_, path) => LayerError::Changed { path: super::toc::display(path).into() },
        }
    }
}

impl<'a> LargeFile<'a> {
    fn open(
        source: &'a LargeSource,
        entry: &Entry,
        target: Option<&Target>,
        spool: Option<&'a mut Spool>,
    ) -> Result<Self, LayerError> {
        let EntryKind::File { size, .. } = entry.kind else { unreachable!("only files are large") };
        let input = match &source.source {
            Source::File { root, path } => LargeInput::File(OpenedFile::open(root, path, size)?),
            Source::Stream(stream) => LargeInput::Stream(stream.open().at_entry(&entry.path)?, entry.path.clone()),
            Source::None | Source::Bytes(_) => unreachable!("what is in memory is written whole"),
        };
        let copy = match target {
            Some(target) => Some(Folder::new(Arc::clone(&target.root)).create_file(&entry.path).at_entry(&entry.path)?),
            None => None,
        };
        let hash = (source.check != Check::Trust).then(blake3::Hasher::new);
        Ok(Self { input, check: source.check, hash, copy, spool, read: 0 })
    }

    /// Checks that all was read, and completes the entry and the copy.
    fn finish(mut self, entry: &mut Entry, notices: &mut Notices) -> Result<(), LayerError> {
        let more = self.input.read(&mut [0])?;
        match &self.input {
            LargeInput::File(opened) => opened.check_unchanged(self.read + more as u64)?,
            LargeInput::Stream(..) if more > 0 => return Err(self.input.changed()),
            LargeInput::Stream(..) => {}
        }
        if let Some(hash) = self.hash {
            settle_digest(entry, hash.finalize().into(), self.read, self.check)?;
        }
        self.copy.map_or(Ok(()), |copy| folder::set_file_metadata(&copy, entry, notices))
    }
}

/// Its errors are [`LayerError`]s, so that they are not taken for those of the output.
impl Read for LargeFile<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer).map_err(io::Error::other)?;
        if count == 0 && !buffer.is_empty() {
            return Err(io::Error::other(self.input.changed()));
        }
        if let Some(hash) = &mut self.hash {
            hash.update(&buffer[..count]);
        }
        if let Some(copy) = &mut self.copy {
            copy.write_all(&buffer[..count])?;
        }
        if let Some(spool) = &mut self.spool {
            spool.write(&buffer[..count]).map_err(io::Error::other)?;
        }
        self.read += count as u64;
        Ok(count)
    }
}

/// Puts the digest into the entry, or checks that it is the one there.
fn settle_digest(entry: &mut Entry, actual: ContentDigest, length: u64, check: Check) -> Result<(), LayerError> {
    let path = || super::toc::display(&entry.path).into();
    if let EntryKind::File { size, digest } = entry.kind {
        if size != length {
            return Err(LayerError::Changed { path: path() });
        }
        if check == Check::Verify && digest != actual {
            return Err(LayerError::Content { path: path(), expected: digest, actual });
        }
        entry.kind = EntryKind::File { size, digest: actual };
    }
    Ok(())
}

/// A file that must stay as it is while it is read.
struct OpenedFile<'a> {
    file: File,
    path: &'a [u8],
    size: u64,
    stamp: Stamp,
}

/// Size, time of the last change of content, of inode.
type Stamp = (i64, i64, i64, i64, i64);

impl<'a> OpenedFile<'a> {
    fn open(root: &OwnedFd, path: &'a [u8], size: u64) -> Result<Self, LayerError> {
        let file = folder::open_file(root, path).at(entry_path::as_path(path))?;
        let stamp = stamp(&file).at(entry_path::as_path(path))?;
        Ok(Self { file, path, size, stamp })
    }

    /// `read` is how many bytes came before the end.
    fn check_unchanged(&self, read: u64) -> Result<(), LayerError> {
        let same = read == self.size && stamp(&self.file).at(entry_path::as_path(self.path))? == self.stamp;
        if same { Ok(()) } else { Err(self.changed()) }
    }

    fn changed(&self) -> LayerError {
        LayerError::Changed { path: entry_path::as_path(self.path).to_owned() }
    }
}

fn stamp(file: &File) -> rustix::io::Result<Stamp> {
    let stat = fstat(file)?;
    let nanoseconds = |value| i64::try_from(value).unwrap_or(0);
    Ok((stat.st_size, stat.st_mtime, nanoseconds(stat.st_mtime_nsec), stat.st_ctime, nanoseconds(stat.st_ctime_nsec)))
}

/// A writer whose bytes are hashed.
struct Hashed<W> {
    output: W,
    hash: Sha256,
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.output.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}
