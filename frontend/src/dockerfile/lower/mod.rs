//! Stages to a graph, for each target platform.
//!
//! 1. For each platform asked for, the file is [planned](super::plan): names resolved, needed stages marked.
//! 2. Needed stages are lowered in the order of the file, one instruction after the other; each changes the [`State`] of its
//!    stage: the tree so far, the configuration, the history and the variables.
//! 3. A stage that starts from another goes on with that one's state.
//! 4. The state of the target becomes an [`Output`].
//!
//! Equal work for two platforms becomes one node by [`Graph::add`]: nothing is put into a node that its result does not depend
//! on. Texts of the history are those that moby/buildkit writes, so that tools which read them still do.
//!
//! What cannot be lowered yet is refused where it stands, never left out.

mod budget;
mod command;
mod deps;
mod environment;
mod fetch;
pub(super) mod go;
mod mount;
mod package_build;
mod permission;
mod port;
mod progress;
mod run;
mod settings;
mod signal;
mod stage;
mod state;
#[cfg(test)]
pub(super) mod tests;
mod transfer;
mod watch;

pub(super) use watch::{Sight, Watch};

use super::{
    Dockerfile, Lost,
    inputs::{Inputs, Missing, Options},
    plan::{Origin, Plan, PlannedStage},
    scope::epoch,
};
use crate::{
    config::ImageConfig,
    diagnostic::{Diagnostic, Span, sorted},
    graph::{
        CopyAction, CopySource, FileAction, FileOp, Graph, HistoryStep, ImageOp, LocalOp, Node, NodeId, Op, Output,
    },
    platform::Platform,
};
use budget::Budget;
use package_build::Tools;
use progress::Progress;
use stage::StageBuild;
use state::{State, States};
use std::collections::{BTreeMap, BTreeSet};

impl Dockerfile {
    /// Makes the graph: an output for each platform asked for.
    ///
    /// # Errors
    /// With all that is wrong, in the order of the file; also if [`Dockerfile::missing`] would still name something.
    pub fn lower(&self, options: &Options, inputs: &Inputs) -> Result<Graph, Vec<Diagnostic>> {
        let (graph, missing) = self.attempt(options, inputs)?;
        match missing.as_slice() {
            [] => Ok(graph),
            missing => Err(missing.iter().map(|missing| missing.failed("it was not looked up")).collect()),
        }
    }

    /// Makes the graph, with what is still missing left out of it and named.
    pub(super) fn attempt(&self, options: &Options, inputs: &Inputs) -> Result<(Graph, Vec<Missing>), Vec<Diagnostic>> {
        let mut graph = Graph::default();
        let mut missing: Vec<Missing> = Vec::new();
        let mut errors = Vec::new();
        for target in options.targets() {
            let lowered = Plan::new(self, options, inputs, target)
                .and_then(|plan| self.lower_plan(options, inputs, target, &plan, &mut graph, None));
            match lowered {
                Ok(Lowered { output, missing: more }) => {
                    graph.outputs.extend(output);
                    missing.extend(more);
                }
                Err(found) => errors.extend(found),
            }
        }
        if !errors.is_empty() {
            return Err(sorted(errors));
        }
        inputs.mark_built(&mut graph);
        Ok((graph, missing))
    }

    /// Lowers the plan of one target platform into `graph`; `watch`, if anybody, sees each step before it is done.
    pub(super) fn lower_plan<'a>(
        &'a self,
        options: &'a Options,
        inputs: &'a Inputs,
        target: &'a Platform,
        plan: &Plan<'_>,
        graph: &'a mut Graph,
        watch: Option<&'a mut dyn Watch>,
    ) -> Result<Lowered, Vec<Diagnostic>> {
        if !plan.missing.is_empty() {
            return Ok(Lowered { output: None, missing: plan.missing.clone() });
        }
        let (missing, budget) = (Vec::new(), Budget::default());
        let (surveys, fresh) = (false, false);
        let mut build =
            TargetBuild { file: self, options, inputs, target, graph, watch, surveys, missing, budget, fresh };
        let (state, errors) = build.lower(plan);
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Lowered { output: Some(build.output(state)), missing: build.missing })
    }

    /// What is wrong in the steps of a plan that may have errors, whose images may be unknown.
    pub(super) fn survey_plan(
        &self,
        options: &Options,
        inputs: &Inputs,
        target: &Platform,
        plan: &Plan<'_>,
    ) -> Vec<Diagnostic> {
        let (graph, missing, budget) = (&mut Graph::default(), Vec::new(), Budget::default());
        let (surveys, fresh) = (true, false);
        TargetBuild { file: self, options, inputs, target, graph, watch: None, surveys, missing, budget, fresh }
            .lower(plan)
            .1
    }
}

/// The build of one target platform.
struct TargetBuild<'a> {
    file: &'a Dockerfile,
    options: &'a Options,
    inputs: &'a Inputs,
    target: &'a Platform,
    graph: &'a mut Graph,
    watch: Option<&'a mut dyn Watch>,
    /// Whether only errors are wanted, and of these no consequences of others.
    surveys: bool,
    /// What was asked for and is not known yet.
    missing: Vec<Missing>,
    budget: Budget,
    /// Whether what is being lowered is to be done again.
    fresh: bool,
}

/// What the lowering of one target platform came to.
pub(super) struct Lowered {
    /// None while images are missing.
    output: Option<Output>,
    /// What the graph lacks.
    missing: Vec<Missing>,
}

impl TargetBuild<'_> {
    /// Lowers what the target needs; returns what the target is then, and what is wrong.
    fn lower(&mut self, plan: &Plan<'_>) -> (State, Vec<Diagnostic>) {
        let mut errors = Vec::new();
        match epoch(self.file, self.options, &plan.globals) {
            Ok(epoch) => self.graph.epoch = epoch,
            Err(error) => errors.push(error),
        }
        let mut states = States::of(plan);
        let mut roots: Vec<Option<NodeId>> = vec![None; plan.stages.len()];
        let (builders, mut tools) = (package_build::builders(plan), BTreeMap::new());
        let one_stage = plan.stages.len() == 1;
        for (index, planned) in plan.stages.iter().enumerate().filter(|(_, planned)| planned.needed) {
            let label = if one_stage { None } else { Some(planned.label.clone()) };
            let mut progress = Progress::new(label, planned);
            self.fresh = self.options.no_cache.covers(&planned.label);
            let state = match &planned.base {
                Origin::Stage(base) => {
                    if let Some(state) = states.to_be_copied(*base) {
                        self.budget.spend_on_copy(state);
                    }
                    states.inherit(*base).without_triggers()
                }
                Origin::Scratch => self.empty_state(planned),
                Origin::Unknown => self.unknown_state(planned),
                Origin::Image(reference) if self.inputs.image(reference, &planned.platform).is_none() => {
                    self.unknown_state(planned)
                }
                Origin::Image(_) => self.image_state(planned, &mut progress),
                Origin::Files(files) => self.files_state(planned, files, &mut progress),
            };
            let mut build = StageBuild {
                index,
                target: self,
                globals: &plan.globals,
                roots: &roots,
                tools: &tools,
                state,
                progress,
                sees_cmd: false,
                escape: '\\',
            };
            for (at, step) in planned.steps.iter().enumerate() {
                if let Some(watch) = &mut build.target.watch {
                    let State { config, scope, has_workdir, .. } = &build.state;
                    let (shell, has_workdir) = (config.config.shell.as_slice(), *has_workdir);
                    watch.step(&Sight { plan, stage: index, step: at, scope, has_workdir, shell });
                }
                if build.target.surveys && build.depends_on_guesses(step) {
                    continue;
                }
                if let Err(error) = build.lower(step) {
                    errors.push(error);
                }
                if build.target.budget.is_spent() {
                    errors.push(budget::too_large(step.span()));
                    return (build.state, errors);
                }
            }
            let state = build.state;
            roots[index] = Some(state.root);
            if builders.contains(&index) {
                tools.insert(index, Tools::of(&state));
            }
            states.keep(index, state);
        }
        // The output is the last heir of its stage.
        (states.inherit(plan.target), errors)
    }

    fn add(&mut self, op: Op, inputs: Vec<NodeId>, name: String, at: Placement<'_>) -> NodeId {
        self.budget.spend(name.len());
        self.budget.spend_on(&op);
        self.graph.add(Node {
            op,
            inputs,
            platform: at.platform.cloned(),
            name,
            span: at.span,
            targets: BTreeSet::from([self.target.clone()]),
            fresh: self.fresh,
        })
    }

    fn empty_tree(&mut self) -> NodeId {
        self.add(Op::Merge, Vec::new(), "empty tree".to_owned(), Placement::default())
    }

    fn context(&mut self) -> NodeId {
        let op = LocalOp { name: "context".to_owned(), exclude: self.options.ignore.clone() };
        self.add(Op::Local(op), Vec::new(), "load build context".to_owned(), Placement::default())
    }

    /// The files of a context that has a name.
    fn files(&mut self, files: &LocalOp) -> NodeId {
        let name = format!("load build context {}", files.name);
        self.add(Op::Local(files.clone()), Vec::new(), name, Placement::default())
    }

    /// The tree and the configuration of an image that the plan has seen.
    fn image(
        &mut self,
        origin: &Origin,
        platform: &Platform,
        span: Span,
        progress: &mut Progress,
    ) -> (NodeId, ImageConfig) {
        let Origin::Image(reference) = origin else {
            return (self.empty_tree(), ImageConfig::for_platform(platform));
        };
        let Some(image) = self.inputs.image(reference, platform) else {
            assert!(self.surveys, "a plan without missing images knows them all");
            return (self.empty_tree(), ImageConfig::for_platform(platform));
        };
        let op = ImageOp { reference: image.reference.clone(), digest: image.digest.clone() };
        let name = progress.next(&format!("FROM {}", reference.familiar()));
        let at = Placement { platform: Some(platform), span: Some(span) };
        let config = image.config.clone();
        (self.add(Op::Image(op), Vec::new(), name, at), config)
    }

    fn empty_state(&mut self, planned: &PlannedStage<'_>) -> State {
        let mut config = ImageConfig::for_platform(&planned.platform);
        "/".clone_into(&mut config.config.working_dir);
        let mut state = State::start(self.empty_tree(), planned.platform.clone(), config, None);
        state.guessed = self.file.lost != Lost::Nothing;
        state
    }

    /// What a stage starts with whose base is not known.
    fn unknown_state(&mut self, planned: &PlannedStage<'_>) -> State {
        let mut state = self.empty_state(planned);
        // Somewhere below the root, as nearly all images have it.
        "/unknown".clone_into(&mut state.config.config.working_dir);
        state.guessed = true;
        state
    }

    /// A tree of the files of a context, as one layer.
    fn files_state(&mut self, planned: &PlannedStage<'_>, files: &LocalOp, progress: &mut Progress) -> State {
        let mut state = self.empty_state(planned);
        let copy = CopyAction {
            from: 1,
            sources: vec![CopySource::Flat("/".to_owned())],
            exclude: Vec::new(),
            dest: "/".to_owned(),
            into_dir: true,
            owner: None,
            mode: None,
            unpack: false,
        };
        let inputs = vec![state.root, self.files(files)];
        let op = Op::File(FileOp { actions: vec![FileAction::Copy(copy)] });
        let name = progress.next(&format!("FROM context {}", files.name));
        let at = Placement { platform: None, span: Some(planned.from.span) };
        state.root = self.add(op, inputs, name, at);
        state.steps.push(HistoryStep { created_by: format!("COPY / / # context {}", files.name), layer: true });
        state
    }

    fn image_state(&mut self, planned: &PlannedStage<'_>, progress: &mut Progress) -> State {
        let (root, mut config) = self.image(&planned.base, &planned.platform, planned.from.span, progress);
        config.created = None;
        let base = if let Op::Image(image) = &self.graph.node(root).op {
            Some((image.reference.clone(), image.digest.clone()))
        } else {
            None
        };
        let mut state = State::start(root, planned.platform.clone(), config, base);
        state.guessed = self.file.lost != Lost::Nothing;
        state
    }

    fn output(&self, state: State) -> Output {
        let State { root, mut config, steps, scope, .. } = state;
        config.config.env = scope.environment.write();
        config.config.labels.extend(self.options.labels.clone());
        // The image is for the target, even if all of its files came out of a stage for another platform.
        let same = config.os == self.target.os && config.architecture == self.target.arch;
        if !same {
            config.other.remove("os.version");
            config.other.remove("os.features");
        }
        if !same || self.target.variant.is_some() {
            config.variant.clone_from(&self.target.variant);
        }
        config.os.clone_from(&self.target.os);
        config.architecture.clone_from(&self.target.arch);
        Output { platform: self.target.clone(), root, config, steps }
    }
}

/// What a node is tied to.
#[derive(Clone, Copy, Default)]
struct Placement<'a> {
    platform: Option<&'a Platform>,
    span: Option<Span>,
}
