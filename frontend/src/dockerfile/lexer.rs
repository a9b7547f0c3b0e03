//! Text to logical lines.
//!
//! Rules (Dockerfile reference, "Format"; where it is silent, what the frontend of moby/buildkit does):
//!
//! | Written | Means |
//! |---|---|
//! | white space before an instruction | nothing |
//! | a line whose first visible character is `#` | a comment, also between the lines of an instruction |
//! | the escape character at the end of a line, blanks behind it allowed | the instruction goes on in the next line |
//! | two escape characters at the end of a line | one of them, escaped: the line ends |
//! | a blank line inside a continued instruction | nothing, but [`Lexed::empty_continuation`] remembers it |
//! | a carriage return before the line feed | nothing |
//! | `#` alone | the comments before it are no description of the next instruction |
//!
//! Lines are handed out one by one, because only a reader of the line knows whether heredocs follow it:
//! [`Lexer::heredoc_body`] takes those from the same position.

use super::{instruction::Word, line::LogicalLine};
use crate::diagnostic::{Span, Spanned};

/// A logical line and what belongs to it.
#[derive(Debug, Default)]
pub(super) struct Lexed {
    /// The text.
    pub(super) text: LogicalLine,
    /// The comments above it, `#` and surrounding white space removed.
    pub(super) comments: Vec<Word>,
    /// The first blank line in the middle of it.
    pub(super) empty_continuation: Option<Span>,
}

/// Hands out the logical lines of a source.
#[derive(Debug)]
pub(super) struct Lexer<'s> {
    source: &'s str,
    position: usize,
    escape: char,
}

/// A line as it stands in the source, without its line ending.
#[derive(Debug, Clone, Copy)]
struct Physical<'s> {
    start: usize,
    text: &'s str,
}

impl<'s> Lexer<'s> {
    /// Reads `source` from offset `position` on.
    pub(super) fn new(source: &'s str, position: usize, escape: char) -> Self {
        Self { source, position, escape }
    }

    /// The next line that is more than comments and white space.
    pub(super) fn next_line(&mut self) -> Option<Lexed> {
        let mut comments = Vec::new();
        loop {
            let physical = self.next_physical()?.trim_start();
            if let Some(comment) = physical.comment() {
                if comment.value.is_empty() {
                    comments.clear();
                } else {
                    comments.push(comment);
                }
            } else if !physical.text.is_empty() {
                let lexed = self.join(physical, comments);
                if !lexed.text.piece().trim().is_empty() {
                    return Some(lexed);
                }
                comments = lexed.comments;
            }
        }
    }

    /// The lines up to one that consists of `name`, and the span of that last line; `None` if there is no such line.
    /// The lexer stands behind it, or at the end of the source.
    pub(super) fn heredoc_body(&mut self, name: &str, chomp: bool) -> Option<(Span, Span)> {
        let start = self.position;
        while let Some(line) = self.next_physical() {
            let candidate = if chomp { line.text.trim_start_matches('\t') } else { line.text };
            if candidate == name {
                let end = Span::new(line.start, line.start + line.text.len());
                return Some((Span::new(start, line.start), end));
            }
        }
        None
    }

    /// Joins `first` with the lines that continue it.
    fn join(&mut self, first: Physical<'s>, comments: Vec<Word>) -> Lexed {
        let mut lexed = Lexed { comments, ..Lexed::default() };
        let mut goes_on = self.append(&mut lexed.text, first);
        while goes_on {
            let Some(physical) = self.next_physical() else {
                break;
            };
            if physical.comment().is_some() {
                continue;
            }
            if physical.text.trim_start().is_empty() {
                let end = physical.start + physical.text.len();
                lexed.empty_continuation.get_or_insert(Span::new(physical.start, end));
                continue;
            }
            goes_on = self.append(&mut lexed.text, physical);
        }
        lexed
    }

    /// Appends a line without its continuation mark; tells whether it had one.
    fn append(&self, line: &mut LogicalLine, physical: Physical<'_>) -> bool {
        let continued = physical
            .text
            .trim_end_matches([' ', '\t'])
            .strip_suffix(self.escape)
            .filter(|before| !before.ends_with(self.escape));
        line.push(continued.unwrap_or(physical.text), physical.start);
        continued.is_some()
    }

    fn next_physical(&mut self) -> Option<Physical<'s>> {
        let rest = &self.source[self.position..];
        if rest.is_empty() {
            return None;
        }
        let length = rest.find('\n').map_or(rest.len(), |at| at + 1);
        let start = self.position;
        self.position += length;
        Some(Physical { start, text: rest[..length].trim_end_matches(['\r', '\n']) })
    }
}

impl Physical<'_> {
    fn trim_start(self) -> Self {
        let text = self.text.trim_start();
        Self { start: self.start + (self.text.len() - text.len()), text }
    }

    fn comment(self) -> Option<Word> {
        let body = self.trim_start().text.strip_prefix('#')?;
        let start = self.start + (self.text.len() - body.trim_start().len());
        let text = body.trim();
        Some(Spanned::new(text.to_owned(), Span::new(start, start + text.len())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(source: &str, escape: char) -> Vec<String> {
        let mut lexer = Lexer::new(source, 0, escape);
        std::iter::from_fn(|| lexer.next_line()).map(|lexed| lexed.text.piece().as_str().to_owned()).collect()
    }

    #[test]
    fn continuations_comments_and_line_endings() {
        let cases: [(&str, &[&str]); 9] = [
            ("", &[]),
            ("\n  \n# note\n", &[]),
            ("  A b\r\nC d\r\n", &["A b", "C d"]),
            ("A b \\\n  c", &["A b   c"]),
            ("A b\\  \t\nc", &["A bc"]),
            ("A b\\\\\nC d", &["A b\\\\", "C d"]),
            ("A \\\n# note\n\n  # note \\\nb\nC", &["A b", "C"]),
            ("A b \\", &["A b "]),
            ("\\\n\\\nA b", &["A b"]),
        ];
        for (source, expected) in cases {
            assert_eq!(lines(source, '\\'), expected, "{source:?}");
        }
        assert_eq!(lines("A c:\\\nB `\nc", '`'), ["A c:\\", "B c"]);
    }

    #[test]
    fn comments_stay_with_the_next_line_until_an_empty_one() {
        let source = "# lost\n#\n# kept\n\n  # too\nA";
        let lexed = Lexer::new(source, 0, '\\').next_line().unwrap();
        let comments: Vec<_> =
            lexed.comments.iter().map(|comment| &source[comment.span.start..comment.span.end]).collect();
        assert_eq!(comments, ["kept", "too"]);
    }
}
