//! Why a step ran: what differs from the nearest record of the same step.

use super::recipe::{FileFact, Parameter, Recipe};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// Of so many changed files each is named; of more, how many there are.
const NAMED: usize = 50;

/// Why a step ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Why {
    /// Everything that differs; never empty.
    pub reasons: Vec<Reason>,
}

/// One difference. A closed set: whoever shows it matches every case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum Reason {
    /// There is no record of such a step.
    New,
    /// Somebody asked for it to run.
    Asked,
    /// The record is there, but not what it leads to.
    Removed,
    /// The record is that of a version which made its keys in another way.
    Version,
    /// The base image is another one.
    Base {
        /// Its name.
        name: String,
        /// The digest that the name had.
        before: String,
        /// The digest that it has.
        after: String,
    },
    /// A parameter is another one. A value that is not shown, or that was not there, is none.
    Argument {
        /// What it is called.
        name: String,
        /// What it was.
        before: Option<String>,
        /// What it is.
        after: Option<String>,
        /// Whether it was there, and whether it is.
        change: Change,
    },
    /// A file is another one.
    File {
        /// Its path in the context.
        path: String,
        /// In what.
        #[serde(flatten)]
        change: FileChange,
    },
    /// So many more files are.
    MoreFiles {
        /// How many.
        count: usize,
    },
    /// An earlier step came out differently.
    Step {
        /// What it is called.
        name: String,
    },
    /// It comes after another step than before.
    OtherStep {
        /// What it came after.
        before: Option<String>,
        /// What it comes after.
        after: Option<String>,
    },
    /// Something that is not kept.
    Unknown,
}

/// What became of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It is another one.
    Changed,
}

/// In what a file differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "lowercase")]
pub enum FileChange {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It has another name, and holds what it did.
    Renamed {
        /// The name that it had.
        from: String,
    },
    /// It holds something else.
    Content {
        /// How many lines differ, if that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lines: Option<usize>,
    },
    /// It is of another kind.
    Kind,
    /// Its permission bits.
    Mode {
        /// What they were.
        before: u32,
        /// What they are.
        after: u32,
    },
    /// Its owner and group.
    Owner {
        /// Who they were.
        before: (u32, u32),
        /// Who they are.
        after: (u32, u32),
    },
}

impl Why {
    /// One reason alone.
    pub fn only(reason: Reason) -> Self {
        Self { reasons: vec![reason] }
    }

    /// What differs between two recipes of a step whose keys differ.
    pub(super) fn between(before: &Recipe, after: &Recipe) -> Self {
        if before.schema != after.schema {
            return Self::only(Reason::Version);
        }
        let mut reasons = Vec::new();
        match (&before.base, &after.base) {
            (Some((name, before)), Some((after_name, after))) if name == after_name => {
                if before != after {
                    let (name, before, after) = (name.clone(), before.clone(), after.clone());
                    reasons.push(Reason::Base { name, before, after });
                }
            }
            (before, after) if before == after => {}
            (before, after) => {
                let named = |base: &Option<(String, String)>| base.as_ref().map(|(name, _)| name.clone());
                let (before, after) = (named(before), named(after));
                reasons.push(Reason::Argument { name: "FROM".to_owned(), before, after, change: Change::Changed });
            }
        }
        compare_parameters(&before.parameters, &after.parameters, &mut reasons);
        compare_files(&before.files, &after.files, &mut reasons);
        for number in 0..before.inputs.len().max(after.inputs.len()) {
            match (before.inputs.get(number), after.inputs.get(number)) {
                (Some(before), Some(after)) if before.name == after.name => {
                    if before.key != after.key {
                        reasons.push(Reason::Step { name: after.name.clone() });
                    }
                }
                (before, after) => {
                    let named = |input: Option<&super::recipe::InputFact>| input.map(|input| input.name.clone());
                    reasons.push(Reason::OtherStep { before: named(before), after: named(after) });
                }
            }
        }
        if reasons.is_empty() {
            reasons.push(Reason::Unknown);
        }
        Self { reasons }
    }

    /// Whether it tells of something that a person did to this very step, and not to an earlier one.
    pub(super) fn is_own(&self) -> bool {
        self.reasons.iter().any(|reason| match reason {
            Reason::Step { .. } | Reason::New | Reason::OtherStep { .. } => false,
            Reason::Asked
            | Reason::Removed
            | Reason::Version
            | Reason::Base { .. }
            | Reason::Argument { .. }
            | Reason::File { .. }
            | Reason::MoreFiles { .. }
            | Reason::Unknown => true,
        })
    }
}

fn compare_parameters(before: &[Parameter], after: &[Parameter], reasons: &mut Vec<Reason>) {
    let known: BTreeMap<&str, &Parameter> =
        before.iter().map(|parameter| (parameter.name.as_str(), parameter)).collect();
    let present: BTreeSet<&str> = after.iter().map(|parameter| parameter.name.as_str()).collect();
    for new in after {
        let old = known.get(new.name.as_str());
        if old.is_some_and(|old| old.digest == new.digest) {
            continue;
        }
        reasons.push(Reason::Argument {
            name: new.name.clone(),
            before: old.and_then(|old| old.shown.clone()),
            after: new.shown.clone(),
            change: if old.is_some() { Change::Changed } else { Change::Added },
        });
    }
    for old in before.iter().filter(|old| !present.contains(old.name.as_str())) {
        let (name, before) = (old.name.clone(), old.shown.clone());
        reasons.push(Reason::Argument { name, before, after: None, change: Change::Removed });
    }
}

fn compare_files(before: &[FileFact], after: &[FileFact], reasons: &mut Vec<Reason>) {
    let known: BTreeMap<&str, &FileFact> = before.iter().map(|file| (file.path.as_str(), file)).collect();
    let present: BTreeMap<&str, &FileFact> = after.iter().map(|file| (file.path.as_str(), file)).collect();
    let mut gone: Vec<&FileFact> = before.iter().filter(|file| !present.contains_key(file.path.as_str())).collect();
    let mut changes = Vec::new();
    for new in after {
        let change = match known.get(new.path.as_str()) {
            Some(old) if *old == new => continue,
            Some(old) if old.kind != new.kind => FileChange::Kind,
            Some(old) if old.content != new.content => FileChange::Content { lines: None },
            Some(old) if old.mode != new.mode => FileChange::Mode { before: old.mode, after: new.mode },
            Some(old) => FileChange::Owner { before: old.owner, after: new.owner },
            None => match gone.iter().position(|old| old.kind == new.kind && old.content == new.content) {
                Some(position) => FileChange::Renamed { from: gone.remove(position).path.clone() },
                None => FileChange::Added,
            },
        };
        changes.push(Reason::File { path: new.path.clone(), change });
    }
    changes.extend(gone.iter().map(|old| Reason::File { path: old.path.clone(), change: FileChange::Removed }));
    let more = changes.len().saturating_sub(NAMED);
    changes.truncate(NAMED);
    reasons.append(&mut changes);
    if more > 0 {
        reasons.push(Reason::MoreFiles { count: more });
    }
}

/// One line: the first reason, and how many more there are.
impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(first) = self.reasons.first() else { return f.write_str("nothing is known") };
        write!(f, "{first}")?;
        let count = |reason: &Reason| if let Reason::MoreFiles { count } = reason { *count } else { 1 };
        match self.reasons[1..].iter().map(count).sum::<usize>() {
            0 => Ok(()),
            1 => f.write_str(", and one more difference"),
            more => write!(f, ", and {more} more differences"),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = |text: &Option<String>| text.as_ref().map_or("(not shown)".to_owned(), |text| format!("{text:?}"));
        match self {
            Self::New => f.write_str("there is no record of it"),
            Self::Asked => f.write_str("it was asked to, whatever ran before"),
            Self::Removed => f.write_str("nothing changed, but its result is no longer in the store"),
            Self::Version => f.write_str("its record is of another version of flashbuild"),
            Self::Base { name, before, after } => {
                write!(f, "{name} is now {} (was {})", short(after), short(before))
            }
            Self::Argument { name, before, after, change } => match change {
                Change::Added => write!(f, "{name} is new: {}", value(after)),
                Change::Removed => write!(f, "{name} is gone (was {})", value(before)),
                Change::Changed if before.is_none() && after.is_none() => write!(f, "{name} changed (not shown)"),
                Change::Changed => write!(f, "{name} is now {} (was {})", value(after), value(before)),
            },
            Self::File { path, change } => match change {
                FileChange::Added => write!(f, "{path} is new"),
                FileChange::Removed => write!(f, "{path} is gone"),
                FileChange::Renamed { from } => write!(f, "{path} was called {from}"),
                FileChange::Content { lines: None } => write!(f, "{path} changed"),
                FileChange::Content { lines: Some(1) } => write!(f, "{path} changed (1 line)"),
                FileChange::Content { lines: Some(lines) } => write!(f, "{path} changed ({lines} lines)"),
                FileChange::Kind => write!(f, "{path} is of another kind"),
                FileChange::Mode { before, after } => write!(f, "{path} has mode {after:04o} (was {before:04o})"),
                FileChange::Owner { before, after } => {
                    write!(f, "{path} belongs to {}:{} (was {}:{})", after.0, after.1, before.0, before.1)
                }
            },
            Self::MoreFiles { count } => write!(f, "{count} more files differ"),
            Self::Step { name } => write!(f, "{name} came out differently"),
            Self::OtherStep { before: None, after } => write!(f, "it takes from {} now", named(after.as_ref())),
            Self::OtherStep { before, after: None } => write!(f, "it no longer takes from {}", named(before.as_ref())),
            Self::OtherStep { before, after } => {
                write!(f, "it comes after {} now (was {})", named(after.as_ref()), named(before.as_ref()))
            }
            Self::Unknown => f.write_str("something changed that is not kept"),
        }
    }
}

fn named(name: Option<&String>) -> &str {
    name.map_or("nothing", String::as_str)
}

/// The beginning of a digest.
fn short(digest: &str) -> &str {
    &digest[..digest.floor_char_boundary(19)]
}

#[cfg(test)]
mod tests;
