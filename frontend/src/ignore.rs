//! `.dockerignore`: which files of the context the build does not see.
//!
//! The rules are those of moby/patternmatcher, as a walk through the context applies them:
//!
//! 1. Lines that start with `#` and blank lines count for nothing. A byte-order mark, a carriage return and white space around a
//!    pattern are dropped, the path is cleaned (`a//b/../c` is `a/c`), and a leading slash goes.
//! 2. A path is left out if the last pattern that matches it, or a folder above it, has no `!` in front.
//! 3. A pattern is only asked where its answer could change something: one with `!` if the path is left out so far, one without
//!    if it is not. What a folder was not asked, its files do not inherit from it: after `d/f`, `!d` brings `d` back, but not `d/f`.
//!
//! How one pattern matches one path is the business of [`crate::glob`].

use crate::{
    glob::{Glob, GlobError},
    path::clean,
};

/// The patterns of one context, compiled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IgnoreRules {
    rules: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    glob: Glob,
    /// Whether it had a `!`: what it matches is in after all.
    brings_back: bool,
}

/// A pattern that means nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid ignore pattern {pattern:?}: {reason}")]
pub struct IgnoreError {
    /// The pattern, cleaned.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: IgnoreReason,
    /// Its 1-based line, if it was read from a text.
    pub line: Option<usize>,
}

/// What is wrong with an ignore pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IgnoreReason {
    /// A lone `!`.
    #[error("'!' needs a pattern behind it")]
    NothingBehindMark,
    /// Malformed wildcards.
    #[error(transparent)]
    Glob(#[from] GlobError),
}

impl IgnoreRules {
    /// Reads the text of a `.dockerignore`: its patterns, cleaned and checked, in their order.
    pub fn parse(text: &str) -> Result<Vec<String>, IgnoreError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut patterns = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let pattern = line.trim();
            if line.starts_with('#') || pattern.is_empty() {
                continue;
            }
            let pattern = match pattern.strip_prefix('!') {
                Some(rest) => format!("!{}", from_the_root(rest.trim())),
                None => from_the_root(pattern),
            };
            // White space may lie bare once the path is clean.
            let pattern = pattern.trim().to_owned();
            if pattern.is_empty() {
                continue;
            }
            compile(&pattern).map_err(|reason| IgnoreError {
                pattern: pattern.clone(),
                reason,
                line: Some(index + 1),
            })?;
            patterns.push(pattern);
        }
        Ok(patterns)
    }

    /// Compiles patterns, each maybe with a `!`.
    pub fn new<S: AsRef<str>>(patterns: impl IntoIterator<Item = S>) -> Result<Self, IgnoreError> {
        let mut rules = Vec::new();
        for pattern in patterns {
            let pattern = pattern.as_ref().trim();
            if pattern.is_empty() {
                continue;
            }
            rules.push(compile(pattern).map_err(|reason| IgnoreError {
                pattern: pattern.to_owned(),
                reason,
                line: None,
            })?);
        }
        Ok(Self { rules })
    }

    /// Whether any pattern brings back what others leave out.
    pub fn bring_back(&self) -> bool {
        self.rules.iter().any(|rule| rule.brings_back)
    }

    /// Whether a pattern leaves out everything (`*`, `**`, `**/*`).
    pub fn leaves_out_everything(&self) -> bool {
        let all: Vec<Glob> = ["*", "**", "**/*"].iter().filter_map(|text| Glob::for_ignore(text).ok()).collect();
        self.rules.iter().any(|rule| !rule.brings_back && all.contains(&rule.glob))
    }

    /// Whether `path`, relative to the context with slashes between its components, is left out.
    pub fn matches(&self, path: &str) -> bool {
        self.decide(path).ignored
    }

    /// Whether a walk may skip the folder `dir`: it is left out, and no pattern could bring back anything below it.
    pub fn prunes(&self, dir: &str) -> bool {
        let decision = self.decide(dir);
        decision.ignored
            && !self.rules[decision.decided_by..].iter().any(|rule| rule.brings_back && rule.glob.may_match_below(dir))
    }

    /// Asks for each folder above `path` and then for `path`, as a walk does.
    fn decide(&self, path: &str) -> Decision {
        let path = path.strip_prefix('/').unwrap_or(path);
        let mut matched = vec![false; self.rules.len()];
        let mut decision = Decision::default();
        let ends = path.match_indices('/').map(|(end, _)| end);
        for end in ends.chain([path.len()]) {
            decision = Decision::default();
            for (index, (rule, matched)) in self.rules.iter().zip(&mut matched).enumerate() {
                // What matched the folder above matches everything in it.
                let asked = rule.brings_back == decision.ignored;
                *matched = *matched || (asked && rule.glob.matches(&path[..end]));
                if *matched {
                    decision = Decision { ignored: !rule.brings_back, decided_by: index };
                }
            }
        }
        decision
    }
}

#[derive(Clone, Copy, Default)]
struct Decision {
    ignored: bool,
    /// Index of the last rule that matched.
    decided_by: usize,
}

fn compile(pattern: &str) -> Result<Rule, IgnoreReason> {
    let pattern = clean(pattern);
    let (brings_back, pattern) = match pattern.strip_prefix('!') {
        Some("") => return Err(IgnoreReason::NothingBehindMark),
        Some(rest) => (true, rest),
        None => (false, pattern.as_str()),
    };
    Ok(Rule { glob: Glob::for_ignore(pattern)?, brings_back })
}

/// A cleaned pattern without its leading slash.
fn from_the_root(pattern: &str) -> String {
    if pattern.is_empty() {
        return String::new();
    }
    let cleaned = clean(pattern);
    match cleaned.strip_prefix('/') {
        Some(rest) if !rest.is_empty() => rest.to_owned(),
        Some(_) | None => cleaned,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One case a line: patterns joined by `,`; then a path and what happens to it: `out`, `in`, `skip` (a folder that is out with
    /// everything in it) or `walk` (a folder that is out, but not everything in it).
    #[test]
    fn cases() {
        let text = include_str!("../../testdata/ignore/cases.txt");
        let mut count = 0;
        for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            let [patterns, path, expected]: [&str; 3] = line
                .split('|')
                .map(str::trim)
                .collect::<Vec<_>>()
                .try_into()
                .unwrap_or_else(|_| panic!("three columns: {line}"));
            let text = patterns.replace(',', "\n");
            let rules = IgnoreRules::new(IgnoreRules::parse(&text).expect(line)).expect(line);
            let found = match (rules.matches(path), rules.prunes(path)) {
                (true, true) => "skip",
                (true, false) => "walk",
                (false, _) => "in",
            };
            let fits = found == expected || (expected == "out" && found != "in");
            assert!(fits, "{line}: {found}");
            count += 1;
        }
        assert!(count >= 120, "{count} cases");
    }

    #[test]
    fn a_file_is_read_line_by_line() {
        let text = "\u{feff}# comment\r\n\n  /a//b/../c/ \r\n #not a comment\n! /keep/\n/\n/ /\n.\n../x\n";
        assert_eq!(IgnoreRules::parse(text).unwrap(), ["a/c", "#not a comment", "!keep", "/", ".", "../x"]);
    }

    #[test]
    fn malformed_patterns_are_refused_with_their_line() {
        for (text, expected) in [
            ("a\n!\n", "invalid ignore pattern \"!\": '!' needs a pattern behind it"),
            ("a\n[\n", "invalid ignore pattern \"[\": a '[' needs characters and a ']' behind it"),
            ("a\n!/  /\n", "invalid ignore pattern \"!\": '!' needs a pattern behind it"),
            ("a\n// !\n", "invalid ignore pattern \"!\": '!' needs a pattern behind it"),
            ("a\nb\\\n", "invalid ignore pattern \"b\\\\\": a '\\' at the end escapes nothing"),
        ] {
            let error = IgnoreRules::parse(text).unwrap_err();
            assert_eq!(error.to_string(), expected);
            assert_eq!(error.line, Some(2));
        }
    }
}
