//! What a Dockerfile does that its author probably does not want: the rules of moby/buildkit, by their names.
//!
//! | phase | sees | rules |
//! |---|---|---|
//! | `Check::Line` | one instruction, as written | casing, comments, `MAINTAINER`, blank continuations |
//! | `Check::File` | all stages, as written | names of stages, casing, defaults of `FROM` |
//! | `Check::From` | a `FROM`, and the arguments that it sees | undeclared arguments, platforms |
//! | `Check::Image` | a base image that was looked at | its platform |
//! | `Check::Step` | an instruction at the moment at which it is lowered, variables known | all others |
//!
//! Two rules are our own, `DepsDifferFromRun` and `DepsCommentIgnored`; they have no page. Of the others, names, descriptions, details and pages are those of moby/buildkit (`frontend/dockerfile/linter`), because people search
//! for them and skip rules by them. Deliberate differences:
//!
//! - `# check=skip=…` right above an instruction silences every rule there; with moby/buildkit, only those that see one
//!   instruction at a time.
//! - `InvalidDefaultArgInFrom` is only about names that hold a variable.
//! - What comes out of a set there, in an order that changes from run to run, is sorted here.
//!
//! A new rule is a file (or a row in one of its family) in `rule/`, and a row in [`RULES`].

mod config;
mod findings;
mod rule;
#[cfg(test)]
pub(super) mod tests;

pub use config::{CheckOptionError, CheckOptions};
pub use findings::Warning;
pub use rule::{RULES, Rule};

use super::{
    Dockerfile,
    inputs::{Inputs, Options},
    instruction::{Instruction, Word},
    lower::{Sight, Watch},
    plan::{Origin, Plan, PlannedStage, Step},
    scope::{Variables, global_variables},
    stage::{Stage, Stages},
};
use crate::{
    diagnostic::{Code, Diagnostic, Span},
    graph::Graph,
    ignore::IgnoreRules,
    platform::Platform,
};
use findings::Findings;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// The build argument that takes the place of `# check=`.
const CHECK_ARG: &str = "BUILDKIT_DOCKERFILE_CHECK";

/// How far a file can be looked at.
#[derive(Debug, Clone, Copy)]
pub enum Extent<'i> {
    /// Line by line: some of it could not be read.
    Lines,
    /// As a whole, but nothing is known of its images.
    File,
    /// Down to what each instruction does.
    Build(&'i Inputs),
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Linted {
    /// Against which rules the file goes, phase by phase.
    pub warnings: Vec<Warning>,
    /// Why it was not looked at to its end.
    pub errors: Vec<Diagnostic>,
    /// That warnings fail the build, if the file asks for it and there are any.
    pub failure: Option<Diagnostic>,
}

/// What a rule looks at.
#[derive(Clone, Copy)]
pub(super) enum Check {
    Line(fn(&Instruction, &mut Findings)),
    File(fn(&WholeFile<'_>, &mut Findings)),
    From(fn(&BaseName<'_>, &mut Findings)),
    Image(fn(&BaseImage<'_>, &mut Findings)),
    Step(fn(&Moment<'_>, &mut Findings)),
}

/// A file whose stages are known.
pub(super) struct WholeFile<'f> {
    stages: &'f Stages<'f>,
    /// What `FROM` sees if no build argument is given.
    defaults: Option<&'f Variables>,
    escape: char,
}

/// A `FROM`, before its words are expanded.
pub(super) struct BaseName<'f> {
    stage: Stage<'f>,
    globals: &'f Variables,
    /// Names of `ARG`s before the first `FROM`, with a value or not.
    declared: &'f HashSet<&'f str>,
    escape: char,
}

/// A base image.
pub(super) struct BaseImage<'f> {
    instruction: &'f Instruction,
    /// As the file names it, variables expanded.
    name: String,
    wanted: &'f Platform,
    actual: Platform,
}

/// An instruction that is about to be carried out.
pub(super) struct Moment<'m> {
    sight: &'m Sight<'m>,
    /// What the context leaves out, if that can be told of a path without walking to it.
    ignored: Option<&'m IgnoreRules>,
    /// The escape character of the text that the instruction comes from.
    escape: char,
}

impl<'m> Moment<'m> {
    fn step(&self) -> &'m Step<'m> {
        self.sight.step()
    }

    /// The steps of the stage before this one.
    fn before(&self) -> &'m [Step<'m>] {
        &self.sight.planned().steps[..self.sight.step]
    }

    fn variables(&self) -> &'m Variables {
        &self.sight.scope.visible
    }

    fn place(&self) -> Place<'m> {
        Place::of_step(self.step())
    }
}

/// Where a warning points, and the comments in which it may be silenced.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    comments: &'a [Word],
    span: Span,
}

impl<'a> Place<'a> {
    fn of(instruction: &'a Instruction) -> Self {
        Self { comments: &instruction.comments, span: instruction.span }
    }

    fn of_step(step: &'a Step<'a>) -> Self {
        let comments = if step.foreign.is_some() { &[] } else { step.instruction.comments.as_slice() };
        Self { comments, span: step.span() }
    }
}

/// Shows the rules what happens while a file is lowered.
struct Linter {
    findings: Findings,
    ignored: Option<IgnoreRules>,
    /// The escape character of the file.
    escape: char,
}

impl Watch for Linter {
    fn step(&mut self, sight: &Sight<'_>) {
        let escape = if sight.step().foreign.is_some() { '\\' } else { self.escape };
        let moment = Moment { sight, ignored: self.ignored.as_ref(), escape };
        for rule in RULES {
            if let Check::Step(check) = rule.check {
                check(&moment, &mut self.findings);
            }
        }
    }
}

impl Dockerfile {
    /// Looks at the file as far as `extent` says, for the first of the platforms asked for.
    pub fn lint(&self, options: &Options, extent: Extent<'_>) -> Linted {
        let (config, mut errors) = match self.check_options(options) {
            Ok(config) => (config, Vec::new()),
            Err(error) => (CheckOptions::default(), vec![error]),
        };
        let fails = config.error;
        let escape = self.directives.escape;
        let ignored = IgnoreRules::new(&options.ignore).ok().filter(|rules| !rules.bring_back());
        let mut linter = Linter { findings: Findings::new(config), ignored, escape };
        self.lint_lines(&mut linter.findings);
        let looked = match extent {
            Extent::Lines => Ok(()),
            Extent::File => self.lint_file(options, &mut linter.findings).map(drop),
            Extent::Build(inputs) => self.lint_build(options, inputs, &mut linter),
        };
        errors.extend(looked.err().unwrap_or_default());
        let warnings = linter.findings.into_warnings();
        let failure = if fails { self.failure(&warnings) } else { None };
        Linted { warnings, errors, failure }
    }

    /// What the build argument says, else the directive.
    fn check_options(&self, options: &Options) -> Result<CheckOptions, Diagnostic> {
        if let Some(text) = options.build_args.get(CHECK_ARG) {
            return CheckOptions::parse(text).map_err(|error| {
                Diagnostic::error(
                    Code::InvalidCheckOptions,
                    format!("the build argument {CHECK_ARG} is malformed: {error}"),
                    Span::default(),
                )
            });
        }
        match &self.directives.check {
            Some(word) => CheckOptions::parse_directive(&word.value).map_err(|error| {
                Diagnostic::error(Code::InvalidCheckOptions, error.to_string(), word.span).with_hint(error.hint())
            }),
            None => Ok(CheckOptions::default()),
        }
    }

    /// The error of a file that wants to have no warnings, but has.
    fn failure(&self, warnings: &[Warning]) -> Option<Diagnostic> {
        let first = warnings.iter().map(|warning| warning.span).min()?;
        let names: BTreeSet<&str> = warnings.iter().map(|warning| warning.rule.name).collect();
        let names: Vec<&str> = names.into_iter().collect();
        let message = format!("lint violation found for rules: {}", names.join(", "));
        let span = self.directives.check.as_ref().map_or(first, |check| check.span);
        Some(
            Diagnostic::error(Code::LintFailure, message, span).with_hint("`error=true` makes warnings fail the build"),
        )
    }

    fn lint_lines(&self, findings: &mut Findings) {
        for instruction in &self.instructions {
            for rule in RULES {
                if let Check::Line(check) = rule.check {
                    check(instruction, findings);
                }
            }
        }
    }

    fn lint_file<'f>(&'f self, options: &Options, findings: &mut Findings) -> Result<Stages<'f>, Vec<Diagnostic>> {
        let escape = self.directives.escape;
        let stages = Stages::of(self);
        let target = options.targets()[0];
        // If the defaults cannot even be expanded, the build most likely says so too.
        let plain = Options { build_args: BTreeMap::new(), epoch: None, ..options.clone() };
        let (defaults, wrong) = global_variables(&plain, target, &stages, escape);
        let defaults = wrong.is_empty().then_some(defaults);
        let file = WholeFile { stages: &stages, defaults: defaults.as_ref(), escape };
        for rule in RULES {
            if let Check::File(check) = rule.check {
                check(&file, findings);
            }
        }
        let (globals, wrong) = global_variables(options, target, &stages, escape);
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let declared: HashSet<&str> = stages.global_args.iter().map(|arg| arg.name.value.as_str()).collect();
        for stage in &stages.list {
            let base = BaseName { stage: *stage, globals: &globals, declared: &declared, escape };
            for rule in RULES {
                if let Check::From(check) = rule.check {
                    check(&base, findings);
                }
            }
        }
        Ok(stages)
    }

    fn lint_build(&self, options: &Options, inputs: &Inputs, linter: &mut Linter) -> Result<(), Vec<Diagnostic>> {
        let stages = self.lint_file(options, &mut linter.findings)?;
        let target = options.targets()[0];
        let plan = Plan::new(self, options, inputs, target)?;
        for (stage, planned) in stages.list.iter().zip(&plan.stages) {
            lint_image(*stage, planned, &plan.globals, self.directives.escape, inputs, &mut linter.findings);
        }
        // The graph is thrown away: lowering is what tells the values of variables at each step.
        self.lower_plan(options, inputs, target, &plan, &mut Graph::default(), Some(linter)).map(drop)
    }
}

fn lint_image(
    stage: Stage<'_>,
    planned: &PlannedStage<'_>,
    globals: &Variables,
    escape: char,
    inputs: &Inputs,
    findings: &mut Findings,
) {
    let Origin::Image(reference) = &planned.base else { return };
    let (true, Some(image)) = (planned.needed, inputs.image(reference, &planned.platform)) else { return };
    let base = BaseImage {
        instruction: stage.instruction,
        name: globals.expand(&stage.from.base, escape).unwrap_or_default(),
        wanted: &planned.platform,
        actual: image.config.platform(),
    };
    for rule in RULES {
        if let Check::Image(check) = rule.check {
            check(&base, findings);
        }
    }
}
