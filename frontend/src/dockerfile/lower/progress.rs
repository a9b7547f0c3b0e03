//! Names of nodes, for people: `[build 2/5] RUN make`.
//!
//! Numbers count what takes time: fetching the base image, `RUN`, `COPY`, `ADD`, `DEPS` and `WORKDIR`. A file with one stage does
//! not name it.

use crate::dockerfile::{
    instruction::{Instruction, Kind},
    plan::{Origin, PlannedStage},
};

/// Counts the steps of one stage.
#[derive(Clone)]
pub(super) struct Progress {
    label: Option<String>,
    total: usize,
    done: usize,
}

impl Progress {
    pub(super) fn new(label: Option<String>, stage: &PlannedStage<'_>) -> Self {
        let base = usize::from(matches!(stage.base, Origin::Image(_) | Origin::Files(_)));
        let counted = stage.steps.iter().filter(|step| counts(&step.instruction)).count();
        Self { label, total: base + counted, done: 0 }
    }

    /// The name of a node that is outside of any stage.
    pub(super) fn unnumbered() -> Self {
        Self { label: None, total: 0, done: 0 }
    }

    /// The name of the next step.
    pub(super) fn next(&mut self, text: &str) -> String {
        if self.total == 0 {
            return text.to_owned();
        }
        self.done += 1;
        self.name(text)
    }

    /// The name of a node that the step is made of which [`Progress::next`] will name.
    pub(super) fn upcoming(&self, text: &str) -> String {
        Self { done: self.done + 1, ..self.clone() }.name(text)
    }

    /// The name of another node of the step that [`Progress::next`] named.
    pub(super) fn name(&self, text: &str) -> String {
        let width = self.total.to_string().len();
        let label = self.label.iter().fold(String::new(), |_, label| format!("{label} "));
        format!("[{label}{:>width$}/{}] {text}", self.done, self.total)
    }
}

fn counts(instruction: &Instruction) -> bool {
    match instruction.kind {
        Kind::Add(_) | Kind::Copy(_) | Kind::Deps(_) | Kind::Run(_) | Kind::Workdir(_) => true,
        Kind::Arg(_)
        | Kind::Cmd(_)
        | Kind::Entrypoint(_)
        | Kind::Env(_)
        | Kind::Expose(_)
        | Kind::From(_)
        | Kind::Healthcheck(_)
        | Kind::Label(_)
        | Kind::Maintainer(_)
        | Kind::Onbuild(_)
        | Kind::Shell(_)
        | Kind::Stopsignal(_)
        | Kind::User(_)
        | Kind::Volume(_) => false,
    }
}
