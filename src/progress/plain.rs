//! Append only: what CI logs want.
//!
//! ```text
//! #3 [build 2/5] RUN make            a step has the word: its number and name
//! #3 0.412 cc -c main.c              output, with seconds since the step started
//! #3 sha256:0123456789ab 12.3MB / 40.1MB, 8.1MB/s
//! #3 note: something to know
//! #3 DONE 1.2s                       or CACHED, CANCELLED, ERROR: why
//! ```
//!
//! Steps run at once, but lines of several steps mixed one by one cannot be read: [`Turns`] lets one step speak at a
//! time, and a step that gets the word back says its name again, after an empty line.

use super::board::{Board, Transfer};
use super::ink::{Ink, Line};
use super::turns::{Said, Turns};
use super::{ByteSize, Elapsed, OutputLine, Screen, View, failure, path, printable, warnings};
use crate::solver::event::{Event, EventKind, Outcome, StepId};
use std::collections::HashMap;
use std::io::{self, Write as _};
use std::time::{Duration, Instant};

/// A transfer tells of itself at each such share of its way.
const SHARES: u64 = 4;

/// A transfer that takes longer than this for a share tells of itself in between.
const TRANSFER_PATIENCE: Duration = Duration::from_secs(5);

/// A transfer smaller than this tells only that it is complete.
const SMALL: u64 = 1_000_000;

/// After so long without a line, running steps tell that they live, before a CI service takes the job for dead.
const SILENCE: Duration = Duration::from_mins(1);

/// The view of `--progress plain`.
pub(super) struct Plain {
    screen: Screen,
    turns: Turns,
    told: HashMap<(StepId, String), Told>,
    wrote: Option<Instant>,
}

/// What was last said about a transfer.
struct Told {
    at: Instant,
    share: u64,
}

impl Plain {
    pub(super) fn new(screen: Screen) -> Self {
        Self { screen, turns: Turns::default(), told: HashMap::new(), wrote: None }
    }

    fn ended(&mut self, step: StepId, at: Instant, outcome: &Outcome, board: &Board) {
        self.told.retain(|(of, _), _| *of != step);
        let Some(state) = board.step(step) else { return };
        let lines = match outcome {
            Outcome::Ran => {
                let done = format!("DONE {}", Elapsed(state.elapsed(at)));
                let moved = state.transfer_in_all().map(|all| format!(", {}", ByteSize(all.done)));
                vec![Line::of(Ink::Plain, done + &moved.unwrap_or_default())]
            }
            Outcome::Cached(_) => vec![Line::of(Ink::Blue, "CACHED")],
            Outcome::Cancelled => vec![Line::of(Ink::Yellow, "CANCELLED")],
            Outcome::Failed(error) => super::board::printable_lines(error)
                .iter()
                .map(|line| Line::of(Ink::Red, format!("ERROR: {line}")))
                .collect(),
        };
        for line in lines {
            self.turns.say(step, at, line);
        }
        self.turns.end(step);
    }

    /// Says how far a transfer is, if it is time to.
    fn transferred(&mut self, step: StepId, at: Instant, item: &str, transfer: Transfer) {
        let share = transfer.total.map_or(0, |total| transfer.done.saturating_mul(SHARES) / total.max(1));
        let key = (step, item.to_owned());
        let due = match self.told.get(&key) {
            None => transfer.is_complete() || transfer.total.is_none_or(|total| total >= SMALL),
            Some(told) => {
                let patient = at.saturating_duration_since(told.at) < TRANSFER_PATIENCE;
                share > told.share || !patient && told.share < SHARES
            }
        };
        if due {
            self.told.insert(key, Told { at, share });
            self.turns.say(step, at, Line::of(Ink::Plain, describe(item, transfer)));
        }
    }

    /// Writes what has its turn.
    fn settle(&mut self, now: Instant, board: &Board) -> io::Result<()> {
        for said in self.turns.take(now, |step| board.step(step).map_or("", |step| step.title.as_str())) {
            self.wrote = Some(now);
            match said {
                Said::Heading(line) => self.screen.heading(&line)?,
                Said::Line(line) => self.screen.log(&line)?,
            }
        }
        Ok(())
    }
}

impl View for Plain {
    fn event(&mut self, event: &Event, lines: &[OutputLine], board: &Board) -> io::Result<()> {
        let step = match &event.kind {
            EventKind::Started { step, .. }
            | EventKind::Output { step, .. }
            | EventKind::Transfer { step, .. }
            | EventKind::Explained { step, .. }
            | EventKind::Finished { step, .. } => Some(*step),
            EventKind::Notice { step, .. } => *step,
            EventKind::Warning { .. } | EventKind::Worked { .. } => None,
        };
        if let Some(step) = step {
            for line in lines {
                let seconds = format!("{:.3} ", line.at.as_secs_f64());
                self.turns.say(step, event.at, Line::of(Ink::Dim, seconds).and(Ink::Plain, &line.text));
            }
        }
        match &event.kind {
            EventKind::Started { step, .. } => self.turns.begin(*step, event.at),
            // Warnings are told at the end, where people look; reasons in notices.
            EventKind::Output { .. }
            | EventKind::Explained { .. }
            | EventKind::Worked { .. }
            | EventKind::Warning { .. } => {}
            EventKind::Transfer { step, item, .. } => {
                if let Some(transfer) = board.step(*step).and_then(|step| step.transfers.get(item)) {
                    self.transferred(*step, event.at, item, *transfer);
                }
            }
            EventKind::Finished { step, outcome } => self.ended(*step, event.at, outcome, board),
            EventKind::Notice { step, text } => {
                let note = Line::of(Ink::Yellow, "note: ").and(Ink::Plain, printable(text));
                match step {
                    Some(step) => self.turns.say(*step, event.at, note),
                    None => self.turns.interrupt(note),
                }
            }
        }
        self.settle(event.at, board)
    }

    fn refresh(&mut self, now: Instant, board: &Board) -> io::Result<()> {
        self.settle(now, board)?;
        if self.wrote.is_some_and(|wrote| now.saturating_duration_since(wrote) >= SILENCE) {
            for (step, state) in board.running() {
                let alive = format!("running for {}", Elapsed(state.elapsed(now)));
                self.turns.say(step, now, Line::of(Ink::Dim, alive));
            }
            self.settle(now, board)?;
        }
        self.screen.out.flush()
    }

    fn close(&mut self, now: Instant, board: &Board) -> io::Result<()> {
        self.turns.hurry();
        self.settle(now, board)?;
        self.screen.end_group()?;
        if board.progress().1 == 0 {
            return self.screen.out.flush();
        }
        let warnings = warnings::report(board.summary());
        let failed = board.summary().failed.iter().flat_map(failure::report);
        let last = Line::of(Ink::Bold, board.summary().to_string());
        let path = path::line(board.summary());
        for line in std::iter::once(Line::default()).chain(warnings).chain(failed).chain([last]).chain(path) {
            self.screen.log(&line)?;
        }
        self.screen.out.flush()
    }
}

fn describe(item: &str, transfer: Transfer) -> String {
    let total = transfer.total.map(|total| format!(" / {}", ByteSize(total))).unwrap_or_default();
    let rate = transfer.rate().map(|rate| format!(", {rate}")).unwrap_or_default();
    format!("{} {}{total}{rate}", printable(item), ByteSize(transfer.done))
}
