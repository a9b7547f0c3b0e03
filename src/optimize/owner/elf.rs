//! Programs and libraries (System V ABI, chapter 4), as far as it takes to know what is in them.

use object::{
    Object as _, ObjectSection as _,
    read::{File as Parsed, ReadCache},
};
use std::fs::File;

/// Sections of a file; real ones have 40, those of kernels' modules and of `-ffunction-sections` thousands.
const MOST_SECTIONS: usize = 100_000;

/// A program or library that was opened.
pub(in crate::optimize) struct Elf {
    cache: ReadCache<File>,
}

impl Elf {
    /// Whether a file of `size` bytes can be one. Nothing is read.
    pub(in crate::optimize) fn may_be(size: u64) -> bool {
        size >= 64
    }

    /// Of an opened file; `None` if it is none.
    pub(in crate::optimize) fn open(file: File) -> Option<Self> {
        let mut magic = [0; 4];
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut magic, 0).ok()?;
        (magic == *b"\x7fELF").then(|| Self { cache: ReadCache::new(file) })
    }

    /// The bytes of a section, if they are at most `limit`.
    pub(in crate::optimize) fn section(&self, name: &str, limit: u64) -> Option<Vec<u8>> {
        let parsed = Parsed::parse(&self.cache).ok()?;
        let section = parsed.sections().take(MOST_SECTIONS).find(|section| section.name() == Ok(name))?;
        if section.size() > limit {
            return None;
        }
        section.data().ok().map(<[u8]>::to_vec)
    }

    /// Name of each section, and its bytes in the file.
    pub(in crate::optimize) fn sections(&self) -> Vec<(String, u64)> {
        let Ok(parsed) = Parsed::parse(&self.cache) else { return Vec::new() };
        let sections = parsed.sections().take(MOST_SECTIONS);
        sections
            .filter_map(|section| {
                Some((section.name().ok()?.to_owned(), section.file_range().map_or(0, |(_, size)| size)))
            })
            .collect()
    }

    /// The libraries that it is linked with (`DT_NEEDED`), by name.
    pub(in crate::optimize) fn needed(&self) -> Vec<String> {
        const NEEDED: u64 = 1;
        let Ok(parsed) = Parsed::parse(&self.cache) else { return Vec::new() };
        let (is_64, little) = (parsed.is_64(), parsed.is_little_endian());
        let (Some(dynamic), Some(names)) = (self.section(".dynamic", 1 << 20), self.section(".dynstr", 64 << 20))
        else {
            return Vec::new();
        };
        let word = if is_64 { 8 } else { 4 };
        let number = |bytes: &[u8]| {
            let digits = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
            if little { bytes.iter().rev().fold(0, digits) } else { bytes.iter().fold(0, digits) }
        };
        let name = |at: u64| {
            let rest = names.get(usize::try_from(at).ok()?..)?;
            rest.split(|&byte| byte == 0).next().map(|name| String::from_utf8_lossy(name).into_owned())
        };
        let entries = dynamic.chunks_exact(2 * word).filter(|entry| number(&entry[..word]) == NEEDED);
        entries.filter_map(|entry| name(number(&entry[word..]))).take(1000).collect()
    }
}
