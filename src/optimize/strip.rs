//! A program without its debug sections, and the debug sections without the program (System V ABI, chapters 4 and 5).
//!
//! | | program | debug file |
//! |---|---|---|
//! | up to the end of the last segment | as it was, byte for byte | headers alone |
//! | notes | as they were: the build id says that the two belong together | likewise |
//! | `.debug_*`, `.zdebug_*`, `.gdb_index` | gone; their headers are inactive (`SHT_NULL`), so that no number changes | as they were |
//! | other sections that are not loaded: names, symbols | moved up | as they were |
//! | sections that are loaded | as they were | without bytes (`SHT_NOBITS`) |
//!
//! A library could lay such a file out anew, in memory and with all that is loaded in it. Here nothing that is loaded moves, and
//! the result is parts of the file in a row, however large it is.
//!
//! What is not laid out like this is left alone: files that are no program or library, debug sections that are loaded, bytes
//! behind the last section or between two of them (programs that unpack themselves have such), sections that refer to what
//! would go.

use super::owner::Elf;
use crate::{
    image::{ContentDigest, DiffId},
    layer::{Layers, Stream},
};
use object::{
    Endianness, Object as _, ReadCache,
    elf::{self, FileHeader32, FileHeader64},
    read::elf::{FileHeader, ProgramHeader as _, SectionHeader as _},
};
use std::{
    collections::VecDeque,
    fmt,
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt as _,
};

/// Debug sections of fewer bytes stay: a new file is not worth it.
const WORTHWHILE: u64 = 4096;
/// Sections of a program; real ones have 40.
const MOST_SECTIONS: usize = 512;
/// Bytes between two sections that are there for alignment.
const MOST_PADDING: u64 = 64;
/// Bytes of a note that a debug file has.
const LARGEST_NOTE: u64 = 64 << 10;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Half {
    /// What runs.
    Program,
    /// What a debugger reads.
    Debug,
}

/// What of a file that can be divided is known beforehand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Divisible {
    /// Bytes of the program.
    pub(super) size: u64,
    /// Its digest.
    pub(super) digest: ContentDigest,
    /// Where debuggers look for the other half, in the spelling of [`crate::layer::Entry::path`].
    pub(super) debug_path: Vec<u8>,
}

/// One half of a file of a layer, made when it is read.
pub(super) struct HalfOfFile {
    pub(super) layers: Layers,
    pub(super) layer: DiffId,
    pub(super) path: Vec<u8>,
    pub(super) half: Half,
}

/// A file in parts.
#[derive(Debug)]
enum Part {
    /// Bytes of the old file.
    Old {
        offset: u64,
        length: u64,
    },
    New(Vec<u8>),
}

/// Parts in a row.
struct Written {
    old: File,
    parts: VecDeque<Part>,
}

/// Whether a file can be divided, and what its halves are like. `path` is that of the file.
pub(super) fn divisible(open: impl Fn() -> io::Result<File>, path: &[u8]) -> io::Result<Option<Divisible>> {
    let Some((mut program, build_id)) = halves(open()?).map(|(program, _, id)| (program, id)) else { return Ok(None) };
    program.old = open()?;
    let mut hasher = blake3::Hasher::new();
    let size = io::copy(&mut program, &mut hasher)?;
    let debug_path = match build_id {
        // The first byte is that of a folder (`gdb`, Separate Debug Files).
        Some(id) => format!("usr/lib/debug/.build-id/{}/{}.debug", &id[..2], &id[2..]).into_bytes(),
        None => [b"usr/lib/debug/", path, b".debug"].concat(),
    };
    Ok(Some(Divisible { size, digest: hasher.finalize().into(), debug_path }))
}

/// Size and digest of a half that was found to be divisible.
pub(super) fn measure(half: &HalfOfFile) -> io::Result<(u64, ContentDigest)> {
    let mut hasher = blake3::Hasher::new();
    let size = io::copy(&mut half.open()?, &mut hasher)?;
    Ok((size, hasher.finalize().into()))
}

impl Stream for HalfOfFile {
    fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        let file = || self.layers.open_file(&self.layer, &self.path).map_err(io::Error::other);
        let (program, debug, _) =
            halves(file()?).ok_or_else(|| io::Error::other("a program is not what it was a moment ago"))?;
        let parts = match self.half {
            Half::Program => program.parts,
            Half::Debug => debug.parts,
        };
        Ok(Box::new(Written { old: file()?, parts }))
    }
}

impl fmt::Debug for HalfOfFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} of {} in {}", self.half, String::from_utf8_lossy(&self.path), self.layer)
    }
}

impl Read for Written {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = match self.parts.front_mut() {
                None => return Ok(0),
                Some(Part::New(bytes)) => {
                    let count = buffer.len().min(bytes.len());
                    buffer[..count].copy_from_slice(&bytes[..count]);
                    bytes.drain(..count);
                    count
                }
                Some(Part::Old { offset, length }) => {
                    let most = usize::try_from(*length).unwrap_or(usize::MAX).min(buffer.len());
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

/// Both halves, and the build id in hexadecimal; `None` if the file is left alone.
fn halves(file: File) -> Option<(Written, Written, Option<String>)> {
    let size = file.metadata().ok()?.len();
    let copies = [file.try_clone().ok()?, file.try_clone().ok()?];
    Elf::open(file.try_clone().ok()?)?;
    let cache = ReadCache::new(file);
    let halves =
        divide::<FileHeader64<Endianness>>(&cache, size).or_else(|| divide::<FileHeader32<Endianness>>(&cache, size));
    let (program, debug) = halves?;
    let id = object::read::File::parse(&cache).ok()?.build_id().ok().flatten().map(<[u8]>::to_vec);
    let id = id.filter(|id| (2..=64).contains(&id.len())).map(|id| hex(&id));
    let [a, b] = copies;
    Some((Written { old: a, parts: program }, Written { old: b, parts: debug }, id))
}

fn hex(bytes: &[u8]) -> String {
    let digits = |byte: &u8| [byte >> 4, byte & 15].map(|digit| char::from_digit(digit.into(), 16).unwrap_or_default());
    bytes.iter().flat_map(digits).collect()
}

/// A section that is not loaded, or a note.
struct Section {
    index: usize,
    offset: u64,
    size: u64,
    alignment: u64,
    is_debug: bool,
    is_loaded: bool,
}

fn divide<H: FileHeader<Endian = Endianness>>(
    cache: &ReadCache<File>,
    size: u64,
) -> Option<(VecDeque<Part>, VecDeque<Part>)> {
    let header = H::parse(cache).ok()?;
    let endian = header.endian().ok()?;
    let layout = Layout { is_64: H::is_type_64_sized(), is_little: endian == Endianness::Little };
    if header.e_type(endian) != elf::ET_EXEC && header.e_type(endian) != elf::ET_DYN {
        return None;
    }
    let headers = header.section_headers(endian, cache).ok()?;
    let table_offset: u64 = header.e_shoff(endian).into();
    let table_size = headers.len() as u64 * layout.section_header();
    if headers.len() > MOST_SECTIONS || u64::from(header.e_shentsize(endian)) != layout.section_header() {
        return None;
    }
    let segments = header.program_headers(endian, cache).ok()?;
    let segments_offset: u64 = header.e_phoff(endian).into();
    let segments_size = segments.len() as u64 * layout.program_header();
    let header_size = layout.file_header();
    if segments.is_empty()
        || segments_offset != header_size
        || u64::from(header.e_phentsize(endian)) != layout.program_header()
    {
        return None;
    }
    let mut loaded_end = header_size + segments_size;
    for segment in segments {
        let (offset, length) = segment.file_range(endian);
        loaded_end = loaded_end.max(offset.checked_add(length)?);
    }

    let names = header.section_strings(endian, cache, headers).ok()?;
    let mut sections = Vec::new();
    for (index, section) in headers.iter().enumerate() {
        let kind = section.sh_type(endian);
        let Some((offset, size)) = section.file_range(endian).filter(|_| kind != elf::SHT_NULL) else { continue };
        let is_loaded = section.sh_flags(endian).contains(elf::SHF_ALLOC);
        let name = section.name(endian, names).ok()?;
        let is_debug =
            !is_loaded && (name.starts_with(b".debug_") || name.starts_with(b".zdebug_") || name == b".gdb_index");
        if is_loaded && kind != elf::SHT_NOTE {
            continue;
        }
        let is_among_loaded = offset.checked_add(size)? <= loaded_end;
        if is_loaded != is_among_loaded && size > 0 {
            return None;
        }
        let alignment: u64 = section.sh_addralign(endian).into();
        sections.push(Section { index, offset, size, alignment: alignment.clamp(1, 4096), is_debug, is_loaded });
    }
    let goes = |index: usize| sections.iter().any(|section| section.is_debug && section.index == index);
    for (index, section) in headers.iter().enumerate().filter(|(index, _)| !goes(*index)) {
        let refers = goes(section.link(endian).0) || section.has_info_link(endian) && goes(section.info_link(endian).0);
        if refers || index == header.shstrndx(endian, cache).ok()? as usize && goes(index) {
            return None;
        }
    }
    let saved: u64 = sections.iter().filter(|section| section.is_debug).map(|section| section.size).sum();
    let rest = || sections.iter().filter(|section| !section.is_loaded && section.size > 0);
    let pieces = rest().map(|section| (section.offset, section.size)).chain([(table_offset, table_size)]);
    if saved < WORTHWHILE || !are_in_a_row(pieces.collect(), loaded_end, size) {
        return None;
    }

    let mut table = read(cache, table_offset, table_size)?;
    let program_header = read(cache, 0, header_size)?;
    let mut program = Writer::new(
        layout,
        program_header.clone(),
        Part::Old { offset: header_size, length: loaded_end - header_size },
    );
    let mut program_table = table.clone();
    let mut in_order: Vec<&Section> = sections.iter().collect();
    in_order.sort_by_key(|section| section.offset);
    for section in in_order.iter().filter(|section| !section.is_loaded) {
        let entry = layout.entry(&mut program_table, section.index);
        if section.is_debug {
            entry.fill(0);
        } else {
            let offset = program.add(section);
            layout.set_offset(entry, offset);
        }
    }

    let mut segment_table = read(cache, segments_offset, segments_size)?;
    for segment in segment_table.chunks_exact_mut(usize::try_from(layout.program_header()).ok()?) {
        layout.empty_segment(segment);
    }
    let mut debug = Writer::new(layout, program_header, Part::New(segment_table));
    for section in in_order.iter().filter(|section| !section.is_loaded || section.size <= LARGEST_NOTE) {
        let offset = debug.add(section);
        layout.set_offset(layout.entry(&mut table, section.index), offset);
    }
    let has_bytes =
        |index: usize| in_order.iter().any(|it| it.index == index && (!it.is_loaded || it.size <= LARGEST_NOTE));
    for (index, section) in headers.iter().enumerate() {
        if section.sh_flags(endian).contains(elf::SHF_ALLOC) && !has_bytes(index) {
            layout.take_bytes(layout.entry(&mut table, index));
        }
    }
    Some((program.finish(program_table), debug.finish(table)))
}

/// Whether parts of a file follow each other without a gap, from `begin` to the end of the file.
fn are_in_a_row(mut pieces: Vec<(u64, u64)>, begin: u64, end: u64) -> bool {
    pieces.sort_unstable();
    let mut at = begin;
    for (offset, size) in pieces {
        let Some(next) = offset.checked_add(size) else { return false };
        if offset < at || offset - at > MOST_PADDING {
            return false;
        }
        at = next;
    }
    at == end
}

fn read(cache: &ReadCache<File>, offset: u64, size: u64) -> Option<Vec<u8>> {
    object::ReadRef::read_bytes_at(cache, offset, size).ok().map(<[u8]>::to_vec)
}

/// A file as it is put together.
struct Writer {
    layout: Layout,
    header: Vec<u8>,
    parts: VecDeque<Part>,
    at: u64,
}

impl Writer {
    fn new(layout: Layout, header: Vec<u8>, first: Part) -> Self {
        let length = match &first {
            Part::Old { length, .. } => *length,
            Part::New(bytes) => bytes.len() as u64,
        };
        let at = header.len() as u64 + length;
        Self { layout, header, parts: VecDeque::from([first]), at }
    }

    fn align(&mut self, alignment: u64) {
        let padding = self.at.next_multiple_of(alignment) - self.at;
        self.parts.push_back(Part::New(vec![0; usize::try_from(padding).expect("alignments are small")]));
        self.at += padding;
    }

    /// Returns where it is now.
    fn add(&mut self, section: &Section) -> u64 {
        self.align(section.alignment);
        let offset = self.at;
        self.parts.push_back(Part::Old { offset: section.offset, length: section.size });
        self.at += section.size;
        offset
    }

    fn finish(mut self, table: Vec<u8>) -> VecDeque<Part> {
        self.align(8);
        self.layout.set_table(&mut self.header, self.at);
        self.parts.push_back(Part::New(table));
        self.parts.push_front(Part::New(self.header));
        self.parts
    }
}

/// Where fields are in headers.
#[derive(Clone, Copy)]
struct Layout {
    is_64: bool,
    is_little: bool,
}

impl Layout {
    fn file_header(self) -> u64 {
        if self.is_64 { 64 } else { 52 }
    }

    fn program_header(self) -> u64 {
        if self.is_64 { 56 } else { 32 }
    }

    fn section_header(self) -> u64 {
        if self.is_64 { 64 } else { 40 }
    }

    fn entry(self, table: &mut [u8], index: usize) -> &mut [u8] {
        let size = usize::try_from(self.section_header()).expect("64 or 40");
        &mut table[index * size..][..size]
    }

    /// Writes an `Elf64_Off` or an `Elf32_Off`: what does not fit was not in the file before either.
    fn set_word(self, bytes: &mut [u8], at_64: usize, at_32: usize, value: u64) {
        let (at, size) = if self.is_64 { (at_64, 8) } else { (at_32, 4) };
        let little = value.to_le_bytes();
        let target = &mut bytes[at..at + size];
        target.copy_from_slice(&little[..size]);
        if !self.is_little {
            target.reverse();
        }
    }

    /// `e_shoff`
    fn set_table(self, header: &mut [u8], offset: u64) {
        self.set_word(header, 0x28, 0x20, offset);
    }

    /// `sh_offset`
    fn set_offset(self, entry: &mut [u8], offset: u64) {
        self.set_word(entry, 0x18, 0x10, offset);
    }

    /// `sh_type` becomes `SHT_NOBITS`.
    fn take_bytes(self, entry: &mut [u8]) {
        let kind = elf::SHT_NOBITS.0;
        entry[4..8].copy_from_slice(&if self.is_little { kind.to_le_bytes() } else { kind.to_be_bytes() });
    }

    /// `p_filesz`
    fn empty_segment(self, segment: &mut [u8]) {
        self.set_word(segment, 0x20, 0x10, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, path::PathBuf, process::Command};

    /// A program with debug sections, compiled here. Nothing where there is no compiler.
    #[expect(clippy::print_stderr, reason = "a test that was not run is to be seen")]
    fn program(folder: &tempfile::TempDir, flags: &[&str]) -> Option<PathBuf> {
        let source = folder.path().join("main.c");
        let functions = (0..600).map(|n| format!("int f{n}(int x) {{ int y = x * {n}; return y + {n}; }}\n"));
        let calls = (0..600).map(|n| format!("sum += f{n}(sum);\n")).collect::<Vec<_>>().concat();
        let main = format!("int main(void) {{ int sum = 1; {calls} return sum == 0 ? 1 : 7; }}\n");
        fs::write(&source, functions.collect::<Vec<_>>().concat() + &main).unwrap();
        let program = folder.path().join("program");
        let made = Command::new("cc").args(["-g", "-O0"]).args(flags).arg("-o").arg(&program).arg(&source).status();
        if !made.is_ok_and(|status| status.success()) {
            eprintln!("skipped: there is no C compiler");
            return None;
        }
        Some(program)
    }

    fn written(mut half: Written) -> Vec<u8> {
        let mut bytes = Vec::new();
        half.read_to_end(&mut bytes).unwrap();
        bytes
    }

    fn divided(bytes: &[u8]) -> Option<(Vec<u8>, Vec<u8>, Option<String>)> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), bytes).unwrap();
        halves(File::open(file.path()).unwrap()).map(|(program, debug, id)| (written(program), written(debug), id))
    }

    fn sections(bytes: &[u8]) -> Vec<(String, u64)> {
        use object::ObjectSection as _;
        let parsed = object::read::File::parse(bytes).unwrap();
        let sections = parsed.sections();
        sections.map(|it| (it.name().unwrap().to_owned(), it.file_range().map_or(0, |(_, size)| size))).collect()
    }

    #[test]
    fn a_program_runs_without_its_debug_sections_and_they_are_all_in_the_other_half() {
        let folder = tempfile::tempdir().unwrap();
        for flags in [&[][..], &["-no-pie"], &["-static"], &["-shared", "-fPIC"], &["-gz"]] {
            let Some(path) = program(&folder, flags) else { return };
            let old = fs::read(&path).unwrap();
            let (program, debug, id) = divided(&old).unwrap_or_else(|| panic!("{flags:?}"));
            assert!(program.len() + 4096 < old.len(), "{flags:?}");
            assert!(!sections(&program).iter().any(|(name, _)| name.starts_with(".debug_")), "{flags:?}");
            let size = |of: &[u8], name: &str| sections(of).iter().find(|(known, _)| known == name).map(|it| it.1);
            assert_eq!(size(&debug, ".debug_info"), size(&old, ".debug_info"), "{flags:?}");
            assert_eq!(size(&debug, ".text"), Some(0), "{flags:?}");
            assert_eq!(size(&program, ".symtab"), size(&old, ".symtab"), "{flags:?}");
            for half in [&program, &debug] {
                let found = object::read::File::parse(&half[..]).unwrap();
                let found = found.build_id().unwrap().map(hex);
                assert_eq!(found, id, "{flags:?}");
            }
            fs::write(&path, &program).unwrap();
            if !flags.contains(&"-shared") {
                assert_eq!(Command::new(&path).status().unwrap().code(), Some(7), "{flags:?}");
            }
            assert!(divided(&program).is_none(), "nothing is left to take out");
        }
    }

    #[test]
    fn what_is_laid_out_in_another_way_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let Some(path) = program(&folder, &[]) else { return };
        let old = fs::read(&path).unwrap();
        let with_payload = [&old[..], b"what a program unpacks"].concat();
        assert!(divided(&with_payload).is_none());
        let Some(object) = program(&folder, &["-c"]) else { return };
        assert!(divided(&fs::read(object).unwrap()).is_none(), "what is not linked yet has relocations");
        for text in [&b""[..], b"\x7fELF", b"#!/bin/sh\n", &[0x7f; 5000]] {
            assert!(divided(text).is_none());
        }
    }

    #[test]
    fn hostile_headers_do_no_harm() {
        let folder = tempfile::tempdir().unwrap();
        let Some(path) = program(&folder, &[]) else { return };
        let old = fs::read(&path).unwrap();
        let table = usize::try_from(u64::from_le_bytes(old[0x28..0x30].try_into().unwrap())).unwrap();
        // Every byte of the headers, and some of what lies between, with its bits turned or all set.
        let places = (0..64 + 13 * 56).chain(table..old.len()).step_by(3);
        for place in places {
            for change in [0xff, 0x80, 0x01] {
                let mut hostile = old.clone();
                hostile[place] ^= change;
                if let Some((program, debug, _)) = divided(&hostile) {
                    assert!(program.len() <= hostile.len() && debug.len() <= hostile.len() + 4096, "{place}");
                }
            }
        }
        for length in (0..old.len()).step_by(997) {
            assert!(divided(&old[..length]).is_none(), "{length}");
        }
    }
}
