//! Code for GPUs inside of programs: the fat binaries of CUDA.
//!
//! A section of a program has containers in a row, and a container has the same code several times, once for each of several
//! GPUs:
//!
//! | bytes | container | code in it |
//! |---|---|---|
//! | 0-1 | `50 ed 55 ba`, up to 3 | kind: 1 is PTX, 2 is a cubin |
//! | 2-3 | | version: 0x0101 |
//! | 4-7 | version: 1, then length of this header: 16, two bytes each | length of this header: 64 and more |
//! | 8-15 | length of all that follows | length of the payload, which follows, with its padding |
//! | 28-31 | | compute capability, 10 × major + minor |
//! | 40-47 | | flags; 0x100000: for exactly this capability |
//!
//! All numbers are little-endian. NVIDIA does not describe the format; `cuobjdump` lists the same as is read here. What is not
//! as in this table is not understood, and then nothing of the program is changed.
//!
//! A payload that no GPU of those in question can select becomes zeros. Everything stays where it is, headers too, so the
//! driver walks the same list, and zeros take next to no space in a layer.

use super::gpu::{Code, Gpu, Kind};
use object::{
    Object as _, ObjectSection as _,
    read::{File as Parsed, ReadCache},
};
use std::{fs::File, io, ops::Range, os::unix::fs::FileExt as _};

/// What is linked, and what was compiled to be linked on the device.
const SECTIONS: [&[u8]; 2] = [b".nv_fatbin", b"__nv_relfatbin"];
/// Sections of a program; real ones have 40.
const MOST_SECTIONS: usize = 512;
/// Codes of a program; cuBLAS has 6,000.
const MOST_CODES: usize = 200_000;
const MAGIC: u32 = 0xBA55_ED50;
const CONTAINER_HEADER: u64 = 16;
const CODE_HEADER: u64 = 64;
const LARGEST_HEADER: u64 = 64 << 10;
const SPECIFIC: u64 = 0x10_0000;
/// Bytes between two containers that are there for alignment.
const MOST_PADDING: usize = 64;
/// Real code does not begin with so many zeros.
const BLANK: usize = 16;

/// Why the GPU code of a program is left alone.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("its GPU code is of no known form: at byte {at}, {what}")]
pub(super) struct NotUnderstood {
    at: u64,
    what: &'static str,
}

/// A container's code, with the bytes of each payload.
type Container = Vec<(Code, Range<u64>)>;

/// Payloads in a program that none of `gpus` selects and that are no zeros yet, as sorted ranges of bytes.
pub(super) fn unneeded(file: &File, gpus: &[Gpu]) -> io::Result<Result<Vec<Range<u64>>, NotUnderstood>> {
    let size = file.metadata()?.len();
    let mut reader = Reader { file, left: MOST_CODES };
    let mut found: Vec<Range<u64>> = Vec::new();
    for section in sections(file.try_clone()?) {
        let containers = match reader.containers(section, size)? {
            Ok(containers) => containers,
            Err(error) => return Ok(Err(error)),
        };
        found.extend(containers.into_iter().flat_map(|container| unselected(container, gpus)));
    }
    let mut real = Vec::with_capacity(found.len());
    for payload in found {
        if !reader.is_blank(&payload)? {
            real.push(payload);
        }
    }
    real.sort_unstable_by_key(|payload| payload.start);
    Ok(Ok(real))
}

/// Payloads of a container that none of `gpus` selects.
fn unselected(container: Container, gpus: &[Gpu]) -> Vec<Range<u64>> {
    let all: Vec<Code> = container.iter().map(|(code, _)| *code).collect();
    let goes = |code: Code| !gpus.iter().any(|gpu| gpu.may_select(code, &all));
    container.into_iter().filter(|(code, _)| goes(*code)).map(|(_, payload)| payload).collect()
}

/// Where a program has fat binaries.
fn sections(file: File) -> Vec<Range<u64>> {
    let cache = ReadCache::new(file);
    let Ok(parsed) = Parsed::parse(&cache) else { return Vec::new() };
    let sections = parsed.sections().take(MOST_SECTIONS);
    let of_gpus = sections.filter(|section| section.name_bytes().is_ok_and(|name| SECTIONS.contains(&name)));
    of_gpus.filter_map(|section| section.file_range()).map(|(at, size)| at..at.saturating_add(size)).collect()
}

struct Reader<'a> {
    file: &'a File,
    /// Codes that may still come.
    left: usize,
}

impl Reader<'_> {
    /// The containers of a section of a file of `size` bytes.
    fn containers(&mut self, section: Range<u64>, size: u64) -> io::Result<Result<Vec<Container>, NotUnderstood>> {
        let not = |at, what| Ok(Err(NotUnderstood { at, what }));
        if section.end > size {
            return not(section.start, "a section is longer than the file");
        }
        let mut containers = Vec::new();
        let mut at = section.start;
        loop {
            at += self.padding(at, section.end)?;
            if at == section.end {
                return Ok(Ok(containers));
            }
            let Some(begin) = within(at, CONTAINER_HEADER, section.end) else {
                return not(at, "a container is cut off");
            };
            let header = self.read::<16>(at)?;
            if u32_at(&header, 0) != MAGIC
                || u16_at(&header, 4) != 1
                || u64::from(u16_at(&header, 6)) != CONTAINER_HEADER
            {
                return not(at, "there is no container of version 1");
            }
            let Some(end) = within(begin, u64_at(&header, 8), section.end) else {
                return not(at, "a container is longer than its section");
            };
            match self.container(begin, end)? {
                Ok(container) => containers.push(container),
                Err(error) => return Ok(Err(error)),
            }
            at = end;
        }
    }

    fn container(&mut self, begin: u64, end: u64) -> io::Result<Result<Container, NotUnderstood>> {
        let mut container = Vec::new();
        let mut at = begin;
        while at < end {
            let not = |what| Ok(Err(NotUnderstood { at, what }));
            if within(at, CODE_HEADER, end).is_none() {
                return not("a header is cut off");
            }
            let header = self.read::<64>(at)?;
            let length = u64::from(u32_at(&header, 4));
            let payload = within(at, length, end).filter(|_| (CODE_HEADER..=LARGEST_HEADER).contains(&length));
            let Some(payload) = payload else { return not("a header has no possible length") };
            let Some(next) = within(payload, u64_at(&header, 8), end) else {
                return not("code is longer than its container");
            };
            let kind = match (u16_at(&header, 0), u16_at(&header, 2)) {
                (1, 0x0101) => Kind::Ptx,
                (2, 0x0101) => Kind::Cubin,
                (_, 0x0101) => return not("there is code of an unknown kind"),
                _ => return not("there is code of an unknown version"),
            };
            let capability = u32_at(&header, 28);
            if !(10..1000).contains(&capability) {
                return not("there is code for no possible GPU");
            }
            self.left = match self.left.checked_sub(1) {
                Some(left) => left,
                None => return not("there is more code than a program has"),
            };
            let is_specific = u64_at(&header, 40) & SPECIFIC != 0;
            container.push((Code { kind, capability, is_specific }, payload..next));
            at = next;
        }
        Ok(Ok(container))
    }

    /// Zeros between a container and what follows.
    fn padding(&self, at: u64, end: u64) -> io::Result<u64> {
        let mut bytes = [0; MOST_PADDING];
        let count = usize::try_from(end - at).unwrap_or(usize::MAX).min(MOST_PADDING);
        self.file.read_exact_at(&mut bytes[..count], at)?;
        Ok(bytes[..count].iter().take_while(|&&byte| byte == 0).count() as u64)
    }

    fn is_blank(&self, payload: &Range<u64>) -> io::Result<bool> {
        let mut bytes = [0; BLANK];
        let count = usize::try_from(payload.end - payload.start).unwrap_or(usize::MAX).min(BLANK);
        self.file.read_exact_at(&mut bytes[..count], payload.start)?;
        Ok(bytes[..count].iter().all(|&byte| byte == 0))
    }

    fn read<const SIZE: usize>(&self, at: u64) -> io::Result<[u8; SIZE]> {
        let mut bytes = [0; SIZE];
        self.file.read_exact_at(&mut bytes, at)?;
        Ok(bytes)
    }
}

/// Where what begins at `at` ends, if that is not behind `end`.
fn within(at: u64, length: u64, end: u64) -> Option<u64> {
    at.checked_add(length).filter(|next| *next <= end)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::io::Write as _;

    /// One code of a container; the payload is of this many bytes.
    fn code(kind: u16, capability: u32, flags: u64, payload: usize) -> Vec<u8> {
        let mut bytes = vec![0; 64];
        bytes[0..2].copy_from_slice(&kind.to_le_bytes());
        bytes[2..4].copy_from_slice(&0x0101_u16.to_le_bytes());
        bytes[4..8].copy_from_slice(&64_u32.to_le_bytes());
        bytes[8..16].copy_from_slice(&(payload as u64).to_le_bytes());
        bytes[28..32].copy_from_slice(&capability.to_le_bytes());
        bytes[40..48].copy_from_slice(&flags.to_le_bytes());
        bytes.resize(64 + payload, 0xee);
        bytes
    }

    fn container(codes: &[Vec<u8>]) -> Vec<u8> {
        let codes = codes.concat();
        let mut bytes = MAGIC.to_le_bytes().to_vec();
        bytes.extend(1_u16.to_le_bytes());
        bytes.extend(16_u16.to_le_bytes());
        bytes.extend((codes.len() as u64).to_le_bytes());
        [bytes, codes].concat()
    }

    /// Containers of two kernels, the second smaller.
    pub(in crate::optimize) fn section() -> Vec<u8> {
        let first = container(&[code(2, 80, 0, 160), code(2, 90, SPECIFIC, 88), code(1, 90, 0, 40)]);
        [first, vec![0; 24], container(&[code(2, 75, 0, 24)]), container(&[])].concat()
    }

    /// Payloads of a section that nothing in `gpus` needs; its bytes are all of the file.
    fn of(section: &[u8], gpus: &[&str]) -> Result<Vec<Range<u64>>, NotUnderstood> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(section).unwrap();
        let size = section.len() as u64;
        let containers = Reader { file: &file, left: 100 }.containers(0..size, size).unwrap()?;
        let gpus: Vec<Gpu> = gpus.iter().map(|gpu| gpu.parse().unwrap()).collect();
        Ok(containers.into_iter().flat_map(|container| unselected(container, &gpus)).collect())
    }

    #[test]
    fn payloads_that_nobody_selects_are_found() {
        assert_eq!(of(&section(), &["sm_80", "sm_75"]), Ok(vec![304..392, 456..496]));
        assert_eq!(of(&section(), &["sm_90"]), Ok(vec![80..240, 456..496, 600..624]));
        assert_eq!(of(b"", &["sm_90"]), Ok(vec![]));
    }

    #[test]
    fn what_is_not_as_known_is_not_understood() {
        let change = |at: usize, bytes: &[u8]| {
            let mut changed = section();
            changed[at..at + bytes.len()].copy_from_slice(bytes);
            of(&changed, &["sm_80"]).unwrap_err().what
        };
        assert_eq!(change(0, b"\x7fELF"), "there is no container of version 1");
        assert_eq!(change(4, &[2]), "there is no container of version 1");
        assert_eq!(change(6, &[24]), "there is no container of version 1");
        assert_eq!(change(8, &[0xff; 8]), "a container is longer than its section");
        assert_eq!(change(8, &[0x10, 0]), "a header is cut off");
        assert_eq!(change(16, &[8]), "there is code of an unknown kind");
        assert_eq!(change(18, &[2]), "there is code of an unknown version");
        assert_eq!(change(20, &[0xff; 4]), "a header has no possible length");
        assert_eq!(change(20, &[0; 4]), "a header has no possible length");
        assert_eq!(change(24, &[0xff; 8]), "code is longer than its container");
        assert_eq!(change(44, &[0; 4]), "there is code for no possible GPU");
        let short = [section(), vec![1; 8]].concat();
        assert_eq!(of(&short, &[]).unwrap_err().what, "a container is cut off");
        let many = container(&vec![code(1, 50, 0, 0); 101]);
        assert_eq!(of(&many, &[]).unwrap_err().what, "there is more code than a program has");
        let apart = [section(), vec![0; 65], section()].concat();
        assert_eq!(of(&apart, &[]).unwrap_err().what, "there is no container of version 1");
    }

    /// Every byte of every header, turned: found or refused, and never a range outside.
    #[test]
    fn hostile_headers_do_no_harm() {
        let whole = section();
        for at in 0..whole.len() {
            for change in [0xff, 0x80, 0x01] {
                let mut hostile = whole.clone();
                hostile[at] ^= change;
                for payload in of(&hostile, &["sm_75"]).unwrap_or_default() {
                    assert!(payload.start <= payload.end && payload.end <= whole.len() as u64, "{at}");
                }
            }
        }
        for length in 0..whole.len() {
            let _ = of(&whole[..length], &["sm_75"]);
        }
    }
}
