//! Secrets in places that everybody can read.

use super::Rule;
use crate::{
    dockerfile::{
        instruction::Kind,
        lint::{Check, Moment, findings::Findings},
        lower::go::quoted,
    },
    secret_name::sounds_secret,
};

pub(super) static SECRETS_USED_IN_ARG_OR_ENV: Rule = Rule {
    name: "SecretsUsedInArgOrEnv",
    description: "Sensitive data should not be used in the ARG or ENV commands",
    page: Some("secrets-used-in-arg-or-env"),
    experimental: false,
    check: Check::Step(check),
};

fn check(moment: &Moment<'_>, findings: &mut Findings) {
    let (keyword, names): (_, Vec<String>) = match &moment.step().instruction.kind {
        Kind::Arg(declarations) => ("ARG", declarations.iter().map(|each| each.name.value.clone()).collect()),
        Kind::Env(pairs) => {
            let keys = pairs.iter().filter_map(|pair| moment.variables().expand(&pair.key, moment.escape).ok());
            ("ENV", keys.collect())
        }
        Kind::Add(_)
        | Kind::Cmd(_)
        | Kind::Copy(_)
        | Kind::Deps(_)
        | Kind::Entrypoint(_)
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
    for name in names.iter().filter(|name| sounds_secret(name)) {
        let detail = format!("Do not use ARG or ENV instructions for sensitive data ({keyword} {})", quoted(name));
        findings.add(&SECRETS_USED_IN_ARG_OR_ENV, moment.place(), detail);
    }
}
