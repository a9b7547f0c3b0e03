//! A tar, cut where files begin.
//!
//! The archive is read by the reader of all archives, and what that reads is kept as it was: headers go into the blob
//! byte for byte, whoever wrote them.

use super::{
    CHUNK, Chunked,
    entry::ListEntry,
    estargz,
    parts::Parts,
    tar_split::{Crc64, TarSplit},
    zstd,
};
use crate::{
    image::{DiffId, Digest, Sha256},
    layer::{
        stream::Pieces,
        tar_reader::{RawEntry, RawKind, TarReader},
    },
    store::BlobIndex,
};
use std::{
    cell::RefCell,
    io::{self, Read, Write},
    rc::Rc,
};

/// Headers in a row that are compressed as one.
const LONGEST_HEADERS: usize = 4 << 20;
const BLOCK: u64 = 512;

/// Reads a tar, and adds its parts to a blob.
pub(super) struct Cutter<W> {
    format: Chunked,
    parts: Parts<W>,
    /// Of the tar in the blob.
    hash: Sha256,
    /// Bytes of that.
    size: u64,
    /// What will be in the next part.
    part: Vec<u8>,
    /// How many bytes of it, from the first, are of a file.
    payload: usize,
    entries: Vec<ListEntry>,
    chunks: Vec<Chunk>,
    tar_split: Option<TarSplit>,
}

/// A chunk in a part of its own, by the indexes of its entry and of the first one of its file.
struct Chunk {
    entry: usize,
    file: usize,
}

impl<W: Write> Cutter<W> {
    pub(super) fn new(format: Chunked, level: i32, parts: Parts<W>) -> io::Result<Self> {
        let tar_split = match format {
            Chunked::Estargz => None,
            Chunked::Zstd => Some(TarSplit::new(level)?),
        };
        Ok(Self {
            format,
            parts,
            hash: Sha256::default(),
            size: 0,
            part: Vec::new(),
            payload: 0,
            entries: Vec::new(),
            chunks: Vec::new(),
            tar_split,
        })
    }

    /// Cuts all of `tar`, and ends the blob.
    pub(super) fn cut(mut self, tar: Pieces) -> io::Result<(W, BlobIndex)> {
        match self.format {
            Chunked::Estargz => self.read_estargz(tar)?,
            Chunked::Zstd => self.read_all(tar)?,
        }
        self.end_part()?;
        for (chunk, placed) in self.chunks.iter().zip(self.parts.settle()?) {
            let entry = &mut self.entries[chunk.entry];
            entry.offset = placed.start;
            let is_whole = entry.chunk_size == 0 && entry.chunk_offset == 0;
            if !is_whole || self.format == Chunked::Estargz {
                entry.chunk_digest = placed.digest.to_string();
            }
            let file = &mut self.entries[chunk.file];
            if is_whole {
                file.digest = placed.digest.to_string();
            }
            if self.format == Chunked::Zstd {
                file.end_offset = placed.end;
            }
        }
        let Self { mut parts, mut hash, size, entries, tar_split, .. } = self;
        let annotations = match tar_split {
            Some(split) => zstd::finish(&mut parts, &entries, split)?,
            None => estargz::finish(&mut parts, &entries, &mut hash, size)?,
        };
        Ok((parts.into_output(), BlobIndex { diff_id: DiffId(hash.finish()), annotations }))
    }

    /// The whole tar, to the last byte.
    fn read_all(&mut self, tar: Pieces) -> io::Result<()> {
        let mut archive = Archive::new(tar);
        while let Some(raw) = archive.next_entry()? {
            self.header(&archive.seen())?;
            self.entry(&raw, &mut archive)?;
        }
        self.header(&archive.seen())
    }

    /// A landmark, and the tar without its end, because the list comes there, and without what made another tar an
    /// eStargz before.
    fn read_estargz(&mut self, tar: Pieces) -> io::Result<()> {
        let mut archive = Archive::new(io::Cursor::new(estargz::landmark()?).chain(tar));
        let (mut is_first, mut is_kept, mut padding) = (true, true, 0);
        loop {
            let next = archive.next_entry()?;
            let seen = archive.seen();
            // The zeros behind a file are read together with the header of the next one.
            let (before, header) = seen.split_at(padding);
            if is_kept {
                self.header(before)?;
            }
            let Some(raw) = next else { return Ok(()) };
            padding = usize::try_from(raw.size.next_multiple_of(BLOCK) - raw.size).unwrap_or(0);
            is_kept = is_first || !estargz::is_own(&raw.name);
            is_first = false;
            if is_kept {
                self.header(header)?;
                self.entry(&raw, &mut archive)?;
            } else {
                io::copy(&mut archive.reader, &mut io::sink())?;
                archive.seen();
            }
        }
    }

    /// Bytes of the tar that are of no file.
    fn header(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.size += bytes.len() as u64;
        if let Some(split) = &mut self.tar_split {
            split.segment(bytes)?;
        }
        // In zstd:chunked, a part ends with its chunk.
        let ends_with_chunk = self.format == Chunked::Zstd && self.payload > 0;
        if ends_with_chunk || self.part.len() - self.payload > LONGEST_HEADERS {
            self.end_part()?;
        }
        self.part.extend_from_slice(bytes);
        Ok(())
    }

    fn end_part(&mut self) -> io::Result<()> {
        let (bytes, payload) = (std::mem::take(&mut self.part), std::mem::take(&mut self.payload));
        if bytes.is_empty() { Ok(()) } else { self.parts.add(bytes, payload) }
    }

    /// Lists an entry whose header was added, and adds its bytes.
    fn entry<R: Read>(&mut self, raw: &RawEntry, archive: &mut Archive<R>) -> io::Result<()> {
        let entry = ListEntry::of(raw, self.format)?;
        let name = entry.name.clone();
        let file = self.entries.len();
        self.entries.push(entry);
        let is_one_chunk = raw.size <= CHUNK as u64;
        let (mut whole, mut checksum, mut offset) = (Sha256::default(), Crc64::default(), 0);
        while offset < raw.size {
            let length = CHUNK.min(usize::try_from(raw.size - offset).unwrap_or(CHUNK));
            self.end_part()?;
            // Room for what may stand behind the chunk in its part.
            let mut bytes = Vec::with_capacity(length + 1024);
            (&mut archive.reader).take(length as u64).read_to_end(&mut bytes)?;
            archive.seen();
            self.hash.update(&bytes);
            self.size += bytes.len() as u64;
            if self.tar_split.is_some() {
                checksum.update(&bytes);
            }
            if offset > 0 {
                self.entries.push(ListEntry::chunk(&name));
            }
            let entry = self.entries.len() - 1;
            if !is_one_chunk {
                whole.update(&bytes);
                // eStargz leaves out the size of a file's last chunk.
                let is_told = self.format == Chunked::Zstd || offset + (length as u64) < raw.size;
                self.entries[entry].chunk_offset = offset;
                self.entries[entry].chunk_size = if is_told { length as u64 } else { 0 };
            }
            self.chunks.push(Chunk { entry, file });
            offset += length as u64;
            (self.payload, self.part) = (bytes.len(), bytes);
        }
        if !is_one_chunk {
            self.entries[file].digest = whole.finish().to_string();
        } else if raw.kind == RawKind::File && raw.size == 0 && self.format == Chunked::Estargz {
            self.entries[file].digest = Digest::of(b"").to_string();
        }
        match &mut self.tar_split {
            Some(split) => split.file(&name, raw.size, checksum),
            None => Ok(()),
        }
    }
}

/// An archive, and the bytes that its reader has read of it.
struct Archive<R> {
    reader: TarReader<Kept<R>>,
    seen: Rc<RefCell<Vec<u8>>>,
}

struct Kept<R> {
    input: R,
    seen: Rc<RefCell<Vec<u8>>>,
}

impl<R: Read> Archive<R> {
    fn new(input: R) -> Self {
        let seen = Rc::default();
        Self { reader: TarReader::new(Kept { input, seen: Rc::clone(&seen) }), seen }
    }

    fn next_entry(&mut self) -> io::Result<Option<RawEntry>> {
        Ok(self.reader.next_entry()?)
    }

    /// What was read since this was asked last.
    fn seen(&self) -> Vec<u8> {
        self.seen.take()
    }
}

impl<R: Read> Read for Kept<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.seen.borrow_mut().extend_from_slice(&buffer[..count]);
        Ok(count)
    }
}
