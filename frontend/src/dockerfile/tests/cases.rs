//! Our own cases: `testdata/dockerfile/parse/NAME.dockerfile` with the tree in `NAME.tree`, and
//! `testdata/dockerfile/error/NAME.dockerfile` with the diagnostics in `NAME.stderr`.
//!
//! `UPDATE_EXPECT=1` rewrites what is expected.

use super::{statements, tree};
use crate::dockerfile::Dockerfile;
use std::{
    env, fs,
    path::{Path, PathBuf},
};

#[test]
fn texts_have_their_trees() {
    check("parse", "tree", |_, text| {
        assert_eq!(Dockerfile::parse(text).err(), None);
        tree::render(&statements(text).0)
    });
}

#[test]
fn errors_point_and_hint() {
    check("error", "stderr", |name, text| {
        let errors = Dockerfile::parse(text).expect_err(name);
        errors.iter().map(|error| error.render(name, text, false) + "\n").collect()
    });
}

/// Compares what `describe` says of every `.dockerfile` in `folder` with the file of the same name that ends in
/// `extension`.
fn check(folder: &str, extension: &str, describe: impl Fn(&str, &str) -> String) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/dockerfile").join(folder);
    let mut sources: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    sources.retain(|path| path.extension().is_some_and(|extension| extension == "dockerfile"));
    sources.sort();
    assert!(!sources.is_empty(), "no cases in {}", folder.display());
    for source in sources {
        let name = source.file_name().unwrap().to_str().unwrap();
        let found = describe(name, &fs::read_to_string(&source).unwrap());
        let expectation = source.with_extension(extension);
        if env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(&expectation, &found).unwrap();
        }
        let expected = fs::read_to_string(&expectation).unwrap_or_default();
        assert_eq!(found, expected, "{name}: run with UPDATE_EXPECT=1 if the new answer is right");
    }
}
