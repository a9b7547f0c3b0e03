//! `WORKDIR` that starts from wherever the base image happens to be.

use super::Rule;
use crate::dockerfile::{
    instruction::Kind,
    lint::{Check, Moment, findings::Findings},
    lower::go::quoted,
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
    if !path.starts_with('/') && !moment.sight.has_workdir {
        let detail =
            format!("Relative workdir {} can have unexpected results if the base image changes", quoted(&path));
        findings.add(&WORKDIR_RELATIVE_PATH, moment.place(), detail);
    }
}
