//! The longest path: which steps the time of a build went to.
//!
//! From the step that ended last, back to the one that it waited for longest: of a vertex, the input that came last; of
//! other work, or where all inputs were known, whatever ended last before it began. What is not on the path could take
//! longer, and the build would not.

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

/// The longest path of what has ended so far, the first step first.
pub(super) fn longest(board: &Board) -> Vec<PathPart> {
    let mut done: Vec<Done<'_>> = board.ended().filter_map(Done::of).collect();
    done.sort_by_key(|step| step.ended);
    let by_key: BTreeMap<&str, &Done<'_>> =
        done.iter().filter_map(|step| Some((step.state.key.as_deref()?, step))).collect();
    let mut path = Vec::new();
    let mut current = done.last();
    while let Some(step) = current {
        let awaited = step.state.inputs.iter().filter_map(|key| by_key.get(key.as_str()).copied());
        let input = awaited.max_by_key(|input| input.ended);
        let before = input.or_else(|| done[..done.partition_point(|other| other.ended <= step.state.started)].last());
        let since = before.map_or(step.state.started, |before| before.ended.max(step.state.started));
        path.push(PathPart { title: step.state.title.clone(), took: step.ended.saturating_duration_since(since) });
        // Clocks of threads differ by a little; the path must come to an end.
        current = before.filter(|before| before.ended < step.ended);
    }
    path.reverse();
    path
}

/// A line that tells the path, if it is worth it: `longest path: pull 2.1s → RUN make 7.9s → push 0.2s`.
pub(super) fn line(summary: &Summary) -> Option<Line> {
    if summary.elapsed < WORTH_TELLING || summary.failed.is_some() || summary.cancelled {
        return None;
    }
    let least = summary.elapsed / SMALLEST_SHARE;
    let parts: Vec<String> = summary
        .longest_path
        .iter()
        .filter(|part| part.took >= least)
        .map(|part| {
            let title = Line::of(Ink::Plain, &part.title).fit(TITLE).paint(false);
            format!("{title} {}", Elapsed(part.took))
        })
        .collect();
    (parts.len() > 1).then(|| Line::of(Ink::Dim, format!("longest path: {}", parts.join(" → "))))
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
        let board = board(steps);
        let summary = Summary { elapsed: Duration::from_mins(1), longest_path: longest(&board), ..Summary::default() };
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
        assert_eq!(told(steps), "longest path: step 1 2.0s → step 2 8.0s → step 4 20.0s → step 5 10.0s");
    }

    #[test]
    fn short_parts_and_single_steps_are_not_told() {
        assert_eq!(told(&[(1, "a", &[], 0, 30), (2, "b", &["a"], 30, 30)]), "");
        assert_eq!(told(&[]), "");
    }
}
