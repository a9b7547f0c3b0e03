//! What a program does not run without: its interpreter, its loader, and the libraries that it is linked with.

use super::name_of;
use crate::{
    layer::{Hit, LayerError},
    optimize::owner::{Elf, ImageTree},
};
use object::read::elf::{FileHeader, ProgramHeader};
use std::{
    collections::HashMap,
    io::{self, Read as _},
};

/// Bytes of a line that names an interpreter; the kernel reads 256.
const LONGEST_LINE: u64 = 256;
/// Bytes of a file in which the header of a program, and the path of its loader, are looked for.
pub(super) const HEADERS: u64 = 64 << 10;

/// Where the libraries of an image are, by name: a name that several have means all of them.
pub(super) fn libraries(tree: &ImageTree<'_>) -> HashMap<Vec<u8>, Vec<Vec<u8>>> {
    let mut libraries: HashMap<Vec<u8>, Vec<Vec<u8>>> = HashMap::new();
    for hit in tree.view().walk(b"").filter(|hit| !hit.entry.is_dir()) {
        let name = name_of(&hit.entry.path);
        if name.windows(3).any(|part| part == b".so") {
            libraries.entry(name.to_vec()).or_default().push(hit.entry.path.clone());
        }
    }
    libraries
}

/// The libraries that a program or library names (`DT_NEEDED`).
pub(super) fn linked_with(tree: &ImageTree<'_>, path: &[u8], hit: &Hit<'_>) -> Result<Vec<String>, LayerError> {
    let may_be = hit.entry.mode & 0o111 != 0 || name_of(path).windows(3).any(|part| part == b".so");
    if !may_be || !hit.file().is_some_and(|(size, _)| Elf::may_be(size)) {
        return Ok(Vec::new());
    }
    Ok(Elf::open(tree.open_hit(hit)?).map(|elf| elf.needed()).unwrap_or_default())
}

/// What the kernel runs a file with, if it is a script or a program that is linked.
pub(super) fn interpreter(tree: &ImageTree<'_>, hit: &Hit<'_>) -> Result<Option<Vec<u8>>, LayerError> {
    let mut head = Vec::new();
    let file = tree.open_hit(hit)?;
    let read = file.take(HEADERS).read_to_end(&mut head);
    read.map_err(|error: io::Error| LayerError::Io {
        path: String::from_utf8_lossy(&hit.entry.path).into_owned().into(),
        error,
    })?;
    Ok(script_interpreter(&head)
        .or_else(|| loader::<object::elf::FileHeader64<object::Endianness>>(&head))
        .or_else(|| loader::<object::elf::FileHeader32<object::Endianness>>(&head)))
}

/// What follows `#!`.
fn script_interpreter(head: &[u8]) -> Option<Vec<u8>> {
    let rest = head.strip_prefix(b"#!")?;
    let line = rest.split(|&byte| byte == b'\n').next()?;
    let line = &line[..line.len().min(usize::try_from(LONGEST_LINE).ok()?)];
    let word = line.split(u8::is_ascii_whitespace).find(|word| !word.is_empty())?;
    Some(word.to_vec())
}

/// `PT_INTERP` (System V ABI, chapter 5).
fn loader<H: FileHeader<Endian = object::Endianness>>(head: &[u8]) -> Option<Vec<u8>> {
    let header = H::parse(head).ok()?;
    let endian = header.endian().ok()?;
    let segments = header.program_headers(endian, head).ok()?;
    let path = segments.iter().find_map(|segment| segment.interpreter(endian, head).ok().flatten())?;
    Some(path.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loaders_of_programs_are_found() {
        let head = std::fs::read("/proc/self/exe").unwrap();
        let found = loader::<object::elf::FileHeader64<object::Endianness>>(&head).unwrap();
        assert!(found.starts_with(b"/lib"), "{}", String::from_utf8_lossy(&found));
        for length in [0, 4, 16, 63, 64, 70, 120, 200] {
            let _ = loader::<object::elf::FileHeader64<object::Endianness>>(&head[..length]);
            assert_eq!(loader::<object::elf::FileHeader32<object::Endianness>>(&head[..length]), None);
        }
        assert_eq!(script_interpreter(b"#!  /bin/sh -e\n"), Some(b"/bin/sh".to_vec()));
        assert_eq!(script_interpreter(b"#!\n"), None);
        assert_eq!(script_interpreter(b"/bin/sh"), None);
    }
}
