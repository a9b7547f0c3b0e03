//! A logical line: the physical lines of one instruction joined into one text, each byte traceable to the source.
//!
//! A [`Piece`] is a part of a logical line. Splitting pieces instead of strings is what gives every word its exact
//! [`Span`], however many continuations and comments lie between its first and its last byte.

use super::instruction::Word;
use crate::diagnostic::{Span, Spanned};
use std::ops::Range;

/// The text of one instruction without continuations and comments.
#[derive(Debug, Clone, Default)]
pub(super) struct LogicalLine {
    text: String,
    segments: Vec<Segment>,
}

/// A run of bytes that stand together in the text and in the source.
#[derive(Debug, Clone, Copy)]
struct Segment {
    text: usize,
    source: usize,
}

impl LogicalLine {
    /// Appends text that starts at offset `source`.
    pub(super) fn push(&mut self, text: &str, source: usize) {
        if !text.is_empty() {
            self.segments.push(Segment { text: self.text.len(), source });
            self.text.push_str(text);
        }
    }

    /// The whole line.
    pub(super) fn piece(&self) -> Piece<'_> {
        Piece { line: self, start: 0, end: self.text.len() }
    }

    fn source_offset(&self, at: usize) -> usize {
        let after = self.segments.partition_point(|segment| segment.text <= at);
        match self.segments.get(after.saturating_sub(1)) {
            Some(segment) => segment.source + (at - segment.text),
            None => 0,
        }
    }
}

/// A part of a logical line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece<'l> {
    line: &'l LogicalLine,
    start: usize,
    end: usize,
}

impl<'l> Piece<'l> {
    pub(super) fn as_str(self) -> &'l str {
        &self.line.text[self.start..self.end]
    }

    pub(super) fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// Where the piece stands in the source.
    pub(super) fn span(self) -> Span {
        if self.is_empty() {
            let at = self.line.source_offset(self.start);
            return Span::new(at, at);
        }
        // Mapping the last byte, not the one behind it, keeps a following continuation out of the span.
        Span::new(self.line.source_offset(self.start), self.line.source_offset(self.end - 1) + 1)
    }

    /// The piece as an owned word.
    pub(super) fn word(self) -> Word {
        Spanned::new(self.as_str().to_owned(), self.span())
    }

    /// A part of the piece, by byte offsets relative to it.
    pub(super) fn slice(self, range: Range<usize>) -> Self {
        debug_assert!(range.start <= range.end && self.start + range.end <= self.end);
        Self { line: self.line, start: self.start + range.start, end: self.start + range.end }
    }

    /// Everything from a relative offset on.
    pub(super) fn tail(self, from: usize) -> Self {
        self.slice(from..self.end - self.start)
    }

    /// Without white space at either end.
    pub(super) fn trim(self) -> Self {
        let text = self.as_str();
        let start = text.len() - text.trim_start().len();
        let length = text.trim().len();
        self.slice(start..start + length)
    }

    /// What stands before the first run of blanks, and what stands behind it if there is one.
    pub(super) fn split_blank(self) -> (Self, Option<Self>) {
        let text = self.as_str();
        let Some(blank) = text.find(is_blank) else {
            return (self, None);
        };
        let rest = text[blank..].trim_start_matches(is_blank);
        (self.slice(0..blank), Some(self.tail(text.len() - rest.len())))
    }

    /// The parts between runs of blanks.
    pub(super) fn split_blanks(self) -> Vec<Self> {
        let mut parts = Vec::new();
        let mut rest = Some(self);
        while let Some(piece) = rest {
            let (head, tail) = piece.split_blank();
            if !head.is_empty() {
                parts.push(head);
            }
            rest = tail;
        }
        parts
    }
}

/// The characters that separate words. A line feed cannot occur; other Unicode white space belongs to words.
fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\r' | '\x0b' | '\x0c')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_know_their_place_across_continuations() {
        let source = "RUN ab\\\ncd \\\n  ef";
        let mut line = LogicalLine::default();
        line.push("RUN ab", 0);
        line.push("cd ", 8);
        line.push("  ef", 13);
        let words: Vec<_> = line
            .piece()
            .split_blanks()
            .into_iter()
            .map(|piece| (piece.as_str(), &source[piece.span().start..piece.span().end]))
            .collect();
        assert_eq!(words, [("RUN", "RUN"), ("abcd", "ab\\\ncd"), ("ef", "ef")]);
    }
}
