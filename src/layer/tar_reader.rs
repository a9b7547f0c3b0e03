//! Reading archives that others wrote, and trusting none of them.
//!
//! The same bytes must mean the same files to every tool that ever looks at them; otherwise what was scanned is not
//! what is unpacked. So whatever GNU tar, libarchive, Go and Python do not agree about is refused, not guessed:
//!
//! | case | here |
//! |---|---|
//! | pax `size` differs from the header's | the pax one holds (POSIX), for the data and for where the next header is |
//! | pax or GNU long-name headers in any order | each belongs to the next file; two of a kind, or both naming it: refused |
//! | a pax record that is malformed, or a sparse file in any of its four spellings | refused |
//! | global pax header | comments are skipped, anything that would change files is refused |
//! | data behind a link, folder, device or pipe | refused |
//! | one zero block, and then something else | refused |
//! | an end without zero blocks | accepted, as everywhere |
//! | numbers: octal, base 256 (GNU) | both; negative or too large: refused |
//!
//! Own code and not a library's, because the record of a pax attribute may hold any byte (`security.capability` does
//! hold line feeds), which libraries that split at line feeds cannot read.

use std::{
    collections::BTreeMap,
    io::{self, Read},
};

const BLOCK: usize = 512;
/// Largest pax header or GNU long name; Go has the same limit.
const MAX_EXTENSION: u64 = 1 << 20;

/// Why an archive is refused.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// Its structure is broken or means different things to different tools.
    #[error("the archive is broken near byte {position}: {what}")]
    Broken {
        /// Bytes from the beginning of the uncompressed archive.
        position: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// An entry that would leave the tree or break it.
    #[error("the archive's entry {name:?} is refused: {what}")]
    Entry {
        /// Its name as written; bytes that are no text are replaced.
        name: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// More than the limits allow.
    #[error("the archive is refused: it has more than {limit} {of}")]
    Limit {
        /// The limit.
        limit: u64,
        /// Of what.
        of: &'static str,
    },
    /// It cannot be decompressed, or ends too early.
    #[error("the archive cannot be read: {0}")]
    Read(io::Error),
}

impl From<ArchiveError> for io::Error {
    fn from(error: ArchiveError) -> Self {
        Self::other(error)
    }
}

/// An entry as the archive has it; nothing about its name was checked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct RawEntry {
    pub(super) name: Vec<u8>,
    pub(super) kind: RawKind,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime: i64,
    pub(super) size: u64,
    pub(super) link: Vec<u8>,
    pub(super) device: (u32, u32),
    pub(super) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum RawKind {
    #[default]
    File,
    HardLink,
    Symlink,
    CharDevice,
    BlockDevice,
    Dir,
    Fifo,
}

/// Reads one entry after the other; in between, it is the reader of the current entry's bytes.
pub(super) struct TarReader<R> {
    input: R,
    position: u64,
    data_left: u64,
    padding: u64,
}

/// What headers before an entry say about it.
#[derive(Default)]
struct Extensions {
    any: bool,
    pax: Option<BTreeMap<Vec<u8>, Vec<u8>>>,
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
}

impl<R: Read> TarReader<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, position: 0, data_left: 0, padding: 0 }
    }

    /// The next entry; what was not read of the one before is skipped. At the end, the rest of the input is read, so
    /// that a digest of all of it can be taken.
    pub(super) fn next_entry(&mut self) -> Result<Option<RawEntry>, ArchiveError> {
        let mut extensions = Extensions::default();
        loop {
            self.skip_data()?;
            let Some(block) = self.header_block()? else {
                if extensions.any {
                    return Err(self.broken("it ends after a header that describes the next entry"));
                }
                io::copy(&mut self.input, &mut io::sink()).map_err(read_error)?;
                return Ok(None);
            };
            let size = self.number(&block[124..136])?;
            match block[156] {
                b'x' => {
                    let records = self.extension(size)?;
                    let records = parse_pax(&records).ok_or_else(|| self.broken("a malformed pax record"))?;
                    extensions.once(|it| &mut it.pax, records).ok_or_else(|| self.broken("two pax headers"))?;
                }
                b'g' => {
                    let records = self.extension(size)?;
                    let records = parse_pax(&records).ok_or_else(|| self.broken("a malformed pax record"))?;
                    if records.keys().any(|key| key != b"comment") {
                        return Err(self.broken("a global pax header that changes entries"));
                    }
                }
                b'L' => {
                    let name = until_nul(&self.extension(size)?).to_vec();
                    extensions.once(|it| &mut it.long_name, name).ok_or_else(|| self.broken("two long names"))?;
                }
                b'K' => {
                    let link = until_nul(&self.extension(size)?).to_vec();
                    extensions.once(|it| &mut it.long_link, link).ok_or_else(|| self.broken("two long links"))?;
                }
                _ => return self.entry(&block, size, extensions).map(Some),
            }
        }
    }

    fn entry(&mut self, block: &[u8; BLOCK], size: u64, extensions: Extensions) -> Result<RawEntry, ArchiveError> {
        let Extensions { pax, long_name, long_link, .. } = extensions;
        let pax = pax.unwrap_or_default();
        if (long_name.is_some() && pax.contains_key(&b"path"[..]))
            || (long_link.is_some() && pax.contains_key(&b"linkpath"[..]))
        {
            return Err(self.broken("an entry with both a pax and a GNU name"));
        }
        let posix = &block[257..263] == b"ustar\0";
        let gnu = &block[257..265] == b"ustar  \0";
        let mut name = until_nul(&block[..100]).to_vec();
        if posix && block[345] != 0 {
            name = [until_nul(&block[345..500]), b"/", &name].concat();
        }
        let mut entry = RawEntry {
            name: long_name.unwrap_or(name),
            mode: self.small(&block[100..108])? & 0o7777,
            uid: self.small(&block[108..116])?,
            gid: self.small(&block[116..124])?,
            mtime: self.time(&block[136..148])?,
            size,
            link: long_link.unwrap_or_else(|| until_nul(&block[157..257]).to_vec()),
            ..RawEntry::default()
        };
        for (key, value) in pax {
            self.apply_record(&mut entry, &key, value)?;
        }
        entry.kind = match block[156] {
            // Before ustar, a folder was a file with a slash behind its name.
            0 | b'0' if !posix && !gnu && entry.name.ends_with(b"/") => RawKind::Dir,
            0 | b'0' | b'7' if entry.name.ends_with(b"/") => return Err(self.broken("a file with a folder's name")),
            0 | b'0' | b'7' => RawKind::File,
            b'1' => RawKind::HardLink,
            b'2' => RawKind::Symlink,
            b'3' => RawKind::CharDevice,
            b'4' => RawKind::BlockDevice,
            b'5' => RawKind::Dir,
            b'6' => RawKind::Fifo,
            b'S' => return Err(self.broken("a sparse file")),
            _ => return Err(self.broken("an entry of unknown type")),
        };
        if matches!(entry.kind, RawKind::CharDevice | RawKind::BlockDevice) {
            entry.device = (self.small(&block[329..337])?, self.small(&block[337..345])?);
        }
        if entry.kind != RawKind::File && entry.size != 0 {
            return Err(self.broken("data behind an entry that is no file"));
        }
        if entry.name.contains(&0) || entry.link.contains(&0) {
            return Err(self.broken("a name with a zero byte"));
        }
        self.expect_data(entry.size)?;
        Ok(entry)
    }

    fn apply_record(&self, entry: &mut RawEntry, key: &[u8], value: Vec<u8>) -> Result<(), ArchiveError> {
        let decimal = || std::str::from_utf8(&value).ok().filter(|text| !text.starts_with('+'));
        let malformed = || self.broken("a pax record with a malformed number");
        let id = || decimal().and_then(|text| text.parse::<u32>().ok()).ok_or_else(malformed);
        match key {
            b"path" => entry.name = value,
            b"linkpath" => entry.link = value,
            b"size" => entry.size = decimal().and_then(|text| text.parse().ok()).ok_or_else(malformed)?,
            b"uid" => entry.uid = id()?,
            b"gid" => entry.gid = id()?,
            b"mtime" => entry.mtime = decimal().and_then(whole_seconds).ok_or_else(malformed)?,
            _ if key.starts_with(b"GNU.sparse.") || key == b"SCHILY.realsize" => {
                return Err(self.broken("a sparse file"));
            }
            _ => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    entry.xattrs.insert(name.to_vec(), value);
                }
            }
        }
        Ok(())
    }

    /// The next header, or `None` at the end.
    fn header_block(&mut self) -> Result<Option<[u8; BLOCK]>, ArchiveError> {
        let mut block = [0; BLOCK];
        if !self.block(&mut block)? {
            return Ok(None);
        }
        if block.iter().all(|&byte| byte == 0) {
            if self.block(&mut block)? && block.iter().any(|&byte| byte != 0) {
                return Err(self.broken("a lone zero block"));
            }
            return Ok(None);
        }
        let expected = self.number(&block[148..156])?;
        let rest = || block[..148].iter().chain(b"        ").chain(&block[156..]);
        let unsigned: u64 = rest().map(|&byte| u64::from(byte)).sum();
        // Some ancient tools summed signed bytes.
        let signed: i64 = rest().map(|&byte| i64::from(byte.cast_signed())).sum();
        if expected != unsigned && i64::try_from(expected) != Ok(signed) {
            return Err(self.broken("a wrong checksum"));
        }
        Ok(Some(block))
    }

    /// Reads a block; `false` if there is none left. Half a block is an error.
    fn block(&mut self, block: &mut [u8; BLOCK]) -> Result<bool, ArchiveError> {
        let mut read = 0;
        while read < BLOCK {
            match self.input.read(&mut block[read..]) {
                Ok(0) if read == 0 => return Ok(false),
                Ok(0) => return Err(self.broken("it ends within a header")),
                Ok(count) => read += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(read_error(error)),
            }
        }
        self.position += BLOCK as u64;
        Ok(true)
    }

    fn extension(&mut self, size: u64) -> Result<Vec<u8>, ArchiveError> {
        if size > MAX_EXTENSION {
            return Err(self.broken("a header of more than a megabyte"));
        }
        self.expect_data(size)?;
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        self.read_to_end(&mut bytes).map_err(read_error)?;
        Ok(bytes)
    }

    fn expect_data(&mut self, size: u64) -> Result<(), ArchiveError> {
        size.checked_next_multiple_of(BLOCK as u64)
            .filter(|&padded| self.position.checked_add(padded).is_some())
            .ok_or_else(|| self.broken("an entry of absurd size"))?;
        self.data_left = size;
        self.padding = size.next_multiple_of(BLOCK as u64) - size;
        Ok(())
    }

    fn skip_data(&mut self) -> Result<(), ArchiveError> {
        io::copy(self, &mut io::sink()).map_err(read_error)?;
        let padding = std::mem::take(&mut self.padding);
        let skipped = io::copy(&mut self.input.by_ref().take(padding), &mut io::sink()).map_err(read_error)?;
        self.position += skipped;
        if skipped == padding { Ok(()) } else { Err(self.broken("it ends within an entry")) }
    }

    fn small(&self, field: &[u8]) -> Result<u32, ArchiveError> {
        u32::try_from(self.number(field)?).map_err(|_| self.broken("a number that is too large"))
    }

    fn time(&self, field: &[u8]) -> Result<i64, ArchiveError> {
        if field[0] == 0xff {
            // Base 256, two's complement, negative.
            let bytes = field[field.len() - 8..].try_into().expect("a time field has twelve bytes");
            return Ok(i64::from_be_bytes(bytes));
        }
        i64::try_from(self.number(field)?).map_err(|_| self.broken("a time that is too late"))
    }

    /// Octal digits, spaces before and a space or a zero byte behind; or base 256 with the first bit set.
    fn number(&self, field: &[u8]) -> Result<u64, ArchiveError> {
        let malformed = || self.broken("a malformed number");
        if field[0] & 0x80 != 0 {
            let (first, rest) = (field[0] & 0x7f, &field[1..]);
            return rest.iter().try_fold(u64::from(first), |value, &byte| {
                value.checked_mul(256).map(|value| value | u64::from(byte)).ok_or_else(malformed)
            });
        }
        let digits = until_nul(field).trim_ascii();
        digits.iter().try_fold(0u64, |value, &digit| match digit {
            b'0'..=b'7' => value.checked_mul(8).map(|value| value | u64::from(digit - b'0')).ok_or_else(malformed),
            _ => Err(malformed()),
        })
    }

    fn broken(&self, what: &'static str) -> ArchiveError {
        ArchiveError::Broken { position: self.position, what }
    }
}

/// The bytes of the current entry.
impl<R: Read> Read for TarReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = usize::try_from(self.data_left).unwrap_or(usize::MAX).min(buffer.len());
        if length == 0 {
            return Ok(0);
        }
        let count = self.input.read(&mut buffer[..length])?;
        if count == 0 {
            return Err(self.broken("it ends within a file").into());
        }
        self.data_left -= count as u64;
        self.position += count as u64;
        Ok(count)
    }
}

impl Extensions {
    /// Sets what must be set once only.
    fn once<T>(&mut self, field: impl Fn(&mut Self) -> &mut Option<T>, value: T) -> Option<()> {
        self.any = true;
        field(self).replace(value).is_none().then_some(())
    }
}

/// An error on the way to the archive's bytes; one of ours that came through `io` is itself again.
fn read_error(error: io::Error) -> ArchiveError {
    error.downcast::<ArchiveError>().unwrap_or_else(ArchiveError::Read)
}

/// `LENGTH KEY=VALUE\n` records; `None` if any is malformed. Of records with the same key, the last holds; an empty
/// value takes a record back (POSIX), except where it is a value.
fn parse_pax(mut bytes: &[u8]) -> Option<BTreeMap<Vec<u8>, Vec<u8>>> {
    let mut records = BTreeMap::new();
    while !bytes.is_empty() {
        let digits = bytes.iter().take(8).position(|&byte| byte == b' ')?;
        let length: usize =
            std::str::from_utf8(&bytes[..digits]).ok().filter(|text| !text.starts_with('+'))?.parse().ok()?;
        let (record, rest) = bytes.split_at_checked(length)?;
        let record = record.get(digits + 1..)?.strip_suffix(b"\n")?;
        let equals = record.iter().position(|&byte| byte == b'=')?;
        let (key, value) = (&record[..equals], &record[equals + 1..]);
        if key.is_empty() || key.contains(&0) {
            return None;
        }
        if value.is_empty() && !key.starts_with(b"SCHILY.xattr.") {
            records.remove(key);
        } else {
            records.insert(key.to_vec(), value.to_vec());
        }
        bytes = rest;
    }
    Some(records)
}

/// `[-]SECONDS[.FRACTION]`, rounded down.
fn whole_seconds(text: &str) -> Option<i64> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let whole: i64 = seconds.parse().ok()?;
    let rounds = text.starts_with('-') && fraction.bytes().any(|byte| byte != b'0');
    whole.checked_sub(i64::from(rounds))
}

fn until_nul(field: &[u8]) -> &[u8] {
    field.split(|&byte| byte == 0).next().unwrap_or(field)
}
