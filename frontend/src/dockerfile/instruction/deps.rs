//! `DEPS ECOSYSTEM [--flags] ARGUMENTS`: packages as layers. flashbuild's own instruction.
//!
//! Flags stand behind the ecosystem, because each has its own. Which of them go together, and what their values may be, is
//! for the core to say: it knows the ecosystem.

use super::Word;
use crate::{
    diagnostic::{Code, Diagnostic, Span, nearest},
    dockerfile::{
        flags::{FlagSpec, Flags, Shape},
        line::LogicalLine,
        syntax::{self, Dependencies},
    },
    package::Ecosystem,
};

/// `DEPS`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deps {
    /// Whose packages.
    pub ecosystem: Ecosystem,
    /// `--from`: where the lock file is, if not in the context.
    pub from: Option<Word>,
    /// `--build-from`: where the tools are that make packages of sources, if not in the stage itself.
    pub build_from: Option<Word>,
    /// The other flags in the order of the ecosystem's table: names and values. A switch that is on has the value `true`.
    pub flags: Vec<(&'static str, Word)>,
    /// What is behind the flags; at least one.
    pub arguments: Vec<Word>,
}

/// The flags of each ecosystem, `--from` and `--build-from` apart.
fn flag_specs(ecosystem: Ecosystem) -> &'static [FlagSpec] {
    match ecosystem {
        Ecosystem::Apt => &[
            ("suite", Shape::List),
            ("component", Shape::List),
            ("mirror", Shape::List),
            ("recommends", Shape::Switch),
            ("no-docs", Shape::Switch),
            ("configure", Shape::Switch),
        ],
        Ecosystem::Node => &[
            ("prefix", Shape::Text),
            ("omit", Shape::List),
            ("include", Shape::List),
            ("libc", Shape::Text),
            ("allow-scripts", Shape::List),
        ],
        Ecosystem::Python => &[
            ("python", Shape::Text),
            ("prefix", Shape::Text),
            ("target", Shape::Text),
            ("extra", Shape::List),
            ("group", Shape::List),
            ("find-links", Shape::List),
            ("libc", Shape::Text),
            ("build-sdist", Shape::SwitchOrText),
            ("compile", Shape::Switch),
        ],
    }
}

/// Begins a comment that spells a `DEPS` for flashbuild only.
const COMMENT: &str = "deps:";

/// The `DEPS` that a comment right above a `RUN` spells, in the place of that `RUN`: other builders run it. A comment that
/// does not go on with the name of an ecosystem is for people only.
pub(in crate::dockerfile) fn of_comment(comment: &Word, escape: char) -> Result<Option<Deps>, Diagnostic> {
    let Some(text) = comment.value.strip_prefix(COMMENT) else { return Ok(None) };
    let mut line = LogicalLine::default();
    line.push(text.trim_start(), comment.span.end - text.trim_start().len());
    let dependencies = syntax::dependencies(line.piece(), escape);
    let named = dependencies.as_ref().map(|dependencies| dependencies.ecosystem.value.as_str());
    if !Ecosystem::ALL.iter().any(|ecosystem| named == Some(ecosystem.name())) {
        return Ok(None);
    }
    read(dependencies, comment.span).map(Some)
}

impl Deps {
    /// The word of a comment where one that spells a `DEPS` has the name of an ecosystem.
    pub(in crate::dockerfile) fn named_in_comment(comment: &Word) -> Option<&str> {
        comment.value.strip_prefix(COMMENT)?.split_whitespace().next()
    }
}

pub(super) fn read(dependencies: Option<Dependencies>, keyword: Span) -> Result<Deps, Diagnostic> {
    let names = Ecosystem::ALL.map(Ecosystem::name);
    let hint = "write `DEPS apt PACKAGE…`, `DEPS python FILE` or `DEPS node FILE`";
    let Some(Dependencies { ecosystem: word, flags, words }) = dependencies else {
        return Err(Diagnostic::error(
            Code::IncompleteDeps,
            "DEPS requires an ecosystem and what to take from it",
            keyword,
        )
        .with_hint(hint));
    };
    let Some(ecosystem) = Ecosystem::ALL.into_iter().find(|known| known.name() == word.value) else {
        let error =
            Diagnostic::error(Code::UnknownEcosystem, format!("DEPS does not know `{}`", word.value), word.span);
        return Err(match nearest(&word.value, names) {
            Some(name) => error.with_hint(format!("did you mean `{name}`?")),
            None => error.with_hint(hint),
        });
    };
    let places: &[FlagSpec] = match ecosystem {
        Ecosystem::Apt => &[],
        Ecosystem::Node => &[("from", Shape::Text)],
        Ecosystem::Python => &[("from", Shape::Text), ("build-from", Shape::Text)],
    };
    let specs: Vec<FlagSpec> = flag_specs(ecosystem).iter().chain(places).copied().collect();
    let flags = Flags::check(&format!("DEPS {}", ecosystem.name()), flags, &specs)?;
    if words.is_empty() {
        let what = match ecosystem {
            Ecosystem::Apt => "packages",
            Ecosystem::Node | Ecosystem::Python => "a lock file",
        };
        return Err(Diagnostic::error(
            Code::IncompleteDeps,
            format!("DEPS {} requires {what}", ecosystem.name()),
            word.span,
        )
        .with_hint(hint));
    }
    let mut given = Vec::new();
    for (name, shape) in flag_specs(ecosystem) {
        match shape {
            Shape::Text => given.extend(flags.text(name).map(|value| (*name, value))),
            Shape::List => given.extend(flags.list(name).into_iter().map(|value| (*name, value))),
            Shape::SwitchOrText => given.extend(flags.switch_or_text(name).map(|value| (*name, value))),
            Shape::Switch => {
                let on = flags.switch(name).filter(|state| state.value);
                given.extend(on.map(|state| (*name, Word::new("true".to_owned(), state.span))));
            }
        }
    }
    let build_from = flags.text("build-from");
    if let Some(build_from) = &build_from
        && given.iter().all(|(name, _)| *name != "build-sdist")
    {
        let message = "--build-from says where packages are built, but none may be";
        let error = Diagnostic::error(Code::IncompleteDeps, message, build_from.span);
        return Err(error.with_hint("add `--build-sdist`, or `--build-sdist=NAME` for one package alone"));
    }
    Ok(Deps { ecosystem, from: flags.text("from"), build_from, flags: given, arguments: words })
}
