//! A stream as blobs that change little when it does: cut where its content says (`FastCDC`, 2020), each piece compressed.

use super::CacheError;
use crate::{
    image::{BlobDigest, Descriptor, Digest},
    store::Store,
};
use fastcdc::v2020::FastCDC;
use serde::{Deserialize, Serialize};
use std::{
    collections::HashSet,
    io::{self, Cursor, Read, Write},
};

/// The media type of a chunk.
pub(super) const CHUNK_TYPE: &str = "application/vnd.flashbuild.cache.chunk.v1+zstd";

/// Bytes of a chunk before it is compressed. Whoever changes these cuts everything elsewhere, and sends all of it once more.
const MIN: usize = 128 << 10;
const AVERAGE: usize = 512 << 10;
const MAX: usize = 2 << 20;
const LEVEL: i32 = 3;

/// A chunk, compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Chunk {
    pub(super) digest: BlobDigest,
    pub(super) size: u64,
}

impl Chunk {
    pub(super) fn describe(&self) -> Descriptor {
        Descriptor::new(CHUNK_TYPE.into(), self.digest, self.size)
    }
}

/// Cuts what is written to it, and keeps in the store the chunks that are not `known` to be where they go.
pub(super) struct Chunker<'a> {
    store: &'a Store,
    known: &'a HashSet<BlobDigest>,
    waiting: Vec<u8>,
    chunks: Vec<Chunk>,
}

impl<'a> Chunker<'a> {
    pub(super) fn new(store: &'a Store, known: &'a HashSet<BlobDigest>) -> Self {
        Self { store, known, waiting: Vec::with_capacity(2 * MAX), chunks: Vec::new() }
    }

    pub(super) fn finish(mut self) -> io::Result<Vec<Chunk>> {
        while !self.waiting.is_empty() {
            self.cut()?;
        }
        Ok(self.chunks)
    }

    /// Takes the first chunk of what waits. Where it ends depends on nothing behind it but for the end of all.
    fn cut(&mut self) -> io::Result<()> {
        let (_, end) = FastCDC::new(&self.waiting, MIN, AVERAGE, MAX).cut(0, self.waiting.len());
        let compressed = zstd::encode_all(&self.waiting[..end], LEVEL)?;
        self.waiting.drain(..end);
        let digest = BlobDigest(Digest::of(&compressed));
        if !self.known.contains(&digest) {
            self.store.put_blob(&compressed).map_err(io::Error::other)?;
        }
        self.chunks.push(Chunk { digest, size: compressed.len() as u64 });
        Ok(())
    }
}

impl Write for Chunker<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(2 * MAX - self.waiting.len());
        self.waiting.extend_from_slice(&bytes[..taken]);
        while self.waiting.len() >= MAX {
            self.cut()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads chunks that are in the store, one after the other.
pub(super) struct Chunks<'a> {
    store: &'a Store,
    left: std::slice::Iter<'a, Chunk>,
    current: Cursor<Vec<u8>>,
}

impl<'a> Chunks<'a> {
    pub(super) fn new(store: &'a Store, chunks: &'a [Chunk]) -> Self {
        Self { store, left: chunks.iter(), current: Cursor::default() }
    }

    fn open(&self, chunk: &Chunk) -> Result<Vec<u8>, CacheError> {
        let lost = || CacheError::Lost { origin: "the store".to_owned(), digest: chunk.digest };
        let unusable = |error: io::Error| CacheError::unusable("a chunk", error);
        let file = self.store.open_blob(&chunk.digest)?.ok_or_else(lost)?;
        let mut bytes = Vec::new();
        let decoder = zstd::Decoder::new(file).map_err(unusable)?;
        decoder.take(MAX as u64 + 1).read_to_end(&mut bytes).map_err(unusable)?;
        if bytes.len() > MAX {
            return Err(CacheError::unusable("a chunk", format!("it is larger than {MAX} bytes")));
        }
        Ok(bytes)
    }
}

impl Read for Chunks<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.current.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            let Some(chunk) = self.left.next() else { return Ok(0) };
            self.current = Cursor::new(self.open(chunk).map_err(io::Error::other)?);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(store: &Store, content: &[u8], piece: usize) -> Vec<Chunk> {
        let known = HashSet::new();
        let mut chunker = Chunker::new(store, &known);
        for piece in content.chunks(piece) {
            chunker.write_all(piece).unwrap();
        }
        chunker.finish().unwrap()
    }

    #[test]
    fn chunks_are_the_stream_and_a_small_change_is_a_small_difference() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path()).unwrap();
        let mut random = fastrand::Rng::with_seed(7);
        let mut content: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(12 << 20).collect();
        let chunks = cut(&store, &content, 100_000);
        assert_eq!(chunks, cut(&store, &content, 7 << 20), "it does not matter how it comes");
        assert!(chunks.len() > 8, "{}", chunks.len());
        let mut read = Vec::new();
        Chunks::new(&store, &chunks).read_to_end(&mut read).unwrap();
        assert!(read == content);

        content.splice(6 << 20..6 << 20, *b"inserted");
        let before: HashSet<Chunk> = chunks.into_iter().collect();
        let new: u64 =
            cut(&store, &content, 1 << 20).iter().filter(|chunk| !before.contains(chunk)).map(|c| c.size).sum();
        assert!(new > 0 && new <= 2 * MAX as u64 + 1000, "{new}");
        assert!(cut(&store, b"", 1).is_empty());
    }

    #[test]
    fn a_chunk_that_grows_too_much_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path()).unwrap();
        let bomb = zstd::encode_all(io::repeat(0).take(MAX as u64 + 1), 1).unwrap();
        let digest = store.put_blob(&bomb).unwrap();
        let chunks = [Chunk { digest, size: bomb.len() as u64 }];
        let refused = Chunks::new(&store, &chunks).read_to_end(&mut Vec::new()).unwrap_err();
        assert!(refused.to_string().contains("larger than"), "{refused}");
    }
}
