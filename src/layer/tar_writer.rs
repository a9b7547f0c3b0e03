//! The canonical tar: one contents table, one sequence of bytes.
//!
//! - Entries in the order of the table; a whiteout stands where its path would, an opaque mark right after its folder.
//! - ustar (POSIX.1-2017, `pax`, "ustar Interchange Format") with numeric owners, whole seconds, no names of owners.
//! - A pax header only before an entry that ustar cannot express, holding only what it cannot express: a path or link
//!   that is too long or not ASCII, a number that is too large, a time before 1970, extended attributes
//!   (`SCHILY.xattr.*`, as all container engines write them). Its records are sorted.
//! - `.wh.NAME` for a whiteout and `.wh..wh..opq` for an opaque folder (image-spec `layer.md`, "Whiteouts"): empty
//!   files of root without permissions, of the first second of 1970.
//! - Two zero blocks at the end, and no more: the layer without entries is 1024 zero bytes.
//!
//! Absent: access and change times, GNU and sparse extensions, the root itself.

use super::{
    entry_path,
    toc::{Entry, EntryKind},
};
use std::io::{self, Read, Write};

const BLOCK: usize = 512;
/// How much of a file is copied at once: what hashes like, and fits the second cache.
const PIECE: usize = 128 * 1024;
/// Largest number in a field of eight bytes: seven octal digits.
const MAX_SMALL: u64 = 0o7_777_777;
/// Largest number in a field of twelve bytes.
const MAX_LARGE: u64 = 0o77_777_777_777;
/// The prefix of names that mean an absence.
pub(super) const WHITEOUT_PREFIX: &[u8] = b".wh.";
/// The name that makes its folder opaque.
pub(super) const OPAQUE_NAME: &[u8] = b".wh..wh..opq";

/// Writes entries, in the order of their table, as a canonical tar.
pub(super) struct TarWriter<W> {
    output: W,
    written: u64,
}

impl<W: Write> TarWriter<W> {
    pub(super) fn new(output: W) -> Self {
        Self { output, written: 0 }
    }

    /// Writes an entry without bytes.
    pub(super) fn entry(&mut self, entry: &Entry) -> io::Result<()> {
        match &entry.kind {
            EntryKind::Dir { opaque } => {
                if !entry.path.is_empty() {
                    self.header(&entry.path, b'5', 0, b"", (0, 0), entry)?;
                }
                if *opaque {
                    self.mark(&entry_path::join(&entry.path, OPAQUE_NAME))?;
                }
                Ok(())
            }
            EntryKind::Symlink { target } => self.header(&entry.path, b'2', 0, target, (0, 0), entry),
            EntryKind::HardLink { target } => self.header(&entry.path, b'1', 0, target, (0, 0), entry),
            EntryKind::CharDevice { major, minor } => self.header(&entry.path, b'3', 0, b"", (*major, *minor), entry),
            EntryKind::BlockDevice { major, minor } => self.header(&entry.path, b'4', 0, b"", (*major, *minor), entry),
            EntryKind::Fifo => self.header(&entry.path, b'6', 0, b"", (0, 0), entry),
            EntryKind::Whiteout => {
                let (folder, name) = entry_path::split(&entry.path).unwrap_or((b"", b""));
                self.mark(&entry_path::join(folder, &[WHITEOUT_PREFIX, name].concat()))
            }
            EntryKind::File { size, .. } => self.file(entry, &mut io::repeat(0).take(*size)),
        }
    }

    /// Writes a file whose bytes are those of `content`; an error of kind `UnexpectedEof` if they are fewer than its
    /// entry says. Bytes beyond that are not read.
    pub(super) fn file(&mut self, entry: &Entry, content: &mut dyn Read) -> io::Result<()> {
        let EntryKind::File { size, .. } = entry.kind else { return self.entry(entry) };
        self.header(&entry.path, b'0', size, b"", (0, 0), entry)?;
        let mut left = size;
        let mut buffer = vec![0; PIECE.min(usize::try_from(size).unwrap_or(PIECE))];
        while left > 0 {
            let length = PIECE.min(usize::try_from(left).unwrap_or(PIECE));
            match content.read(&mut buffer[..length]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    self.write(&buffer[..count])?;
                    left -= count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.pad()
    }

    /// Writes a file whose bytes are at hand.
    pub(super) fn file_bytes(&mut self, entry: &Entry, content: &[u8]) -> io::Result<()> {
        self.header(&entry.path, b'0', content.len() as u64, b"", (0, 0), entry)?;
        self.write(content)?;
        self.pad()
    }

    /// Ends the tar; returns the output and how many bytes went there.
    pub(super) fn finish(mut self) -> io::Result<(W, u64)> {
        self.write(&[0; 2 * BLOCK])?;
        Ok((self.output, self.written))
    }

    fn mark(&mut self, path: &[u8]) -> io::Result<()> {
        let mut mark = Entry::new(path, EntryKind::Whiteout);
        mark.mode = 0;
        self.header(path, b'0', 0, b"", (0, 0), &mark)
    }

    fn header(
        &mut self,
        path: &[u8],
        kind: u8,
        size: u64,
        link: &[u8],
        device: (u32, u32),
        entry: &Entry,
    ) -> io::Result<()> {
        let mut path = path.to_vec();
        if kind == b'5' {
            path.push(b'/');
        }
        let mut pax = Pax::default();
        let mut header = Header::new(kind);
        if let Some((prefix, name)) = split_ustar(&path) {
            header.bytes(0, name);
            header.bytes(345, prefix);
        } else {
            pax.record(b"path", &path);
            header.bytes(0, &ascii_only(&path));
        }
        if link.len() <= 100 && link.is_ascii() {
            header.bytes(157, link);
        } else {
            pax.record(b"linkpath", link);
            header.bytes(157, &ascii_only(link));
        }
        let mtime = u64::try_from(entry.mtime).ok().filter(|mtime| *mtime <= MAX_LARGE);
        if mtime.is_none() {
            pax.record(b"mtime", entry.mtime.to_string().as_bytes());
        }
        header.small(100, u64::from(entry.mode & 0o7777));
        header.small(108, pax.number_within(b"uid", u64::from(entry.uid), MAX_SMALL));
        header.small(116, pax.number_within(b"gid", u64::from(entry.gid), MAX_SMALL));
        header.large(124, pax.number_within(b"size", size, MAX_LARGE));
        header.large(136, mtime.unwrap_or(0));
        header.small(329, u64::from(device.0));
        header.small(337, u64::from(device.1));
        for (name, value) in &entry.xattrs {
            if name.contains(&b'=') || name.contains(&0) {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "an extended attribute's name has a `=`"));
            }
            pax.record(&[b"SCHILY.xattr.", &name[..]].concat(), value);
        }
        if let Some(records) = pax.finish() {
            let mut extension = Header::new(b'x');
            extension.bytes(0, b"././@PaxHeader");
            extension.large(124, records.len() as u64);
            self.write(&extension.finish())?;
            self.write(&records)?;
            self.pad()?;
        }
        self.write(&header.finish())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.output.write_all(bytes)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    fn pad(&mut self) -> io::Result<()> {
        let over = usize::try_from(self.written % BLOCK as u64).unwrap_or(0);
        self.write(&[0; BLOCK][..(BLOCK - over) % BLOCK])
    }
}

/// One block of a ustar header.
struct Header([u8; BLOCK]);

impl Header {
    fn new(kind: u8) -> Self {
        let mut header = Self([0; BLOCK]);
        header.0[156] = kind;
        header.bytes(257, b"ustar\x0000");
        for number in [100, 108, 116, 329, 337] {
            header.small(number, 0);
        }
        header.large(124, 0);
        header.large(136, 0);
        header
    }

    fn bytes(&mut self, at: usize, bytes: &[u8]) {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn small(&mut self, at: usize, value: u64) {
        self.octal(at, 7, value);
    }

    fn large(&mut self, at: usize, value: u64) {
        self.octal(at, 11, value);
    }

    fn octal(&mut self, at: usize, digits: usize, mut value: u64) {
        for position in (at..at + digits).rev() {
            self.0[position] = b'0' + value.to_le_bytes()[0] % 8;
            value /= 8;
        }
    }

    /// The block with its checksum: the sum of its bytes, those of the sum itself taken as spaces.
    fn finish(mut self) -> [u8; BLOCK] {
        self.bytes(148, b"        ");
        let sum = self.0.iter().map(|&byte| u64::from(byte)).sum();
        self.octal(148, 6, sum);
        self.bytes(154, b"\0 ");
        self.0
    }
}

/// The records of a pax header.
#[derive(Default)]
struct Pax(Vec<(Vec<u8>, Vec<u8>)>);

impl Pax {
    fn record(&mut self, key: &[u8], value: &[u8]) {
        self.0.push((key.to_vec(), value.to_vec()));
    }

    /// `value` if ustar can hold it; otherwise it becomes a record, and 0.
    fn number_within(&mut self, key: &[u8], value: u64, limit: u64) -> u64 {
        if value <= limit {
            return value;
        }
        self.record(key, value.to_string().as_bytes());
        0
    }

    /// `LENGTH KEY=VALUE\n` a record, where the length counts itself.
    fn finish(mut self) -> Option<Vec<u8>> {
        self.0.sort();
        let mut records = Vec::new();
        for (key, value) in &self.0 {
            let rest = key.len() + value.len() + 3;
            let mut length = rest + rest.to_string().len();
            // Its own digits may have made the length one digit longer.
            length = rest + length.to_string().len();
            records.extend_from_slice(format!("{length} ").as_bytes());
            records.extend_from_slice(key);
            records.push(b'=');
            records.extend_from_slice(value);
            records.push(b'\n');
        }
        (!records.is_empty()).then_some(records)
    }
}

/// The path as ustar's prefix (up to 155 bytes) and name (up to 100), if it fits.
fn split_ustar(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if !path.is_ascii() {
        return None;
    }
    if path.len() <= 100 {
        return Some((b"", path));
    }
    // The shortest prefix that leaves a name that fits, so that there is one way only. A folder's last slash is part
    // of its name.
    let from = path.len() - 101;
    let inner = &path[..path.len() - 1];
    let slash = from + inner.get(from..)?.iter().position(|&byte| byte == b'/')?;
    (slash <= 155 && slash > 0).then(|| (&path[..slash], &path[slash + 1..]))
}

/// What a reader that knows no pax is shown.
fn ascii_only(path: &[u8]) -> Vec<u8> {
    path.iter().take(100).map(|&byte| if byte.is_ascii() { byte } else { b'_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{ContentDigest, DiffId, Digest};

    fn tar(entries: &[Entry]) -> Vec<u8> {
        let mut writer = TarWriter::new(Vec::new());
        for entry in entries {
            writer.entry(entry).unwrap();
        }
        let (tar, written) = writer.finish().unwrap();
        assert_eq!(tar.len() as u64, written);
        tar
    }

    fn file(path: &str, size: u64) -> Entry {
        Entry::new(path, EntryKind::File { size, digest: ContentDigest([0; 32]) })
    }

    #[test]
    fn no_entries_are_the_empty_layer() {
        assert_eq!(DiffId(Digest::of(&tar(&[]))), DiffId::empty());
    }

    #[test]
    fn a_pax_header_is_there_only_where_it_must() {
        let deep = |length: usize| "d/".repeat(length / 2) + "f";
        let long_name = "n".repeat(101);
        let with = |change: fn(&mut Entry)| {
            let mut entry = file("f", 0);
            change(&mut entry);
            entry
        };
        let cases: Vec<(Entry, &[&str])> = vec![
            (file("f", 0), &[]),
            (file(&deep(98), 0), &[]),
            (file(&deep(240), 0), &[]),
            (file(&deep(300), 0), &["path"]),
            (file(&long_name, 0), &["path"]),
            (file("\u{fc}", 0), &["path"]),
            (Entry::new("l", EntryKind::Symlink { target: vec![b'x'; 100] }), &[]),
            (Entry::new("l", EntryKind::Symlink { target: vec![b'x'; 101] }), &["linkpath"]),
            (with(|entry| entry.uid = 2_097_151), &[]),
            (with(|entry| entry.uid = 2_097_152), &["uid"]),
            (with(|entry| entry.gid = u32::MAX), &["gid"]),
            (with(|entry| entry.mtime = -1), &["mtime"]),
            (with(|entry| entry.mtime = 0o77_777_777_777), &[]),
            (
                with(|entry| {
                    entry.xattrs.insert(b"user.b".to_vec(), b"\n=".to_vec());
                    entry.xattrs.insert(b"security.capability".to_vec(), Vec::new());
                    entry.uid = 1 << 30;
                }),
                &["SCHILY.xattr.security.capability", "SCHILY.xattr.user.b", "uid"],
            ),
        ];
        for (entry, keys) in cases {
            let tar = tar(std::slice::from_ref(&entry));
            let has_pax = tar[156] == b'x';
            assert_eq!(has_pax, !keys.is_empty(), "{}", entry.display_path());
            let mut position = 0;
            for key in keys {
                let text = String::from_utf8_lossy(&tar[512..]).into_owned();
                let found = text[position..].find(&format!(" {key}=")).unwrap_or_else(|| panic!("{key}"));
                position += found;
            }
        }
    }

    #[test]
    fn a_record_counts_the_digits_of_its_length() {
        for length in 0..200 {
            let mut pax = Pax::default();
            pax.record(b"k", &vec![b'v'; length]);
            let records = pax.finish().unwrap();
            let text = String::from_utf8(records).unwrap();
            assert_eq!(text.split(' ').next().unwrap().parse(), Ok(text.len()));
        }
    }

    #[test]
    fn absences_have_the_names_of_the_specification() {
        let entries = [
            Entry::new("", EntryKind::Dir { opaque: true }),
            Entry::new("a", EntryKind::Dir { opaque: true }),
            Entry::new("a/b", EntryKind::Whiteout),
            Entry::new("c", EntryKind::Whiteout),
        ];
        let tar = tar(&entries);
        let names: Vec<_> = tar
            .chunks(BLOCK)
            .map(|block| String::from_utf8_lossy(&block[..100]).trim_end_matches('\0').to_owned())
            .filter(|name| !name.is_empty())
            .collect();
        assert_eq!(names, [".wh..wh..opq", "a/", "a/.wh..wh..opq", "a/.wh.b", ".wh.c"]);
    }

    #[test]
    fn a_file_with_fewer_bytes_than_promised_is_an_error() {
        let mut writer = TarWriter::new(Vec::new());
        let error = writer.file(&file("f", 3), &mut &b"ab"[..]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
