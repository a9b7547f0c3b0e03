//! `WORKDIR` that starts from wherever the base image happens to be.

use super::Rule;
use crate::dockerfile::{
    instruction::{Instruction, Kind},
    lint::{Check, Moment, findings::Findings},
    lower::go::quoted,
    plan::{Origin, Step},
};

pub(super) static WORKDIR_RELATIVE_PATH: Rule = Rule {
    name: "WorkdirRelativePath",
    description: "Relative workdir without an absolute workdir declared within the build can have unexpected results if \
                  the base image changes",
    page: Some("workdir-relative-path"),
    experimental: false,
    check: Check::Step(check),
};

/// Only the first of a chain of stages counts: once it is absolute, those behind it are safe.
fn check(moment: &Moment<'_>, findings: &mut Findings) {
    let Kind::Workdir(word) = &moment.step().instruction.kind else { return };
    let Ok(path) = moment.variables().expand(word, moment.escape) else { return };
    if !path.starts_with('/') && !set_before(moment) {
        let detail =
            format!("Relative workdir {} can have unexpected results if the base image changes", quoted(&path));
        findings.add(&WORKDIR_RELATIVE_PATH, moment.place(), detail);
    }
}

fn set_before(moment: &Moment<'_>) -> bool {
    let is_set = |steps: &[Step<'_>]| steps.iter().rev().any(|step| is_workdir(&step.instruction));
    let stages = &moment.sight.plan.stages;
    let mut base = &moment.sight.planned().base;
    let mut found = is_set(moment.before());
    while let (false, Origin::Stage(index)) = (found, base) {
        found = is_set(&stages[*index].steps);
        base = &stages[*index].base;
    }
    found
}

fn is_workdir(instruction: &Instruction) -> bool {
    matches!(instruction.kind, Kind::Workdir(_))
}
