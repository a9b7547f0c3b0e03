//! Blank lines in the midst of an instruction.

use super::Rule;
use crate::{
    diagnostic::Span,
    dockerfile::{
        instruction::Instruction,
        lint::{Check, Place, findings::Findings},
    },
};

pub(super) static NO_EMPTY_CONTINUATION: Rule = Rule {
    name: "NoEmptyContinuation",
    description: "Empty continuation lines will become errors in a future release",
    page: Some("no-empty-continuation"),
    experimental: false,
    check: Check::Line(check),
};

/// Points at the last line of the instruction.
fn check(instruction: &Instruction, findings: &mut Findings) {
    if instruction.empty_continuation.is_some() {
        let end = instruction.head.end;
        let span = Span::new(end.saturating_sub(1), end);
        let place = Place { span, ..Place::of(instruction) };
        findings.add(&NO_EMPTY_CONTINUATION, place, "Empty continuation line".to_owned());
    }
}
