//! What of an instruction is expanded when it is lowered.

use super::instruction::{Add, ArgDeclaration, Copy, Heredoc, Kind, Source, TransferFlags, Word};

/// Something of an instruction that is expanded.
pub(super) enum Expanded<'a> {
    /// A word, or several in one text.
    Word(&'a Word),
    /// A name that `ARG` declares, and sees to its right.
    Declared(&'a str),
    /// The body of a heredoc.
    Body(&'a Heredoc),
}

/// All of it, from the left to the right. Commands are not: their variables are the shell's.
pub(super) fn words(kind: &Kind) -> Vec<Expanded<'_>> {
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
        Kind::Expose(words) | Kind::Volume(words) => words.iter().map(Expanded::Word).collect(),
        Kind::Cmd(_)
        | Kind::Entrypoint(_)
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
