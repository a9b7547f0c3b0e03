//! One JSON object a line: everything that happened, for programs.
//!
//! The schema is stable: fields are added, never renamed or removed without a new `version`. The first line is
//! `{"t":0.0,"event":"schema","version":1}`; every other line is one event.
//!
//! | field | in | type | meaning |
//! |---|---|---|---|
//! | `t` | all | number | seconds since the first event |
//! | `event` | all | string | `started`, `output`, `transfer`, `explained`, `finished`, `worked`, `notice`, `warning` |
//! | `step` | all but `worked`, some `notice` and `warning` | number | the step, from 1 in the order of starting |
//! | `name` | `started`, `finished` | string | what the step is called, as is |
//! | `key` | `started`, `finished` | string | definition key of the vertex; absent if the step is no vertex |
//! | `text` | `output` | string | what was written, as is: not necessarily whole lines |
//! | `base64` | `output` | string | the same, in place of `text`, if it is not UTF-8 |
//! | `item` | `transfer` | string | what moves |
//! | `done` | `transfer` | number | bytes so far |
//! | `total` | `transfer` | number | bytes in all; absent if unknown |
//! | `reasons` | `explained` | array | why the step runs: objects whose `reason` tells their fields ([`Reason`]) |
//! | `outcome` | `finished` | string | `ran`, `cached`, `cancelled`, `failed` |
//! | `hit` | `finished`, if `cached` | string | `definition`, `content` |
//! | `error` | `finished`, if `failed` | string | what went wrong, as is |
//! | `seconds` | `finished` | number | since the step started |
//! | `work` | `worked` | string | `solver`, `compression`: work inside of steps or between them that is done |
//! | `name` | `worked` | string | what was done |
//! | `seconds` | `worked` | number | since that began |
//! | `text` | `notice` | string | what a person should know |
//! | `text` | `warning` | string | the rule that the build description goes against, what is wrong, and the line |
//! | `url` | `warning` | string | a page that explains the rule; absent if there is none |
//!
//! Characters that a terminal or a CI service would act upon are written as `\u` escapes, which lose nothing.

use super::board::Board;
use super::{OutputLine, Screen, View, clean};
use crate::solver::{
    Reason,
    event::{Event, EventKind, Hit, Outcome, StepId},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Serialize;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::time::{Duration, Instant};

const VERSION: u32 = 1;

/// The view of `--progress rawjson`.
pub(super) struct RawJson {
    screen: Screen,
    began: Option<Instant>,
    /// Names and keys as they were given; the board's are made printable.
    steps: HashMap<StepId, Named>,
}

#[derive(Serialize)]
struct Named {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

#[derive(Serialize)]
struct Record<'a> {
    t: f64,
    #[serde(flatten)]
    body: Body<'a>,
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Body<'a> {
    Schema {
        version: u32,
    },
    Started {
        step: u32,
        #[serde(flatten)]
        named: Option<&'a Named>,
    },
    Output {
        step: u32,
        #[serde(flatten)]
        bytes: Bytes<'a>,
    },
    Transfer {
        step: u32,
        item: &'a str,
        done: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        total: Option<u64>,
    },
    Explained {
        step: u32,
        reasons: &'a [Reason],
    },
    Finished {
        step: u32,
        #[serde(flatten)]
        named: Option<&'a Named>,
        #[serde(flatten)]
        outcome: Ended<'a>,
        seconds: f64,
    },
    Worked {
        work: &'static str,
        name: &'a str,
        seconds: f64,
    },
    Notice {
        #[serde(skip_serializing_if = "Option::is_none")]
        step: Option<u32>,
        text: &'a str,
    },
    Warning {
        text: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        url: Option<&'a str>,
    },
}

#[derive(Serialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
enum Ended<'a> {
    Ran,
    Cached { hit: &'static str },
    Cancelled,
    Failed { error: &'a str },
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Bytes<'a> {
    Text(&'a str),
    Base64(String),
}

impl RawJson {
    pub(super) fn new(screen: Screen) -> Self {
        Self { screen, began: None, steps: HashMap::new() }
    }
}

impl View for RawJson {
    fn event(&mut self, event: &Event, _: &[OutputLine], board: &Board) -> io::Result<()> {
        if self.began.is_none() {
            self.began = Some(event.at);
            write(&mut self.screen, Duration::ZERO, Body::Schema { version: VERSION })?;
        }
        if let EventKind::Started { step, name, key, .. } = &event.kind {
            self.steps.insert(*step, Named { name: name.clone(), key: key.clone() });
        }
        write(&mut self.screen, board.elapsed(event.at), body(event, &self.steps, board))
    }

    fn refresh(&mut self, _: Instant, _: &Board) -> io::Result<()> {
        self.screen.out.flush()
    }

    fn close(&mut self, _: Instant, _: &Board) -> io::Result<()> {
        self.screen.out.flush()
    }
}

fn body<'a>(event: &'a Event, steps: &'a HashMap<StepId, Named>, board: &Board) -> Body<'a> {
    match &event.kind {
        EventKind::Started { step, .. } => Body::Started { step: step.0, named: steps.get(step) },
        EventKind::Output { step, bytes } => Body::Output {
            step: step.0,
            bytes: match str::from_utf8(bytes) {
                Ok(text) => Bytes::Text(text),
                Err(_) => Bytes::Base64(STANDARD.encode(bytes)),
            },
        },
        EventKind::Transfer { step, item, done, total } => {
            Body::Transfer { step: step.0, item, done: *done, total: *total }
        }
        EventKind::Explained { step, why } => Body::Explained { step: step.0, reasons: &why.reasons },
        EventKind::Finished { step, outcome } => Body::Finished {
            step: step.0,
            named: steps.get(step),
            outcome: Ended::from(outcome),
            seconds: seconds(board.step(*step).map(|step| step.elapsed(event.at)).unwrap_or_default()),
        },
        EventKind::Worked { work, name, began } => {
            Body::Worked { work: work.name(), name, seconds: seconds(event.at.saturating_duration_since(*began)) }
        }
        EventKind::Notice { step, text } => Body::Notice { step: step.map(|step| step.0), text },
        EventKind::Warning { text, url } => Body::Warning { text, url: url.as_deref() },
    }
}

impl<'a> From<&'a Outcome> for Ended<'a> {
    fn from(outcome: &'a Outcome) -> Self {
        match outcome {
            Outcome::Ran => Self::Ran,
            Outcome::Cached(Hit::Definition) => Self::Cached { hit: "definition" },
            Outcome::Cached(Hit::Content) => Self::Cached { hit: "content" },
            Outcome::Cancelled => Self::Cancelled,
            Outcome::Failed(error) => Self::Failed { error },
        }
    }
}

fn write(screen: &mut Screen, since: Duration, body: Body<'_>) -> io::Result<()> {
    let json = serde_json::to_string(&Record { t: seconds(since), body })?;
    writeln!(screen.out, "{}", armoured(&json))
}

/// To the microsecond: more is noise.
fn seconds(duration: Duration) -> f64 {
    Duration::from_micros(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)).as_secs_f64()
}

/// The same JSON without characters that anything but a parser acts upon.
///
/// They can only stand inside strings, where any character may be written as an escape (RFC 8259, section 7). Two
/// hashes in a row are how CI services mark commands; the start of a line is always a brace.
fn armoured(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    let mut characters = json.chars().peekable();
    while let Some(character) = characters.next() {
        if clean::is_active(character) || character == '#' && characters.peek() == Some(&'#') {
            // Of two units if the character lies beyond the basic plane.
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(safe, "\\u{unit:04x}");
            }
        } else {
            safe.push(character);
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn armour_loses_nothing() {
        let hostile = "\u{1b}[2J\u{7f}\u{9b}m\u{202e}###[error] ##vso[x] \u{1f980} \"\\\n::debug::";
        let safe = armoured(&serde_json::to_string(hostile).unwrap());
        assert_eq!(
            safe,
            "\"\\u001b[2J\\u007f\\u009bm\\u202e\\u0023\\u0023#[error] \\u0023#vso[x] \u{1f980} \\\"\\\\\\n::debug::\""
        );
        assert_eq!(serde_json::from_str::<String>(&safe).unwrap(), hostile);
    }
}
