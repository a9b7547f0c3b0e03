//! How large a graph may become.
//!
//! Values of variables come again in every `RUN`, in the history, and in every stage that starts from the same one: from a
//! text of a few megabytes, a graph of terabytes could grow. All that lowering writes is counted, and a file that wants more
//! than any image can use is refused at the instruction that goes too far.

use super::State;
use crate::{
    diagnostic::{Code, Diagnostic, Span},
    graph::{FileAction, Op},
};

/// Bytes of text. Registries refuse configurations of a few megabytes, kernels an environment of as much.
const LIMIT: usize = 64 << 20;

/// What each entry of a list costs beside its text.
const ENTRY: usize = 32;

/// What is left.
#[derive(Debug)]
pub(super) struct Budget {
    left: Option<usize>,
}

impl Default for Budget {
    fn default() -> Self {
        Self { left: Some(LIMIT) }
    }
}

impl Budget {
    /// Accounts for a text.
    pub(super) fn spend(&mut self, bytes: usize) {
        self.left = self.left.and_then(|left| left.checked_sub(bytes + ENTRY));
    }

    /// Accounts for what a node holds.
    pub(super) fn spend_on(&mut self, op: &Op) {
        if let Op::Exec(exec) = op {
            self.spend(exec.env.iter().chain(&exec.args).map(|text| text.len() + ENTRY).sum());
        } else if let Op::File(file) = op {
            let contents = file.actions.iter().map(|action| match action {
                FileAction::MakeFile(file) => file.content.len(),
                FileAction::Copy(_) | FileAction::MakeDir(_) => 0,
            });
            self.spend(contents.sum());
        }
    }

    /// Accounts for a copy of what a stage is so far.
    pub(super) fn spend_on_copy(&mut self, state: &State) {
        let steps = state.steps.iter().map(|step| step.created_by.len() + ENTRY);
        let labels = state.config.config.labels.iter().map(|(name, value)| name.len() + value.len() + ENTRY);
        self.spend(steps.chain(labels).sum::<usize>() + state.scope.size());
    }

    /// Whether too much was spent.
    pub(super) fn is_spent(&self) -> bool {
        self.left.is_none()
    }
}

/// The error at the instruction that went too far.
pub(super) fn too_large(span: Span) -> Diagnostic {
    Diagnostic::error(Code::TooLarge, "the build becomes too large here", span).with_hint(format!(
        "variables, history and files written in the Dockerfile may come to {} MiB, each counted as often as it is used",
        LIMIT >> 20
    ))
}
