//! `testdata/lint/NAME.dockerfile` and what is found in it, as `--check` prints it, in `NAME.stdout`. A case named after a
//! rule goes against it; one that ends in `-good` goes against none.
//!
//! `UPDATE_EXPECT=1` rewrites what is expected.

use super::{Extent, Linted, RULES};
use crate::dockerfile::{Dockerfile, call::check, lower::tests::asked::Asked};
use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
};

#[test]
fn every_rule_has_its_cases() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/lint");
    let mut sources: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    sources.retain(|path| path.extension().is_some_and(|extension| extension == "dockerfile"));
    sources.sort();
    let mut seen = BTreeSet::new();
    for source in sources {
        let name = source.file_stem().unwrap().to_str().unwrap();
        let text = fs::read_to_string(&source).unwrap();
        let (found, rules) = lint(&text);
        let expectation = source.with_extension("stdout");
        if env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(&expectation, &found).unwrap();
        }
        let expected = fs::read_to_string(&expectation).unwrap_or_default();
        assert_eq!(found, expected, "{name}: run with UPDATE_EXPECT=1 if the new answer is right");
        if name.ends_with("-good") {
            assert_eq!(rules, BTreeSet::new(), "{name}");
        } else if RULES.iter().any(|rule| rule.name == name) {
            assert!(rules.contains(name), "{name}: {rules:?}");
        }
        seen.insert(name.to_owned());
    }
    for rule in RULES {
        assert!(seen.contains(rule.name), "{} has no bad example", rule.name);
        assert!(seen.contains(&format!("{}-good", rule.name)), "{} has no good example", rule.name);
    }
}

/// What is printed, and the rules that were broken.
fn lint(text: &str) -> (String, BTreeSet<&'static str>) {
    let asked = Asked::read(text);
    let (file, errors) = Dockerfile::read(text);
    let (linted, errors) = if errors.is_empty() {
        let mut linted = match asked.inputs(&file) {
            Ok((inputs, _)) => file.lint(&asked.options, Extent::Build(&inputs)),
            Err(errors) => Linted { errors, ..file.lint(&asked.options, Extent::File) },
        };
        let errors = std::mem::take(&mut linted.errors);
        (linted, errors)
    } else {
        (file.lint(&asked.options, Extent::Lines), errors)
    };
    let mut found = check::text(&linted.warnings, "Dockerfile", text);
    for error in errors.iter().chain(&linted.failure) {
        found.push_str(&error.render("Dockerfile", text, false));
        found.push('\n');
    }
    (found, linted.warnings.iter().map(|warning| warning.rule.name).collect())
}
