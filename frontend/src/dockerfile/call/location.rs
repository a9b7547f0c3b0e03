//! Places in a source, as lines: one range for each line that an instruction covers.

use crate::diagnostic::{LineIndex, Span};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Serialize;

/// Of a longer instruction, the end is not told.
const MAX_LINES: usize = 1_000;

/// Some lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Location {
    ranges: Vec<Range>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Range {
    start: Position,
    end: Position,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Position {
    line: usize,
}

impl Location {
    pub(super) fn of(span: Span, lines: &LineIndex<'_>) -> Self {
        let ranges =
            lines.covered(span).take(MAX_LINES).map(|line| Range { start: Position { line }, end: Position { line } });
        Self { ranges: ranges.collect() }
    }
}

/// A source, as JSON holds it.
pub(super) fn encoded(source: &str) -> String {
    STANDARD.encode(source)
}
