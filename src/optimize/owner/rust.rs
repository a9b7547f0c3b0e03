//! Crates in programs that `cargo auditable` built: the section `.dep-v0`, JSON compressed by zlib.

use super::{Ecosystem, ImageTree, Package, golang::programs, tree::shown};
use crate::layer::LayerError;
use flate2::read::ZlibDecoder;
use serde::Deserialize;
use std::io::Read as _;

/// Largest list, compressed and uncompressed; the format's own reader has the second limit.
const MAX_SECTION: u64 = 1 << 20;
const MAX_LIST: u64 = 8 << 20;

#[derive(Deserialize)]
struct List {
    packages: Vec<Crate>,
}

#[derive(Deserialize)]
struct Crate {
    name: String,
    version: String,
    /// `build` for crates that only took part in building; they are not in the program.
    #[serde(default)]
    kind: Option<String>,
    #[serde(default)]
    root: bool,
}

pub(super) fn find(tree: &ImageTree<'_>) -> Result<Vec<Package>, LayerError> {
    let mut packages = Vec::new();
    for (path, elf) in programs(tree) {
        let elf = elf?;
        let Some(section) = elf.and_then(|elf| elf.section(".dep-v0", MAX_SECTION)) else { continue };
        match read(&section) {
            Some(list) => packages.extend(of_program(&path, list)),
            None => tree.note(format!("{} has a list of crates that cannot be read", shown(&path))),
        }
    }
    Ok(packages)
}

fn read(section: &[u8]) -> Option<List> {
    let mut json = Vec::new();
    ZlibDecoder::new(section).take(MAX_LIST).read_to_end(&mut json).ok()?;
    serde_json::from_slice(&json).ok()
}

fn of_program(path: &[u8], list: List) -> impl Iterator<Item = Package> {
    let linked = list.packages.into_iter().filter(|it| it.kind.as_deref() != Some("build"));
    linked.map(move |it| {
        let mut package = Package::new(Ecosystem::Rust, it.name, it.version, path);
        package.files.extend(it.root.then(|| path.to_vec()));
        package
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::ZlibEncoder};
    use std::io::Write as _;

    #[test]
    fn crates_that_are_linked_are_listed() {
        let json = r#"{"packages":[{"name":"app","version":"0.1.0","source":"local","root":true,"dependencies":[1]},
            {"name":"serde","version":"1.0.1","source":"registry"},{"name":"cc","version":"1.0.0","kind":"build"}]}"#;
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
        zlib.write_all(json.as_bytes()).unwrap();
        let section = zlib.finish().unwrap();
        let packages: Vec<Package> = of_program(b"app", read(&section).unwrap()).collect();
        let found: Vec<_> = packages.iter().map(|it| (&*it.name, &*it.version, it.files.len())).collect();
        assert_eq!(found, [("app", "0.1.0", 1), ("serde", "1.0.1", 0)]);
        assert!(read(&section[..section.len() / 2]).is_none() && read(b"no zlib").is_none());
    }
}
