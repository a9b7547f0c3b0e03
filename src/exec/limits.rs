//! The control groups that steps are limited by, and whether memory was what ended one.

use crate::sandbox::{ControlGroup, ControlGroups, GroupLimits, Status, memory_kills};
use std::sync::OnceLock;

/// The control groups of a build's steps.
#[derive(Debug)]
pub struct StepGroups {
    limits: GroupLimits,
    /// Made for the first step; `None` if nothing is asked for, or this machine cannot limit.
    groups: OnceLock<Option<ControlGroups>>,
}

/// Which limit a process was killed at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryLimit {
    /// That of its control group.
    OfStep,
    /// All that the machine has.
    OfMachine,
}

/// What a step is measured by.
#[derive(Debug)]
pub struct Measured {
    group: Option<ControlGroup>,
    kills_before: u64,
}

impl StepGroups {
    /// Groups of these limits, none if there are no limits.
    pub fn new(limits: GroupLimits) -> Self {
        Self { limits, groups: OnceLock::new() }
    }

    /// Makes the group of a step. Where this machine cannot limit, there is none, and the person who builds is told once.
    pub fn measure(&self, tell: impl Fn(String)) -> Measured {
        let cannot = |failure| tell(format!("steps are not limited in memory, processors or number: {failure}"));
        let groups = self.groups.get_or_init(|| {
            if self.limits.is_empty() {
                return None;
            }
            ControlGroups::new(&self.limits).map_err(cannot).ok()
        });
        let group = groups.as_ref().and_then(|groups| groups.make().map_err(cannot).ok());
        Measured { group, kills_before: memory_kills() }
    }
}

impl Measured {
    /// The control group, where there is one.
    pub fn group(&self) -> Option<&ControlGroup> {
        self.group.as_ref()
    }

    /// Whether memory is why a process ended in that way.
    pub fn out_of_memory(&self, status: Status) -> Option<MemoryLimit> {
        const KILLED: i32 = 128 + 9;
        if status.success() {
            None
        } else if self.group.as_ref().is_some_and(ControlGroup::ran_out_of_memory) {
            Some(MemoryLimit::OfStep)
        } else {
            (status.code() == KILLED && memory_kills() > self.kills_before).then_some(MemoryLimit::OfMachine)
        }
    }
}
