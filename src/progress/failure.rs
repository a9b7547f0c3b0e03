//! The last words of a build that failed.

use super::FailedStep;
use super::ink::{Ink, Line};

/// How many lines of output are shown again.
const SHOWN: usize = 20;

/// What a failed step wrote last, and its error. Whoever shows a build shows it last, where people look first.
pub(super) fn report(failed: &FailedStep) -> Vec<Line> {
    let rule = || Line::of(Ink::Dim, "------");
    let mut lines = vec![rule(), Line::of(Ink::Bold, format!(" > {}:", failed.name))];
    let skip = failed.last_lines.len().saturating_sub(SHOWN);
    lines.extend(
        failed.last_lines[skip..]
            .iter()
            .map(|line| Line::of(Ink::Dim, format!("{:.3} ", line.at.as_secs_f64())).and(Ink::Plain, &line.text)),
    );
    let labels = std::iter::once("ERROR: ").chain(std::iter::repeat("       "));
    lines.extend(labels.zip(&failed.error).map(|(label, text)| Line::of(Ink::Red, format!("{label}{text}"))));
    lines.push(rule());
    lines
}
