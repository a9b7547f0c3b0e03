//! `--call outline`: what a target can be given.
//!
//! What counts is what the target and all that it needs use: arguments with the values that they have in this build, secrets
//! and SSH agents. An argument before the first `FROM` counts if a `FROM` uses it, or the default of another that does, or
//! a stage declares it again without a default.

use super::{
    location::{Location, encoded},
    table::columns,
    targets::description,
};
use crate::{
    diagnostic::{Diagnostic, LineIndex, Span},
    dockerfile::{
        Dockerfile,
        expand::Expander,
        inputs::{Inputs, Options},
        instruction::{ArgDeclaration, From, Instruction, Kind, MountKey, Run, Word},
        lower::{Sight, Watch},
        plan::{Origin, Plan, Step},
        scope::Variables,
    },
    graph::Graph,
};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What a target can be given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Outline {
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    args: Vec<Arg>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    secrets: Vec<Mounted>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ssh: Vec<Mounted>,
    sources: [String; 1],
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Arg {
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    value: String,
    location: Location,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Mounted {
    name: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    required: bool,
    location: Location,
}

impl Dockerfile {
    /// What the target can be given, on the first of the platforms asked for.
    ///
    /// # Errors
    /// With what keeps the target from being lowered.
    pub fn outline(&self, options: &Options, inputs: &Inputs) -> Result<Outline, Vec<Diagnostic>> {
        let target = options.targets()[0];
        let plan = Plan::new(self, options, inputs, target)?;
        let mut seen = Seen { options, escape: self.directives.escape, stages: BTreeMap::new() };
        self.lower_plan(options, inputs, target, &plan, &mut Graph::default(), Some(&mut seen))?;
        Ok(self.outline_of(&plan, &seen))
    }

    /// The variables in a `FROM`.
    fn words_of(&self, instruction: &Instruction) -> BTreeSet<String> {
        let words = from_of(instruction).into_iter().flat_map(|from| std::iter::once(&from.base).chain(&from.platform));
        words.flat_map(|word| names(word, self.directives.escape)).collect()
    }

    fn outline_of(&self, plan: &Plan<'_>, seen: &Seen<'_>) -> Outline {
        let lines = LineIndex::new(&self.source);
        let globals = globals(self, &plan.globals);
        let mut found = Gathered::default();
        let mut visited = BTreeSet::new();
        let mut waiting = vec![plan.target];
        while let Some(index) = waiting.pop() {
            if visited.insert(index) {
                let nothing = StageUse::default();
                let stage = &plan.stages[index];
                let used = seen.stages.get(&index).unwrap_or(&nothing);
                found.gather(used, &self.words_of(stage.from), &globals);
                let used = stage.steps.iter().flat_map(Step::used);
                // The base last, so that it comes first from the stack: its arguments win over those of others.
                waiting.extend(used.chain([&stage.base]).filter_map(|origin| match origin {
                    Origin::Stage(index) => Some(*index),
                    Origin::Scratch | Origin::Image(_) | Origin::Files(_) | Origin::Unknown => None,
                }));
            }
        }
        let from = plan.stages[plan.target].from;
        let name = from_of(from).and_then(|from| from.name.as_ref()).map(|name| name.value.clone()).unwrap_or_default();
        let args = by_place(found.args, |arg| arg.span).map(|(name, Use { value, description, span })| Arg {
            description,
            value,
            location: Location::of(span, &lines),
            name,
        });
        let mounted = |(name, mount): (String, Mount)| Mounted {
            name,
            required: mount.required,
            location: Location::of(mount.span, &lines),
        };
        Outline {
            description: description(&from.comments, &name),
            name,
            args: args.collect(),
            secrets: by_place(found.secrets, |mount| mount.span).map(mounted).collect(),
            ssh: by_place(found.ssh, |mount| mount.span).map(mounted).collect(),
            sources: [encoded(&self.source)],
        }
    }
}

impl Outline {
    /// For people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        if !self.name.is_empty() || !self.description.is_empty() {
            let mut rows = vec![["TARGET:", self.name.as_str()]];
            if !self.description.is_empty() {
                rows.push(["DESCRIPTION:", &self.description]);
            }
            text += &columns(&rows, 1);
            text.push('\n');
        }
        if !self.args.is_empty() {
            let rows = self.args.iter().map(|arg| [arg.name.as_str(), &arg.value, &arg.description]);
            let rows: Vec<_> = std::iter::once(["BUILD ARG", "VALUE", "DESCRIPTION"]).chain(rows).collect();
            text += &columns(&rows, 3);
            text.push('\n');
        }
        for (title, mounts) in [("SECRET", &self.secrets), ("SSH", &self.ssh)] {
            if !mounts.is_empty() {
                let rows = mounts.iter().map(|mount| [mount.name.as_str(), if mount.required { "true" } else { "" }]);
                let rows: Vec<_> = std::iter::once([title, "REQUIRED"]).chain(rows).collect();
                text += &columns(&rows, 3);
                text.push('\n');
            }
        }
        text
    }

    /// For programs.
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}

/// An argument as it was declared.
#[derive(Debug, Clone)]
struct Use {
    value: String,
    description: String,
    span: Span,
}

/// A secret or an agent as it was first mounted.
#[derive(Debug, Clone)]
struct Mount {
    required: bool,
    span: Span,
}

/// An argument before the first `FROM`, and the others in its default.
struct Global {
    declared: Use,
    needs: BTreeSet<String>,
}

/// What one stage uses.
#[derive(Default)]
struct StageUse {
    /// Arguments that it declares; `None` for those whose value comes from before the first `FROM`.
    args: BTreeMap<String, Option<Use>>,
    secrets: BTreeMap<String, Mount>,
    ssh: BTreeMap<String, Mount>,
}

/// Notes what stages use, while they are lowered.
struct Seen<'o> {
    options: &'o Options,
    escape: char,
    stages: BTreeMap<usize, StageUse>,
}

impl Watch for Seen<'_> {
    fn step(&mut self, sight: &Sight<'_>) {
        let step = sight.step();
        let stage = self.stages.entry(sight.stage).or_default();
        match &step.instruction.kind {
            Kind::Arg(declarations) => {
                let mut visible = sight.scope.visible.clone();
                for declaration in declarations {
                    let declared = declare(declaration, &step.instruction, &visible, self.options, self.escape);
                    let declared = declared.map(|declared| Use { span: step.span(), ..declared });
                    if let Some(declared) = &declared {
                        visible.set(&declaration.name.value, &declared.value);
                    }
                    stage.args.insert(declaration.name.value.clone(), declared);
                }
            }
            Kind::Run(run) => stage.mounts(run, step.span(), &sight.scope.visible, self.escape),
            Kind::Add(_)
            | Kind::Cmd(_)
            | Kind::Copy(_)
            | Kind::Deps(_)
            | Kind::Entrypoint(_)
            | Kind::Env(_)
            | Kind::Expose(_)
            | Kind::From(_)
            | Kind::Healthcheck(_)
            | Kind::Label(_)
            | Kind::Maintainer(_)
            | Kind::Onbuild(_)
            | Kind::Shell(_)
            | Kind::Stopsignal(_)
            | Kind::User(_)
            | Kind::Volume(_)
            | Kind::Workdir(_) => {}
        }
    }
}

/// An `ARG` of a stage, unless its value comes from before the first `FROM`.
fn declare(
    ArgDeclaration { name, default }: &ArgDeclaration,
    instruction: &Instruction,
    visible: &Variables,
    options: &Options,
    escape: char,
) -> Option<Use> {
    let value = match (options.build_arg(&name.value), default) {
        (Some(value), _) => value.into_owned(),
        (None, Some(default)) => visible.expand(default, escape).ok()?,
        (None, None) => return None,
    };
    Some(Use { value, description: description(&instruction.comments, &name.value), span: instruction.span })
}

impl StageUse {
    fn mounts(&mut self, run: &Run, span: Span, visible: &Variables, escape: char) {
        for flag in &run.mounts {
            let value = |key| visible.expand(flag.value(key)?, escape).ok().filter(|value| !value.is_empty());
            let alone = flag.has(MountKey::Required) && flag.value(MountKey::Required).is_none();
            let required = alone || value(MountKey::Required).is_some_and(|value| value.eq_ignore_ascii_case("true"));
            let mount = Mount { required, span };
            match value(MountKey::Type).as_deref() {
                Some("secret") => {
                    let last = |path: String| path.rsplit('/').next().map(str::to_owned);
                    let id = value(MountKey::Source).or_else(|| value(MountKey::Id));
                    if let Some(id) = id.or_else(|| value(MountKey::Target).and_then(last)) {
                        self.secrets.entry(id).or_insert(mount);
                    }
                }
                Some("ssh") => {
                    self.ssh.entry(value(MountKey::Id).unwrap_or_else(|| "default".to_owned())).or_insert(mount);
                }
                Some(_) | None => {}
            }
        }
    }
}

fn from_of(instruction: &Instruction) -> Option<&From> {
    if let Kind::From(from) = &instruction.kind { Some(from) } else { None }
}

/// Arguments before the first `FROM`, the last of each name.
fn globals(file: &Dockerfile, values: &Variables) -> BTreeMap<String, Global> {
    let mut globals: BTreeMap<String, Global> = BTreeMap::new();
    for instruction in &file.instructions {
        let Kind::Arg(declarations) = &instruction.kind else { break };
        for ArgDeclaration { name, default } in declarations {
            let name = name.value.as_str();
            let mut needs = default.as_ref().map(|word| names(word, file.directives.escape)).unwrap_or_default();
            if needs.remove(name)
                && let Some(earlier) = globals.get(name)
            {
                needs.extend(earlier.needs.iter().cloned());
            }
            let declared = Use {
                value: values.get(name).unwrap_or_default().to_owned(),
                description: description(&instruction.comments, name),
                span: instruction.span,
            };
            globals.insert(name.to_owned(), Global { declared, needs });
        }
    }
    globals
}

/// The variables that a word names.
fn names(word: &Word, escape: char) -> BTreeSet<String> {
    Expander::new(escape, &|_| None).names(&word.value).unwrap_or_default().unset
}

/// What all stages of a target use, the first that was met of each name.
#[derive(Default)]
struct Gathered {
    args: BTreeMap<String, Use>,
    secrets: BTreeMap<String, Mount>,
    ssh: BTreeMap<String, Mount>,
}

impl Gathered {
    /// Adds what a stage uses; its `FROM` names the arguments `named`.
    fn gather(&mut self, used: &StageUse, named: &BTreeSet<String>, globals: &BTreeMap<String, Global>) {
        let mut wanted: Vec<String> = named.iter().cloned().collect();
        for (name, declared) in &used.args {
            match declared {
                Some(declared) => drop(self.args.entry(name.clone()).or_insert_with(|| declared.clone())),
                None => wanted.push(name.clone()),
            }
        }
        let mut visited = BTreeSet::new();
        while let Some(name) = wanted.pop() {
            if let (Some(global), true) = (globals.get(&name), visited.insert(name.clone())) {
                self.args.entry(name).or_insert_with(|| global.declared.clone());
                wanted.extend(global.needs.iter().cloned());
            }
        }
        for (all, own) in [(&mut self.secrets, &used.secrets), (&mut self.ssh, &used.ssh)] {
            for (name, mount) in own {
                all.entry(name.clone()).or_insert_with(|| mount.clone());
            }
        }
    }
}

/// In the order of the source.
fn by_place<T>(found: BTreeMap<String, T>, span: fn(&T) -> Span) -> impl Iterator<Item = (String, T)> {
    let mut found: Vec<(String, T)> = found.into_iter().collect();
    found.sort_by_key(|(_, item)| span(item).start);
    found.into_iter()
}
