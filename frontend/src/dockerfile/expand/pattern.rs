//! Wildcard patterns of `${name#…}`, `${name%…}` and `${name/…/…}`.
//!
//! `*` matches any text, `?` any character; a backslash takes the meaning from `*`, `?`, `\`, `/` and `}` (POSIX
//! "Pattern Matching Notation", without bracket expressions). A pattern is kept as the pieces between its `*`s. Since
//! `*` matches anything, taking every piece where it is found first decides a match, without going back: time is
//! bounded by the length of text times the length of the longest piece.

use super::ExpandError;

/// One character of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Exactly(char),
    Any,
}

/// A pattern: pieces with a `*` between each two.
#[derive(Debug)]
pub(super) struct Pattern {
    pieces: Vec<Vec<Token>>,
}

/// How much a `*` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Greed {
    Shortest,
    Longest,
}

impl Pattern {
    /// Reads a pattern in which `escape`, and a backslash in any case, escapes.
    pub(super) fn parse(text: &str, escape: char) -> Result<Self, ExpandError> {
        let mut pieces = vec![Vec::new()];
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            let token = match character {
                '*' => {
                    pieces.push(Vec::new());
                    continue;
                }
                '?' => Token::Any,
                mark if mark == '\\' || mark == escape => match characters.next() {
                    Some(next) if next == mark || "*?\\/}".contains(next) => Token::Exactly(next),
                    next => {
                        return Err(ExpandError::InvalidPattern {
                            pattern: text.to_owned(),
                            escape: mark.to_string() + &next.map(String::from).unwrap_or_default(),
                        });
                    }
                },
                other => Token::Exactly(other),
            };
            if let Some(piece) = pieces.last_mut() {
                piece.push(token);
            }
        }
        Ok(Self { pieces })
    }

    /// `value` without what the pattern matches at its start.
    pub(super) fn trim_start(&self, value: &str, greed: Greed) -> String {
        let text: Vec<char> = value.chars().collect();
        let end = self.match_at(&text, 0, greed).unwrap_or(0);
        text[end..].iter().collect()
    }

    /// `value` without what the pattern matches at its end.
    pub(super) fn trim_end(&self, value: &str, greed: Greed) -> String {
        let text: Vec<char> = value.chars().rev().collect();
        let mut mirrored = Self { pieces: self.pieces.iter().rev().cloned().collect() };
        for piece in &mut mirrored.pieces {
            piece.reverse();
        }
        let end = mirrored.match_at(&text, 0, greed).unwrap_or(0);
        text[end..].iter().rev().collect()
    }

    /// How many characters have to be compared at most to find the pattern in `value`.
    pub(super) fn effort(&self, value: &str) -> usize {
        value.len().saturating_mul(self.pieces.iter().map(Vec::len).max().unwrap_or(0))
    }

    /// `value` with the first match, or all matches, replaced; `None` if that is more than `limit` bytes. An empty pattern
    /// matches nothing.
    pub(super) fn replace(&self, value: &str, replacement: &str, all: bool, limit: usize) -> Option<String> {
        let text: Vec<char> = value.chars().collect();
        let mut result = String::new();
        let mut position = 0;
        let empty = matches!(self.pieces.as_slice(), [only] if only.is_empty());
        while !empty
            && let Some(start) = find(&text, position, &self.pieces[0])
            && let Some(end) = self.match_at(&text, start, Greed::Longest)
        {
            result.extend(&text[position..start]);
            result.push_str(replacement);
            if result.len() > limit {
                return None;
            }
            position = end;
            if !all || position == text.len() {
                break;
            }
        }
        result.extend(&text[position..]);
        Some(result)
    }

    /// Where the match that starts at `start` ends.
    fn match_at(&self, text: &[char], start: usize, greed: Greed) -> Option<usize> {
        let (first, rest) = self.pieces.split_first()?;
        if !matches(text, start, first) {
            return None;
        }
        let mut position = start + first.len();
        let Some((last, middle)) = rest.split_last() else {
            return Some(position);
        };
        for piece in middle {
            position = find(text, position, piece)? + piece.len();
        }
        let found = match greed {
            Greed::Shortest => find(text, position, last),
            Greed::Longest => find_last(text, position, last),
        };
        Some(found? + last.len())
    }
}

fn matches(text: &[char], at: usize, piece: &[Token]) -> bool {
    let Some(candidate) = text.get(at..at + piece.len()) else {
        return false;
    };
    candidate.iter().zip(piece).all(|(character, token)| match token {
        Token::Any => true,
        Token::Exactly(expected) => character == expected,
    })
}

fn find(text: &[char], from: usize, piece: &[Token]) -> Option<usize> {
    let last = text.len().checked_sub(piece.len())?;
    (from..=last).find(|&at| matches(text, at, piece))
}

fn find_last(text: &[char], from: usize, piece: &[Token]) -> Option<usize> {
    let last = text.len().checked_sub(piece.len())?;
    (from..=last).rev().find(|&at| matches(text, at, piece))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_taken_off_an_end_or_replaced() {
        let trims = [
            ("*x", "xxyy", "xyy", "yy"),
            ("*x*y", "xxyy", "y", ""),
            ("*", "xxyy", "xxyy", ""),
            ("", "xxyy", "xxyy", "xxyy"),
            ("?\\?", "???y", "?y", "?y"),
            ("y", "xxyy", "xxyy", "xxyy"),
        ];
        for (pattern, value, shortest, longest) in trims {
            let pattern = Pattern::parse(pattern, '\\').unwrap();
            assert_eq!(pattern.trim_start(value, Greed::Shortest), shortest);
            assert_eq!(pattern.trim_start(value, Greed::Longest), longest);
        }
        let ends = Pattern::parse("\\**\\*", '\\').unwrap();
        assert_eq!(ends.trim_end("a***yy*", Greed::Longest), "a");
        assert_eq!(ends.trim_end("a***yy*", Greed::Shortest), "a**");
        let replacements = [
            ("\\*/", "/foo*/*/*.txt", "/foo.*/*.txt", "/foo..*.txt"),
            ("/?/", "/a/foo/b/c.txt", ".foo/b/c.txt", ".foo.c.txt"),
            ("o*o", "foobarooz", "f.z", "f.z"),
            ("*", "abc", ".", "."),
            ("", "abc", "abc", "abc"),
            ("q", "abc", "abc", "abc"),
        ];
        for (pattern, value, first, all) in replacements {
            let parsed = Pattern::parse(pattern, '\\').unwrap();
            assert_eq!(parsed.replace(value, ".", false, 99).unwrap(), first, "{pattern}");
            assert_eq!(parsed.replace(value, ".", true, 99).unwrap(), all, "{pattern}");
        }
        assert!(Pattern::parse("a\\b", '\\').is_err());
        assert!(Pattern::parse("a\\", '\\').is_err());
    }
}
