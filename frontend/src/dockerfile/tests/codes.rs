//! Every kind of error has a case that shows its text.

use super::expect::cases;
use crate::{
    diagnostic::Code,
    dockerfile::{Dockerfile, lint::tests::lint, lower::tests::asked::Asked},
};
use std::collections::BTreeSet;

/// What only happens in a build has its cases in `integration/`; what takes thousands of lines, in `lower::tests::hostile`.
const ELSEWHERE: [Code; 4] = [Code::NotAllowed, Code::StepFailed, Code::TooManyTriggers, Code::TooLarge];

#[test]
fn every_code_has_a_case() {
    let mut seen = BTreeSet::from(ELSEWHERE);
    for (_, text) in cases("dockerfile/error") {
        seen.extend(Dockerfile::parse(&text).unwrap_err().iter().map(|error| error.code));
    }
    for (_, text) in cases("lower-error") {
        seen.extend(Asked::read(&text).build(&text).err().into_iter().flatten().map(|error| error.code));
    }
    for (_, text) in cases("lint") {
        seen.extend(lint(&text).1.iter().map(|error| error.code));
    }
    let lacking: Vec<_> = Code::ALL.iter().filter(|code| !seen.contains(code)).collect();
    assert!(lacking.is_empty(), "no case shows {lacking:?}");
}

#[test]
fn names_are_told_apart() {
    let names: BTreeSet<&str> = Code::ALL.iter().map(|code| code.name()).collect();
    assert_eq!(names.len(), Code::ALL.len());
    let is_kebab = |name: &str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    assert!(names.into_iter().all(is_kebab));
}
