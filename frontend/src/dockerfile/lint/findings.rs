//! What rules find.

use super::{CheckOptions, Place, Rule};
use crate::diagnostic::Span;

/// An instruction that goes against a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The rule.
    pub rule: &'static Rule,
    /// What is wrong, with the names that it is about.
    pub detail: String,
    /// The instruction; its lines are what counts.
    pub span: Span,
}

impl Warning {
    /// One line for people: `Rule: detail (line 3)`.
    pub fn summary(&self, line: usize) -> String {
        format!("{}: {} (line {line})", self.rule.name, self.detail)
    }
}

/// More than this many are not kept: nobody reads on, and each may quote a long instruction.
const MAX_WARNINGS: usize = 1_000;

/// Takes findings, drops those that nobody wants to hear.
pub(in crate::dockerfile) struct Findings {
    config: CheckOptions,
    warnings: Vec<Warning>,
    /// How often a similar name may still be looked for: on a hostile file, that would cost names times variables.
    suggestions: usize,
}

impl Findings {
    pub(super) fn new(config: CheckOptions) -> Self {
        Self { config, warnings: Vec::new(), suggestions: 1_000 }
    }

    /// Notes that `place` goes against `rule`.
    pub(super) fn add(&mut self, rule: &'static Rule, place: Place<'_>, detail: String) {
        if self.warnings.len() < MAX_WARNINGS && self.config.hears(rule, place.comments) {
            self.warnings.push(Warning { rule, detail, span: place.span });
        }
    }

    /// ` (did you mean X?)` with the name among `names` that is most like `name`, `sigil` before it; nothing if none is.
    pub(super) fn similar<'n>(&mut self, name: &str, sigil: &str, names: impl Iterator<Item = &'n str>) -> String {
        if self.suggestions == 0 {
            return String::new();
        }
        self.suggestions -= 1;
        let near = names.filter_map(|other| Some((distance(name, other)?, other)));
        // The first of the nearest.
        match near.min_by_key(|(distance, _)| *distance) {
            Some((1.., other)) => format!(" (did you mean {sigil}{other}?)"),
            Some((0, _)) | None => String::new(),
        }
    }

    pub(super) fn into_warnings(self) -> Vec<Warning> {
        self.warnings
    }
}

/// Names that are further apart are not alike, as in moby/buildkit.
const FARTHEST: usize = 2;

/// Levenshtein distance, unless it is more than [`FARTHEST`].
fn distance(left: &str, right: &str) -> Option<usize> {
    let left: Vec<char> = left.chars().collect();
    let right: Vec<char> = right.chars().collect();
    if left.len().abs_diff(right.len()) > FARTHEST {
        return None;
    }
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, r) in right.iter().enumerate() {
            let best = (diagonal + usize::from(l != r)).min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = std::mem::replace(&mut row[j + 1], best);
        }
    }
    row.last().copied().filter(|distance| *distance <= FARTHEST)
}

#[cfg(test)]
mod tests {
    use super::distance;

    #[test]
    fn only_near_names_have_a_distance() {
        assert_eq!(distance("PATH", "PATH"), Some(0));
        assert_eq!(distance("PAHT", "PATH"), Some(2));
        assert_eq!(distance("MYARCH", "MY_ARCH"), Some(1));
        assert_eq!(distance("", "ab"), Some(2));
        assert_eq!(distance("abc", "xyz"), None);
        assert_eq!(distance("a", "abcd"), None);
    }
}
