//! Blobs that can be read file by file: eStargz and zstd:chunked.
//!
//! Both are ordinary compressed tars to those who know nothing of them. They are cut so that the bytes of every file
//! begin a gzip member or a zstd frame of their own, and end with a list of all files, each with its offset and digest.
//!
//! | | eStargz | zstd:chunked |
//! |---|---|---|
//! | source of the rules | stargz-snapshotter, `docs/estargz.md` | containers/storage, `docs/containers-storage-zstd-chunked.md` and its compressor |
//! | a part begins | before each chunk | before each chunk, and behind the last of a file |
//! | the list lies in | the tar, as its last file, `stargz.index.json` | a skippable frame |
//! | a landmark | `.no.prefetch.landmark`: nobody said which files are wanted first | none |
//! | the tar as it was | no: the two files above are in it | yes, and a second frame (`tar_split`) tells how to make it of the files |
//! | where the list is | in the comment of an empty member at the end | in a skippable frame at the end, and in annotations |
//! | why to believe it | its digest is an annotation of the layer | the same |
//!
//! A large file is cut into chunks of [`CHUNK`]. Where a chunk ends follows from the tar alone, and each is compressed
//! by whichever thread is free, so the bytes are the same whatever the number of threads.
//!
//! 1. [`ChunkedWriter`] hands the tar to a thread of its own, piece by piece.
//! 2. That reads it as an archive ([`Cutter`]), and gives its parts to [`Parts`], which compresses and writes them in order.
//! 3. When their offsets are known, the list is written: `estargz`, `zstd`.

mod cutter;
mod entry;
mod estargz;
mod parts;
mod tar_split;
#[cfg(test)]
mod tests;
mod zstd;

use super::stream::{PIECE, PIECES, Pieces};
use crate::{image::DiffId, store::BlobIndex};
use cutter::Cutter;
use parts::Parts;
use std::{
    collections::BTreeMap,
    io::{self, Write},
    mem,
    sync::mpsc::{self, SyncSender},
    thread::{self, JoinHandle},
};

/// Bytes of a file that are compressed as one, the last ones excepted.
const CHUNK: usize = 4 << 20;

/// What descriptors of layers say about lists: whoever passes a blob on passes that on, too.
const ANNOTATIONS: [&str; 5] =
    [estargz::LIST_DIGEST, estargz::TAR_SIZE, zstd::LIST_DIGEST, zstd::LIST_POSITION, zstd::SPLIT_POSITION];

/// The list of a layer that came with these annotations, if it has one.
pub(super) fn index_of(diff_id: &DiffId, annotations: &BTreeMap<String, String>) -> Option<BlobIndex> {
    let said = annotations.iter().filter(|(name, _)| ANNOTATIONS.contains(&name.as_str()));
    let annotations: BTreeMap<_, _> = said.map(|(name, value)| (name.clone(), value.clone())).collect();
    (!annotations.is_empty()).then_some(BlobIndex { diff_id: *diff_id, annotations })
}

/// The formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chunked {
    /// eStargz.
    Estargz,
    /// zstd:chunked.
    Zstd,
}

/// A writer to which a tar is written.
pub(super) struct ChunkedWriter<W> {
    pieces: SyncSender<io::Result<Vec<u8>>>,
    piece: Vec<u8>,
    thread: JoinHandle<io::Result<(W, BlobIndex)>>,
}

impl<W: Write + Send + 'static> ChunkedWriter<W> {
    /// A blob in `format`, compressed by `threads` threads, that goes to `output`.
    pub(super) fn new(format: Chunked, level: i32, threads: usize, output: W) -> Self {
        let (pieces, receiver) = mpsc::sync_channel(PIECES);
        // If it is dropped, the thread meets the end of its tar too early, and so does its output.
        let thread = thread::spawn(move || {
            let parts = Parts::new(format, level, threads, output);
            Cutter::new(format, level, parts)?.cut(Pieces::new(receiver))
        });
        Self { pieces, piece: Vec::with_capacity(PIECE), thread }
    }

    /// Ends the tar, and gives the output back.
    pub(super) fn finish(mut self) -> io::Result<(W, BlobIndex)> {
        if !self.piece.is_empty() {
            self.send();
        }
        drop(self.pieces);
        self.thread.join().map_err(|_| io::Error::other("the thread that cuts a layer panicked"))?
    }
}

impl<W> ChunkedWriter<W> {
    /// Who no longer listens has met an error, which is told at the end.
    fn send(&mut self) -> bool {
        self.pieces.send(Ok(mem::replace(&mut self.piece, Vec::with_capacity(PIECE)))).is_ok()
    }
}

impl<W> Write for ChunkedWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(PIECE - self.piece.len());
        self.piece.extend_from_slice(&bytes[..taken]);
        if self.piece.len() == PIECE {
            self.send();
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
