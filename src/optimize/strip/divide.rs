//! Which parts of an ELF file make the program and the debug file, and what their headers say.

use super::parts::Part;
use object::{
    Endianness, ReadCache, elf,
    read::elf::{FileHeader, ProgramHeader as _, SectionHeader as _},
};
use std::{collections::VecDeque, fs::File};

/// Debug sections of fewer bytes stay: a new file is not worth it.
const WORTHWHILE: u64 = 4096;
/// Sections of a program; real ones have 40.
const MOST_SECTIONS: usize = 512;
/// Bytes between two sections that are there for alignment.
const MOST_PADDING: u64 = 64;
/// Bytes of a note that a debug file has.
const LARGEST_NOTE: u64 = 64 << 10;

/// A section that is not loaded, or a note.
struct Section {
    index: usize,
    offset: u64,
    size: u64,
    alignment: u64,
    is_debug: bool,
    is_loaded: bool,
}

/// The parts of the program and of the debug file, of a file of `size` bytes; `None` if it is left alone.
pub(super) fn divide<H: FileHeader<Endian = Endianness>>(
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
    let saved: u64 =
        sections.iter().filter(|section| section.is_debug).map(|section| section.size).fold(0, u64::saturating_add);
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
            Part::Old { length, .. } | Part::Zeros(length) => *length,
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
