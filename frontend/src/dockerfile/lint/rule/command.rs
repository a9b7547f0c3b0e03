//! What containers run.

use super::Rule;
use crate::dockerfile::{
    instruction::{Command, Kind},
    lint::{Check, Moment, Place, findings::Findings},
};
use std::mem::discriminant;

pub(super) static MULTIPLE_INSTRUCTIONS_DISALLOWED: Rule = Rule {
    name: "MultipleInstructionsDisallowed",
    description: "Multiple instructions of the same type should not be used in the same stage",
    page: Some("multiple-instructions-disallowed"),
    experimental: false,
    check: Check::Step(multiple),
};

pub(super) static JSON_ARGS_RECOMMENDED: Rule = Rule {
    name: "JSONArgsRecommended",
    description: "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to OS signals",
    page: Some("json-args-recommended"),
    experimental: false,
    check: Check::Step(json),
};

/// Points at the one before, which is in vain.
fn multiple(moment: &Moment<'_>, findings: &mut Findings) {
    let here = &moment.step().instruction;
    if !matches!(here.kind, Kind::Cmd(_) | Kind::Entrypoint(_) | Kind::Healthcheck(_)) {
        return;
    }
    let kind = discriminant(&here.kind);
    if let Some(vain) = moment.before().iter().rev().find(|step| discriminant(&step.instruction.kind) == kind) {
        let detail = format!(
            "Multiple {} instructions should not be used in the same stage because only the last one will be used",
            here.keyword.value
        );
        let place = Place { span: vain.span(), ..moment.place() };
        findings.add(&MULTIPLE_INSTRUCTIONS_DISALLOWED, place, detail);
    }
}

/// Who has set a shell of his own wants it.
fn json(moment: &Moment<'_>, findings: &mut Findings) {
    let here = &moment.step().instruction;
    let (Kind::Cmd(command) | Kind::Entrypoint(command)) = &here.kind else { return };
    if moment.sight.shell.is_empty() && matches!(command, Command::Shell(_)) {
        let detail = format!(
            "JSON arguments recommended for {} to prevent unintended behavior related to OS signals",
            here.keyword.value
        );
        findings.add(&JSON_ARGS_RECOMMENDED, moment.place(), detail);
    }
}
