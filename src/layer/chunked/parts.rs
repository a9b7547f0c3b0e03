//! Parts of a blob: compressed by several threads, written in order, and remembered by where they begin and end.

use super::Chunked;
use crate::image::Digest;
use crate::layer::{
    compress::{gzip_member, zstd_frame},
    ordered::Ordered,
};
use std::{
    collections::VecDeque,
    io::{self, Write},
};

/// Bytes that become a gzip member or a zstd frame.
struct Part {
    bytes: Vec<u8>,
    /// How many of them, from the first, are of a file.
    payload: usize,
}

struct Pressed {
    bytes: Vec<u8>,
    /// Of the payload; `None` if there is none.
    digest: Option<Digest>,
}

/// A part with a chunk of a file, as it came to lie in the blob.
pub(super) struct Placed {
    pub(super) start: u64,
    pub(super) end: u64,
    /// Of the chunk.
    pub(super) digest: Digest,
}

/// Compresses and writes.
pub(super) struct Parts<W> {
    output: W,
    pool: Ordered<Part, io::Result<Pressed>>,
    written: u64,
    /// The chunks, in order.
    placed: VecDeque<Placed>,
}

impl<W: Write> Parts<W> {
    pub(super) fn new(format: Chunked, level: i32, threads: usize, output: W) -> Self {
        let pool = match format {
            Chunked::Estargz => Ordered::new(threads, move || presses(gzip_member(level))),
            Chunked::Zstd => Ordered::new(threads, move || presses(zstd_frame(level))),
        };
        Self { output, pool, written: 0, placed: VecDeque::new() }
    }

    /// Adds a part, whose first `payload` bytes are a chunk of a file.
    pub(super) fn add(&mut self, bytes: Vec<u8>, payload: usize) -> io::Result<()> {
        if self.pool.is_full() {
            self.write_next()?;
        }
        self.pool.submit(Part { bytes, payload });
        Ok(())
    }

    fn write_next(&mut self) -> io::Result<bool> {
        let Some(pressed) = self.pool.next() else { return Ok(false) };
        let Pressed { bytes, digest } = pressed?;
        let start = self.written;
        self.write(&bytes)?;
        self.placed.extend(digest.map(|digest| Placed { start, end: self.written, digest }));
        Ok(true)
    }

    /// Writes all parts; returns where those with chunks are.
    pub(super) fn settle(&mut self) -> io::Result<VecDeque<Placed>> {
        while self.write_next()? {}
        Ok(std::mem::take(&mut self.placed))
    }

    /// Writes bytes as they are, behind the parts that were settled.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.output.write_all(bytes)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// Bytes of the blob so far.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    pub(super) fn into_output(self) -> W {
        self.output
    }
}

fn presses(mut compress: impl FnMut(Vec<u8>) -> io::Result<Vec<u8>>) -> impl FnMut(Part) -> io::Result<Pressed> {
    move |Part { bytes, payload }| {
        let digest = (payload > 0).then(|| Digest::of(&bytes[..payload]));
        Ok(Pressed { bytes: compress(bytes)?, digest })
    }
}
