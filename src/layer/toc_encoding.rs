//! How a contents table lies on disk.
//!
//! ```text
//! file   = "fbtoc" VERSION zstd(body)
//! body   = count entry*
//! entry  = shared rest:bytes tag mode uid gid mtime:zigzag xattrs (count (name:bytes value:bytes)*) kind
//! kind   = by tag: 0 file (size digest[32]) · 1 dir · 2 opaque dir · 3 symlink (bytes) · 4 hard link (bytes)
//!          5 char device (major minor) · 6 block device (major minor) · 7 fifo · 8 whiteout
//! bytes  = length byte*
//! ```
//!
//! Numbers are LEB128. `shared` is how many bytes a path has in common with the path before it; sorted paths share
//! most of theirs. Whatever changes here changes `VERSION`.
//!
//! Tables may come from a cache that others write, so decoding trusts nothing: sizes are bounded by the bytes that are
//! there, and the result goes through [`Toc::new`].

use super::toc::{Entry, EntryKind, Toc, TocError};
use crate::image::ContentDigest;
use std::{collections::BTreeMap, io::Read as _};

const MAGIC: &[u8] = b"fbtoc";
const VERSION: u8 = 1;
/// Fast: tables are written for every layer and their digests, most of what they hold, do not compress.
const LEVEL: i32 = 1;
/// Largest body that is decoded: room for about ten million entries.
const MAX_BODY: u64 = 1 << 30;

impl Toc {
    /// The table as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut encoded = [MAGIC, &[VERSION]].concat();
        // A Vec takes all that is written, and the level is a constant that zstd knows.
        zstd::stream::copy_encode(&self.body()[..], &mut encoded, LEVEL).expect("compressing in memory");
        encoded
    }

    /// Names the table: equal ones have the same, and no others do.
    pub fn fingerprint(&self) -> [u8; 32] {
        *blake3::hash(&self.body()).as_bytes()
    }

    fn body(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(64 * self.entries().len());
        number(&mut body, self.entries().len() as u64);
        let mut before: &[u8] = b"";
        for entry in self.entries() {
            encode_entry(&mut body, before, entry);
            before = &entry.path;
        }
        body
    }

    /// The table that [`Toc::encode`] made `bytes` of.
    pub fn decode(bytes: &[u8]) -> Result<Self, TocError> {
        let compressed = bytes.strip_prefix(MAGIC).ok_or(TocError::Encoding("wrong magic"))?;
        let compressed = compressed.strip_prefix(&[VERSION]).ok_or(TocError::Encoding("unknown version"))?;
        let mut body = Vec::new();
        zstd::stream::Decoder::new(compressed)
            .and_then(|decoder| decoder.take(MAX_BODY + 1).read_to_end(&mut body))
            .map_err(|_| TocError::Encoding("broken compression"))?;
        if body.len() as u64 > MAX_BODY {
            return Err(TocError::Encoding("too large"));
        }
        let mut input = Input(&body);
        let count = input.number()?;
        // An entry takes at least seven bytes, so a lie about the count cannot reserve much.
        let mut entries = Vec::with_capacity(usize::try_from(count).unwrap_or(usize::MAX).min(body.len() / 7));
        let mut before = Vec::new();
        for _ in 0..count {
            let entry = decode_entry(&mut input, &before)?;
            before.clone_from(&entry.path);
            entries.push(entry);
        }
        if !input.0.is_empty() {
            return Err(TocError::Encoding("bytes left over"));
        }
        Self::new(entries)
    }
}

fn encode_entry(body: &mut Vec<u8>, before: &[u8], entry: &Entry) {
    let shared = before.iter().zip(&entry.path).take_while(|(a, b)| a == b).count();
    number(body, shared as u64);
    bytes(body, &entry.path[shared..]);
    let (tag, first, second): (u8, Option<u64>, Option<u64>) = match &entry.kind {
        EntryKind::File { size, .. } => (0, Some(*size), None),
        EntryKind::Dir { opaque: false } => (1, None, None),
        EntryKind::Dir { opaque: true } => (2, None, None),
        EntryKind::Symlink { .. } => (3, None, None),
        EntryKind::HardLink { .. } => (4, None, None),
        EntryKind::CharDevice { major, minor } => (5, Some(u64::from(*major)), Some(u64::from(*minor))),
        EntryKind::BlockDevice { major, minor } => (6, Some(u64::from(*major)), Some(u64::from(*minor))),
        EntryKind::Fifo => (7, None, None),
        EntryKind::Whiteout => (8, None, None),
    };
    body.push(tag);
    number(body, u64::from(entry.mode));
    number(body, u64::from(entry.uid));
    number(body, u64::from(entry.gid));
    number(body, (entry.mtime << 1 ^ entry.mtime >> 63).cast_unsigned());
    number(body, entry.xattrs.len() as u64);
    for (name, value) in &entry.xattrs {
        bytes(body, name);
        bytes(body, value);
    }
    first.into_iter().chain(second).for_each(|value| number(body, value));
    match &entry.kind {
        EntryKind::File { digest, .. } => body.extend_from_slice(&digest.0),
        EntryKind::Symlink { target } | EntryKind::HardLink { target } => bytes(body, target),
        EntryKind::Dir { .. }
        | EntryKind::CharDevice { .. }
        | EntryKind::BlockDevice { .. }
        | EntryKind::Fifo
        | EntryKind::Whiteout => {}
    }
}

fn decode_entry(input: &mut Input<'_>, before: &[u8]) -> Result<Entry, TocError> {
    let shared = usize::try_from(input.number()?).unwrap_or(usize::MAX);
    let start = before.get(..shared).ok_or(TocError::Encoding("a path shares more than there is"))?;
    let path = [start, input.bytes()?].concat();
    let tag = input.take(1)?[0];
    let (mode, uid, gid) = (input.small()?, input.small()?, input.small()?);
    let zigzag = input.number()?;
    let mtime = (zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed();
    let mut xattrs = BTreeMap::new();
    for _ in 0..input.number()? {
        xattrs.insert(input.bytes()?.to_vec(), input.bytes()?.to_vec());
    }
    let kind = match tag {
        0 => EntryKind::File {
            size: input.number()?,
            digest: ContentDigest(input.take(32)?.try_into().expect("32 bytes were taken")),
        },
        1 => EntryKind::Dir { opaque: false },
        2 => EntryKind::Dir { opaque: true },
        3 => EntryKind::Symlink { target: input.bytes()?.to_vec() },
        4 => EntryKind::HardLink { target: input.bytes()?.to_vec() },
        5 => EntryKind::CharDevice { major: input.small()?, minor: input.small()? },
        6 => EntryKind::BlockDevice { major: input.small()?, minor: input.small()? },
        7 => EntryKind::Fifo,
        8 => EntryKind::Whiteout,
        _ => return Err(TocError::Encoding("unknown type of entry")),
    };
    Ok(Entry { path, kind, mode, uid, gid, mtime, xattrs })
}

fn number(body: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        body.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    body.push(value.to_le_bytes()[0]);
}

fn bytes(body: &mut Vec<u8>, bytes: &[u8]) {
    number(body, bytes.len() as u64);
    body.extend_from_slice(bytes);
}

/// What is left of a body.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], TocError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(TocError::Encoding("cut short"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn bytes(&mut self) -> Result<&'a [u8], TocError> {
        let length = self.number()?;
        self.take(usize::try_from(length).unwrap_or(usize::MAX))
    }

    fn number(&mut self) -> Result<u64, TocError> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(TocError::Encoding("a number is too large"))
    }

    fn small(&mut self) -> Result<u32, TocError> {
        u32::try_from(self.number()?).map_err(|_| TocError::Encoding("a number is too large"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Toc {
        let entry = |path: &str, kind| Entry::new(path, kind);
        let mut file = entry("a/file", EntryKind::File { size: u64::MAX, digest: ContentDigest::of(b"x") });
        file.mtime = -1;
        file.uid = u32::MAX;
        file.xattrs.insert(b"user.a".to_vec(), vec![0, 10, 255]);
        Toc::new(vec![
            entry("a", EntryKind::Dir { opaque: true }),
            file,
            entry("a/link", EntryKind::HardLink { target: b"a/file".to_vec() }),
            entry("a/\u{fc}", EntryKind::Symlink { target: b"../..".to_vec() }),
            entry("b", EntryKind::Dir { opaque: false }),
            entry("c", EntryKind::CharDevice { major: 1, minor: 3 }),
            entry("d", EntryKind::BlockDevice { major: 4095, minor: 1_048_575 }),
            entry("e", EntryKind::Fifo),
            entry("f", EntryKind::Whiteout),
        ])
        .unwrap()
    }

    #[test]
    fn a_table_survives_the_round_trip() {
        for toc in [sample(), Toc::default()] {
            assert_eq!(Toc::decode(&toc.encode()), Ok(toc));
        }
    }

    #[test]
    fn damage_is_an_error_and_never_a_panic() {
        let good = sample().encode();
        for length in 0..good.len() {
            assert!(Toc::decode(&good[..length]).is_err(), "cut at {length}");
        }
        let body = zstd::decode_all(&good[MAGIC.len() + 1..]).unwrap();
        for position in 0..body.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut bad = body.clone();
                bad[position] = value;
                let mut encoded = [MAGIC, &[VERSION]].concat();
                encoded.extend(zstd::encode_all(&bad[..], 1).unwrap());
                drop(Toc::decode(&encoded));
            }
        }
    }

    #[test]
    fn a_false_count_reserves_nothing() {
        let mut body = Vec::new();
        number(&mut body, u64::MAX);
        let mut encoded = [MAGIC, &[VERSION]].concat();
        encoded.extend(zstd::encode_all(&body[..], 1).unwrap());
        assert_eq!(Toc::decode(&encoded), Err(TocError::Encoding("cut short")));
    }
}
