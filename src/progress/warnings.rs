//! What is wrong with a build description that builds all the same.

use super::Summary;
use super::ink::{Ink, Line};

/// How many are told one by one.
const SHOWN: usize = 50;

/// A headline, and a line for each of the first; nothing if there are none.
pub(super) fn report(summary: &Summary) -> Vec<Line> {
    let warnings = &summary.warnings;
    let headline = match warnings.len() {
        0 => return Vec::new(),
        1 => "1 warning found (--check shows it in the file):".to_owned(),
        many => format!("{many} warnings found (--check shows them in the file):"),
    };
    let mut lines = vec![Line::of(Ink::Yellow, headline)];
    lines.extend(warnings.iter().take(SHOWN).map(|warning| Line::of(Ink::Plain, format!(" - {warning}"))));
    if let Some(more @ 1..) = warnings.len().checked_sub(SHOWN) {
        lines.push(Line::of(Ink::Plain, format!(" - and {more} more")));
    }
    lines
}
