//! What a stage is so far, and how stages hand that on.

use crate::{
    config::ImageConfig,
    dockerfile::{
        plan::{Origin, Plan},
        scope::Scope,
    },
    graph::{HistoryStep, NodeId},
    platform::Platform,
};
use std::collections::BTreeMap;

/// Where commands are looked for if the base image does not say.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a stage is, after some of its instructions.
#[derive(Debug, Clone)]
pub(super) struct State {
    /// The tree.
    pub(super) root: NodeId,
    /// The platform of processes.
    pub(super) platform: Platform,
    /// The configuration; its environment is kept in `scope` until the end.
    pub(super) config: ImageConfig,
    /// What was done since the base image.
    pub(super) steps: Vec<HistoryStep>,
    /// The variables.
    pub(super) scope: Scope,
    /// The image that everything is built on: its name and its digest.
    pub(super) base: Option<(String, String)>,
    /// Whether a system is in the tree: an image's, or packages of a distribution.
    pub(super) has_system: bool,
    /// Layers of the image that everything is built on, from which layers are counted; nothing while it is not known to how
    /// many some packages come.
    pub(super) counted_from: Option<usize>,
    /// Names and versions of a distribution's packages in it; nothing while it is not known which they are.
    pub(super) system: Option<Vec<(String, String)>>,
    /// Whether there was a `WORKDIR`, here or in a stage that this one starts from.
    pub(super) has_workdir: bool,
    /// Whether there may be variables and settings that are not known, in a survey.
    pub(super) guessed: bool,
}

impl State {
    /// A state as a base image leaves it. There always is a `PATH`, but on Windows.
    pub(super) fn start(root: NodeId, platform: Platform, config: ImageConfig, base: Option<(String, String)>) -> Self {
        let mut scope = Scope::of_image(&config.config.env);
        if scope.environment.get("PATH").is_none() && platform.os != "windows" {
            scope.set_env("PATH", DEFAULT_PATH);
        }
        let has_system = base.is_some();
        let (steps, has_workdir, guessed) = (Vec::new(), false, false);
        let system = Some(Vec::new());
        let counted_from = Some(config.rootfs.diff_ids.len());
        Self { root, platform, config, steps, scope, base, has_system, counted_from, system, has_workdir, guessed }
            .without_triggers()
    }

    /// How many layers it has, if that is known.
    pub(super) fn layers(&self) -> Option<usize> {
        Some(self.counted_from? + self.steps.iter().filter(|step| step.layer).count())
    }

    /// The state for a stage that starts from it: triggers are done there, once.
    pub(super) fn without_triggers(mut self) -> Self {
        self.config.config.on_build.clear();
        self
    }
}

/// The states of the stages that others still start from.
#[derive(Debug)]
pub(super) struct States {
    kept: BTreeMap<usize, State>,
    /// How often the state of each stage is still asked for. The output is the last heir of its stage.
    heirs: Vec<usize>,
}

impl States {
    /// Of no stage yet.
    pub(super) fn of(plan: &Plan<'_>) -> Self {
        let mut heirs = vec![0; plan.stages.len()];
        heirs[plan.target] = 1;
        for stage in plan.stages.iter().filter(|stage| stage.needed) {
            if let Origin::Stage(base) = stage.base {
                heirs[base] += 1;
            }
        }
        Self { kept: BTreeMap::new(), heirs }
    }

    /// Keeps the state of a stage for its heirs.
    pub(super) fn keep(&mut self, index: usize, state: State) {
        if self.heirs[index] > 0 {
            self.kept.insert(index, state);
        }
    }

    /// The state of a stage, if the next heir gets a copy of it.
    pub(super) fn to_be_copied(&self, index: usize) -> Option<&State> {
        self.kept.get(&index).filter(|_| self.heirs[index] > 1)
    }

    /// The state of a stage for one of its heirs. The last one gets it without a copy: a chain of thousands of stages costs no
    /// more than one long stage.
    pub(super) fn inherit(&mut self, index: usize) -> State {
        self.heirs[index] -= 1;
        let is_last = self.heirs[index] == 0;
        let inherited = if is_last { self.kept.remove(&index) } else { self.kept.get(&index).cloned() };
        inherited.expect("a stage is lowered before its heirs")
    }
}
