//! Go modules in programs: what `go version -m` shows (Go's `debug/buildinfo`).
//!
//! The section `.go.buildinfo` begins with a magic number; since Go 1.18 two texts follow at byte 32, each behind its
//! length as a varint: the version of Go, and the modules, a line each, between two markers of 16 bytes. What earlier
//! versions wrote are addresses into the program's memory; such programs are left out.

use super::{Ecosystem, Elf, ImageTree, Package, tree::shown};
use crate::layer::LayerError;

const MAGIC: &[u8] = b"\xff Go buildinf:";
/// Set in the byte behind the size of a pointer if the texts are here.
const INLINE: u8 = 2;
/// Largest section.
const MAX_SECTION: u64 = 4 << 20;

pub(super) fn find(tree: &ImageTree<'_>) -> Result<Vec<Package>, LayerError> {
    let mut packages = Vec::new();
    for (path, elf) in programs(tree) {
        let elf = elf?;
        let Some(section) = elf.and_then(|elf| elf.section(".go.buildinfo", MAX_SECTION)) else { continue };
        match read(&section) {
            Some((version, modules)) => packages.extend(of_program(&path, &version, &modules)),
            None => tree.note(format!("{} was built by a Go that hides its modules", shown(&path))),
        }
    }
    Ok(packages)
}

/// Every file that somebody may execute and that is a program or library.
pub(super) fn programs<'t>(
    tree: &'t ImageTree<'_>,
) -> impl Iterator<Item = (Vec<u8>, Result<Option<Elf>, LayerError>)> + 't {
    let candidates = tree
        .view()
        .walk(b"")
        .filter(|hit| hit.entry.mode & 0o111 != 0 && hit.file().is_some_and(|(size, _)| Elf::may_be(size)));
    candidates.map(|hit| (hit.entry.path.clone(), tree.open_hit(&hit).map(Elf::open)))
}

/// The version of Go and the lines about modules.
fn read(section: &[u8]) -> Option<(String, String)> {
    let flags = *section.strip_prefix(MAGIC)?.get(1)?;
    if flags & INLINE == 0 {
        return None;
    }
    let (version, rest) = text(section.get(32..)?)?;
    let (modules, _) = text(rest)?;
    let modules = modules.get(16..modules.len().saturating_sub(16)).unwrap_or_default();
    Some((String::from_utf8_lossy(version).into_owned(), String::from_utf8_lossy(modules).into_owned()))
}

fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut length = 0u64;
    for (index, &byte) in bytes.iter().enumerate().take(9) {
        length |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return bytes.get(index + 1..)?.split_at_checked(usize::try_from(length).ok()?);
        }
    }
    None
}

fn of_program(path: &[u8], version: &str, modules: &str) -> Vec<Package> {
    let mut packages: Vec<Package> = Vec::new();
    for line in modules.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        match fields.as_slice() {
            ["mod" | "dep", name, version, ..] if !name.is_empty() => {
                packages.push(Package::new(Ecosystem::Go, *name, *version, path));
            }
            // It takes the place of the one above.
            ["=>", name, version, ..] => {
                if let Some(replaced) = packages.last_mut() {
                    (replaced.name, replaced.version) = ((*name).to_owned(), (*version).to_owned());
                }
            }
            _ => {}
        }
    }
    let version = version.split(' ').next().unwrap_or_default().trim_start_matches("go");
    packages.push(Package::new(Ecosystem::Go, "stdlib", version, path));
    // The program is its main module's, which comes first.
    packages[0].files.push(path.to_vec());
    packages
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The section as Go writes it.
    fn section(version: &str, modules: &str) -> Vec<u8> {
        let marked = [&[b'x'; 16][..], modules.as_bytes(), &[b'y'; 16]].concat();
        let mut section = [MAGIC, &[8, INLINE]].concat();
        section.resize(32, 0);
        for text in [version.as_bytes(), &marked] {
            let length = text.len();
            assert!(length < 1 << 14);
            section.extend([u8::try_from(length & 0x7f).unwrap() | 0x80, u8::try_from(length >> 7).unwrap()]);
            section.extend(text);
        }
        section
    }

    #[test]
    fn modules_are_read_and_replacements_hold() {
        let modules = "path\texample.org/app\nmod\texample.org/app\t(devel)\t\ndep\texample.org/a\tv1.0.0\th1:x=\n\
                       dep\texample.org/b\tv1.0.0\n=>\texample.org/fork\tv2.0.0\th1:y=\nbuild\t-compiler=gc\n";
        let (version, modules) = read(&section("go1.22.1 X:boring", modules)).unwrap();
        let packages = of_program(b"bin/app", &version, &modules);
        let found: Vec<String> = packages.iter().map(|it| format!("{} {}", it.name, it.version)).collect();
        let expected = ["example.org/app (devel)", "example.org/a v1.0.0", "example.org/fork v2.0.0", "stdlib 1.22.1"];
        assert_eq!(found, expected);
        assert_eq!(packages[0].files, [b"bin/app".to_vec()]);
    }

    #[test]
    fn broken_sections_are_none() {
        let whole = section("go1.22", "mod\ta\tv1\n");
        for end in 0..whole.len() {
            assert_eq!(read(&whole[..end]), None);
        }
        assert_eq!(read(&[MAGIC, &[0xff; 60]].concat()), None);
    }
}
