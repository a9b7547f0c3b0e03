//! One instruction of a stage after the other.

use super::{
    Placement, Progress, State, TargetBuild, command, deps, environment, package_build::Tools, run, settings, transfer,
};
use crate::{
    diagnostic::Diagnostic,
    dockerfile::{
        expanded::{Expanded, words},
        instruction::{Kind, Word},
        plan::{Origin, Step},
        scope::Variables,
    },
    graph::{HistoryStep, NodeId, Op},
    path::clean,
    platform::Platform,
};
use std::collections::BTreeMap;

/// A stage being lowered.
pub(super) struct StageBuild<'b, 't> {
    /// Its position in the file.
    pub(super) index: usize,
    /// The build that it is part of.
    pub(super) target: &'b mut TargetBuild<'t>,
    /// What `FROM` sees: defaults of the stage's arguments.
    pub(super) globals: &'b Variables,
    /// The trees of the stages above.
    pub(super) roots: &'b [Option<NodeId>],
    /// What those of them have that packages are built in.
    pub(super) tools: &'b BTreeMap<usize, Tools>,
    /// What it is so far.
    pub(super) state: State,
    pub(super) progress: Progress,
    /// Whether the stage itself had a `CMD`, which `ENTRYPOINT` then leaves alone.
    pub(super) sees_cmd: bool,
    /// The escape character of the text that the current instruction comes from.
    pub(super) escape: char,
}

impl StageBuild<'_, '_> {
    /// Lowers one step. After an error the stage stays as it was, so that later errors can be found too.
    pub(super) fn lower(&mut self, step: &Step<'_>) -> Result<(), Diagnostic> {
        // What comes from an image was written with the default escape character.
        self.escape = if step.foreign.is_some() { '\\' } else { self.target.file.directives.escape };
        self.dispatch(step).map_err(|error| step.blame(error))
    }

    fn dispatch(&mut self, step: &Step<'_>) -> Result<(), Diagnostic> {
        match &step.instruction.kind {
            Kind::Add(add) => transfer::add(self, step, add)?,
            Kind::Arg(declarations) => environment::arg(self, declarations)?,
            Kind::Cmd(command) => command::cmd(self, command),
            Kind::Copy(copy) => transfer::copy(self, step, copy)?,
            Kind::Deps(dependencies) => deps::deps(self, step, dependencies)?,
            Kind::Entrypoint(command) => command::entrypoint(self, command),
            Kind::Env(pairs) => environment::env(self, pairs)?,
            Kind::Expose(ports) => settings::expose(self, ports)?,
            // It begins a stage, and cannot be a trigger.
            Kind::From(_) => {}
            Kind::Healthcheck(check) => command::healthcheck(self, check),
            Kind::Label(pairs) => environment::label(self, pairs)?,
            Kind::Maintainer(name) => settings::maintainer(self, name),
            Kind::Onbuild(onbuild) => settings::onbuild(self, onbuild),
            Kind::Run(run) => match &run.deps {
                Some(dependencies) => deps::deps(self, step, dependencies)?,
                None => run::run(self, step, run)?,
            },
            Kind::Shell(words) => command::shell(self, words),
            Kind::Stopsignal(signal) => settings::stopsignal(self, signal)?,
            Kind::User(user) => settings::user(self, user)?,
            Kind::Volume(paths) => settings::volume(self, paths)?,
            Kind::Workdir(path) => settings::workdir(self, step, path)?,
        }
        Ok(())
    }

    /// Whether a step has words whose variables may come from what is not known.
    pub(super) fn depends_on_guesses(&self, step: &Step<'_>) -> bool {
        let known = &self.state.scope.visible;
        self.state.guessed
            && !words(&step.instruction.kind).into_iter().all(|expanded| match expanded {
                Expanded::Word(word) => known.know(word, self.escape),
                Expanded::Body(heredoc) => known.know_body(heredoc),
                Expanded::Declared(_) => true,
            })
    }

    /// `word` with the variables that the stage sees.
    pub(super) fn expand(&self, word: &Word) -> Result<String, Diagnostic> {
        self.state.scope.visible.expand(word, self.escape)
    }

    /// The working directory, absolute and cleaned.
    pub(super) fn working_dir(&self) -> String {
        clean(&format!("/{}", self.state.config.config.working_dir))
    }

    /// Records a change of the configuration.
    pub(super) fn record(&mut self, created_by: String) {
        self.target.budget.spend(created_by.len());
        self.state.steps.push(HistoryStep { created_by, layer: false });
    }

    /// Puts a layer on the stage.
    pub(super) fn push_layer(&mut self, root: NodeId, created_by: String) {
        self.target.budget.spend(created_by.len());
        self.state.root = root;
        self.state.steps.push(HistoryStep { created_by, layer: true });
    }

    /// Adds the node of a step that does not depend on the platform.
    pub(super) fn add(&mut self, op: Op, inputs: Vec<NodeId>, name: String, step: &Step<'_>) -> NodeId {
        let at = Placement { platform: None, span: Some(step.span()) };
        self.target.add(op, inputs, name, at)
    }

    /// Adds the node of a step that runs on the stage's platform.
    pub(super) fn add_on_platform(&mut self, op: Op, inputs: Vec<NodeId>, name: String, step: &Step<'_>) -> NodeId {
        let at = Placement { platform: Some(&self.state.platform), span: Some(step.span()) };
        self.target.add(op, inputs, name, at)
    }

    /// Where `COPY` takes files from.
    pub(super) fn source(&mut self, from: Option<&Origin>, step: &Step<'_>) -> NodeId {
        match from {
            None => self.target.context(),
            Some(Origin::Scratch | Origin::Unknown) => self.target.empty_tree(),
            Some(Origin::Stage(index)) => self.roots[*index].expect("a stage is lowered before those that use it"),
            Some(Origin::Files(files)) => self.target.files(files),
            Some(origin @ Origin::Image(_)) => {
                let platform: &Platform = self.target.target;
                self.target.image(origin, platform, step.span(), &mut Progress::unnumbered()).0
            }
        }
    }

    /// The instruction for people, the keyword in capitals, what is known filled in.
    pub(super) fn title(&self, step: &Step<'_>) -> String {
        let original = step.instruction.original.trim();
        let keyword = original.find(char::is_whitespace).unwrap_or(original.len());
        let (keyword, rest) = original.split_at(keyword);
        let trigger = if step.trigger { "ONBUILD " } else { "" };
        let rest = self.state.scope.visible.show(rest, self.escape);
        format!("{trigger}{}{rest}", keyword.to_uppercase())
    }
}
