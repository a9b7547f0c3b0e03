//! `testdata/lint/NAME.dockerfile` and what is found in it, as `--check` prints it, in `NAME.stdout`. A case named after a
//! rule goes against it; one that ends in `-good` goes against none.

use super::{Extent, Linted, RULES};
use crate::{
    diagnostic::Diagnostic,
    dockerfile::{Dockerfile, call::check, lower::tests::asked::Asked, tests::expect},
};
use std::collections::BTreeSet;

#[test]
fn every_rule_has_its_cases() {
    let mut seen = BTreeSet::new();
    expect::check("lint", "stdout", |name, text| {
        let name = name.trim_end_matches(".dockerfile");
        let (linted, errors) = lint(text);
        let rules: BTreeSet<&str> = linted.warnings.iter().map(|warning| warning.rule.name).collect();
        if name.ends_with("-good") {
            assert_eq!(rules, BTreeSet::new(), "{name}");
        } else if RULES.iter().any(|rule| rule.name == name) {
            assert!(rules.contains(name), "{name}: {rules:?}");
        }
        seen.insert(name.to_owned());
        let mut found = check::text(&linted.warnings, "Dockerfile", text);
        for error in errors {
            found.push_str(&error.render("Dockerfile", text, false));
            found.push('\n');
        }
        found
    });
    for rule in RULES {
        assert!(seen.contains(rule.name), "{} has no bad example", rule.name);
        assert!(seen.contains(&format!("{}-good", rule.name)), "{} has no good example", rule.name);
    }
}

/// What is found in a text, and all that is wrong with it.
pub(in crate::dockerfile) fn lint(text: &str) -> (Linted, Vec<Diagnostic>) {
    let asked = Asked::read(text);
    let (file, mut errors) = Dockerfile::read(text);
    let linted = if errors.is_empty() {
        match asked.inputs(&file) {
            Ok((inputs, _)) => file.lint(&asked.options, Extent::Build(&inputs)),
            Err(wrong) => {
                errors.extend(wrong);
                file.lint(&asked.options, Extent::File)
            }
        }
    } else {
        file.lint(&asked.options, Extent::Lines)
    };
    errors.extend(linted.errors.iter().chain(&linted.failure).cloned());
    (linted, errors)
}
