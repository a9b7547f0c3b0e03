//! Who speaks: an order for the lines of steps that run at once.
//!
//! One step has the word. Lines of the others wait until it ends, is silent for a moment, or one of them has waited
//! for long. Then the step whose lines have waited longest gets the word, and says its name first.

use super::ink::{Ink, Line};
use crate::solver::event::StepId;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A silence after which others may speak, and the least time that a step has the word.
const PAUSE: Duration = Duration::from_millis(300);

/// How long a step waits for one that talks on. Lines are held back no longer, so few of them are held.
const PATIENCE: Duration = Duration::from_secs(3);

/// How many lines a step holds back before it gets the word at once.
const CROWD: usize = 1000;

/// Lines that wait, and who has the word.
#[derive(Debug, Default)]
pub(super) struct Turns {
    speaker: Option<Speaker>,
    waiting: BTreeMap<StepId, Waiting>,
    interruptions: Vec<Line>,
    /// Something was written: what comes next is set off by an empty line.
    opened: bool,
    hurried: bool,
}

#[derive(Debug)]
struct Speaker {
    step: StepId,
    since: Instant,
    spoke: Instant,
}

#[derive(Debug)]
struct Waiting {
    since: Instant,
    latest: Instant,
    lines: Vec<Line>,
    ended: bool,
}

/// A line whose turn has come.
#[derive(Debug)]
pub(super) enum Said {
    /// The name of the step that has the word from here on.
    Heading(Line),
    /// Anything else.
    Line(Line),
}

impl Turns {
    /// `step` wants the word, if only to say its name.
    pub(super) fn begin(&mut self, step: StepId, at: Instant) {
        self.waiting(step, at);
    }

    /// `step` has something to say.
    pub(super) fn say(&mut self, step: StepId, at: Instant, line: Line) {
        let waiting = self.waiting(step, at);
        waiting.latest = at;
        waiting.lines.push(line);
    }

    /// `step`, which has just spoken, will say no more.
    pub(super) fn end(&mut self, step: StepId) {
        if let Some(waiting) = self.waiting.get_mut(&step) {
            waiting.ended = true;
        }
    }

    /// Something to say at once that is about no step.
    pub(super) fn interrupt(&mut self, line: Line) {
        self.interruptions.push(line);
    }

    /// Nobody waits any more.
    pub(super) fn hurry(&mut self) {
        self.hurried = true;
    }

    fn waiting(&mut self, step: StepId, at: Instant) -> &mut Waiting {
        self.waiting.entry(step).or_insert_with(|| Waiting { since: at, latest: at, lines: Vec::new(), ended: false })
    }

    /// The lines whose turn has come.
    pub(super) fn take<'a>(&mut self, now: Instant, title: impl Fn(StepId) -> &'a str) -> Vec<Said> {
        let mut lines = Vec::new();
        if !self.interruptions.is_empty() {
            self.set_off(&mut lines);
            lines.extend(self.interruptions.drain(..).map(Said::Line));
            self.speaker = None;
        }
        loop {
            self.hear(&mut lines);
            if self.speaker.as_ref().is_some_and(|speaker| !self.yields(speaker, now)) {
                break;
            }
            let order = |waiting: &Waiting| (waiting.lines.len() < CROWD, waiting.since);
            let Some((&step, next)) = self.waiting.iter().min_by_key(|(_, waiting)| order(waiting)) else { break };
            self.speaker = Some(Speaker { step, since: now, spoke: next.latest });
            self.set_off(&mut lines);
            lines.push(Said::Heading(prefixed(step, Line::of(Ink::Bold, title(step)))));
        }
        lines
    }

    /// The speaker says what it has to say.
    fn hear(&mut self, lines: &mut Vec<Said>) {
        let Some(speaker) = &mut self.speaker else { return };
        let Some(heard) = self.waiting.remove(&speaker.step) else { return };
        speaker.spoke = heard.latest;
        lines.extend(heard.lines.into_iter().map(|line| Said::Line(prefixed(speaker.step, line))));
        if heard.ended {
            self.speaker = None;
        }
    }

    fn yields(&self, speaker: &Speaker, now: Instant) -> bool {
        let is_past = |since, duration| now.saturating_duration_since(since) >= duration;
        let impatient = self.waiting.values().any(|waiting| is_past(waiting.since, PATIENCE));
        let crowded = self.waiting.values().any(|waiting| waiting.lines.len() >= CROWD);
        self.hurried || crowded || is_past(speaker.spoke, PAUSE) || impatient && is_past(speaker.since, PAUSE)
    }

    fn set_off(&mut self, lines: &mut Vec<Said>) {
        if std::mem::replace(&mut self.opened, true) {
            lines.push(Said::Line(Line::default()));
        }
    }
}

fn prefixed(step: StepId, line: Line) -> Line {
    line.after(Line::of(Ink::Dim, format!("#{} ", step.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(turns: &mut Turns, now: Instant) -> Vec<String> {
        let text = |said| match said {
            Said::Heading(line) | Said::Line(line) => line.paint(false),
        };
        turns.take(now, |_| "name").into_iter().map(text).collect()
    }

    fn line(text: &str) -> Line {
        Line::of(Ink::Plain, text)
    }

    #[test]
    fn a_step_keeps_the_word_until_it_pauses() {
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let (one, two) = (StepId(1), StepId(2));
        let mut turns = Turns::default();
        turns.begin(one, at(0));
        assert_eq!(texts(&mut turns, at(0)), ["#1 name"]);
        turns.say(one, at(200), line("a"));
        turns.say(two, at(200), line("b"));
        assert_eq!(texts(&mut turns, at(200)), ["#1 a"]);
        assert!(texts(&mut turns, at(499)).is_empty());
        assert_eq!(texts(&mut turns, at(500)), ["", "#2 name", "#2 b"]);
    }

    #[test]
    fn a_step_that_talks_on_is_interrupted() {
        let start = Instant::now();
        let mut turns = Turns::default();
        turns.begin(StepId(1), start);
        turns.begin(StepId(2), start);
        let mut heard = Vec::new();
        for tenth in 0..40 {
            let now = start + Duration::from_millis(tenth * 100);
            turns.say(StepId(1), now, line(&tenth.to_string()));
            heard.extend(texts(&mut turns, now));
        }
        let at = heard.iter().position(|line| line == "#2 name").unwrap();
        assert_eq!(heard[at - 2..=at], ["#1 30", "", "#2 name"]);
        assert!(heard[at..].contains(&"#1 name".to_owned()), "{heard:?}");
    }

    #[test]
    fn a_flood_is_not_held_back() {
        let now = Instant::now();
        let mut turns = Turns::default();
        turns.begin(StepId(1), now);
        turns.begin(StepId(2), now);
        turns.say(StepId(1), now, line("a"));
        assert_eq!(texts(&mut turns, now), ["#1 name", "#1 a"]);
        for number in 0..CROWD {
            turns.say(StepId(3), now, line(&number.to_string()));
        }
        assert_eq!(texts(&mut turns, now)[..3], ["", "#3 name", "#3 0"]);
    }

    #[test]
    fn the_end_of_a_step_gives_the_word_away() {
        let now = Instant::now();
        let mut turns = Turns::default();
        for step in [StepId(1), StepId(2)] {
            turns.begin(step, now);
            turns.say(step, now, line("DONE"));
            turns.end(step);
        }
        assert_eq!(texts(&mut turns, now), ["#1 name", "#1 DONE", "", "#2 name", "#2 DONE"]);
    }
}
