//! The state of a build: what all events so far come to.

use super::ink::{Ink, Line};
use super::lines::Lines;
use super::{FailedStep, Rate, Summary, path, printable};
use crate::solver::event::{Event, EventKind, Hit, Outcome, StepId};
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// Most cells of a title. A `RUN` may be a script of many lines; it is the source that shows it whole.
const TITLE: usize = 200;

/// A line that a step's process wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputLine {
    /// Since the step started.
    pub at: Duration,
    /// One [`printable`] line.
    pub text: String,
}

/// All steps, and the summary so far.
#[derive(Debug, Default)]
pub(super) struct Board {
    began: Option<Instant>,
    steps: BTreeMap<StepId, StepState>,
    finished: usize,
    summary: Summary,
}

/// A step.
#[derive(Debug)]
pub(super) struct StepState {
    /// What it is called: one printable line.
    pub(super) title: String,
    pub(super) started: Instant,
    pub(super) outcome: Option<Outcome>,
    pub(super) ended: Option<Instant>,
    /// The end of its output; nothing once it has ended, unless it failed.
    pub(super) last_lines: VecDeque<OutputLine>,
    pub(super) transfers: BTreeMap<String, Transfer>,
    /// Definition key, if it is a vertex.
    pub(super) key: Option<String>,
    /// Definition keys of the steps that it takes.
    pub(super) inputs: Vec<String>,
    output: Lines,
}

/// Bytes on the move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Transfer {
    pub(super) done: u64,
    pub(super) total: Option<u64>,
    first: (Instant, u64),
    latest: Instant,
}

impl Board {
    /// Takes an event in and returns the lines of output that it completed.
    pub(super) fn apply(&mut self, event: &Event) -> Vec<OutputLine> {
        let began = *self.began.get_or_insert(event.at);
        self.summary.elapsed = self.summary.elapsed.max(event.at.saturating_duration_since(began));
        match &event.kind {
            EventKind::Started { step, name, key, inputs } => {
                self.steps.insert(*step, StepState::new(name, event.at, key.clone(), inputs.clone()));
                Vec::new()
            }
            EventKind::Output { step, bytes } => {
                self.steps.get_mut(step).map(|step| step.write(event.at, bytes)).unwrap_or_default()
            }
            EventKind::Transfer { step, item, done, total } => {
                if let Some(step) = self.steps.get_mut(step) {
                    self.summary.transferred += step.transfer(event.at, item, *done, *total);
                }
                Vec::new()
            }
            EventKind::Finished { step, outcome } => self.finish(event.at, *step, outcome),
            EventKind::Explained { .. } | EventKind::Worked { .. } | EventKind::Notice { .. } => Vec::new(),
            EventKind::Warning { text, .. } => {
                self.summary.warnings.push(printable(text));
                Vec::new()
            }
        }
    }

    fn finish(&mut self, at: Instant, id: StepId, outcome: &Outcome) -> Vec<OutputLine> {
        let Some(step) = self.steps.get_mut(&id) else { return Vec::new() };
        let lines = step.end(at, outcome);
        self.finished += 1;
        match outcome {
            Outcome::Ran => self.summary.ran += usize::from(step.key.is_some()),
            Outcome::Cached(Hit::Definition) => self.summary.cached_by_definition += usize::from(step.key.is_some()),
            Outcome::Cached(Hit::Content) => self.summary.cached_by_content += usize::from(step.key.is_some()),
            Outcome::Cancelled => self.summary.cancelled = true,
            Outcome::Failed(error) => {
                self.summary.failed.get_or_insert_with(|| FailedStep {
                    name: step.title.clone(),
                    error: printable_lines(error),
                    last_lines: step.last_lines.iter().cloned().collect(),
                });
            }
        }
        lines
    }

    pub(super) fn step(&self, id: StepId) -> Option<&StepState> {
        self.steps.get(&id)
    }

    /// Steps that have not ended, longest running first.
    pub(super) fn running(&self) -> impl Iterator<Item = (StepId, &StepState)> {
        self.steps.iter().filter(|(_, step)| step.outcome.is_none()).map(|(id, step)| (*id, step))
    }

    /// Steps that have ended.
    pub(super) fn ended(&self) -> impl Iterator<Item = &StepState> {
        self.steps.values().filter(|step| step.ended.is_some())
    }

    /// How many steps have ended, of how many that have started.
    pub(super) fn progress(&self) -> (usize, usize) {
        (self.finished, self.steps.len())
    }

    /// Since the first event.
    pub(super) fn elapsed(&self, now: Instant) -> Duration {
        self.began.map(|began| now.saturating_duration_since(began)).unwrap_or_default()
    }

    pub(super) fn summary(&self) -> &Summary {
        &self.summary
    }

    /// The summary, complete: nothing more happens.
    pub(super) fn close(&mut self) {
        (self.summary.longest_path, self.summary.saving) = path::longest(self);
    }

    pub(super) fn into_summary(self) -> Summary {
        self.summary
    }
}

impl StepState {
    fn new(name: &str, started: Instant, key: Option<String>, inputs: Vec<String>) -> Self {
        Self {
            title: Line::of(Ink::Plain, printable(name.trim())).fit(TITLE).paint(false),
            started,
            outcome: None,
            ended: None,
            last_lines: VecDeque::new(),
            transfers: BTreeMap::new(),
            key,
            inputs,
            output: Lines::default(),
        }
    }

    fn write(&mut self, at: Instant, bytes: &[u8]) -> Vec<OutputLine> {
        let at = at.saturating_duration_since(self.started);
        let mut lines = Vec::new();
        self.output.push(bytes, |text| lines.push(OutputLine { at, text }));
        self.remember(&lines);
        lines
    }

    fn remember(&mut self, lines: &[OutputLine]) {
        self.last_lines.extend(lines.iter().cloned());
        let surplus = self.last_lines.len().saturating_sub(FailedStep::LINES);
        self.last_lines.drain(..surplus);
    }

    /// Returns how many bytes are new.
    fn transfer(&mut self, at: Instant, item: &str, done: u64, total: Option<u64>) -> u64 {
        let new = Transfer { done, total, first: (at, done), latest: at };
        match self.transfers.get_mut(item) {
            None => {
                self.transfers.insert(item.to_owned(), new);
                done
            }
            // A retry may begin again; bytes that moved have moved.
            Some(transfer) => {
                let before = transfer.done;
                *transfer = Transfer { first: transfer.first, total: total.or(transfer.total), ..new };
                done.saturating_sub(before)
            }
        }
    }

    fn end(&mut self, at: Instant, outcome: &Outcome) -> Vec<OutputLine> {
        let since = at.saturating_duration_since(self.started);
        let partial = self.output.finish();
        let lines: Vec<_> = partial.into_iter().map(|text| OutputLine { at: since, text }).collect();
        self.remember(&lines);
        self.ended = Some(at);
        self.outcome = Some(outcome.clone());
        if !matches!(outcome, Outcome::Failed(_)) {
            self.last_lines = VecDeque::new();
        }
        lines
    }

    /// Since it started, until it ended.
    pub(super) fn elapsed(&self, now: Instant) -> Duration {
        self.ended.unwrap_or(now).saturating_duration_since(self.started)
    }

    /// The last `count` lines of output, the unfinished ones included.
    pub(super) fn window(&self, count: usize) -> Vec<String> {
        let partial = self.output.partial();
        let skip = self.last_lines.len().saturating_sub(count);
        let mut lines: Vec<String> = self.last_lines.iter().skip(skip).map(|line| line.text.clone()).collect();
        lines.extend(partial);
        lines.drain(..lines.len().saturating_sub(count));
        lines
    }

    /// All transfers as one, if there is any.
    pub(super) fn transfer_in_all(&self) -> Option<Transfer> {
        self.transfers.values().copied().reduce(|all, one| Transfer {
            done: all.done + one.done,
            total: all.total.zip(one.total).map(|(all, one)| all + one),
            first: (all.first.0.min(one.first.0), all.first.1 + one.first.1),
            latest: all.latest.max(one.latest),
        })
    }
}

impl Transfer {
    /// From the first report to the latest.
    pub(super) fn span(&self) -> (Instant, Instant) {
        (self.first.0, self.latest)
    }

    /// The average since the first report. What a resumed transfer had before is not counted.
    pub(super) fn rate(&self) -> Option<Rate> {
        let elapsed = self.latest.saturating_duration_since(self.first.0);
        let bytes = self.done.saturating_sub(self.first.1);
        (bytes > 0 && !elapsed.is_zero()).then_some(Rate { bytes, elapsed })
    }

    pub(super) fn is_complete(&self) -> bool {
        self.total.is_some_and(|total| self.done >= total)
    }
}

/// A text of several lines, made printable; at least one line.
pub(super) fn printable_lines(text: &str) -> Vec<String> {
    let text = text.trim_end();
    if text.is_empty() { vec!["unknown error".to_owned()] } else { text.lines().map(printable).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transfers_add_up_and_a_retry_counts_no_byte_twice() {
        let start = Instant::now();
        let mut step = StepState::new("push", start, None, Vec::new());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(step.transfer(at(0), "a", 50, Some(100)), 50);
        assert_eq!(step.transfer(at(1), "a", 10, None), 0);
        assert_eq!(step.transfer(at(2), "a", 100, None), 90);
        assert_eq!(step.transfer(at(4), "b", 300, Some(500)), 300);
        let all = step.transfer_in_all().unwrap();
        assert_eq!((all.done, all.total), (400, Some(600)));
        assert_eq!(all.rate(), Some(Rate { bytes: 50, elapsed: Duration::from_secs(4) }));
    }

    #[test]
    fn only_the_end_of_a_long_output_is_kept() {
        let mut step = StepState::new("RUN seq", Instant::now(), Some("key".to_owned()), Vec::new());
        for number in 0..200 {
            step.write(step.started, format!("{number}\n").as_bytes());
        }
        assert_eq!(step.last_lines.len(), FailedStep::LINES);
        step.write(step.started, b"partial");
        assert_eq!(step.window(2), ["199", "partial"]);
        step.end(step.started, &Outcome::Ran);
        assert!(step.last_lines.is_empty());
    }
}
