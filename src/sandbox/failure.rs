//! What went wrong inside the helper, as data that crosses to the process which asked for the sandbox.

use serde::{Deserialize, Serialize};
use std::{fmt, io};

/// A step of the set-up that failed, in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What was being done, as an infinitive: `mount a new proc`.
    pub doing: String,
    /// What the kernel said.
    pub cause: String,
    /// How to mend it, if that is known.
    pub hint: Option<String>,
}

impl Failure {
    pub(super) fn new(doing: impl Into<String>, cause: impl Into<String>) -> Self {
        Self { doing: doing.into(), cause: cause.into(), hint: None }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}: {}", self.doing, self.cause)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}

/// Says what was being done when a call failed.
pub(super) trait Doing<T> {
    /// Turns an error into a [`Failure`] of doing `what`.
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Failure>;
}

impl<T, E: Into<io::Error>> Doing<T> for Result<T, E> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(what(), error.into().to_string()))
    }
}
