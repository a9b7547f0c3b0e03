//! What `--progress rawjson` says, read back.

use flashbuild::solver::{
    Reason,
    event::{Hit, Outcome},
};
use serde::Deserialize;
use std::collections::HashMap;

/// A step that ended.
#[derive(Debug)]
pub(super) struct FinishedStep {
    pub(super) name: String,
    pub(super) is_vertex: bool,
    pub(super) outcome: Outcome,
    /// Why it ran, if it is known.
    pub(super) reasons: Vec<Reason>,
}

/// The lines of the schema that the tests read.
#[derive(Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Line {
    Explained {
        step: u32,
        reasons: Vec<Reason>,
    },
    Finished {
        step: u32,
        name: String,
        key: Option<String>,
        #[serde(flatten)]
        ended: Ended,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
enum Ended {
    Ran,
    Cached { hit: Found },
    Cancelled,
    Failed { error: String },
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Found {
    Definition,
    Content,
}

/// Takes standard error apart: steps that ended, and everything that is no event.
pub(super) fn split(stderr: &str) -> (Vec<FinishedStep>, String) {
    let mut steps = Vec::new();
    let mut text = String::new();
    let mut explained = HashMap::new();
    for line in stderr.lines() {
        if !line.starts_with('{') {
            text.push_str(line);
            text.push('\n');
            continue;
        }
        match serde_json::from_str(line).unwrap_or_else(|error| panic!("not an event: {error}\n{line}")) {
            Line::Explained { step, reasons } => drop(explained.insert(step, reasons)),
            Line::Finished { step, name, key, ended } => {
                let reasons = explained.remove(&step).unwrap_or_default();
                steps.push(FinishedStep { name, is_vertex: key.is_some(), outcome: ended.into(), reasons });
            }
            Line::Other => {}
        }
    }
    (steps, text)
}

impl From<Ended> for Outcome {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Ran => Self::Ran,
            Ended::Cached { hit: Found::Definition } => Self::Cached(Hit::Definition),
            Ended::Cached { hit: Found::Content } => Self::Cached(Hit::Content),
            Ended::Cancelled => Self::Cancelled,
            Ended::Failed { error } => Self::Failed(error),
        }
    }
}

#[test]
fn events_and_messages_come_apart() {
    let (steps, text) = split(concat!(
        "{\"t\":0.0,\"event\":\"schema\",\"version\":1}\n",
        "{\"t\":0.1,\"event\":\"finished\",\"step\":1,\"name\":\"RUN a\",\"key\":\"k\",\"outcome\":\"cached\",",
        "\"hit\":\"content\",\"seconds\":0.1}\n",
        "error: no such file\n",
    ));
    assert_eq!(text, "error: no such file\n");
    assert_eq!((steps.len(), steps[0].name.as_str(), steps[0].is_vertex), (1, "RUN a", true));
    assert_eq!(steps[0].outcome, Outcome::Cached(Hit::Content));
}
