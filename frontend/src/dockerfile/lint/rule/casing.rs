//! Upper and lower case of keywords.

use super::Rule;
use crate::dockerfile::{
    instruction::{From, Instruction, Kind},
    lint::{Check, Place, WholeFile, findings::Findings},
};

pub(super) static FROM_AS_CASING: Rule = Rule {
    name: "FromAsCasing",
    description: "The 'as' keyword should match the case of the 'from' keyword",
    page: Some("from-as-casing"),
    experimental: false,
    check: Check::Line(from_as),
};

pub(super) static CONSISTENT_INSTRUCTION_CASING: Rule = Rule {
    name: "ConsistentInstructionCasing",
    description: "All commands within the Dockerfile should use the same casing (either upper or lower)",
    page: Some("consistent-instruction-casing"),
    experimental: false,
    check: Check::File(consistent),
};

/// A `FROM` in mixed case is the other rule's business.
fn from_as(instruction: &Instruction, findings: &mut Findings) {
    let Kind::From(From { name: Some(_), .. }) = &instruction.kind else { return };
    let Some(between) = instruction.original.split_whitespace().nth_back(1) else { return };
    let keyword = &instruction.keyword.value;
    let fits = if is_lower(keyword) { is_lower(between) } else { !is_upper(keyword) || is_upper(between) };
    if !fits {
        let detail = format!("'{between}' and '{keyword}' keywords' casing do not match");
        findings.add(&FROM_AS_CASING, Place::of(instruction), detail);
    }
}

fn consistent(file: &WholeFile<'_>, findings: &mut Findings) {
    let stages = || file.stages.list.iter();
    let instructions = || stages().flat_map(|stage| std::iter::once(stage.instruction).chain(stage.body));
    let count = |fits: fn(&str) -> bool| instructions().filter(|each| fits(&each.keyword.value)).count();
    let (fits, majority): (fn(&str) -> bool, _) =
        if count(is_lower) > count(is_upper) { (is_lower, "lowercase") } else { (is_upper, "uppercase") };
    for instruction in instructions() {
        let keyword = &instruction.keyword.value;
        if !fits(keyword) {
            let detail = format!("Command '{keyword}' should match the case of the command majority ({majority})");
            findings.add(&CONSISTENT_INSTRUCTION_CASING, Place::of(instruction), detail);
        }
    }
}

fn is_lower(keyword: &str) -> bool {
    !keyword.contains(|each: char| each.is_ascii_uppercase())
}

fn is_upper(keyword: &str) -> bool {
    !keyword.contains(|each: char| each.is_ascii_lowercase())
}
