//! Forms of old that have a better successor.

use super::Rule;
use crate::dockerfile::{
    instruction::{Instruction, Kind},
    lint::{Check, Moment, Place, findings::Findings},
};

pub(super) static MAINTAINER_DEPRECATED: Rule = Rule {
    name: "MaintainerDeprecated",
    description: "The MAINTAINER instruction is deprecated, use a label instead to define an image author",
    page: Some("maintainer-deprecated"),
    experimental: false,
    check: Check::Line(maintainer),
};

pub(super) static LEGACY_KEY_VALUE_FORMAT: Rule = Rule {
    name: "LegacyKeyValueFormat",
    description: "Legacy key/value format with whitespace separator should not be used",
    page: Some("legacy-key-value-format"),
    experimental: false,
    check: Check::Step(key_value),
};

fn maintainer(instruction: &Instruction, findings: &mut Findings) {
    if let Kind::Maintainer(_) = instruction.kind {
        let detail = "Maintainer instruction is deprecated in favor of using label";
        findings.add(&MAINTAINER_DEPRECATED, Place::of(instruction), detail.to_owned());
    }
}

fn key_value(moment: &Moment<'_>, findings: &mut Findings) {
    let instruction = &moment.step().instruction;
    let (Kind::Env(pairs) | Kind::Label(pairs)) = &instruction.kind else { return };
    for _ in pairs.iter().filter(|pair| pair.legacy) {
        let name = &instruction.keyword.value;
        let detail = format!("\"{name} key=value\" should be used instead of legacy \"{name} key value\" format");
        findings.add(&LEGACY_KEY_VALUE_FORMAT, moment.place(), detail);
    }
}
