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

mod divide;

use super::owner::Elf;
use crate::{
    image::{ContentDigest, DiffId},
    layer::{Layers, Stream},
};
use divide::divide;
use object::{
    Endianness, Object as _, ReadCache,
    elf::{FileHeader32, FileHeader64},
};
use std::{
    collections::VecDeque,
    fmt,
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt as _,
};

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
