//! A failure, and the exit code that it deserves.

use crate::{
    pipeline::BuildError,
    progress::{Output, workflow},
};
use std::{fmt::Display, process::ExitCode};

/// Why a command did not do what was asked.
#[derive(Debug)]
pub(super) struct Failed {
    code: u8,
    text: String,
}

impl Failed {
    /// The build, or what it was given, is at fault.
    pub(super) fn build(text: impl Display) -> Self {
        Self { code: 1, text: text.to_string() }
    }

    /// What was typed makes no sense.
    pub(super) fn usage(text: impl Display) -> Self {
        Self { code: 2, text: text.to_string() }
    }

    /// The machine, the disk or the network.
    pub(super) fn environment(text: impl Display) -> Self {
        Self { code: 3, text: text.to_string() }
    }

    /// The person changed their mind.
    pub(super) fn interrupted() -> Self {
        Self { code: 130, text: "interrupted".to_owned() }
    }

    /// Everything has been said: only the exit code is left.
    pub(super) fn told() -> Self {
        Self { code: 1, text: String::new() }
    }

    /// What it says.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Says it, and gives the exit code.
    pub(super) fn tell(&self) -> ExitCode {
        if self.text.is_empty() {
            return ExitCode::from(self.code);
        }
        let mut err = Output::stderr();
        let prefix = if self.text.starts_with("error") { "" } else { "error: " };
        let text = format!("{prefix}{}", self.text);
        let text = if workflow::is_read() { workflow::inert(&text) } else { text };
        let notes = if workflow::is_read() { workflow::annotations(&text) } else { Vec::new() };
        // There is nobody left to tell if this fails.
        let _ =
            err.line(&text).and_then(|()| notes.iter().try_for_each(|note| err.line(note))).and_then(|()| err.finish());
        ExitCode::from(self.code)
    }
}

impl From<BuildError> for Failed {
    fn from(error: BuildError) -> Self {
        match error {
            BuildError::Dockerfile(_) | BuildError::NoDockerfile(_) | BuildError::Rewrite(_) | BuildError::Input(_) => {
                Self::build(error)
            }
            BuildError::Environment(_) => Self::environment(error),
        }
    }
}
