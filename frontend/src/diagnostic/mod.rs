//! What is wrong with a text, where, and how to mend it.
//!
//! A [`Diagnostic`] is data: its [`Code`] says what it is about, and [`Diagnostic::render`] draws it as compilers do, with the
//! source line and a hint.

mod code;
mod nearest;

pub use code::Code;
pub use nearest::nearest;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;

/// A half-open range of byte offsets in one source text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Span {
    /// Offset of the first byte.
    pub start: usize,
    /// Offset behind the last byte; never less than `start`.
    pub end: usize,
}

impl Span {
    /// The span from `start` up to, but not including, `end`.
    pub fn new(start: usize, end: usize) -> Self {
        debug_assert!(start <= end, "a span cannot end before it starts");
        Self { start, end }
    }

    /// The smallest span that covers both.
    #[must_use]
    pub fn to(self, other: Self) -> Self {
        Self { start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    /// The 1-based line on which the span starts.
    pub fn line(self, source: &str) -> usize {
        let upto = self.start.min(source.len());
        source.bytes().take(upto).filter(|byte| *byte == b'\n').count() + 1
    }
}

/// Where the lines of a source start: finds the line of any place without reading the source again.
#[derive(Debug, Clone)]
pub struct LineIndex<'s> {
    source: &'s str,
    starts: Vec<usize>,
}

impl<'s> LineIndex<'s> {
    /// Reads the source once.
    pub fn new(source: &'s str) -> Self {
        let behind = source.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Self { source, starts: std::iter::once(0).chain(behind).collect() }
    }

    /// The 1-based line of an offset.
    pub fn line(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset)
    }

    /// The 1-based lines that a span touches.
    pub fn covered(&self, span: Span) -> RangeInclusive<usize> {
        self.line(span.start)..=self.line(span.end.saturating_sub(1).max(span.start))
    }

    /// How many lines there are; what is behind the last line feed counts as one, even if it is nothing.
    pub fn count(&self) -> usize {
        self.starts.len()
    }

    /// The text of a 1-based line, without its line feed; nothing if there is no such line.
    pub fn text(&self, line: usize) -> &'s str {
        let start = line.checked_sub(1).and_then(|index| self.starts.get(index));
        let end = self.starts.get(line).map_or(self.source.len(), |next| next - 1);
        start.and_then(|start| self.source.get(*start..end)).unwrap_or_default()
    }
}

/// A value and where it was written.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it stands in the source.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// Ties `value` to `span`.
    pub fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }
}

/// One thing that is wrong with a source text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Diagnostic {
    /// What it is about, for programs.
    pub code: Code,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// Where.
    pub span: Span,
    /// What to say right at the marked place, if the message alone does not.
    pub label: Option<String>,
    /// What the author can do about it.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// An error at `span`.
    pub fn error(code: Code, message: impl Into<String>, span: Span) -> Self {
        Self { code, message: message.into(), span, label: None, hint: None }
    }

    /// The same with a remark at the marked place.
    #[must_use]
    pub fn with_label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// The same with advice.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Draws the diagnostic with its source line. `path` is the name shown for `source`.
    pub fn render(&self, path: &str, source: &str, colour: bool) -> String {
        let start = self.span.start.min(source.len());
        let end = self.span.end.clamp(start, source.len());
        // Only the lines that are shown are handed over: the text may be large, and its errors many.
        let first = source[..start].rfind('\n').map_or(0, |at| at + 1);
        let last = source[end..].find('\n').map_or(source.len(), |at| end + at);
        let (source, line) = (&source[first..last], self.span.line(source));
        let mut mark = AnnotationKind::Primary.span(start - first..end - first);
        if let Some(label) = &self.label {
            mark = mark.label(label.as_str());
        }
        let snippet = Snippet::source(source).line_start(line).path(path).annotation(mark);
        let mut report: Vec<Group<'_>> = vec![Level::ERROR.primary_title(self.message.as_str()).element(snippet)];
        if let Some(hint) = &self.hint {
            report.push(Group::with_title(Level::HELP.secondary_title(hint.as_str())));
        }
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        renderer.render(&report).clone()
    }
}

/// No more errors than this are looked for in one text: it is something else than it should be.
pub const MAX_FOUND: usize = 1_000;

/// No more errors than this are drawn: nobody reads on.
pub const MAX_DRAWN: usize = 50;

/// Draws diagnostics, one below the other, as [`Diagnostic::render`] does; of very many, the first.
pub fn render_all(diagnostics: &[Diagnostic], path: &str, source: &str, colour: bool) -> String {
    let drawn = diagnostics.iter().take(MAX_DRAWN).map(|diagnostic| diagnostic.render(path, source, colour));
    let rest = match diagnostics.len().saturating_sub(MAX_DRAWN) {
        0 => None,
        1 => Some("and 1 more error".to_owned()),
        more if diagnostics.len() < MAX_FOUND => Some(format!("and {more} more errors")),
        more => Some(format!("and at least {more} more errors")),
    };
    drawn.chain(rest).collect::<Vec<_>>().join("\n\n")
}

/// The diagnostics in the order of the source, each once; of very many, the first.
pub(crate) fn sorted(mut diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
    diagnostics.sort_by(|left, right| (left.span, &left.message).cmp(&(right.span, &right.message)));
    diagnostics.dedup();
    diagnostics.truncate(MAX_FOUND);
    diagnostics
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rendered_error_shows_line_mark_and_hint() {
        let source = "FROM scratch\nCPOY a b\n";
        let text = Diagnostic::error(Code::UnknownInstruction, "unknown instruction CPOY", Span::new(13, 17))
            .with_hint("did you mean COPY?")
            .render("Dockerfile", source, false);
        assert!(text.contains("Dockerfile:2:1"), "{text}");
        assert!(text.contains("CPOY a b"), "{text}");
        assert!(text.contains("help: did you mean COPY?"), "{text}");
    }
}
