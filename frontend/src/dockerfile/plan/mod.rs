//! What each stage starts from and takes from others, for one target platform; and which stages the target needs.
//!
//! 1. Every `FROM` and every `--from` is resolved, so that a mistake shows even in a stage that is not built. All platforms
//!    have their own plan, because `FROM` may depend on `TARGETARCH`.
//! 2. Stages only use stages above them. What would use one below is refused, as a circle if it is one.
//! 3. From the target on, stages are marked as needed; triggers (`ONBUILD`) of what they start from come before their own
//!    instructions, and may need further stages and images.

mod names;
mod trigger;

use super::{
    Dockerfile, Lost,
    inputs::{Inputs, Missing, Options},
    instruction::{Instruction, Kind},
    scope::{Variables, global_variables},
    stage::Stages,
};
use crate::{
    diagnostic::{Code, Diagnostic, Span},
    graph::LocalOp,
    platform::Platform,
    reference::Reference,
};
use names::Names;
use std::borrow::Cow;

/// The build of one target platform, names resolved.
pub(super) struct Plan<'a> {
    /// One for each stage of the file, in its order.
    pub(super) stages: Vec<PlannedStage<'a>>,
    /// The stage to build.
    pub(super) target: usize,
    /// What `FROM` sees.
    pub(super) globals: Variables,
    /// Images of which too little is known. If there are any, triggers may be missing too.
    pub(super) missing: Vec<Missing>,
}

/// A stage, names resolved.
pub(super) struct PlannedStage<'a> {
    /// The `FROM`.
    pub(super) from: &'a Instruction,
    /// Its name, or `stage-N`.
    pub(super) label: String,
    /// What it starts from.
    pub(super) base: Origin,
    /// The platform of its processes and of its base image.
    pub(super) platform: Platform,
    /// What is done in it, triggers first; complete only if the stage is needed.
    pub(super) steps: Vec<Step<'a>>,
    /// Whether a context took its place, so that nothing is done in it.
    pub(super) is_replaced: bool,
    /// Whether the target needs it.
    pub(super) needed: bool,
}

/// One instruction of a stage.
pub(super) struct Step<'a> {
    pub(super) instruction: Cow<'a, Instruction>,
    /// What its `--from` means.
    pub(super) from: Option<Origin>,
    /// What its `--build-from` means.
    pub(super) build_from: Option<Origin>,
    /// What the `from` of each of its mounts means.
    pub(super) mounts: Vec<Option<Origin>>,
    /// Whether it is a trigger.
    pub(super) trigger: bool,
    /// The `FROM` to blame, if the instruction is not from this file.
    pub(super) foreign: Option<Span>,
}

/// Where a tree comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// The empty tree.
    Scratch,
    /// A stage above.
    Stage(usize),
    /// An image.
    Image(Reference),
    /// Files of a context that has a name.
    Files(LocalOp),
    /// Something that cannot be told, because of an error that was found. There are none in a plan without errors.
    Unknown,
}

impl<'a> Plan<'a> {
    /// # Errors
    /// With all that is wrong.
    pub(super) fn new(
        file: &'a Dockerfile,
        options: &Options,
        inputs: &Inputs,
        target: &Platform,
    ) -> Result<Self, Vec<Diagnostic>> {
        if !file.instructions.iter().any(|instruction| matches!(instruction.kind, Kind::From(_))) {
            return Err(vec![Diagnostic::error(Code::NoStage, "no FROM: there is nothing to build", Span::default())]);
        }
        let (plan, errors) = Self::survey(file, options, inputs, target);
        if errors.is_empty() { Ok(plan) } else { Err(errors) }
    }

    /// The plan as far as it can be made, and all that is wrong. The file has a stage.
    pub(super) fn survey(
        file: &'a Dockerfile,
        options: &Options,
        inputs: &Inputs,
        target: &Platform,
    ) -> (Self, Vec<Diagnostic>) {
        let stages = Stages::of(file);
        let escape = file.directives.escape;
        let (globals, errors) = global_variables(options, target, &stages, escape);
        let lacks_globals = file.lost != Lost::Nothing || !errors.is_empty();
        let names = Names { stages, globals, escape, target, options, lacks_globals };
        let mut planner = Planner { names, stages: Vec::new(), errors, triggered: 0 };
        for index in 0..planner.names.stages.list.len() {
            planner.plan_stage(index);
        }
        planner.refuse_downward();
        let last = planner.stages.len() - 1;
        let root = planner.names.stages.target(options.target.as_deref());
        let root = planner.or_note(root, last);
        let wrong = planner.names.stages.check_no_cache(&options.no_cache);
        planner.errors.extend(wrong);
        let roots = if options.whole_file { (0..=last).collect() } else { vec![root] };
        let missing = planner.mark_needed(roots, inputs);
        let plan = Self { stages: planner.stages, target: root, globals: planner.names.globals, missing };
        (plan, planner.errors)
    }
}

impl Step<'_> {
    /// An error in an instruction that is not in the file is shown at the `FROM` that brought it in.
    pub(super) fn blame(&self, error: Diagnostic) -> Diagnostic {
        let Some(from) = self.foreign else {
            return error;
        };
        let line = self.instruction.original.trim();
        Diagnostic {
            message: format!("in the image's ONBUILD trigger `{line}`: {}", error.message),
            span: from,
            ..error
        }
    }

    /// Where the file has it.
    pub(super) fn span(&self) -> Span {
        self.foreign.unwrap_or(self.instruction.span)
    }

    /// What it takes from elsewhere, and where the file says so.
    fn origins(&self) -> Vec<(&Origin, Span)> {
        let span = |span: Span| self.foreign.unwrap_or(span);
        if let Some(deps) = self.instruction.kind.deps() {
            let written = [(&self.from, &deps.from), (&self.build_from, &deps.build_from)];
            let named = written.into_iter().filter_map(|(origin, word)| Some((origin.as_ref()?, word.as_ref()?.span)));
            return named.map(|(origin, written)| (origin, span(written))).collect();
        }
        if let Kind::Run(run) = &self.instruction.kind {
            let mounts = run.mounts.iter().zip(&self.mounts);
            return mounts.filter_map(|(flag, origin)| Some((origin.as_ref()?, span(flag.written.span)))).collect();
        }
        let mut written = self.span();
        if let Kind::Copy(copy) = &self.instruction.kind {
            written = copy.from.as_ref().map_or(written, |from| span(from.span));
        }
        self.from.iter().map(|origin| (origin, written)).collect()
    }

    /// Makes unknown what it takes from elsewhere.
    fn forget_origins(&mut self) {
        let taken = self.from.iter_mut().chain(&mut self.build_from).chain(self.mounts.iter_mut().flatten());
        taken.for_each(|origin| *origin = Origin::Unknown);
    }

    /// All that it takes from elsewhere.
    pub(super) fn used(&self) -> impl Iterator<Item = &Origin> {
        self.from.iter().chain(&self.build_from).chain(self.mounts.iter().flatten())
    }

    fn takes(&self) -> &'static str {
        if self.instruction.kind.deps().is_some() {
            "takes from"
        } else if matches!(self.instruction.kind, Kind::Run(_)) {
            "mounts"
        } else {
            "copies from"
        }
    }
}

/// How many triggers a build may carry out: stages times triggers is more than a file should be able to ask for.
const MAX_TRIGGERS: usize = 100_000;

/// For how many errors a hint or a circle is looked for: on a hostile file, that is stages times stages.
const MAX_HINTS: usize = 100;

struct Planner<'a, 't> {
    names: Names<'a, 't>,
    stages: Vec<PlannedStage<'a>>,
    errors: Vec<Diagnostic>,
    /// How many triggers were found.
    triggered: usize,
}

impl Planner<'_, '_> {
    /// `result`, or what goes on in its place after an error.
    fn or_note<T>(&mut self, result: Result<T, Diagnostic>, instead: T) -> T {
        result.unwrap_or_else(|error| {
            self.errors.push(error);
            instead
        })
    }

    fn plan_stage(&mut self, index: usize) {
        let stage = self.names.stages.list[index];
        let asked = self.or_note(self.names.platform(index), None);
        let place = asked.as_ref().unwrap_or(self.names.target);
        let replaced = stage.name().and_then(|name| self.names.context(name, place));
        let is_replaced = replaced.is_some();
        let base = match replaced {
            Some(context) => context,
            None => self.or_note(self.names.base(index), Origin::Unknown),
        };
        // A stage on a stage has that one's platform, whatever it asks for.
        let platform = match &base {
            Origin::Stage(base) => self.stages[*base].platform.clone(),
            Origin::Scratch | Origin::Image(_) | Origin::Files(_) | Origin::Unknown => {
                asked.unwrap_or_else(|| self.names.target.clone())
            }
        };
        let mut steps = Vec::with_capacity(stage.body.len());
        // A context in place of a stage is all of it.
        for instruction in stage.body.iter().filter(|_| !is_replaced) {
            let from = self.or_note(self.names.origin(instruction, index), Some(Origin::Unknown));
            let build_from = self.or_note(self.names.build_from(instruction, index), Some(Origin::Unknown));
            let mounts = self.or_note(self.names.mounts(instruction, index), Vec::new());
            let instruction = Cow::Borrowed(instruction);
            steps.push(Step { instruction, from, build_from, mounts, trigger: false, foreign: None });
        }
        let label = self.names.stages.label(index);
        self.stages.push(PlannedStage {
            from: stage.instruction,
            label,
            base,
            platform,
            steps,
            is_replaced,
            needed: false,
        });
    }

    /// Refuses what takes from its own stage or one below.
    fn refuse_downward(&mut self) {
        let mut found = Vec::new();
        let mut refused = Vec::new();
        let needs = self.needs();
        for (index, stage) in self.stages.iter().enumerate() {
            for (at, step) in stage.steps.iter().enumerate() {
                let needs = (found.len() < MAX_HINTS).then_some(needs.as_slice());
                if let Err(error) = self.check_upward(step, index, needs) {
                    found.push(error);
                    refused.push((index, at));
                }
            }
        }
        for (index, at) in refused {
            self.stages[index].steps[at].forget_origins();
        }
        self.errors.extend(found);
    }

    /// What each stage takes from.
    fn needs(&self) -> Vec<Vec<usize>> {
        self.stages.iter().map(|stage| used_stages(stage).collect()).collect()
    }

    /// `needs` is what each stage takes from; without it, circles are not told from mere disorder.
    fn check_upward(&self, step: &Step<'_>, index: usize, needs: Option<&[Vec<usize>]>) -> Result<(), Diagnostic> {
        step.origins().into_iter().try_for_each(|(origin, span)| match origin {
            Origin::Stage(used) if *used >= index => Err(self.downward(step.takes(), *used, index, needs, span)),
            Origin::Stage(_) | Origin::Scratch | Origin::Image(_) | Origin::Files(_) | Origin::Unknown => Ok(()),
        })
    }

    fn downward(&self, verb: &str, used: usize, index: usize, needs: Option<&[Vec<usize>]>, span: Span) -> Diagnostic {
        let (taker, giver) = (&self.stages[index].label, &self.stages[used].label);
        if index == used {
            Diagnostic::error(Code::CopyFromItself, format!("the stage `{taker}` {verb} itself"), span)
                .with_hint("its files are there already: use `RUN cp`")
        } else if needs.is_some_and(|needs| reaches(needs, used, index)) {
            Diagnostic::error(
                Code::CircularDependency,
                format!("circular dependency: `{taker}` {verb} `{giver}`, which needs `{taker}`"),
                span,
            )
        } else {
            Diagnostic::error(Code::StageBelow, format!("the stage `{giver}` is defined below its use"), span)
                .with_hint(format!("move `{giver}` above `{taker}`"))
        }
    }

    /// Marks what the stages in `waiting` need, adds triggers, and returns the images to be looked at.
    fn mark_needed(&mut self, mut waiting: Vec<usize>, inputs: &Inputs) -> Vec<Missing> {
        let mut wanted: Vec<(usize, Missing)> = Vec::new();
        while let Some(index) = waiting.pop() {
            if std::mem::replace(&mut self.stages[index].needed, true) {
                continue;
            }
            let is_replaced = self.stages[index].is_replaced;
            let triggers = if is_replaced { Ok(Vec::new()) } else { self.triggers(index, inputs) };
            let triggers = self.or_note(triggers, Vec::new());
            self.triggered += triggers.len();
            if self.triggered > MAX_TRIGGERS {
                let span = self.names.stages.list[index].from.base.span;
                self.errors.push(
                    Diagnostic::error(Code::TooManyTriggers, "too many ONBUILD triggers", span)
                        .with_hint(format!("all stages together may carry out {MAX_TRIGGERS}")),
                );
                break;
            }
            self.stages[index].steps.splice(0..0, triggers);
            waiting.extend(used_stages(&self.stages[index]));
            let hints = MAX_HINTS.saturating_sub(wanted.len());
            wanted.extend(self.unknown_images(index, inputs, hints).into_iter().map(|missing| (index, missing)));
        }
        wanted.sort_by_key(|(index, _)| *index);
        wanted.into_iter().map(|(_, missing)| missing).collect()
    }

    fn unknown_images(&self, index: usize, inputs: &Inputs, hints: usize) -> Vec<Missing> {
        let stage = &self.stages[index];
        let base = (&stage.base, &stage.platform, self.names.stages.list[index].from.base.span);
        let origins = stage.steps.iter().flat_map(Step::origins);
        let copied = origins.map(|(origin, span)| (origin, self.names.target, span));
        let mut missing = Vec::new();
        for (origin, platform, span) in std::iter::once(base).chain(copied) {
            if let Origin::Image(reference) = origin
                && inputs.image(reference, platform).is_none()
            {
                let name = reference.familiar();
                let name = name.split([':', '@']).next().unwrap_or_default();
                missing.push(Missing::ImageConfig {
                    reference: reference.clone(),
                    platform: platform.clone(),
                    span,
                    similar_stage: if missing.len() < hints {
                        self.names.stages.nearest(name, index).map(str::to_owned)
                    } else {
                        None
                    },
                });
            }
        }
        missing
    }
}

/// Whether `start` needs `goal`, by way of others or not.
fn reaches(needs: &[Vec<usize>], start: usize, goal: usize) -> bool {
    let mut seen = vec![false; needs.len()];
    let mut waiting = vec![start];
    while let Some(index) = waiting.pop() {
        if index == goal {
            return true;
        }
        if !std::mem::replace(&mut seen[index], true) {
            waiting.extend(&needs[index]);
        }
    }
    false
}

fn used_stages(stage: &PlannedStage<'_>) -> impl Iterator<Item = usize> {
    let origins = std::iter::once(&stage.base).chain(stage.steps.iter().flat_map(Step::used));
    origins.filter_map(|origin| match origin {
        Origin::Stage(index) => Some(*index),
        Origin::Scratch | Origin::Image(_) | Origin::Files(_) | Origin::Unknown => None,
    })
}
