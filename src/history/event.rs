//! What is written down of a build. Fields are added, never renamed: builds of older versions stay readable.

use crate::solver::{
    Why,
    event::{Hit, Outcome},
};
use serde::{Deserialize, Serialize};

/// What was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Asked {
    /// The files to build from, as they were named; without a password.
    pub context: String,
    /// The Dockerfile, as it was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The stage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The platforms.
    pub platforms: Vec<String>,
    /// The names of the image.
    pub names: Vec<String>,
    /// Names of build arguments; their values are nobody's business.
    pub build_args: Vec<String>,
    /// Where the image went besides the store.
    pub outputs: Vec<String>,
}

/// The first file of a build.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Header {
    pub(super) id: String,
    /// The version of flashbuild.
    pub(super) version: String,
    /// Milliseconds since 1970.
    pub(super) started: i64,
    #[serde(flatten)]
    pub(super) asked: Asked,
}

/// Something that happened; `at` is milliseconds since the build started.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub(super) enum Line {
    Started {
        step: u32,
        at: u64,
        name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<String>,
    },
    Explained {
        step: u32,
        why: Why,
    },
    Warning {
        text: String,
    },
    Finished {
        step: u32,
        at: u64,
        #[serde(flatten)]
        end: StepEnd,
    },
    /// Written by a newer version.
    #[serde(other)]
    Unknown,
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum StepEnd {
    /// It did its work.
    Ran,
    /// Its work was not needed: its `definition` or its `content` was known.
    Cached {
        /// Which.
        hit: String,
    },
    /// It was ended by others.
    Cancelled,
    /// It failed.
    Failed {
        /// Why.
        error: String,
    },
}

impl From<&Outcome> for StepEnd {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Ran => Self::Ran,
            Outcome::Cached(Hit::Definition) => Self::Cached { hit: "definition".to_owned() },
            Outcome::Cached(Hit::Content) => Self::Cached { hit: "content".to_owned() },
            Outcome::Cancelled => Self::Cancelled,
            Outcome::Failed(error) => Self::Failed { error: error.clone() },
        }
    }
}

/// How a build ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum Ended {
    /// It made what was asked for.
    Done {
        /// Digest of the image or index.
        digest: String,
    },
    /// It failed.
    Failed {
        /// What was said.
        error: String,
    },
}

/// The last file of a build.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Footer {
    /// Milliseconds since the build started.
    pub(super) took: u64,
    #[serde(flatten)]
    pub(super) ended: Ended,
}
