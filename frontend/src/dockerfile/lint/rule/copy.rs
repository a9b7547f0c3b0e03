//! `COPY` of what the context leaves out.

use super::Rule;
use crate::{
    dockerfile::{
        instruction::{Kind, Source},
        lint::{Check, Moment, findings::Findings},
        lower::go::quoted,
    },
    ignore::IgnoreRules,
    path::clean,
};

pub(super) static COPY_IGNORED_FILE: Rule = Rule {
    name: "CopyIgnoredFile",
    description: "Attempting to Copy file that is excluded by .dockerignore",
    page: Some("copy-ignored-file"),
    experimental: false,
    check: Check::Step(check),
};

/// Says nothing if any pattern starts with `!`: then a folder that is left out may still hold files that are not.
fn check(moment: &Moment<'_>, findings: &mut Findings) {
    let Some(ignored) = moment.ignored else { return };
    let (verb, sources) = match &moment.step().instruction.kind {
        Kind::Copy(copy) if copy.from.is_none() => ("Copy", &copy.sources),
        Kind::Add(add) => ("Add", &add.sources),
        Kind::Copy(_)
        | Kind::Arg(_)
        | Kind::Cmd(_)
        | Kind::Deps(_)
        | Kind::Entrypoint(_)
        | Kind::Env(_)
        | Kind::Expose(_)
        | Kind::From(_)
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
    for source in sources {
        let Source::Path(word) = source else { continue };
        let Ok(path) = moment.variables().expand(word, moment.escape) else { continue };
        let path = clean(&path);
        if !is_address(&path) && leaves_out(ignored, &path) {
            let detail = format!("Attempting to {verb} file {} that is excluded by .dockerignore", quoted(&path));
            findings.add(&COPY_IGNORED_FILE, moment.place(), detail);
        }
    }
}

/// The context itself is left out only if everything in it is.
fn leaves_out(ignored: &IgnoreRules, path: &str) -> bool {
    match path {
        "." | "/" => ignored.leaves_out_everything(),
        // As moby/buildkit has it: what is written from the root is not looked at.
        path => !path.starts_with('/') && ignored.matches(path),
    }
}

fn is_address(path: &str) -> bool {
    ["http:/", "https:/", "git:/", "ssh:/", "git@"].iter().any(|scheme| path.starts_with(scheme))
}
