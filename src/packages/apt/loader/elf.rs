//! What a library says of itself (System V ABI, chapters 4 and 5).

use object::{
    Endianness,
    elf::{self, FileHeader32, FileHeader64},
    read::{
        ReadCache, ReadRef,
        elf::{Dyn as _, FileHeader, ProgramHeader as _},
    },
};
use std::fs::File;

/// Largest table of dynamic entries that is read, in bytes; real ones have 1000.
const MAX_DYNAMIC: u64 = 1 << 20;
/// Longest name.
const MAX_NAME: u64 = 255;

/// A shared library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shared {
    /// What programs that are linked with it call it (`DT_SONAME`), if it says so.
    pub(super) soname: Option<String>,
    /// For whom it is, as the loader's table has it.
    pub(super) flags: u32,
}

/// What is in `file`; nothing if that is no library which programs for Debian's `architecture` could load.
pub(super) fn read(file: File, architecture: &str) -> Option<Shared> {
    let cache = ReadCache::new(file);
    shared::<FileHeader64<Endianness>>(&cache, architecture)
        .or_else(|| shared::<FileHeader32<Endianness>>(&cache, architecture))
}

fn shared<H: FileHeader<Endian = Endianness>>(cache: &ReadCache<File>, architecture: &str) -> Option<Shared> {
    let header = H::parse(cache).ok()?;
    let endian = header.endian().ok()?;
    if header.e_type(endian) != elf::ET_DYN {
        return None;
    }
    let machine = Machine {
        number: header.e_machine(endian),
        is_64: header.is_class_64(),
        is_little: endian == Endianness::Little,
        flags: header.e_flags(endian).0,
    };
    let flags = machine.flags_for(architecture)?;
    let segments = header.program_headers(endian, cache).ok()?;
    let dynamic = segments.iter().find(|segment| segment.p_type(endian) == elf::PT_DYNAMIC)?;
    if dynamic.p_filesz(endian).into() > MAX_DYNAMIC {
        return None;
    }
    let entries = dynamic.dynamic(endian, cache).ok()??;
    let value = |tag| {
        let mut entries = entries.iter().take_while(|entry| entry.tag(endian) != elf::DT_NULL);
        entries.find(|entry| entry.tag(endian) == tag).map(|entry| entry.val(endian))
    };
    let strings = value(elf::DT_STRTAB)?;
    let Some(soname) = value(elf::DT_SONAME) else { return Some(Shared { soname: None, flags }) };
    // Addresses are of memory: the segment that is loaded there says where in the file that is.
    let offset = segments.iter().filter(|segment| segment.p_type(endian) == elf::PT_LOAD).find_map(|segment| {
        let inside = strings.checked_sub(segment.p_vaddr(endian).into())?;
        (inside < segment.p_filesz(endian).into()).then(|| segment.p_offset(endian).into().checked_add(inside))?
    })?;
    let start = offset.checked_add(soname)?;
    let name = cache.read_bytes_at_until(start..start.checked_add(MAX_NAME + 1)?.min(cache.len().ok()?), 0).ok()?;
    let name = std::str::from_utf8(name).ok()?;
    Some(Shared { soname: Some(name.to_owned()), flags })
}

/// What a file says about the machine that it is for.
struct Machine {
    number: elf::Machine,
    is_64: bool,
    is_little: bool,
    /// `e_flags`
    flags: u32,
}

impl Machine {
    /// How the loader's table marks it; nothing if no system of Debian's `architecture` runs it. The numbers are those of
    /// `sysdeps/generic/ldconfig.h` of glibc; 3 is "ELF, for glibc".
    fn flags_for(&self, architecture: &str) -> Option<u32> {
        if self.is_little == super::table::is_big_endian(architecture) {
            return None;
        }
        let has = |flag| self.flags & flag != 0;
        let marked = match (architecture, self.number, self.is_64) {
            ("amd64" | "i386", elf::EM_X86_64, true) => 0x0300,
            ("amd64" | "i386", elf::EM_X86_64, false) => 0x0800,
            ("arm64", elf::EM_AARCH64, true) => 0x0a00,
            // `EF_ARM_ABI_FLOAT_HARD`, `EF_ARM_ABI_FLOAT_SOFT`
            ("arm64" | "armhf" | "armel", elf::EM_ARM, false) if has(0x400) => 0x0900,
            ("arm64" | "armhf" | "armel", elf::EM_ARM, false) if has(0x200) => 0x0b00,
            ("s390x", elf::EM_S390, true) => 0x0400,
            ("ppc64el", elf::EM_PPC64, true) => 0x0500,
            // `EF_RISCV_FLOAT_ABI`
            ("riscv64", elf::EM_RISCV, true) => match self.flags & 6 {
                0 => 0x0f00,
                4 => 0x1000,
                _ => return None,
            },
            // `EF_MIPS_NAN2008`, `EF_MIPS_ABI2`
            ("mips64el", elf::EM_MIPS, true) => {
                if has(0x400) {
                    0x0e00
                } else {
                    0x0700
                }
            }
            ("mips64el", elf::EM_MIPS, false) if has(0x20) => {
                if has(0x400) {
                    0x0d00
                } else {
                    0x0600
                }
            }
            ("mips64el", elf::EM_MIPS, false) => {
                if has(0x400) {
                    0x0c00
                } else {
                    0
                }
            }
            // `EF_LARCH_ABI_MODIFIER_MASK`
            ("loong64", elf::EM_LOONGARCH, true) => match self.flags & 7 {
                1 => 0x1100,
                3 => 0x1200,
                _ => return None,
            },
            ("amd64" | "i386", elf::EM_386, false)
            | ("arm64" | "armhf" | "armel", elf::EM_ARM, false)
            | ("s390x", elf::EM_S390, false) => 0,
            _ => return None,
        };
        Some(marked | 3)
    }
}
