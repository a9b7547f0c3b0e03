//! What the fuzz targets do, on texts that are the same on every run.

#![allow(unreachable_pub)] // The files are part of another crate too.

#[path = "../../fuzz/src/expand.rs"]
mod expand;
#[path = "../../fuzz/src/ignore.rs"]
mod ignore;
#[path = "../../fuzz/src/parse.rs"]
mod parse;

use std::{fs, path::Path};

/// A linear congruential generator (Knuth's MMIX constants).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}

/// Files of `testdata` that end in `extension`.
fn seeds(folders: &[&str], extension: &str) -> Vec<Vec<u8>> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata");
    let mut paths: Vec<_> = folders
        .iter()
        .flat_map(|folder| fs::read_dir(data.join(folder)).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    paths.sort();
    assert!(!paths.is_empty());
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Tears seeds apart, puts pieces of one into another, and hands them over.
fn mangle(seeds: &[Vec<u8>], seed: u64, rounds: usize, endure: fn(&[u8])) {
    let mut random = Random(seed);
    for _ in 0..rounds {
        let mut text = seeds[random.below(seeds.len())].clone();
        for _ in 0..=random.below(4) {
            let other = &seeds[random.below(seeds.len())];
            let from = random.below(other.len() + 1);
            let piece = other[from..(from + random.below(12)).min(other.len())].to_vec();
            let at = random.below(text.len() + 1);
            let end = (at + random.below(6)).min(text.len());
            text.splice(at..end, piece);
        }
        endure(&text);
    }
}

#[test]
fn dockerfiles() {
    let folders = ["dockerfile/parse", "dockerfile/error", "lower", "lower-error", "lint", "call"];
    mangle(&seeds(&folders, "dockerfile"), 11, 5_000, parse::endure);
}

#[test]
fn words() {
    let lines: Vec<Vec<u8>> = [
        "${a:-${bb:-c}}",
        "$a${bb}",
        "'a $b' \"c $dd\"",
        "${aa#*/}",
        "${bb%%o*}",
        "${bb//o/0}",
        "${bb/b?/\\/}",
        "\\$a",
        "${a:?b}",
        "$1$@",
        "${bb+x}",
        "a\\ b c",
        "${bb//b/${bb//b/bb}}",
        "\"${a-\"x\"}\"",
    ]
    .iter()
    .map(|word| word.as_bytes().to_vec())
    .collect();
    mangle(&lines, 13, 50_000, expand::endure);
}

#[test]
fn ignore_files() {
    let lines: Vec<Vec<u8>> = [
        "*.txt\n!a.txt\na/b.txt",
        "**/c\na/b/c",
        "a/**/b\n!a/x\na/x/b",
        "[a-c]?\\*\nab*",
        "!a\n**\n!a/b\na/b",
        "/\n.\n../x\nx",
        "a/*\n!a/b/c\na/b/c",
        "**a\nxa/a",
        "a**b\naxb/c",
        "[^a]b\ncb",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect();
    mangle(&lines, 17, 50_000, ignore::endure);
}
