//! Files and variables that may be secrets. In every layer: what a later layer deletes can still be read.
//!
//! By pattern, so both ways wrong at times. Only the place and the kind are told, never the secret. Files of packages are
//! not looked at: keys among them are examples and everybody's.

use super::Subject;
use crate::{
    layer::{Entry, EntryKind, LayerError},
    optimize::{owner::Inventory, passes::hidden::is_visible},
};
use serde::Serialize;
use std::io::Read as _;

/// Largest file that is read.
const MAX_FILE: u64 = 64 << 10;
/// Files that are read of one image at most.
const MOST_FILES: usize = 5000;
/// Findings that are told.
const MOST: usize = 100;

/// Something that may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Secret {
    /// The file, or the variable.
    pub place: String,
    /// The layer; `None` for a variable of the configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layer: Option<usize>,
    /// What it looks like.
    pub kind: &'static str,
    /// Whether a later layer hides it: it can be read all the same.
    pub hidden: bool,
}

/// Names of files that hold secrets, by how they end; what they then contain; and what that is.
const FILES: &[(&str, &str, &str)] = &[
    (".npmrc", "_authToken", "a token for a registry of npm"),
    (".npmrc", "_password", "a password for a registry of npm"),
    (".netrc", "password", "passwords for hosts"),
    (".pypirc", "password", "a password for a Python index"),
    (".git-credentials", "://", "passwords for repositories"),
    (".aws/credentials", "aws_secret_access_key", "a key of AWS"),
    (".docker/config.json", "\"auth\"", "passwords for registries"),
    (".kube/config", "client-key-data", "a key for a cluster"),
    ("credentials.json", "\"private_key\"", "a key of a service account"),
];

/// Tokens: how they begin, how many letters and digits follow at least, and what they are.
const TOKENS: &[(&str, usize, &str)] = &[
    ("AKIA", 16, "the name of a key of AWS"),
    ("ghp_", 36, "a token of GitHub"),
    ("github_pat_", 22, "a token of GitHub"),
    ("glpat-", 20, "a token of GitLab"),
    ("xoxb-", 20, "a token of Slack"),
    ("sk_live_", 20, "a key of Stripe"),
];

/// What names of variables contain.
const VARIABLES: &[&str] = &["PASSWORD", "PASSWD", "SECRET", "TOKEN", "API_KEY", "APIKEY", "PRIVATE_KEY", "ACCESS_KEY"];

pub(super) fn find(subject: &Subject<'_>, inventory: &Inventory) -> Result<Vec<Secret>, LayerError> {
    let mut found: Vec<Secret> = subject.config.config.env.iter().filter_map(|pair| variable(pair)).collect();
    let mut read = 0;
    for (layer, toc) in subject.view.layers().iter().enumerate() {
        for entry in toc.entries() {
            let EntryKind::File { size, .. } = entry.kind else { continue };
            let may_be =
                size > 0 && size <= MAX_FILE && inventory.owner_index(&entry.path).is_none() && is_of_people(entry);
            if !may_be || read >= MOST_FILES || found.len() >= MOST {
                continue;
            }
            read += 1;
            let mut bytes = Vec::new();
            let file = subject.layers.open_file(&subject.diff_ids[layer], &entry.path)?;
            let done = file.take(MAX_FILE).read_to_end(&mut bytes);
            done.map_err(|error| LayerError::Io { path: entry.display_path().into(), error })?;
            if let Some(kind) = kind_of(&entry.path, &bytes) {
                let hidden = !is_visible(subject.view, layer, &entry.path);
                found.push(Secret { place: entry.display_path(), layer: Some(layer), kind, hidden });
            }
        }
    }
    Ok(found)
}

/// Whether somebody put it there: not what distributions install.
fn is_of_people(entry: &Entry) -> bool {
    let system = ["usr/share/", "usr/lib/", "var/lib/", "var/cache/", "lib/", "usr/include/"];
    !system.iter().any(|folder| entry.path.starts_with(folder.as_bytes()))
}

fn kind_of(path: &[u8], bytes: &[u8]) -> Option<&'static str> {
    let text = std::str::from_utf8(bytes).ok()?;
    let named = FILES.iter().find(|(name, holds, _)| path.ends_with(name.as_bytes()) && text.contains(holds));
    if let Some((_, _, kind)) = named {
        return Some(kind);
    }
    let begins = |line: &str| line.starts_with("-----BEGIN ") && line.trim_end().ends_with("PRIVATE KEY-----");
    if text.lines().any(begins) {
        return Some("a private key");
    }
    let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    if (name == b".env" || name.starts_with(b".env."))
        && ![&b"example"[..], b"sample", b"template"].iter().any(|end| name.ends_with(end))
        && text.lines().any(|line| variable(line.trim_start_matches("export ")).is_some())
    {
        return Some("variables with secrets");
    }
    TOKENS.iter().find(|(start, length, _)| has_token(text, start, *length)).map(|(_, _, kind)| *kind)
}

fn has_token(text: &str, start: &str, length: usize) -> bool {
    text.match_indices(start).any(|(at, _)| {
        let stands_alone = !text[..at].ends_with(|before: char| before.is_ascii_alphanumeric());
        let rest = text[at + start.len()..].bytes();
        stands_alone
            && rest.take_while(|&byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-').count() >= length
    })
}

/// A variable whose name says that its value is secret.
fn variable(pair: &str) -> Option<Secret> {
    let (name, value) = pair.split_once('=')?;
    let upper = name.trim().to_ascii_uppercase();
    let value = value.trim().trim_matches(['"', '\'']);
    // A path, a reference or a switch is no secret.
    let is_value = value.len() >= 6 && !value.starts_with(['/', '$', '.']);
    let says_so = VARIABLES.iter().any(|part| upper.contains(part)) && !upper.ends_with("_FILE");
    (is_value && says_so).then(|| Secret {
        place: format!("ENV {}", name.trim()),
        layer: None,
        kind: "a variable that is named like a secret",
        hidden: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimize::{analyze::tests::analysis, owner::testing::*};

    #[test]
    fn secrets_are_found_in_hidden_files_too() {
        let key = "-----BEGIN OPENSSH PRIVATE KEY-----\nxyz\n";
        let found = analysis(&[
            ("COPY", vec![file("root/.ssh/id_ed25519", key), file("app/.env", "export DB_PASSWORD='hunter22'\n")]),
            (
                "RUN rm",
                vec![node("root/.ssh/id_ed25519", EntryKind::Whiteout), file("app/.env.example", "TOKEN=abcdefgh\n")],
            ),
        ]);
        let told: Vec<_> = found.secrets.iter().map(|it| (&*it.place, it.kind, it.hidden)).collect();
        let expected =
            [("/app/.env", "variables with secrets", false), ("/root/.ssh/id_ed25519", "a private key", true)];
        assert_eq!(told, expected);
    }

    #[test]
    fn patterns_are_neither_too_wide_nor_too_narrow() {
        for (path, text, expected) in [
            ("a/.npmrc", "//host/:_authToken=x", Some("a token for a registry of npm")),
            ("a/.npmrc", "registry=x", None),
            ("x.py", "key = 'AKIAIOSFODNN7EXAMPLE'", Some("the name of a key of AWS")),
            ("x.py", "XAKIAIOSFODNN7EXAMPLE AKIASHORT", None),
            ("x.txt", "text about -----BEGIN PRIVATE KEY----- lines", None),
        ] {
            assert_eq!(kind_of(path.as_bytes(), text.as_bytes()), expected, "{path} {text}");
        }
        for (pair, expected) in [
            ("POSTGRES_PASSWORD=hunter22", true),
            ("POSTGRES_PASSWORD_FILE=secret-name", false),
            ("TOKEN_PATH=/run/secrets/token", false),
            ("PATH=/usr/bin", false),
            ("SECRET=", false),
        ] {
            assert_eq!(variable(pair).is_some(), expected, "{pair}");
        }
    }
}
