//! What came of a build.

use super::{ByteSize, Elapsed, OutputLine, PathPart, Saving};
use std::fmt;
use std::time::Duration;

/// What came of a build, for its caller and its last line.
///
/// Counts are of the graph's vertices: reading the Dockerfile or pushing is work, but not a step that a cache saves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Steps that did their work.
    pub ran: usize,
    /// Steps found by their definition.
    pub cached_by_definition: usize,
    /// Steps found by what their inputs hold.
    pub cached_by_content: usize,
    /// The step that failed first, be it a vertex or not. Others may have failed after it.
    pub failed: Option<FailedStep>,
    /// Against which rules the build description goes: printable lines.
    pub warnings: Vec<String>,
    /// Some step, be it a vertex or not, was cancelled.
    pub cancelled: bool,
    /// Bytes moved by all steps.
    pub transferred: u64,
    /// From the first event to the last.
    pub elapsed: Duration,
    /// What the time went to, once all is over.
    pub longest_path: Vec<PathPart>,
    /// The step of the path without which most of the time would be saved.
    pub saving: Option<Saving>,
}

/// A step that failed, ready to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedStep {
    /// What it is called: one [`printable`](super::printable) line.
    pub name: String,
    /// What went wrong: printable lines, at least one.
    pub error: Vec<String>,
    /// The last that its process wrote, at most [`FailedStep::LINES`].
    pub last_lines: Vec<OutputLine>,
}

impl FailedStep {
    /// How many lines of output are kept for a report.
    pub const LINES: usize = 50;
}

impl Summary {
    /// Steps that did not need to run.
    pub fn cached(&self) -> usize {
        self.cached_by_definition + self.cached_by_content
    }
}

/// One line: `Built in 3.2s: 2 steps ran, 10 cached, 45.1MB transferred`.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outcome = match (&self.failed, self.cancelled) {
            (Some(_), _) => "Failed after",
            (None, true) => "Cancelled after",
            (None, false) => "Built in",
        };
        let noun = if self.ran == 1 { "step" } else { "steps" };
        write!(f, "{outcome} {}: {} {noun} ran, {} cached", Elapsed(self.elapsed), self.ran, self.cached())?;
        if self.transferred > 0 {
            write!(f, ", {} transferred", ByteSize(self.transferred))?;
        }
        Ok(())
    }
}
