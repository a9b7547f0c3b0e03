//! The zip archive of a wheel: its directory, checked, and its files, read one by one from wherever they lie.
//!
//! The names decide where files go, so nothing but plain relative paths passes. What the directory says of sizes is held
//! against the archive's own size before a byte is unpacked, and against what comes out.

use super::record::Expected;
use crate::{layer::Stream, packages::files::At};
use flate2::read::DeflateDecoder;
use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, Read},
    sync::Arc,
};
use zip::{CompressionMethod, ZipArchive};

/// An archive may unpack to so many times its size, and to [`GRACE`] in any case.
const MAX_RATIO: u64 = 200;
const GRACE: u64 = 64 << 20;
/// More files than any package has.
const MAX_FILES: usize = 500_000;

/// A checked archive.
pub(super) struct Archive {
    members: Vec<Arc<Member>>,
}

/// One file in it.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: String,
    /// Bytes, unpacked.
    pub(super) size: u64,
    pub(super) executable: bool,
    file: Arc<File>,
    start: u64,
    compressed: u64,
    deflated: bool,
    crc: u32,
}

impl Archive {
    pub(super) fn open(file: File) -> Result<Self, String> {
        let broken = |error: &dyn std::fmt::Display| format!("it is no intact zip archive: {error}");
        let length = file.metadata().map_err(|error| broken(&error))?.len();
        let file = Arc::new(file);
        let at = At { file: Arc::clone(&file), position: 0, length };
        let mut zip = ZipArchive::new(io::BufReader::new(at)).map_err(|error| broken(&error))?;
        if zip.len() > MAX_FILES {
            return Err(format!("it has more than {MAX_FILES} files"));
        }
        let mut members = Vec::with_capacity(zip.len());
        let mut names = BTreeSet::new();
        let mut total: u64 = 0;
        for index in 0..zip.len() {
            let entry = zip.by_index_raw(index).map_err(|error| broken(&error))?;
            let name = std::str::from_utf8(entry.name_raw()).map_err(|_| "a name in it is not UTF-8".to_owned())?;
            let name = name.to_owned();
            if entry.encrypted() {
                return Err(format!("{name} is encrypted"));
            }
            // The file type in the upper bits, if the archive was made on a Unix.
            let mode = entry.unix_mode().unwrap_or(0);
            let is_folder = name.ends_with('/');
            check_name(name.strip_suffix('/').unwrap_or(&name))?;
            match mode & 0o170_000 {
                0 | 0o100_000 => {}
                0o040_000 if is_folder => {}
                0o120_000 => return Err(format!("{name} is a link, which wheels do not have")),
                _ => return Err(format!("{name} is no regular file")),
            }
            if is_folder {
                continue;
            }
            let compression = entry.compression();
            let deflated = compression == CompressionMethod::Deflated;
            if !deflated && compression != CompressionMethod::Stored {
                return Err(format!("{name} is compressed with {compression}, which wheels are not"));
            }
            let size = entry.size();
            let compressed = entry.compressed_size();
            let start = entry.data_start().ok_or_else(|| broken(&"a file without data"))?;
            if start.checked_add(compressed).is_none_or(|end| end > length) {
                return Err(broken(&"a file lies beyond its end"));
            }
            total = total.saturating_add(size);
            if total > length.saturating_mul(MAX_RATIO).saturating_add(GRACE) {
                return Err("it unpacks to far more than any package: a zip bomb".to_owned());
            }
            if !names.insert(name.clone()) {
                return Err(format!("{name} is in it twice"));
            }
            let executable = mode & 0o111 != 0;
            let crc = entry.crc32();
            let file = Arc::clone(&file);
            members.push(Arc::new(Member { name, size, executable, file, start, compressed, deflated, crc }));
        }
        Ok(Self { members })
    }

    pub(super) fn members(&self) -> &[Arc<Member>] {
        &self.members
    }

    /// The text of a file, if it is there.
    pub(super) fn text(&self, name: &str, limit: u64) -> Result<Option<String>, String> {
        let Some(member) = self.members.iter().find(|member| member.name == name) else { return Ok(None) };
        let bytes = member.bytes(limit)?;
        String::from_utf8(bytes).map(Some).map_err(|_| format!("{name} is not UTF-8 text"))
    }
}

/// Lets plain relative paths pass.
fn check_name(name: &str) -> Result<(), String> {
    let bad = |part: &str| matches!(part, "" | "." | "..");
    if name.split('/').any(bad) || name.contains(['\\', '\0', '\n', '\r']) {
        return Err(format!("{name:?} is no path inside of a package"));
    }
    Ok(())
}

impl Member {
    /// All of it; an error if it has more than `limit` bytes.
    pub(super) fn bytes(&self, limit: u64) -> Result<Vec<u8>, String> {
        let broken = |problem: String| format!("{}: {problem}", self.name);
        if self.size > limit {
            return Err(broken(format!("more than {limit} bytes")));
        }
        let mut bytes = Vec::new();
        self.reader().read_to_end(&mut bytes).map_err(|error| broken(error.to_string()))?;
        Ok(bytes)
    }

    /// Its first bytes, at most `count`.
    pub(super) fn beginning(&self, count: u64) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        let read = self.content().take(count).read_to_end(&mut bytes);
        read.map(|_| bytes).map_err(|error| format!("{}: {error}", self.name))
    }

    fn content(&self) -> Box<dyn Read + Send> {
        let length = self.start + self.compressed;
        let raw = At { file: Arc::clone(&self.file), position: self.start, length };
        if self.deflated { Box::new(DeflateDecoder::new(raw)) } else { Box::new(raw) }
    }

    /// Its bytes; the end is an error if they are not those that the archive promises.
    fn reader(&self) -> impl Read + Send + use<> {
        Checked { content: self.content(), left: self.size, crc: flate2::Crc::new(), expected: self.crc }
    }
}

/// A member that must hold what `RECORD` says.
#[derive(Debug)]
pub(super) struct Recorded {
    pub(super) member: Arc<Member>,
    pub(super) expected: Option<Expected>,
}

impl Stream for Recorded {
    fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        let reader = self.member.reader();
        Ok(match &self.expected {
            None => Box::new(reader),
            Some(expected) => Box::new(expected.reader(reader)),
        })
    }
}

/// Counts and sums up what passes.
struct Checked<R> {
    content: R,
    left: u64,
    crc: flate2::Crc,
    expected: u32,
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.content.read(buffer)?;
        self.crc.update(&buffer[..count]);
        let wrong = |problem| Err(io::Error::new(io::ErrorKind::InvalidData, problem));
        match self.left.checked_sub(count as u64) {
            None => return wrong("it is longer than the archive says"),
            Some(left) => self.left = left,
        }
        if count == 0 && !buffer.is_empty() {
            if self.left > 0 {
                return wrong("it is shorter than the archive says");
            }
            if self.crc.sum() != self.expected {
                return wrong("its checksum is not that of the archive");
            }
        }
        Ok(count)
    }
}
