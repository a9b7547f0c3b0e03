//! The language's own test data, where it is at hand: `../shared/corpus` beside the repository, or `FLASHBUILD_CORPUS`.

use super::{statements, tree};
use crate::dockerfile::{Dockerfile, expand::Expander};
use std::{
    collections::HashMap,
    env, fs,
    path::{Path, PathBuf},
};

/// A part of the corpus, if it is there.
fn corpus(part: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus");
    let root = env::var_os("FLASHBUILD_CORPUS").map_or(beside, PathBuf::from);
    let path = root.join("dockerfile").join(part);
    if !path.exists() {
        skip(&path);
        return None;
    }
    Some(path)
}

#[expect(clippy::print_stderr, reason = "a skipped test must say so")]
fn skip(path: &Path) {
    eprintln!("skipped: no corpus at {}", path.display());
}

/// Every case of a folder: its path and its Dockerfile.
fn cases(folder: &Path) -> Vec<(PathBuf, String)> {
    let entries = fs::read_dir(folder).unwrap();
    let mut cases: Vec<_> = entries
        .map(|entry| {
            let case = entry.unwrap().path();
            let text = fs::read_to_string(case.join("Dockerfile")).unwrap();
            (case, text)
        })
        .collect();
    cases.sort();
    cases
}

#[test]
fn trees() {
    let Some(folder) = corpus("parse") else { return };
    for (case, text) in cases(&folder) {
        let expected = fs::read_to_string(case.join("result")).unwrap();
        let (statements, errors) = statements(&text);
        assert_eq!(errors, [], "{}", case.display());
        assert_eq!(tree::render(&statements).trim(), expected.trim(), "{}", case.display());
    }
}

#[test]
fn refusals() {
    let Some(folder) = corpus("parse-error") else { return };
    for (case, text) in cases(&folder) {
        let (statements, errors) = statements(&text);
        assert!(statements.is_empty() || !errors.is_empty(), "{}", case.display());
        assert!(Dockerfile::parse(&text).is_err(), "{}", case.display());
    }
}

#[test]
fn expansion_to_one_text() {
    let Some(file) = corpus("expand.txt") else { return };
    let variables = HashMap::from([("PWD", "/home"), ("SHELL", "bash"), ("KOREAN", "한국어"), ("NULL", "")]);
    let lookup = |name: &str| variables.get(name).map(|&value| value.to_owned());
    let expander = Expander::new('\\', &lookup);
    for line in fs::read_to_string(file).unwrap().lines() {
        let fields: Vec<_> = line.split('|').map(str::trim).collect();
        let [platforms @ ("A" | "U"), word, expected] = fields[..] else {
            assert!(!matches!(fields[0], "A" | "U"), "{line}");
            continue;
        };
        check(line, platforms, expander.expand(word).ok().as_deref(), expected);
    }
}

#[test]
fn expansion_to_words() {
    let Some(file) = corpus("words.txt") else { return };
    let mut variables = HashMap::new();
    for line in fs::read_to_string(file).unwrap().lines() {
        if let Some((name, value)) = line.strip_prefix("ENV ").and_then(|pair| pair.split_once('=')) {
            variables.insert(name.to_owned(), value.to_owned());
        } else if let Some((word, expected)) = line.split_once(" | ") {
            let lookup = |name: &str| variables.get(name).cloned();
            let words = Expander::new('\\', &lookup).expand_words(word.trim_start());
            let joined = words.map(|words| words.join(","));
            check(line, "A", joined.ok().as_deref(), expected);
        }
    }
}

fn check(line: &str, platforms: &str, result: Option<&str>, expected: &str) {
    let expected = Some(expected).filter(|expected| *expected != "error");
    assert_eq!(result, expected, "{platforms}: {line}");
}
