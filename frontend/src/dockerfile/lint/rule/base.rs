//! Arguments in `FROM`.

use super::Rule;
use crate::{
    dockerfile::{
        expand::{Expander, Names},
        instruction::Word,
        lint::{BaseName, Check, Place, WholeFile, findings::Findings},
        scope::Variables,
    },
    reference::Reference,
};

pub(super) static INVALID_DEFAULT_ARG_IN_FROM: Rule = Rule {
    name: "InvalidDefaultArgInFrom",
    description: "Default value for global ARG results in an empty or invalid base image name",
    page: Some("invalid-default-arg-in-from"),
    experimental: false,
    check: Check::File(default),
};

pub(super) static UNDEFINED_ARG_IN_FROM: Rule = Rule {
    name: "UndefinedArgInFrom",
    description: "FROM command must use declared ARGs",
    page: Some("undefined-arg-in-from"),
    experimental: false,
    check: Check::From(undefined),
};

fn default(file: &WholeFile<'_>, findings: &mut Findings) {
    let Some(defaults) = file.defaults else { return };
    for stage in &file.stages.list {
        let base = &stage.from.base;
        let Ok(name) = defaults.expand(base, file.escape) else { return };
        if name != base.value && name.parse::<Reference>().is_err() {
            let detail = format!("Default value for ARG {} results in empty or invalid base image name", base.value);
            findings.add(&INVALID_DEFAULT_ARG_IN_FROM, Place::of(stage.instruction), detail);
        }
    }
}

fn undefined(base: &BaseName<'_>, findings: &mut Findings) {
    let from = base.stage.from;
    for word in std::iter::once(&from.base).chain(&from.platform) {
        for name in names(word, base.globals, base.escape).unset {
            if !base.declared.contains(name.as_str()) {
                let known = base.globals.names().chain(base.declared.iter().copied());
                let similar = findings.similar(&name, "", known);
                let detail = format!("FROM argument '{name}' is not declared{similar}");
                findings.add(&UNDEFINED_ARG_IN_FROM, Place::of(base.stage.instruction), detail);
            }
        }
    }
}

/// The variables in `word`; none if it is malformed, which is an error of its own.
pub(super) fn names(word: &Word, variables: &Variables, escape: char) -> Names {
    let lookup = |name: &str| variables.get(name).map(str::to_owned);
    Expander::new(escape, &lookup).names(&word.value).unwrap_or_default()
}
