//! The uncompressed bytes of an archive, made by another thread: decompressing and hashing go on while what came is
//! being unpacked.

use super::{decompress, tar_reader::ArchiveError};
use crate::image::{DiffId, Sha256};
use std::{
    io::{self, Read},
    sync::{
        atomic::{AtomicU64, Ordering},
        mpsc::{self, Receiver, SyncSender},
    },
    thread,
};

pub(super) const PIECE: usize = 256 * 1024;
/// Pieces that wait at most.
pub(super) const PIECES: usize = 8;

/// What an archive may cost before it is refused. It may come from anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How many entries it may have.
    pub entries: u64,
    /// How many bytes it may have when it is uncompressed.
    pub bytes: u64,
    /// How many times larger than its compressed form it may be, once it is larger than `free`.
    pub ratio: u64,
    /// Bytes that it may have at any ratio.
    pub free: u64,
}

impl Limits {
    /// Beyond all images that there are; the disk is usually full before. Real layers shrink to a half or a fifth.
    pub const DEFAULT: Self = Self { entries: 20_000_000, bytes: 1 << 40, ratio: 200, free: 1 << 30 };
}

/// Lets `consume` read the uncompressed `archive` to its end; returns its result, the digest and the size.
pub(super) fn with_uncompressed<T>(
    archive: impl Read + Send,
    limits: Limits,
    consume: impl FnOnce(Pieces) -> Result<T, super::LayerError>,
) -> Result<(T, DiffId, u64), super::LayerError> {
    thread::scope(|scope| {
        let (sender, receiver) = mpsc::sync_channel(PIECES);
        let producer = scope.spawn(move || produce(archive, limits, &sender));
        let consumed = consume(Pieces::new(receiver))?;
        let (diff_id, size) = producer.join().expect("the decompressing thread does not panic");
        Ok((consumed, diff_id, size))
    })
}

/// Sends pieces until the end, an error, or until nobody listens any more.
fn produce(archive: impl Read + Send, limits: Limits, sender: &SyncSender<io::Result<Vec<u8>>>) -> (DiffId, u64) {
    let mut hash = Sha256::default();
    let mut size = 0;
    let compressed = AtomicU64::new(0);
    let counted = Counted { input: archive, count: &compressed };
    let mut reader = match decompress::reader(counted) {
        Ok(reader) => reader,
        Err(error) => {
            drop(sender.send(Err(error)));
            return (DiffId(hash.finish()), size);
        }
    };
    loop {
        let mut piece = Vec::with_capacity(PIECE);
        let read = reader.by_ref().take(PIECE as u64).read_to_end(&mut piece);
        size += piece.len() as u64;
        let came = compressed.load(Ordering::Relaxed);
        let message = match read {
            Ok(0) => break,
            Ok(_) => check(limits, size, came).map(|()| piece).map_err(io::Error::from),
            Err(error) => Err(error),
        };
        let is_end = message.is_err();
        if let Ok(piece) = &message {
            hash.update(piece);
        }
        if sender.send(message).is_err() || is_end {
            break;
        }
    }
    (DiffId(hash.finish()), size)
}

fn check(limits: Limits, size: u64, compressed: u64) -> Result<(), ArchiveError> {
    if size > limits.bytes {
        return Err(ArchiveError::Limit { limit: limits.bytes, of: "bytes" });
    }
    if size > limits.free && size / limits.ratio > compressed {
        return Err(ArchiveError::Limit { limit: limits.ratio, of: "bytes for each byte of its compressed form" });
    }
    Ok(())
}

/// The receiving end.
pub(super) struct Pieces {
    receiver: Receiver<io::Result<Vec<u8>>>,
    piece: Vec<u8>,
    taken: usize,
}

impl Pieces {
    pub(super) fn new(receiver: Receiver<io::Result<Vec<u8>>>) -> Self {
        Self { receiver, piece: Vec::new(), taken: 0 }
    }
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.piece.len() {
            match self.receiver.recv() {
                Ok(piece) => (self.piece, self.taken) = (piece?, 0),
                Err(mpsc::RecvError) => return Ok(0),
            }
        }
        let length = buffer.len().min(self.piece.len() - self.taken);
        buffer[..length].copy_from_slice(&self.piece[self.taken..self.taken + length]);
        self.taken += length;
        Ok(length)
    }
}

/// Counts what is read.
struct Counted<'a, R> {
    input: R,
    count: &'a AtomicU64,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.count.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{image::Digest, layer::LayerError};

    fn read_all(archive: &[u8], limits: Limits) -> Result<(usize, DiffId, u64), LayerError> {
        with_uncompressed(archive, limits, |mut pieces| {
            io::copy(&mut pieces, &mut io::sink()).map_err(|error| LayerError::at("archive", error))
        })
        .map(|(copied, diff_id, size)| (usize::try_from(copied).unwrap(), diff_id, size))
    }

    #[test]
    fn all_bytes_come_and_are_hashed() {
        let content: Vec<u8> = (0..3_000_000u32).flat_map(u32::to_le_bytes).collect();
        let compressed = zstd::encode_all(&content[..], 1).unwrap();
        let (copied, diff_id, size) = read_all(&compressed, Limits::DEFAULT).unwrap();
        assert_eq!((copied, size), (content.len(), content.len() as u64));
        assert_eq!(diff_id, DiffId(Digest::of(&content)));
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let bomb = zstd::encode_all(io::repeat(0).take(1 << 26), 1).unwrap();
        let few_bytes = Limits { bytes: 1 << 20, ..Limits::DEFAULT };
        let error = read_all(&bomb, few_bytes).unwrap_err();
        assert_eq!(error.to_string(), "the archive is refused: it has more than 1048576 bytes");
        let low_ratio = Limits { free: 1 << 20, ..Limits::DEFAULT };
        assert!(matches!(read_all(&bomb, low_ratio), Err(LayerError::Archive(ArchiveError::Limit { limit: 200, .. }))));
    }

    #[test]
    fn who_stops_listening_is_not_waited_for() {
        let endless = io::repeat(7);
        let stopped = with_uncompressed(endless, Limits::DEFAULT, |mut pieces| {
            pieces.read_exact(&mut [0; 10]).unwrap();
            Err::<(), _>(LayerError::Absent(DiffId::empty()))
        });
        assert!(stopped.is_err());
    }
}
