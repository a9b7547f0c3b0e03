//! Markers of `pylock.toml`, which may ask for extras and groups of the lock: `'web' in extras`, `'dev' not in dependency_groups`
//! ("Dependency specifiers", marker variables for lock files).
//!
//! The library for markers knows the older `extra == 'web'` alone. Names of extras and groups become such extras, each
//! kind with a word in front that keeps them apart.

use super::{super::super::PackageError, marker};
use pep508_rs::{ExtraName, MarkerTree};

/// Reads a marker. What was chosen of the lock is to be given as [`extra`] and [`group`] when it is decided.
pub(super) fn parse(file: &str, text: &str) -> Result<MarkerTree, PackageError> {
    marker(file, &rewritten(text))
}

/// An extra of the lock.
pub(super) fn extra(name: &str) -> Option<ExtraName> {
    ExtraName::new(format!("extra-{name}")).ok()
}

/// A dependency group of the lock.
pub(super) fn group(name: &str) -> Option<ExtraName> {
    ExtraName::new(format!("group-{name}")).ok()
}

fn rewritten(text: &str) -> String {
    let words = words(text);
    let mut rest = words.as_slice();
    let mut new: Vec<String> = Vec::with_capacity(words.len());
    while let Some((word, behind)) = rest.split_first() {
        let asked = match behind {
            ["in", set, ..] => Some(("==", *set, 2)),
            ["not", "in", set, ..] => Some(("!=", *set, 3)),
            _ => None,
        };
        let kind = match asked {
            Some((_, "extras", _)) => "extra",
            Some((_, "dependency_groups", _)) => "group",
            Some(_) | None => "",
        };
        match asked {
            Some((operator, _, length)) if !kind.is_empty() && word.starts_with(['\'', '"']) => {
                let (quote, name) = word.split_at(1);
                new.push(format!("extra {operator} {quote}{kind}-{name}"));
                rest = &behind[length..];
            }
            Some(_) | None => {
                new.push((*word).to_owned());
                rest = behind;
            }
        }
    }
    new.join(" ")
}

/// Strings with their quotes, names, operators and parentheses.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let is_operator = |c: char| "<>=!~".contains(c);
        let length = match first {
            '\'' | '"' => rest[1..].find(first).map(|end| end + 2),
            '(' | ')' => Some(1),
            _ if is_operator(first) => rest.find(|c| !is_operator(c)),
            _ => rest.find(|c: char| c.is_whitespace() || is_operator(c) || "()'\"".contains(c)),
        };
        let (word, behind) = rest.split_at(length.unwrap_or(rest.len()));
        words.push(word);
        rest = behind.trim_start();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_become_extras_and_the_rest_stays() {
        for (marker, expected) in [
            ("'web' in extras", "extra == 'extra-web'"),
            ("\"web\" not  in extras", "extra != \"extra-web\""),
            (
                "('dev' in dependency_groups or 'web' in extras)and python_version>='3.9'",
                "( extra == 'group-dev' or extra == 'extra-web' ) and python_version >= '3.9'",
            ),
            ("'linux' in sys_platform", "'linux' in sys_platform"),
            ("platform_version == \"'a' in extras\"", "platform_version == \"'a' in extras\""),
            ("'unended", "'unended"),
        ] {
            assert_eq!(rewritten(marker), expected, "{marker}");
        }
    }
}
