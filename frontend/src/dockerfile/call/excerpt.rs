//! The lines of a source around an instruction, those of the instruction marked.

use crate::diagnostic::{LineIndex, Span};
use std::fmt::Write as _;

/// Of a longer instruction, the end is not shown.
const MAX_LINES: usize = 500;

const RULER: &str = "--------------------";

/// ```text
/// Dockerfile:2
/// --------------------
///    1 |     FROM scratch
///    2 | >>> CMD true
/// --------------------
/// ```
///
/// One line shows two more at either side, several show one more.
pub(super) fn excerpt(span: Span, name: &str, lines: &LineIndex<'_>) -> String {
    let marked = lines.covered(span);
    let around = if marked.start() == marked.end() { 2 } else { 1 };
    let first = marked.start().saturating_sub(around).max(1);
    let last = (marked.end() + around).min(lines.count()).min(first + MAX_LINES);
    let mut text = format!("{name}:{}\n{RULER}\n", marked.start());
    for line in first..=last {
        let mark = if marked.contains(&line) { ">>>" } else { "   " };
        let _ = writeln!(text, " {line:>3} | {mark} {}", lines.text(line));
    }
    text + RULER + "\n"
}
