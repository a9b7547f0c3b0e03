//! Variables that nothing gives a value.

use super::Rule;
use crate::dockerfile::{
    expand::Expander,
    expanded::{Expanded, words},
    instruction::Kind,
    lint::{Check, Moment, findings::Findings},
};
use std::collections::HashSet;

pub(super) static UNDEFINED_VAR: Rule = Rule {
    name: "UndefinedVar",
    description: "Variables should be defined before their use",
    page: Some("undefined-var"),
    experimental: false,
    check: Check::Step(check),
};

/// A name that is `ARG` without a value is known all the same. `EXPOSE` is not looked at, nor are commands: their variables
/// are the shell's.
fn check(moment: &Moment<'_>, findings: &mut Findings) {
    let lookup = |name: &str| moment.variables().get(name).map(str::to_owned);
    let mut declared_here = HashSet::new();
    let kind = &moment.step().instruction.kind;
    if matches!(kind, Kind::Expose(_)) {
        return;
    }
    for expanded in words(kind) {
        let names = match expanded {
            Expanded::Word(word) => Expander::new(moment.escape, &lookup).names(&word.value),
            Expanded::Body(heredoc) => Expander::heredoc(&lookup).names(&heredoc.content.value),
            Expanded::Declared(name) => {
                declared_here.insert(name);
                continue;
            }
        };
        for name in names.unwrap_or_default().unset {
            if !moment.sight.scope.declares(&name) && !declared_here.contains(name.as_str()) {
                let similar = findings.similar(&name, "$", moment.variables().names());
                let detail = format!("Usage of undefined variable '${name}'{similar}");
                findings.add(&UNDEFINED_VAR, moment.place(), detail);
            }
        }
    }
}
