//! What must not be in a document that everybody may read.
//!
//! | what | how it is known | what is left of it |
//! |---|---|---|
//! | value of a variable or an argument | its name [sounds secret](sounds_secret) | `***`, wherever the value stands |
//! | the same, written otherwise | base64, percent-encoded | `***` |
//! | user and password of an address | they stand before its host | nothing; of `ssh`, the user |
//! | a parameter of an address | its name sounds secret, or like a signature | its name |
//!
//! Values of `--secret` need no redaction: they never come near a graph.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flashbuild_frontend::{
    graph::{Graph, NodeId, Op},
    secret_name::sounds_secret,
};
use serde_json::Value;
use std::collections::BTreeMap;

/// What is seen in place of a secret.
const STRUCK_OUT: &str = "***";
/// Shorter values stand in too many harmless words; only where they have their name they are struck out.
const SHORTEST: usize = 4;
/// Where an address ends in a text.
const ENDS: [char; 8] = ['"', '\'', '`', '<', '>', '\\', '(', ')'];

/// Strikes secrets out of texts.
#[derive(Debug, Default)]
pub struct Redactor {
    /// Longest first: a value may be part of another.
    values: Vec<String>,
}

impl Redactor {
    /// For a build with these arguments, of these nodes of its graph.
    pub fn new<'a>(
        arguments: &BTreeMap<String, String>,
        graph: &Graph,
        nodes: impl IntoIterator<Item = &'a NodeId>,
    ) -> Self {
        let mut named: Vec<(&str, &str)> =
            arguments.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        for id in nodes {
            if let Op::Exec(op) = &graph.node(*id).op {
                named.extend(op.env.iter().filter_map(|entry| entry.split_once('=')));
            }
        }
        let mut values = Vec::new();
        for (_, value) in named.into_iter().filter(|(name, value)| sounds_secret(name) && value.len() >= SHORTEST) {
            let percent = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
            let mut encoded = String::new();
            for c in value.chars() {
                if percent(c) {
                    encoded.push(c);
                } else {
                    encoded.extend(c.to_string().bytes().map(|byte| format!("%{byte:02X}")));
                }
            }
            values.extend([value.to_owned(), STANDARD.encode(value), encoded]);
        }
        values.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        values.dedup();
        Self { values }
    }

    /// The text without them.
    pub fn text(&self, text: &str) -> String {
        let text = without_credentials(text);
        self.values.iter().fold(text, |text, value| text.replace(value.as_str(), STRUCK_OUT))
    }

    /// The value of something that has a name.
    pub fn named(&self, name: &str, value: &str) -> String {
        if sounds_secret(name) { STRUCK_OUT.to_owned() } else { self.text(value) }
    }

    /// Everything in a document; lists called `env` are variables.
    pub(super) fn value(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(&text)),
            Value::Array(items) => Value::Array(items.into_iter().map(|item| self.value(item)).collect()),
            Value::Object(fields) => {
                let field = |(name, value): (String, Value)| {
                    let value = match (name.as_str(), value) {
                        ("env", Value::Array(entries)) => {
                            Value::Array(entries.into_iter().map(|entry| self.variable(entry)).collect())
                        }
                        (_, value) => self.value(value),
                    };
                    (name, value)
                };
                Value::Object(fields.into_iter().map(field).collect())
            }
            plain @ (Value::Null | Value::Bool(_) | Value::Number(_)) => plain,
        }
    }

    fn variable(&self, entry: Value) -> Value {
        match entry.as_str().and_then(|text| text.split_once('=')) {
            Some((name, value)) => Value::String(format!("{name}={}", self.named(name, value))),
            None => self.value(entry),
        }
    }
}

/// The text with its addresses as everybody may see them.
fn without_credentials(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, behind) = rest.split_at(at + 3);
        clean.push_str(before);
        let end = behind.find(|c: char| c.is_whitespace() || ENDS.contains(&c)).unwrap_or(behind.len());
        let (address, after) = behind.split_at(end);
        // Another address may be inside of this one, as a parameter.
        let (address, after) = match address.find("://") {
            Some(inner) => behind.split_at(inner),
            None => (address, after),
        };
        clean.push_str(&clean_address(address, before.ends_with("ssh://")));
        rest = after;
    }
    clean.push_str(rest);
    clean
}

/// An address behind its `://`.
fn clean_address(address: &str, is_ssh: bool) -> String {
    let (authority, rest) = address.split_at(address.find(['/', '?', '#']).unwrap_or(address.len()));
    let authority = match authority.rsplit_once('@') {
        Some((user, host)) if is_ssh && !user.contains(':') => format!("{user}@{host}"),
        Some((_, host)) => host.to_owned(),
        None => authority.to_owned(),
    };
    let Some((path, query)) = rest.split_once('?') else { return authority + rest };
    let (query, fragment) = query.split_at(query.find('#').unwrap_or(query.len()));
    let parameters: Vec<String> = query
        .split('&')
        .map(|parameter| match parameter.split_once('=') {
            Some((name, _)) if signs(name) => format!("{name}={STRUCK_OUT}"),
            Some(_) | None => parameter.to_owned(),
        })
        .collect();
    format!("{authority}{path}?{}{fragment}", parameters.join("&"))
}

/// Whether a parameter of an address lets whoever has it in.
fn signs(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace(['-', '.'], "_");
    sounds_secret(&name) || name.split('_').any(|part| part.starts_with("sig"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn redactor(arguments: &[(&str, &str)]) -> Redactor {
        let arguments = arguments.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Redactor::new(&arguments, &Graph::new(None), [])
    }

    #[test]
    fn addresses_lose_what_lets_people_in() {
        let redactor = redactor(&[]);
        for (text, expected) in [
            ("https://me:pass@h.example/a", "https://h.example/a"),
            ("ADD https://token@h.example/a.git#main /x", "ADD https://h.example/a.git#main /x"),
            ("ssh://git@h.example/a", "ssh://git@h.example/a"),
            ("ssh://git:pass@h.example/a", "ssh://h.example/a"),
            ("git@h.example:a/b", "git@h.example:a/b"),
            ("https://h.example/a?x=1&token=abc#f", "https://h.example/a?x=1&token=***#f"),
            ("https://h.example/?X-Amz-Signature=ab&sig=c", "https://h.example/?X-Amz-Signature=***&sig=***"),
            ("\"https://a:b@h.example\" \"http://c@i.example\"", "\"https://h.example\" \"http://i.example\""),
            ("https://p.example/?to=https://a:b@h.example/", "https://p.example/?to=https://h.example/"),
            ("me@example.org and a://", "me@example.org and a://"),
        ] {
            assert_eq!(redactor.text(text), expected, "{text}");
        }
    }

    #[test]
    fn values_with_secret_names_are_struck_out_everywhere() {
        let redactor = redactor(&[("NPM_TOKEN", "hunter/2"), ("MODE", "release"), ("KEY", "abc")]);
        assert_eq!(redactor.text("ARG NPM_TOKEN=hunter/2"), "ARG NPM_TOKEN=***");
        assert_eq!(redactor.text("aHVudGVyLzI= hunter%2F2 release abc"), "*** *** release abc");
        assert_eq!(redactor.named("KEY", "abc"), "***");
        assert_eq!(redactor.named("MODE", "release"), "release");
        let op = json!({"exec": {"args": ["x", "hunter/2"], "env": ["KEY=abc", "MODE=release", "odd"], "n": 1}});
        let expected = json!({"exec": {"args": ["x", "***"], "env": ["KEY=***", "MODE=release", "odd"], "n": 1}});
        assert_eq!(redactor.value(op), expected);
    }
}
