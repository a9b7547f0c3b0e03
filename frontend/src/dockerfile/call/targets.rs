//! `--call targets`: the stages of a file.

use super::{
    location::{Location, encoded},
    table::columns,
};
use crate::{
    diagnostic::LineIndex,
    dockerfile::{Dockerfile, instruction::Word},
};
use serde::Serialize;

/// The stages of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Targets {
    targets: Vec<Target>,
    sources: [String; 1],
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Target {
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    default: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
    base: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    platform: String,
    location: Location,
}

impl Targets {
    /// The stages of `file`, in its order; the last is the default.
    pub fn of(file: &Dockerfile) -> Self {
        let lines = LineIndex::new(&file.source);
        let stages = file.stages();
        let last = stages.len().saturating_sub(1);
        let targets = stages.iter().enumerate().map(|(index, stage)| {
            let name = stage.name().unwrap_or_default();
            Target {
                name: name.to_owned(),
                default: index == last,
                description: description(&stage.instruction.comments, name),
                base: stage.from.base.value.clone(),
                platform: stage.from.platform.as_ref().map(|word| word.value.clone()).unwrap_or_default(),
                location: Location::of(stage.instruction.span, &lines),
            }
        });
        Self { targets: targets.collect(), sources: [encoded(&file.source)] }
    }

    /// For people.
    pub fn text(&self) -> String {
        let names: Vec<String> = self.targets.iter().map(shown).collect();
        let rows = names.iter().zip(&self.targets).map(|(name, target)| [name.as_str(), target.description.as_str()]);
        columns(&std::iter::once(["TARGET", "DESCRIPTION"]).chain(rows).collect::<Vec<_>>(), 1)
    }

    /// For programs.
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}

fn shown(target: &Target) -> String {
    match (target.name.as_str(), target.default) {
        ("", true) => "(default)".to_owned(),
        (name, true) => format!("{name} (default)"),
        (name, false) => name.to_owned(),
    }
}

/// What the comments above an instruction say of `name`: `# name …`.
pub(super) fn description(comments: &[Word], name: &str) -> String {
    let about = |comment: &Word| comment.value.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned);
    if name.is_empty() { String::new() } else { comments.iter().find_map(about).unwrap_or_default() }
}
