//! What became of each step.

use crate::solver::{StepReport, event::Hit};
use flashbuild_frontend::graph::Graph;

/// What became of a step.
#[derive(Debug, serde::Serialize)]
pub struct StepOutcome {
    /// As shown.
    pub name: String,
    /// The platforms that it serves.
    pub platforms: Vec<String>,
    /// `ran`, `definition` or `content`.
    pub outcome: &'static str,
}

pub(super) fn report(graph: &Graph, steps: &[StepReport]) -> Vec<StepOutcome> {
    let mut steps: Vec<&StepReport> = steps.iter().collect();
    steps.sort_by_key(|step| step.node);
    let outcome = |step: &StepReport| {
        let node = graph.node(step.node);
        StepOutcome {
            name: node.name.clone(),
            platforms: node.targets.iter().map(ToString::to_string).collect(),
            outcome: match step.hit {
                None => "ran",
                Some(Hit::Definition) => "definition",
                Some(Hit::Content) => "content",
            },
        }
    };
    steps.into_iter().map(outcome).collect()
}
