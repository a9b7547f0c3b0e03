//! Comments that describe stages and arguments, as outlines show them.

use super::Rule;
use crate::dockerfile::{
    instruction::{Instruction, Kind},
    lint::{Check, Place, findings::Findings},
};

pub(super) static INVALID_DEFINITION_DESCRIPTION: Rule = Rule {
    name: "InvalidDefinitionDescription",
    description: "Comment for build stage or argument should follow the format: `# <arg/stage name> <description>`. \
                  If this is not intended to be a description comment, add an empty line or comment between the \
                  instruction and the comment.",
    page: Some("invalid-definition-description"),
    experimental: true,
    check: Check::Line(check),
};

/// Only the last comment above the instruction counts.
fn check(instruction: &Instruction, findings: &mut Findings) {
    let (keyword, names) = match &instruction.kind {
        Kind::From(from) => ("FROM", from.name.iter().map(|name| name.value.as_str()).collect()),
        Kind::Arg(declarations) => {
            ("ARG", declarations.iter().map(|each| each.name.value.as_str()).collect::<Vec<_>>())
        }
        Kind::Add(_)
        | Kind::Cmd(_)
        | Kind::Copy(_)
        | Kind::Deps(_)
        | Kind::Entrypoint(_)
        | Kind::Env(_)
        | Kind::Expose(_)
        | Kind::Healthcheck(_)
        | Kind::Label(_)
        | Kind::Maintainer(_)
        | Kind::Onbuild(_)
        | Kind::Run(_)
        | Kind::Shell(_)
        | Kind::Stopsignal(_)
        | Kind::User(_)
        | Kind::Volume(_)
        | Kind::Workdir(_) => return,
    };
    let (Some(comment), Some(first)) = (instruction.comments.last(), names.first()) else { return };
    let described = comment.value.split(' ').next().unwrap_or_default();
    if !names.contains(&described) {
        let example = if names.len() > 1 { "<arg_key>" } else { first };
        let detail = format!("Comment for {keyword} should follow the format: `# {example} <description>`");
        findings.add(&INVALID_DEFINITION_DESCRIPTION, Place::of(instruction), detail);
    }
}
