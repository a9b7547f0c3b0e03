//! A file that is made of parts of another one, in a row.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, Read},
    ops::Range,
    os::unix::fs::FileExt as _,
};

/// A piece of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Bytes of the old file.
    Old {
        offset: u64,
        length: u64,
    },
    New(Vec<u8>),
    Zeros(u64),
}

/// Parts in a row.
pub(super) struct Written {
    pub(super) old: File,
    pub(super) parts: VecDeque<Part>,
}

impl Written {
    /// All of a file of `size` bytes, as it is.
    pub(super) fn whole(old: File, size: u64) -> Self {
        Self { old, parts: VecDeque::from([Part::Old { offset: 0, length: size }]) }
    }

    /// The same, with zeros in place of some bytes of the old file; `ranges` are sorted.
    pub(super) fn without(self, ranges: &[Range<u64>]) -> Self {
        let parts = self.parts.into_iter().flat_map(|part| match part {
            Part::Old { offset, length } => blank(offset, length, ranges),
            Part::New(_) | Part::Zeros(_) => vec![part],
        });
        Self { old: self.old, parts: parts.collect() }
    }
}

fn blank(offset: u64, length: u64, ranges: &[Range<u64>]) -> Vec<Part> {
    let end = offset + length;
    let (mut at, mut parts) = (offset, Vec::new());
    for range in ranges {
        let (from, to) = (range.start.max(at), range.end.min(end));
        if from >= to {
            continue;
        }
        if from > at {
            parts.push(Part::Old { offset: at, length: from - at });
        }
        parts.push(Part::Zeros(to - from));
        at = to;
    }
    if at < end {
        parts.push(Part::Old { offset: at, length: end - at });
    }
    parts
}

impl Read for Written {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = buffer.len();
        let most = |length: u64| usize::try_from(length).unwrap_or(usize::MAX).min(room);
        loop {
            let read = match self.parts.front_mut() {
                None => return Ok(0),
                Some(Part::New(bytes)) => {
                    let count = buffer.len().min(bytes.len());
                    buffer[..count].copy_from_slice(&bytes[..count]);
                    bytes.drain(..count);
                    count
                }
                Some(Part::Zeros(length)) => {
                    let count = most(*length);
                    buffer[..count].fill(0);
                    *length -= count as u64;
                    count
                }
                Some(Part::Old { offset, length }) => {
                    let most = most(*length);
                    let count = self.old.read_at(&mut buffer[..most], *offset)?;
                    if count == 0 && most > 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    *offset += count as u64;
                    *length -= count as u64;
                    count
                }
            };
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            self.parts.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn zeros_take_the_place_of_bytes_wherever_parts_begin_and_end() {
        let mut old = tempfile::tempfile().unwrap();
        old.write_all(b"0123456789").unwrap();
        let parts = [
            Part::Old { offset: 0, length: 4 },
            Part::New(b"new".to_vec()),
            Part::Old { offset: 4, length: 0 },
            Part::Old { offset: 6, length: 4 },
        ];
        for (ranges, expected) in [
            (&[][..], &b"0123new6789"[..]),
            (&[0..2, 2..4], b"\0\0\0\0new6789"),
            (&[1..2, 3..7], b"0\x002\0new\x00789"),
            (&[1..3, 2..4, 9..20], b"0\0\0\0new678\0"),
            (&[4..6, 10..10], b"0123new6789"),
        ] {
            let parts = parts.iter().map(|part| match part {
                Part::Old { offset, length } => Part::Old { offset: *offset, length: *length },
                Part::New(bytes) => Part::New(bytes.clone()),
                Part::Zeros(length) => Part::Zeros(*length),
            });
            let written = Written { old: old.try_clone().unwrap(), parts: parts.collect() };
            let mut bytes = Vec::new();
            written.without(ranges).read_to_end(&mut bytes).unwrap();
            assert_eq!(bytes, expected, "{ranges:?}");
        }
    }
}
