//! A build as a trace, for `chrome://tracing` and Perfetto (Trace Event Format, JSON array form).
//!
//! Steps, transfers and work inside of them are complete events (`"ph":"X"`), each on the first track that is free when it begins, so that
//! what ran at once lies beside each other. Times are microseconds since the first event of the build. The array is
//! closed at the end of the build; readers take one that is not.

use super::board::{Board, StepState};
use super::{OutputLine, View, printable};
use crate::solver::event::{Event, EventKind, Hit, Outcome, StepId, Work};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Instant;

/// Writes a trace while a build is watched.
pub(super) struct Trace {
    out: Box<dyn Write + Send>,
    began: Option<Instant>,
    /// Which step is on which track.
    tracks: Vec<Option<StepId>>,
    /// When each track of transfers is free again.
    transfer_tracks: Vec<Instant>,
    /// The same, of each kind of work.
    work_tracks: BTreeMap<Work, Vec<Instant>>,
    wrote: bool,
}

#[derive(Serialize)]
struct Complete<'a> {
    name: &'a str,
    cat: &'a str,
    ph: &'static str,
    ts: u64,
    dur: u64,
    pid: u32,
    tid: usize,
    args: BTreeMap<&'static str, String>,
}

#[derive(Serialize)]
struct ProcessName {
    name: &'static str,
    ph: &'static str,
    pid: u32,
    args: BTreeMap<&'static str, &'static str>,
}

const STEPS: u32 = 1;
const TRANSFERS: u32 = 2;
/// The first kind of work; the others follow.
const WORK: u32 = 3;

impl Trace {
    pub(super) fn new(out: Box<dyn Write + Send>) -> Self {
        Self {
            out,
            began: None,
            tracks: Vec::new(),
            transfer_tracks: Vec::new(),
            work_tracks: BTreeMap::new(),
            wrote: false,
        }
    }

    fn begin(&mut self, step: StepId) {
        match self.tracks.iter_mut().find(|track| track.is_none()) {
            Some(track) => *track = Some(step),
            None => self.tracks.push(Some(step)),
        }
    }

    fn end(&mut self, step: StepId, outcome: &Outcome, state: &StepState) -> io::Result<()> {
        let track = self.tracks.iter().position(|held| *held == Some(step)).unwrap_or_default();
        if let Some(held) = self.tracks.get_mut(track) {
            *held = None;
        }
        let (outcome, error) = match outcome {
            Outcome::Ran => ("ran", None),
            Outcome::Cached(Hit::Definition) => ("cached by definition", None),
            Outcome::Cached(Hit::Content) => ("cached by content", None),
            Outcome::Cancelled => ("cancelled", None),
            Outcome::Failed(error) => ("failed", Some(error.clone())),
        };
        let mut args = BTreeMap::from([("outcome", outcome.to_owned())]);
        args.extend(error.map(|error| ("error", error)));
        args.extend(state.key.clone().map(|key| ("key", key)));
        let ended = state.ended.unwrap_or(state.started);
        let category = if state.key.is_some() { "step" } else { "work" };
        let span = (state.started, ended);
        self.complete(&state.title, category, span, (STEPS, track), args)?;
        for (item, transfer) in &state.transfers {
            let (first, latest) = transfer.span();
            let track = free_track(&mut self.transfer_tracks, first, latest);
            let args = BTreeMap::from([("step", state.title.clone()), ("bytes", transfer.done.to_string())]);
            self.complete(item, "transfer", (first, latest), (TRANSFERS, track), args)?;
        }
        Ok(())
    }

    fn complete(
        &mut self,
        name: &str,
        cat: &str,
        (from, to): (Instant, Instant),
        (pid, tid): (u32, usize),
        args: BTreeMap<&'static str, String>,
    ) -> io::Result<()> {
        let began = self.began.unwrap_or(from);
        let micros = |at: Instant| u64::try_from(at.saturating_duration_since(began).as_micros()).unwrap_or(u64::MAX);
        let (ts, end) = (micros(from), micros(to));
        self.write(&Complete { name, cat, ph: "X", ts, dur: end - ts.min(end), pid, tid, args })
    }

    fn write(&mut self, event: &impl Serialize) -> io::Result<()> {
        self.out.write_all(if self.wrote { b",\n" } else { b"[\n" })?;
        self.wrote = true;
        serde_json::to_writer(&mut self.out, event).map_err(io::Error::from)
    }
}

/// The first of `tracks` that is free from `first` on; it is taken until `latest`.
fn free_track(tracks: &mut Vec<Instant>, first: Instant, latest: Instant) -> usize {
    let free = tracks.iter().position(|until| *until <= first);
    let track = free.unwrap_or_else(|| {
        tracks.push(latest);
        tracks.len() - 1
    });
    tracks[track] = latest;
    track
}

impl View for Trace {
    fn event(&mut self, event: &Event, _: &[OutputLine], board: &Board) -> io::Result<()> {
        if self.began.is_none() {
            self.began = Some(event.at);
            let work = (WORK..).zip(Work::ALL.map(Work::name));
            for (pid, name) in [(STEPS, "steps"), (TRANSFERS, "transfers")].into_iter().chain(work) {
                self.write(&ProcessName {
                    name: "process_name",
                    ph: "M",
                    pid,
                    args: BTreeMap::from([("name", name)]),
                })?;
            }
        }
        match &event.kind {
            EventKind::Started { step, .. } => self.begin(*step),
            EventKind::Finished { step, outcome } => {
                if let Some(state) = board.step(*step) {
                    self.end(*step, outcome, state)?;
                }
            }
            EventKind::Worked { work, name, began } => {
                let tracks = self.work_tracks.entry(*work).or_default();
                let track = free_track(tracks, *began, event.at);
                let kind = (WORK..).zip(Work::ALL).find_map(|(pid, kind)| (kind == *work).then_some(pid));
                let at = (kind.unwrap_or(WORK), track);
                self.complete(&printable(name), work.name(), (*began, event.at), at, BTreeMap::new())?;
            }
            EventKind::Output { .. }
            | EventKind::Transfer { .. }
            | EventKind::Explained { .. }
            | EventKind::Notice { .. }
            | EventKind::Warning { .. } => {}
        }
        Ok(())
    }

    fn refresh(&mut self, _: Instant, _: &Board) -> io::Result<()> {
        Ok(())
    }

    fn close(&mut self, _: Instant, _: &Board) -> io::Result<()> {
        self.out.write_all(if self.wrote { b"\n]\n" } else { b"[]\n" })?;
        self.out.flush()
    }
}
