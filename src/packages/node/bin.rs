//! Programs of a package: the field `bin` of a `package.json`, read as `npm-normalize-package-bin` does.
//!
//! A name is one component, whatever was written, and a file lies inside of its package: both are what remains when the
//! path is cleaned as if it began at a root.

use serde::Deserialize;
use std::collections::BTreeMap;

/// Programs by name: the file of each, relative to the package's folder.
pub(super) type Bins = BTreeMap<String, String>;

/// `bin` as it may be written.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum BinField {
    /// One program with the package's name.
    One(String),
    /// Programs with the names of their files.
    Files(Vec<String>),
    /// Programs by name. What is no text is no file.
    Named(BTreeMap<String, Text>),
    /// Something else means nothing.
    Nothing(serde::de::IgnoredAny),
}

/// A text, or something that is ignored.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum Text {
    /// The text.
    Is(String),
    /// What is none.
    Not(serde::de::IgnoredAny),
}

impl BinField {
    /// The programs of the package `name`.
    pub(super) fn normalized(self, name: &str) -> Bins {
        let written: Vec<(String, String)> = match self {
            Self::One(file) => vec![(name.to_owned(), file)],
            Self::Files(files) => files.into_iter().map(|file| (base_name(&file), file)).collect(),
            Self::Named(named) => {
                let text = |(name, file)| match file {
                    Text::Is(file) => Some((name, file)),
                    Text::Not(_) => None,
                };
                named.into_iter().filter_map(text).collect()
            }
            Self::Nothing(_) => Vec::new(),
        };
        let clean = |(name, file): (String, String)| {
            let (name, file) = (base_name(&name), cleaned(&file));
            (!name.is_empty() && !file.is_empty()).then_some((name, file))
        };
        written.into_iter().filter_map(clean).collect()
    }
}

fn base_name(name: &str) -> String {
    let name = cleaned(&name.replace(':', "/"));
    name.rsplit('/').next().unwrap_or_default().to_owned()
}

/// `/path` without `.`, `..` and doubled slashes, and then without the slash it begins with.
fn cleaned(path: &str) -> String {
    let mut names: Vec<&str> = Vec::new();
    for name in path.split(['/', '\\']) {
        match name {
            "" | "." => {}
            ".." => drop(names.pop()),
            name => names.push(name),
        }
    }
    names.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, expected: &[(&str, &str)]) {
        let field: BinField = serde_json::from_str(json).unwrap();
        let expected: Bins = expected.iter().map(|(name, file)| ((*name).to_owned(), (*file).to_owned())).collect();
        assert_eq!(field.normalized("@scope/tool"), expected, "{json}");
    }

    #[test]
    fn all_spellings_are_read() {
        check(r#""./cli.js""#, &[("tool", "cli.js")]);
        check(r#"{"a": "bin/a.js", "b": "./bin//b.js", "c": 7}"#, &[("a", "bin/a.js"), ("b", "bin/b.js")]);
        check(r#"["bin/x", "y"]"#, &[("x", "bin/x"), ("y", "y")]);
        check("false", &[]);
    }

    #[test]
    fn nothing_leads_out_of_the_package() {
        check(r#"{"../../etc/cron": "../../../bin/sh"}"#, &[("cron", "bin/sh")]);
        check(r#"{"a\\b:c": "x\\..\\..\\y"}"#, &[("c", "y")]);
        check(r#"{"..": "x", "y": "..", "": "z"}"#, &[]);
    }
}
