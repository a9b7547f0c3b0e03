//! Variables that nothing gives a value.

use super::Rule;
use crate::dockerfile::{
    expand::Expander,
    instruction::{Add, ArgDeclaration, Copy, Heredoc, Kind, Source, TransferFlags, Word},
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

/// What is expanded in an instruction.
enum Expanded<'a> {
    Word(&'a Word),
    /// `ARG` sees the names to its left.
    Declared(&'a str),
    Body(&'a Heredoc),
}

/// A name that is `ARG` without a value is known all the same. `EXPOSE` is not looked at, nor are commands: their variables
/// are the shell's.
fn check(moment: &Moment<'_>, findings: &mut Findings) {
    let lookup = |name: &str| moment.variables().get(name).map(str::to_owned);
    let mut declared_here = HashSet::new();
    for expanded in words(&moment.step().instruction.kind) {
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

fn words(kind: &Kind) -> Vec<Expanded<'_>> {
    match kind {
        Kind::Add(Add { flags, checksum, sources, dest, .. }) => transfer(flags, checksum.as_ref(), sources, dest),
        Kind::Copy(Copy { flags, sources, dest, .. }) => transfer(flags, None, sources, dest),
        Kind::Arg(declarations) => {
            let parts = declarations.iter().flat_map(|ArgDeclaration { name, default }| {
                default.iter().map(Expanded::Word).chain([Expanded::Declared(&name.value)])
            });
            parts.collect()
        }
        Kind::Env(pairs) | Kind::Label(pairs) => {
            pairs.iter().flat_map(|pair| [&pair.key, &pair.value]).map(Expanded::Word).collect()
        }
        Kind::Deps(deps) => {
            deps.flags.iter().map(|(_, word)| word).chain(&deps.arguments).map(Expanded::Word).collect()
        }
        Kind::Run(run) => run.mounts.iter().map(|mount| Expanded::Word(&mount.written)).collect(),
        Kind::Stopsignal(word) | Kind::User(word) | Kind::Workdir(word) => vec![Expanded::Word(word)],
        Kind::Volume(paths) => paths.iter().map(Expanded::Word).collect(),
        Kind::Cmd(_)
        | Kind::Entrypoint(_)
        | Kind::Expose(_)
        | Kind::From(_)
        | Kind::Healthcheck(_)
        | Kind::Maintainer(_)
        | Kind::Onbuild(_)
        | Kind::Shell(_) => Vec::new(),
    }
}

fn transfer<'a>(
    flags: &'a TransferFlags,
    checksum: Option<&'a Word>,
    sources: &'a [Source],
    dest: &'a Word,
) -> Vec<Expanded<'a>> {
    let mut words: Vec<&Word> = flags.chown.iter().chain(&flags.chmod).chain(checksum).collect();
    words.extend(sources.iter().filter_map(|source| match source {
        Source::Path(word) => Some(word),
        Source::Heredoc(_) => None,
    }));
    words.push(dest);
    let bodies = sources.iter().filter_map(|source| match source {
        Source::Heredoc(heredoc) if heredoc.expand => Some(Expanded::Body(heredoc)),
        Source::Heredoc(_) | Source::Path(_) => None,
    });
    words.into_iter().map(Expanded::Word).chain(bodies).collect()
}
