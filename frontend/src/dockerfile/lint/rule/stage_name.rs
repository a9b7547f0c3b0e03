//! Names of stages.

use super::Rule;
use crate::dockerfile::{
    instruction::{From, Instruction, Kind},
    lint::{Check, Place, WholeFile, findings::Findings},
    lower::go::quoted,
    stage::Stage,
};
use std::collections::HashSet;

pub(super) static STAGE_NAME_CASING: Rule = Rule {
    name: "StageNameCasing",
    description: "Stage names should be lowercase",
    page: Some("stage-name-casing"),
    experimental: false,
    check: Check::Line(casing),
};

pub(super) static RESERVED_STAGE_NAME: Rule = Rule {
    name: "ReservedStageName",
    description: "Reserved words should not be used as stage names",
    page: Some("reserved-stage-name"),
    experimental: false,
    check: Check::File(reserved),
};

pub(super) static DUPLICATE_STAGE_NAME: Rule = Rule {
    name: "DuplicateStageName",
    description: "Stage names should be unique",
    page: Some("duplicate-stage-name"),
    experimental: false,
    check: Check::File(duplicate),
};

fn casing(instruction: &Instruction, findings: &mut Findings) {
    let Kind::From(From { name: Some(_), .. }) = &instruction.kind else { return };
    let written = instruction.original.split_whitespace().next_back().unwrap_or_default();
    if written.chars().any(char::is_uppercase) {
        let detail = format!("Stage name '{written}' should be lowercase");
        findings.add(&STAGE_NAME_CASING, Place::of(instruction), detail);
    }
}

fn reserved(file: &WholeFile<'_>, findings: &mut Findings) {
    for (stage, name) in named(file) {
        if matches!(name, "context" | "scratch") {
            let detail = format!("Stage name should not use the same name as reserved stage {}", quoted(name));
            findings.add(&RESERVED_STAGE_NAME, Place::of(stage.instruction), detail);
        }
    }
}

fn duplicate(file: &WholeFile<'_>, findings: &mut Findings) {
    let mut seen = HashSet::new();
    for (stage, name) in named(file) {
        if !seen.insert(name) {
            let detail = format!("Duplicate stage name {}, stage names should be unique", quoted(name));
            findings.add(&DUPLICATE_STAGE_NAME, Place::of(stage.instruction), detail);
        }
    }
}

fn named<'f>(file: &WholeFile<'f>) -> impl Iterator<Item = (&'f Stage<'f>, &'f str)> {
    file.stages.list.iter().filter_map(|stage| Some((stage, stage.name()?)))
}
