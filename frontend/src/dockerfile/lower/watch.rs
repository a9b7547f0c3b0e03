//! Looking over the shoulder of lowering: only there is known what each instruction sees.

use crate::dockerfile::{
    plan::{Plan, PlannedStage, Step},
    scope::Scope,
};

/// Somebody who wants to see the steps of a target, each before it is done.
pub(in crate::dockerfile) trait Watch {
    /// A step is about to be done.
    fn step(&mut self, sight: &Sight<'_>);
}

/// What there is to see.
pub(in crate::dockerfile) struct Sight<'s> {
    pub(in crate::dockerfile) plan: &'s Plan<'s>,
    /// Index of the stage.
    pub(in crate::dockerfile) stage: usize,
    /// Index among the steps of the stage.
    pub(in crate::dockerfile) step: usize,
    /// The variables that the step sees.
    pub(in crate::dockerfile) scope: &'s Scope,
    /// Whether the stage, or one that it starts from, has had a `WORKDIR`.
    pub(in crate::dockerfile) has_workdir: bool,
    /// What `SHELL` or the base image say, if anything.
    pub(in crate::dockerfile) shell: &'s [String],
}

impl<'s> Sight<'s> {
    pub(in crate::dockerfile) fn planned(&self) -> &'s PlannedStage<'s> {
        &self.plan.stages[self.stage]
    }

    pub(in crate::dockerfile) fn step(&self) -> &'s Step<'s> {
        &self.planned().steps[self.step]
    }
}
