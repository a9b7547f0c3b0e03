//! What the live part of a terminal shows. Pure: a board, a time and a size come to lines.
//!
//! ```text
//! [+] Building 3.2s (5/12)
//!  => [build 2/5] RUN make                                              2.1s
//!     cc -c main.c
//!     cc -c lexer.c
//!  => exporting layers            [######------] 20.1MB / 40.1MB 8.1MB/s 0.4s
//! ```
//!
//! The frame never fills the screen, or it could not be redrawn: steps that do not fit are counted, and the windows
//! of output share the rows that are left.

use super::board::{Board, StepState, Transfer};
use super::ink::{Ink, Line};
use super::{ByteSize, Elapsed, ScreenSize};
use crate::solver::event::Outcome;
use std::time::Instant;

/// Most lines of output below a running step.
const WINDOW: usize = 6;

/// Cells between the brackets of a transfer's bar.
const BAR: usize = 12;

/// Rows that a frame leaves free: the one that the cursor is on, and one that shows the last finished step.
const FREE_ROWS: usize = 2;

/// The live part of a screen of this size.
pub(super) fn frame(board: &Board, now: Instant, size: ScreenSize) -> Vec<Line> {
    let (finished, started) = board.progress();
    let state = format!("Building {} ({finished}/{started})", Elapsed(board.elapsed(now)));
    let mut lines = vec![headline(&state).fit(size.columns)];

    let running: Vec<&StepState> = board.running().map(|(_, step)| step).collect();
    let rows = size.rows.saturating_sub(FREE_ROWS + lines.len()).max(1);
    let shown = if running.len() <= rows { running.len() } else { rows - 1 };
    let windows = share(rows.saturating_sub(running.len()), &running);
    for (step, window) in running[..shown].iter().zip(windows) {
        lines.push(live(step, now, size.columns));
        let output = step.window(window).into_iter();
        lines.extend(output.map(|text| Line::of(Ink::Dim, format!("    {text}")).fit(size.columns)));
    }
    if shown < running.len() {
        let more = format!("    and {} more", running.len() - shown);
        lines.push(Line::of(Ink::Dim, more).fit(size.columns));
    }
    lines
}

/// The line above the frame's steps, and the last line of a build.
pub(super) fn headline(text: &str) -> Line {
    Line::of(Ink::Bold, "[+] ").and(Ink::Plain, text)
}

/// The line that stays of a step.
pub(super) fn finished(step: &StepState, outcome: &Outcome, at: Instant, columns: usize) -> Line {
    let (ink, label) = match outcome {
        Outcome::Ran => (Ink::Plain, ""),
        Outcome::Cached(_) => (Ink::Blue, "CACHED "),
        Outcome::Cancelled => (Ink::Yellow, "CANCELLED "),
        Outcome::Failed(_) => (Ink::Red, "ERROR "),
    };
    let arrow = if matches!(outcome, Outcome::Ran) { Ink::Green } else { ink };
    let left = Line::of(arrow, " => ").and(ink, label).and(ink, &step.title);
    let moved = step.transfer_in_all().map(|all| format!("{} ", ByteSize(all.done))).unwrap_or_default();
    Line::ends(left, right(moved, step, at), columns)
}

fn live(step: &StepState, now: Instant, columns: usize) -> Line {
    let left = Line::of(Ink::Green, " => ").and(Ink::Plain, &step.title);
    let Some(transfer) = step.transfer_in_all() else {
        return Line::ends(left, right(String::new(), step, now), columns);
    };
    let (bar, bytes) = meter(transfer);
    let whole = right(format!("{bar}{bytes} "), step, now);
    // On a narrow screen the bar is the first to go, then the bytes: the name comes first.
    let fits = |line: &Line| left.width().min(columns / 2) + line.width() < columns;
    let candidates = [whole, right(format!("{bytes} "), step, now), right(String::new(), step, now)];
    let right = candidates.into_iter().find(fits).unwrap_or_default();
    Line::ends(left, right, columns)
}

fn right(before: String, step: &StepState, at: Instant) -> Line {
    Line::of(Ink::Plain, before).and(Ink::Dim, Elapsed(step.elapsed(at)).to_string())
}

/// How far a transfer is: a bar if that can be known, and the bytes.
fn meter(transfer: Transfer) -> (String, String) {
    let rate = transfer.rate().map(|rate| format!(" {rate}")).unwrap_or_default();
    let Some(total) = transfer.total else {
        return (String::new(), format!("{}{rate}", ByteSize(transfer.done)));
    };
    let full = u128::from(transfer.done.min(total)) * BAR as u128 / u128::from(total.max(1));
    let full = usize::try_from(full).unwrap_or(BAR);
    let empty = BAR - full;
    let bar = format!("[{}{}] ", "#".repeat(full), "-".repeat(empty));
    (bar, format!("{} / {}{rate}", ByteSize(transfer.done), ByteSize(total)))
}

/// Shares `rows` among the windows of steps, one row at a time, the longest running first.
fn share(rows: usize, steps: &[&StepState]) -> Vec<usize> {
    let wanted: Vec<usize> = steps.iter().map(|step| step.window(WINDOW).len()).collect();
    let mut given = vec![0; steps.len()];
    let mut left = rows;
    for _ in 0..WINDOW {
        for (given, wanted) in given.iter_mut().zip(&wanted) {
            if *given < *wanted && left > 0 {
                *given += 1;
                left -= 1;
            }
        }
    }
    given
}
