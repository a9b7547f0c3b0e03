//! What became of each step.

use crate::{
    exec::EmulatedSteps,
    solver::{StepReport, event::Hit},
};
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
    /// What emulation cost, if it ran emulated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub emulated: Option<Emulated>,
}

/// What emulation cost.
#[derive(Debug, serde::Serialize)]
pub struct Emulated {
    /// The architecture of the programs.
    pub arch: String,
    /// Seconds from start to end.
    pub seconds: f64,
    /// Seconds on processors.
    pub cpu_seconds: f64,
}

pub(super) fn report(graph: &Graph, steps: &[StepReport], emulated: &EmulatedSteps) -> Vec<StepOutcome> {
    let runs = emulated.runs();
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
            emulated: runs.get(&step.node).map(|run| Emulated {
                arch: run.arch.clone(),
                seconds: run.took.as_secs_f64(),
                cpu_seconds: run.cpu_time.as_secs_f64(),
            }),
        }
    };
    steps.into_iter().map(outcome).collect()
}
