//! What is read, printed and read again is the same.

use super::{
    hostile::{Random, SPLINTERS},
    print::print,
};
use crate::dockerfile::Dockerfile;
use std::{fs, path::Path};

/// All texts of our own that can be read.
fn texts() -> Vec<String> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata");
    let mut paths: Vec<_> = ["dockerfile/parse", "lower", "lint", "call", "history"]
        .iter()
        .flat_map(|folder| fs::read_dir(data.join(folder)).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "dockerfile"))
        .collect();
    paths.sort();
    assert!(paths.len() > 100, "{}", paths.len());
    paths.iter().map(|path| fs::read_to_string(path).unwrap()).collect()
}

/// What the instructions say, wherever and however it was written.
fn meaning(file: &Dockerfile) -> Vec<String> {
    file.instructions.iter().map(|instruction| without_places(&format!("{:?}", instruction.kind))).collect()
}

/// A debug text without spans, and without how an `ONBUILD` was written.
fn without_places(text: &str) -> String {
    let mut rest = text;
    let mut kept = String::new();
    while let Some(at) = rest.find("Span { start: ") {
        kept.push_str(&rest[..at]);
        let end = rest[at..].find('}').unwrap();
        rest = &rest[at + end + 1..];
    }
    kept.push_str(rest);
    if kept.contains("Onbuild(Onbuild {") {
        let start = kept.find("instruction: Instruction { kind: ").unwrap_or_default();
        let end = kept.rfind(", head: ").unwrap_or(kept.len());
        return kept[start..end].to_owned();
    }
    kept
}

fn check(text: &str) -> bool {
    let Ok(file) = Dockerfile::parse(text) else { return false };
    let printed = print(&file);
    let escape = file.directives.escape;
    // Only a carriage return between blanks can end a line whose last character is an escape; it is not printed.
    if printed.lines().skip(1).any(|line| line.trim_end().ends_with(escape)) {
        return false;
    }
    let again = Dockerfile::parse(&printed).unwrap_or_else(|errors| panic!("{text}\n---\n{printed}\n---\n{errors:?}"));
    assert_eq!(meaning(&again), meaning(&file), "{text}\n---\n{printed}");
    assert_eq!(print(&again), printed, "{text}");
    true
}

#[test]
fn every_text_survives() {
    for text in texts() {
        check(&text);
    }
}

#[test]
fn mangled_texts_survive() {
    let texts: Vec<Vec<char>> = texts().iter().map(|text| text.chars().collect()).collect();
    let mut random = Random(7);
    let mut read = 0;
    for _ in 0..20_000 {
        let mut text = texts[random.below(texts.len())].clone();
        for _ in 0..=random.below(3) {
            let at = random.below(text.len() + 1);
            // Such white space keeps words together, but tells heredocs apart: one that is no word of its own is read and lost.
            let splinter = SPLINTERS[random.below(SPLINTERS.len())].replace('\u{a0}', " ");
            text.splice(at..at, splinter.chars());
        }
        read += usize::from(check(&text.into_iter().collect::<String>()));
    }
    assert!(read > 1_000, "only {read} texts could be read");
}
