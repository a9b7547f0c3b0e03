//! Compressing with all processors, into bytes that do not depend on how many there are.
//!
//! The input is [cut](super::cut) into blocks; each becomes a gzip member (RFC 1952, section 2.2) or a zstd frame
//! (RFC 8878, section 3) of its own, and the results follow each other in order. Both formats define the whole as the
//! content of the parts in a row. On real layers, what blocks cannot see of each other costs about 0.2 %.
//!
//! A block that was compressed before is taken from the blob that has it. So a layer that differs from an earlier one in a
//! few files costs the compression of a few blocks.

use super::{
    chunked::{Chunked, ChunkedWriter},
    compression::{Algorithm, Compression},
    cut::Cutter,
    ordered::{Ordered, processors},
};
use crate::{
    image::ContentDigest,
    store::{BlobIndex, Block, Store},
};
use libdeflater::{CompressionLvl, Compressor as Libdeflate};
use std::io::{self, Write};

/// A writer that compresses what is written and passes it on.
pub(super) struct Compressor<W> {
    state: State<W>,
}

enum State<W> {
    Plain(W),
    Blocks(BlockWriter<W>),
    Chunked(ChunkedWriter<W>),
}

/// What there is to say of a blob that was written.
#[derive(Debug, Default)]
pub(super) struct Description {
    /// If it can be read file by file.
    pub(super) index: Option<BlobIndex>,
    /// Where its blocks are, if another blob may want them.
    pub(super) blocks: Vec<Block>,
}

/// Cuts, and has the blocks compressed.
struct BlockWriter<W> {
    output: W,
    pool: Ordered<Vec<u8>, io::Result<Compressed>>,
    cutter: Cutter,
    block: Vec<u8>,
    any: bool,
    written: u64,
    blocks: Vec<Block>,
}

/// A compressed block.
struct Compressed {
    bytes: Vec<u8>,
    /// Of the block and its encoding, and of the bytes; if blocks are looked for.
    digests: Option<(ContentDigest, ContentDigest)>,
}

impl<W: Write + Send + 'static> Compressor<W> {
    /// A compressor into `output` that uses all processors, and what `store` has of the same blocks.
    pub(super) fn new(compression: Compression, store: &Store, output: W) -> Self {
        Self::with_threads(compression, Some(store), output, processors())
    }

    fn with_threads(compression: Compression, store: Option<&Store>, output: W, threads: usize) -> Self {
        let level = compression.level();
        let reuse = store.map(|store| Reuse { store: store.clone(), encoding: compression.encoding() });
        let state = match compression.algorithm() {
            Algorithm::None => State::Plain(output),
            Algorithm::Estargz => State::Chunked(ChunkedWriter::new(Chunked::Estargz, level, threads, output)),
            Algorithm::ZstdChunked => State::Chunked(ChunkedWriter::new(Chunked::Zstd, level, threads, output)),
            Algorithm::Gzip => {
                let pool = Ordered::new(threads, move || reusing(reuse.clone(), gzip_member(level)));
                State::Blocks(BlockWriter::new(pool, Cutter::SMALL, output))
            }
            Algorithm::Zstd => {
                let pool = Ordered::new(threads, move || reusing(reuse.clone(), zstd_frame(level)));
                State::Blocks(BlockWriter::new(pool, Cutter::LARGE, output))
            }
        };
        Self { state }
    }

    /// Compresses what is left and gives the output back, and what there is to say of what went there.
    pub(super) fn finish(self) -> io::Result<(W, Description)> {
        let (mut output, description) = match self.state {
            State::Plain(output) => (output, Description::default()),
            State::Blocks(writer) => writer.finish()?,
            State::Chunked(writer) => {
                let (output, index) = writer.finish()?;
                (output, Description { index: Some(index), ..Description::default() })
            }
        };
        output.flush()?;
        Ok((output, description))
    }
}

impl<W: Write> Write for Compressor<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.state {
            State::Plain(output) => output.write(bytes),
            State::Chunked(writer) => writer.write(bytes),
            State::Blocks(writer) => writer.write(bytes),
        }
    }

    /// Does nothing: where blocks end must not depend on who flushes when.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<W: Write> BlockWriter<W> {
    fn new(pool: Ordered<Vec<u8>, io::Result<Compressed>>, cutter: Cutter, output: W) -> Self {
        let block = Vec::with_capacity(cutter.capacity());
        Self { output, pool, cutter, block, any: false, written: 0, blocks: Vec::new() }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (taken, ends) = self.cutter.fill(&mut self.block, bytes);
        if ends {
            if self.pool.is_full() {
                self.take()?;
            }
            self.pool.submit(std::mem::replace(&mut self.block, Vec::with_capacity(self.cutter.capacity())));
            self.any = true;
        }
        Ok(taken)
    }

    /// Writes the block that was submitted first, if there is one.
    fn take(&mut self) -> io::Result<bool> {
        let Some(compressed) = self.pool.next() else { return Ok(false) };
        let Compressed { bytes, digests } = compressed?;
        self.output.write_all(&bytes)?;
        let size = bytes.len() as u64;
        self.blocks.extend(digests.map(|(key, checksum)| Block { key, position: self.written, size, checksum }));
        self.written += size;
        Ok(true)
    }

    fn finish(mut self) -> io::Result<(W, Description)> {
        // Nothing at all is still a member: an empty file is no gzip.
        if !self.block.is_empty() || !self.any {
            self.pool.submit(std::mem::take(&mut self.block));
        }
        while self.take()? {}
        // Another layer with the same single block is the same layer.
        let blocks = if self.any { self.blocks } else { Vec::new() };
        Ok((self.output, Description { index: None, blocks }))
    }
}

/// Where blocks may be that were compressed before.
#[derive(Clone)]
struct Reuse {
    store: Store,
    encoding: String,
}

impl Reuse {
    fn key(&self, block: &[u8]) -> ContentDigest {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.encoding.as_bytes()).update(b"\0").update(block);
        hasher.finalize().into()
    }
}

/// `compress`, but for blocks that are there already.
fn reusing(
    reuse: Option<Reuse>,
    mut compress: impl FnMut(Vec<u8>) -> io::Result<Vec<u8>>,
) -> impl FnMut(Vec<u8>) -> io::Result<Compressed> {
    move |block| {
        let Some(reuse) = &reuse else { return Ok(Compressed { bytes: compress(block)?, digests: None }) };
        let key = reuse.key(&block);
        // Whatever is wrong with the store, this block can do without it.
        let bytes = match reuse.store.compressed_block(&key) {
            Ok(Some(known)) => known,
            Ok(None) | Err(_) => compress(block)?,
        };
        let checksum = ContentDigest::of(&bytes);
        Ok(Compressed { bytes, digests: Some((key, checksum)) })
    }
}

/// libdeflate writes no time and no name into a member's header.
pub(super) fn gzip_member(level: i32) -> impl FnMut(Vec<u8>) -> io::Result<Vec<u8>> {
    let level = CompressionLvl::new(level).unwrap_or_default();
    let mut compressor = Libdeflate::new(level);
    move |block| {
        let mut member = vec![0; compressor.gzip_compress_bound(block.len())];
        let length = compressor.gzip_compress(&block, &mut member).map_err(io::Error::other)?;
        member.truncate(length);
        Ok(member)
    }
}

pub(super) fn zstd_frame(level: i32) -> impl FnMut(Vec<u8>) -> io::Result<Vec<u8>> {
    let mut compressor = zstd::bulk::Compressor::new(level);
    move |block| match &mut compressor {
        Ok(compressor) => compressor.compress(&block),
        Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{image::Digest, layer::decompress};
    use std::{
        io::Read,
        process::{Command, Stdio},
        thread,
    };

    /// Text-like, longer than two zstd blocks, the same on every machine.
    fn sample() -> Vec<u8> {
        let mut state = 1u32;
        let mut word = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            format!("{:x} ", state >> 22)
        };
        (0..2_200_000).flat_map(|_| word().into_bytes()).take((9 << 20) + 12345).collect()
    }

    fn compress(compression: Compression, threads: usize, input: &[u8]) -> Vec<u8> {
        let mut compressor = Compressor::with_threads(compression, None, Vec::new(), threads);
        // Odd pieces: where writes end must not matter.
        for piece in input.chunks(70_001 * threads) {
            compressor.write_all(piece).unwrap();
        }
        compressor.finish().unwrap().0
    }

    fn decompress_with(tool: &str, compressed: &[u8]) -> Option<Vec<u8>> {
        let spawned = Command::new(tool).arg("-dc").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let Ok(mut child) = spawned else {
            return None;
        };
        let mut stdin = child.stdin.take().unwrap();
        let output = thread::scope(|scope| {
            scope.spawn(move || stdin.write_all(compressed).unwrap());
            child.wait_with_output().unwrap()
        });
        assert!(output.status.success(), "{tool}");
        Some(output.stdout)
    }

    #[test]
    fn the_number_of_threads_does_not_show() {
        let input = sample();
        for (algorithm, tool) in [(Algorithm::Gzip, "gzip"), (Algorithm::Zstd, "zstd")] {
            let compression = Compression::new(algorithm);
            let one = compress(compression, 1, &input);
            for threads in [2, 7] {
                assert!(compress(compression, threads, &input) == one, "{compression} with {threads} threads");
            }
            let mut ours = Vec::new();
            decompress::reader(&one[..]).unwrap().read_to_end(&mut ours).unwrap();
            assert!(ours == input, "{compression}");
            if let Some(theirs) = decompress_with(tool, &one) {
                assert!(theirs == input, "{tool} -dc");
            }
        }
    }

    #[test]
    fn blocks_that_were_compressed_before_are_taken_from_there() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let compress = |input: &[u8]| {
            let mut compressor = Compressor::new(Compression::default(), &store, Vec::new());
            compressor.write_all(input).unwrap();
            let (bytes, Description { blocks, .. }) = compressor.finish().unwrap();
            let blob = store.put_blob(&bytes).unwrap();
            store.put_blocks(&blob, &blocks).unwrap();
            (bytes, blocks)
        };
        let mut input = sample();
        let (_, before) = compress(&input);
        // Bytes that no compressor would make show where they come from.
        let marked = before.last().unwrap();
        let block = Block { position: 0, size: 6, checksum: ContentDigest::of(b"marked"), ..marked.clone() };
        store.put_blocks(&store.put_blob(b"marked").unwrap(), &[block]).unwrap();
        input[5 << 20] ^= 1;
        let (bytes, after) = compress(&input);
        assert!(bytes.ends_with(b"marked"));
        let known = after.iter().filter(|block| before.iter().any(|known| known.key == block.key)).count();
        assert!(before.len() > 6 && known + 2 >= after.len(), "{known} of {}", after.len());
    }

    #[test]
    fn nothing_is_a_valid_member() {
        for algorithm in [Algorithm::Gzip, Algorithm::Zstd, Algorithm::None] {
            let compressed = compress(Compression::new(algorithm), 2, b"");
            let mut content = Vec::new();
            decompress::reader(&compressed[..]).unwrap().read_to_end(&mut content).unwrap();
            assert!(content.is_empty() && compressed.is_empty() == (algorithm == Algorithm::None));
        }
    }

    /// If this fails, an encoder was changed or upgraded: raise its version in [`Compression::encoding`], because blobs
    /// of that name would no longer be the same bytes, and then put the new digests here.
    #[test]
    fn an_encoding_is_exactly_these_bytes() {
        let input = sample();
        for (text, expected) in [("gzip", GZIP_6), ("zstd", ZSTD_3), ("gzip:1", GZIP_1)] {
            let digest = Digest::of(&compress(text.parse().unwrap(), 3, &input)).hex();
            assert_eq!(&digest[..16], expected, "{text}");
        }
    }

    const GZIP_6: &str = "560feae99f95789c";
    const ZSTD_3: &str = "a2ad4cb629bd2473";
    const GZIP_1: &str = "0482fd61c9f23514";
}
