//! The longest path: which steps the time of a build went to.
//!
//! From the step that ended last, back to the one that it waited for longest: of a vertex, the input that came last; of
//! other work, or where all inputs were known, whatever ended last before it began. What is not on the path could take
//! longer, and the build would not.
//!
//! What would be saved without a step of it is found by going through the build again with that step taking no time: all others
//! take what they took, begin as long after what they waited for as they did, and the next longest path is what is left.

use super::board::{Board, StepState};
use super::ink::{Ink, Line};
use super::{Elapsed, Summary};
use crate::solver::event::Outcome;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A build that is over sooner has no path worth telling.
const WORTH_TELLING: Duration = Duration::from_secs(2);

/// A part of the path that is shorter than such a share of the whole is not told.
const SMALLEST_SHARE: u32 = 50;

/// Most cells of a step's title in the path.
const TITLE: usize = 40;

/// A step on the longest path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPart {
    /// What the step is called: one printable line.
    pub title: String,
    /// How long the build waited for it, beyond what it waited for before.
    pub took: Duration,
}

/// What the build would have been spared without a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saving {
    /// What the step is called: one printable line.
    pub title: String,
    /// By how much the build would have been over sooner.
    pub saved: Duration,
}

/// The longest path of what has ended so far, the first step first; and the step of it without which most would be saved.
pub(super) fn longest(board: &Board) -> (Vec<PathPart>, Option<Saving>) {
    let mut done: Vec<Done<'_>> = board.ended().filter_map(Done::of).collect();
    done.sort_by_key(|step| step.ended);
    let awaited = awaited(&done);
    let (mut path, mut places) = (Vec::new(), Vec::new());
    let mut current = done.len().checked_sub(1);
    while let Some(place) = current {
        let step = &done[place];
        let before = awaited[place].last_of(&done);
        let since = before.map_or(step.state.started, |before| done[before].ended.max(step.state.started));
        path.push(PathPart { title: step.state.title.clone(), took: step.ended.saturating_duration_since(since) });
        places.push(place);
        // Clocks of threads differ by a little; the path must come to an end.
        current = before.filter(|before| done[*before].ended < step.ended);
    }
    path.reverse();
    let whole = length_without(&done, &awaited, None);
    let saving = |place: usize| Saving {
        title: done[place].state.title.clone(),
        saved: whole.saturating_sub(length_without(&done, &awaited, Some(place))),
    };
    (path, places.into_iter().map(saving).max_by_key(|saving| saving.saved))
}

/// What each step waited for, by places in `done`, which is sorted by ends.
fn awaited(done: &[Done<'_>]) -> Vec<Awaited> {
    let by_key: BTreeMap<&str, usize> =
        done.iter().enumerate().filter_map(|(place, step)| Some((step.state.key.as_deref()?, place))).collect();
    let of = |(place, step): (usize, &Done<'_>)| {
        let inputs = step.state.inputs.iter().filter_map(|key| by_key.get(key.as_str()).copied());
        let inputs: Vec<usize> = inputs.filter(|input| *input < place).collect();
        if inputs.is_empty() {
            Awaited::AllBefore(done.partition_point(|other| other.ended <= step.state.started).min(place))
        } else {
            Awaited::Inputs(inputs)
        }
    };
    done.iter().enumerate().map(of).collect()
}

/// How long the build would take if the step `absent` took no time.
fn length_without(done: &[Done<'_>], awaited: &[Awaited], absent: Option<usize>) -> Duration {
    let Some(began) = done.iter().map(|step| step.state.started).min() else { return Duration::ZERO };
    let since_began = |at: Instant| at.saturating_duration_since(began);
    let mut ends: Vec<Duration> = Vec::with_capacity(done.len());
    // The latest of the first so many ends.
    let mut latest = vec![Duration::ZERO];
    for (place, step) in done.iter().enumerate() {
        let ready = match &awaited[place] {
            Awaited::Inputs(inputs) => inputs.iter().map(|input| ends[*input]).max().unwrap_or_default(),
            Awaited::AllBefore(count) => latest[*count],
        };
        let was_ready = awaited[place].last_of(done).map_or(Duration::ZERO, |before| since_began(done[before].ended));
        let until = if absent == Some(place) { step.state.started } else { step.ended };
        let took = since_began(until).saturating_sub(was_ready);
        let end = ready + took;
        ends.push(end);
        latest.push(end.max(latest[place]));
    }
    latest[done.len()]
}

/// What a step waited for.
enum Awaited {
    /// Of a vertex: its inputs that took time.
    Inputs(Vec<usize>),
    /// Of other work, or where all inputs were known: so many steps, those that had ended when it began.
    AllBefore(usize),
}

impl Awaited {
    /// The one of them that ended last.
    fn last_of(&self, done: &[Done<'_>]) -> Option<usize> {
        match self {
            Self::Inputs(inputs) => inputs.iter().copied().max_by_key(|input| done[*input].ended),
            Self::AllBefore(count) => count.checked_sub(1),
        }
    }
}

/// A line that tells the path, if it is worth it: `longest path 10.2s: pull 2.1s → RUN make 7.9s → push 0.2s; 4.2s would be saved
/// without RUN make`.
pub(super) fn line(summary: &Summary) -> Option<Line> {
    if summary.elapsed < WORTH_TELLING || summary.failed.is_some() || summary.cancelled {
        return None;
    }
    let least = summary.elapsed / SMALLEST_SHARE;
    let short = |title: &str| Line::of(Ink::Plain, title).fit(TITLE).paint(false);
    let parts: Vec<String> = summary
        .longest_path
        .iter()
        .filter(|part| part.took >= least)
        .map(|part| format!("{} {}", short(&part.title), Elapsed(part.took)))
        .collect();
    let total = Elapsed(summary.longest_path.iter().map(|part| part.took).sum());
    let saving = summary.saving.as_ref().filter(|saving| saving.saved >= least).map_or_else(String::new, |saving| {
        format!("; {} would be saved without {}", Elapsed(saving.saved), short(&saving.title))
    });
    (parts.len() > 1).then(|| Line::of(Ink::Dim, format!("longest path {total}: {}{saving}", parts.join(" → "))))
}

/// A step that took its time.
struct Done<'a> {
    state: &'a StepState,
    ended: Instant,
}

impl<'a> Done<'a> {
    fn of(state: &'a StepState) -> Option<Self> {
        match state.outcome.as_ref()? {
            Outcome::Ran | Outcome::Failed(_) | Outcome::Cancelled => Some(Self { state, ended: state.ended? }),
            Outcome::Cached(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::solver::event::{Event, EventKind, StepId};

    /// Number, key, keys of inputs, start, end.
    fn board(steps: &[(u32, &str, &[&str], u64, u64)]) -> Board {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut events: Vec<Event> = Vec::new();
        for (number, key, inputs, began, ended) in steps {
            let step = StepId(*number);
            let inputs = inputs.iter().map(ToString::to_string).collect();
            let key = (!key.is_empty()).then(|| (*key).to_owned());
            let kind = EventKind::Started { step, name: format!("step {number}"), key, inputs };
            events.push(Event { at: at(*began), kind });
            events.push(Event { at: at(*ended), kind: EventKind::Finished { step, outcome: Outcome::Ran } });
        }
        events.sort_by_key(|event| event.at);
        let mut board = Board::default();
        for event in &events {
            board.apply(event);
        }
        board
    }

    fn told(steps: &[(u32, &str, &[&str], u64, u64)]) -> String {
        let (longest_path, saving) = longest(&board(steps));
        let summary = Summary { elapsed: Duration::from_mins(1), longest_path, saving, ..Summary::default() };
        line(&summary).map(|line| line.paint(false)).unwrap_or_default()
    }

    #[test]
    fn the_path_goes_back_through_what_was_waited_for() {
        let steps: &[(u32, &str, &[&str], u64, u64)] = &[
            (1, "", &[], 0, 2),
            (2, "pull", &[], 2, 10),
            (3, "aside", &[], 2, 29),
            (4, "make", &["pull"], 10, 30),
            (5, "", &[], 30, 40),
        ];
        assert_eq!(
            told(steps),
            "longest path 40.0s: step 1 2.0s → step 2 8.0s → step 4 20.0s → step 5 10.0s; 10.0s would be saved without step 5"
        );
    }

    #[test]
    fn what_would_be_saved_is_what_the_next_longest_path_leaves() {
        let saved = |aside: u64| {
            let steps: &[(u32, &str, &[&str], u64, u64)] = &[
                (1, "pull", &[], 0, 5),
                (2, "aside", &[], 0, aside),
                (3, "make", &["pull"], 6, 30),
                (4, "", &[], 30, 31),
            ];
            longest(&board(steps)).1.map(|saving| (saving.title, saving.saved.as_secs()))
        };
        assert_eq!(saved(2), Some(("step 3".to_owned(), 24)), "the second before it began would pass all the same");
        assert_eq!(saved(20), Some(("step 3".to_owned(), 10)));
        assert_eq!(saved(30), Some(("step 4".to_owned(), 1)), "nothing is saved by half of the work that runs at once");
    }

    #[test]
    fn short_parts_and_single_steps_are_not_told() {
        assert_eq!(told(&[(1, "a", &[], 0, 30), (2, "b", &["a"], 30, 30)]), "");
        assert_eq!(told(&[]), "");
    }
}
