//! Secrets in places that everybody can read.

use super::Rule;
use crate::dockerfile::{
    instruction::Kind,
    lint::{Check, Moment, findings::Findings},
    lower::go::quoted,
};

pub(super) static SECRETS_USED_IN_ARG_OR_ENV: Rule = Rule {
    name: "SecretsUsedInArgOrEnv",
    description: "Sensitive data should not be used in the ARG or ENV commands",
    page: Some("secrets-used-in-arg-or-env"),
    experimental: false,
    check: Check::Step(check),
};

/// Parts of names, between underscores, that tell of a secret.
const SECRET: [&str; 10] =
    ["apikey", "auth", "credential", "credentials", "key", "password", "pword", "passwd", "secret", "token"];

/// Parts of names that tell of something about a secret that is none itself.
const HARMLESS: [&str; 3] = ["public", "file", "version"];

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

fn sounds_secret(name: &str) -> bool {
    let has = |words: &[&str]| name.split('_').any(|part| words.iter().any(|word| word.eq_ignore_ascii_case(part)));
    has(&SECRET) && !has(&HARMLESS)
}

#[cfg(test)]
mod tests {
    use super::sounds_secret;

    #[test]
    fn whole_words_tell() {
        for name in ["API_KEY", "apikey", "DATABASE_PASSWORD", "secret_MESSAGE", "AUTH", "_token_"] {
            assert!(sounds_secret(name), "{name}");
        }
        for name in ["KEYBOARD", "AUTHOR", "PUBLIC_KEY", "PASSWORD_FILE", "AUTH_MODULE_VERSION", "", "_"] {
            assert!(!sounds_secret(name), "{name}");
        }
    }
}
