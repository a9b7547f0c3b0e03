//! Programs without what nobody needs of them: debug sections, and code for GPUs that are not there ([`fat_binary`]).
//!
//! A program without its debug sections, and the debug sections without the program (System V ABI, chapters 4 and 5):
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
mod fat_binary;
mod gpu;
mod parts;

pub use gpu::Gpu;

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
use parts::Written;
use std::{
    fmt,
    fs::File,
    io::{self, Read},
    sync::Arc,
};

/// What is taken out of programs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Cut {
    /// Whether debug sections are.
    pub(super) debug_sections: bool,
    /// GPUs that code is for. If there are none, all of it stays.
    pub(super) gpus: Arc<[Gpu]>,
}

/// One part of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Half {
    /// What runs, without what is cut.
    Program(Cut),
    /// What a debugger reads.
    Debug,
}

/// What of a program that can be cut is known beforehand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stripped {
    /// Its bytes then.
    pub(super) size: u64,
    /// Their digest.
    pub(super) digest: ContentDigest,
    /// What is really taken out.
    pub(super) cut: Cut,
    /// Bytes by which it is shorter.
    pub(super) debug_bytes: u64,
    /// Bytes of GPU code that become zeros.
    pub(super) gpu_bytes: u64,
    /// Where debuggers look for its debug sections, in the spelling of [`crate::layer::Entry::path`].
    pub(super) debug_path: Option<Vec<u8>>,
}

/// A part of a program of a layer, made when it is read.
pub(super) struct HalfOfFile {
    pub(super) layers: Layers,
    pub(super) layer: DiffId,
    pub(super) path: Vec<u8>,
    pub(super) half: Half,
}

/// What can be cut out of a program, and what it is then; `None` if nothing can. `path` is that of the file. `note` is told
/// why something of it is left alone.
pub(super) fn strip(file: File, path: &[u8], cut: &Cut, note: impl FnOnce(String)) -> io::Result<Option<Stripped>> {
    let size = file.metadata()?.len();
    if Elf::open(file.try_clone()?).is_none() {
        return Ok(None);
    }
    let mut cut = cut.clone();
    let mut debug_path = None;
    if cut.debug_sections {
        let build_id = halves(file.try_clone()?).map(|(_, _, id)| id);
        cut.debug_sections = build_id.is_some();
        debug_path = build_id.map(|id| match id {
            // The first byte is that of a folder (`gdb`, Separate Debug Files).
            Some(id) => format!("usr/lib/debug/.build-id/{}/{}.debug", &id[..2], &id[2..]).into_bytes(),
            None => [b"usr/lib/debug/", path, b".debug"].concat(),
        });
    }
    let mut gpu_bytes = 0;
    if !cut.gpus.is_empty() {
        match fat_binary::unneeded(&file, &cut.gpus)? {
            Ok(unneeded) => gpu_bytes = unneeded.iter().map(|payload| payload.end - payload.start).sum(),
            Err(why) => note(why.to_string()),
        }
        if gpu_bytes == 0 {
            cut.gpus = Arc::default();
        }
    }
    if cut == Cut::default() {
        return Ok(None);
    }
    let mut hasher = blake3::Hasher::new();
    let length = io::copy(&mut program(file, &cut)?, &mut hasher)?;
    let debug_bytes = size.saturating_sub(length);
    Ok(Some(Stripped { size: length, digest: hasher.finalize().into(), cut, debug_bytes, gpu_bytes, debug_path }))
}

/// Size and digest of a half that was found to be there.
pub(super) fn measure(half: &HalfOfFile) -> io::Result<(u64, ContentDigest)> {
    let mut hasher = blake3::Hasher::new();
    let size = io::copy(&mut half.open()?, &mut hasher)?;
    Ok((size, hasher.finalize().into()))
}

impl Stream for HalfOfFile {
    fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        let file = self.layers.open_file(&self.layer, &self.path).map_err(io::Error::other)?;
        Ok(Box::new(match &self.half {
            Half::Program(cut) => program(file, cut)?,
            Half::Debug => halves(file).ok_or_else(changed)?.1,
        }))
    }
}

impl fmt::Debug for HalfOfFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} of {} in {}", self.half, String::from_utf8_lossy(&self.path), self.layer)
    }
}

/// A program without what can be cut out of it.
fn program(file: File, cut: &Cut) -> io::Result<Written> {
    let unneeded = match &cut.gpus[..] {
        [] => Vec::new(),
        gpus => fat_binary::unneeded(&file, gpus)?.map_err(|_| changed())?,
    };
    let size = file.metadata()?.len();
    let program = if cut.debug_sections {
        let (program, _, _) = halves(file).ok_or_else(changed)?;
        program
    } else {
        Written::whole(file, size)
    };
    Ok(program.without(&unneeded))
}

fn changed() -> io::Error {
    io::Error::other("a program is not what it was a moment ago")
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

    /// All that is cut goes at once, and the program runs on.
    #[test]
    fn code_for_other_gpus_becomes_zeros_where_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let section = fat_binary::tests::section();
        fs::write(folder.path().join("section"), &section).unwrap();
        let code = format!(".section .nv_fatbin,\"a\"; .incbin \"{}/section\"; .text", folder.path().display());
        fs::write(folder.path().join("code.s"), code).unwrap();
        let assembler = folder.path().join("code.s");
        let Some(path) = program(&folder, &[assembler.to_str().unwrap()]) else { return };
        let old = fs::read(&path).unwrap();
        let at = old.windows(section.len()).position(|bytes| bytes == section).unwrap();
        let mut expected = old.clone();
        for unneeded in [304..392, 456..496, 600..624] {
            expected[at..][unneeded].fill(0);
        }
        let open = || File::open(&path).unwrap();
        let gpus: Arc<[Gpu]> = Arc::new([Gpu::Exactly(80)]);
        let cut = Cut { debug_sections: false, gpus: Arc::clone(&gpus) };
        assert_eq!(written(super::program(open(), &cut).unwrap()), expected);
        let found = strip(open(), b"program", &cut, |note| panic!("{note}")).unwrap().unwrap();
        assert_eq!((found.size, found.debug_bytes, found.gpu_bytes), (old.len() as u64, 0, 152));

        let both = Cut { debug_sections: true, gpus };
        let found = strip(open(), b"program", &both, |note| panic!("{note}")).unwrap().unwrap();
        let small = written(super::program(open(), &both).unwrap());
        assert_eq!((found.size, found.digest), (small.len() as u64, ContentDigest::of(&small)));
        assert_eq!(small[at..][..section.len()], expected[at..][..section.len()]);
        fs::write(&path, &small).unwrap();
        assert_eq!(Command::new(&path).status().unwrap().code(), Some(7));
        assert_eq!(strip(open(), b"program", &both, |note| panic!("{note}")).unwrap(), None, "nothing is left to cut");

        let place = small.windows(16).position(|bytes| bytes == &section[..16]).unwrap();
        fs::write(&path, [&small[..place], b"what is this", &small[place + 12..]].concat()).unwrap();
        let mut notes = Vec::new();
        assert_eq!(strip(open(), b"program", &both, |note| notes.push(note)).unwrap(), None);
        assert!(notes[0].contains("its GPU code is of no known form: at byte "), "{notes:?}");
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
