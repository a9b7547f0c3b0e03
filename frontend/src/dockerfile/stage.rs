//! The stages of a file, and how they are found by what people call them.
//!
//! Rules (Dockerfile reference, "FROM" and "COPY --from"; where it is silent, what the frontend of moby/buildkit does):
//!
//! - Names do not depend on case. A name given twice means the nearest stage of that name above.
//! - `FROM` only sees stages above it; any other word is the name of an image.
//! - A number counts stages from 0, in `COPY --from` and as the target, but not in `FROM`.

use super::{
    Dockerfile, NoCache,
    instruction::{ArgDeclaration, From, Instruction, Kind},
};
use crate::diagnostic::{Code, Diagnostic, nearest};
use std::collections::BTreeMap;

/// One `FROM` and what follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stage<'a> {
    /// The `FROM`.
    pub from: &'a From,
    /// The `FROM` as an instruction.
    pub instruction: &'a Instruction,
    /// What is done in the stage.
    pub body: &'a [Instruction],
}

impl<'a> Stage<'a> {
    /// Its name, if it has one.
    pub fn name(&self) -> Option<&'a str> {
        self.from.name.as_ref().map(|name| name.value.as_str())
    }
}

/// All stages of a file.
#[derive(Debug, Clone)]
pub(super) struct Stages<'a> {
    /// `ARG`s before the first `FROM`.
    pub(super) global_args: Vec<&'a ArgDeclaration>,
    /// In the order of the file.
    pub(super) list: Vec<Stage<'a>>,
    by_name: BTreeMap<&'a str, Vec<usize>>,
}

impl<'a> Stages<'a> {
    pub(super) fn of(file: &'a Dockerfile) -> Self {
        let mut global_args = Vec::new();
        let mut list: Vec<Stage<'a>> = Vec::new();
        let mut by_name: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        let is_from = |instruction: &Instruction| matches!(instruction.kind, Kind::From(_));
        let mut rest = file.instructions.as_slice();
        while let [instruction, behind @ ..] = rest {
            rest = behind;
            if let Kind::From(from) = &instruction.kind {
                let end = behind.iter().position(is_from).unwrap_or(behind.len());
                let stage = Stage { from, instruction, body: &behind[..end] };
                if let Some(name) = stage.name() {
                    by_name.entry(name).or_default().push(list.len());
                }
                list.push(stage);
                rest = &behind[end..];
            } else if let Kind::Arg(declarations) = &instruction.kind {
                global_args.extend(declarations);
            }
        }
        Self { global_args, list, by_name }
    }

    /// The last stage called `name` above the stage `before`.
    pub(super) fn above(&self, name: &str, before: usize) -> Option<usize> {
        let all = self.by_name.get(name.to_lowercase().as_str())?;
        all[..all.partition_point(|index| *index < before)].last().copied()
    }

    /// The last stage called `name`.
    pub(super) fn last(&self, name: &str) -> Option<usize> {
        self.above(name, self.list.len())
    }

    /// The name most like `word`, among the stages above `before`.
    pub(super) fn nearest(&self, word: &str, before: usize) -> Option<&'a str> {
        nearest(word, self.list[..before].iter().filter_map(Stage::name))
    }

    /// What people call a stage: its name, or `stage-N`.
    pub(super) fn label(&self, index: usize) -> String {
        self.list[index].name().map_or_else(|| format!("stage-{index}"), str::to_owned)
    }

    /// The stage to build.
    pub(super) fn target(&self, asked: Option<&str>) -> Result<usize, Diagnostic> {
        let default = self.list.len() - 1;
        let Some(asked) = asked else {
            return Ok(default);
        };
        let by_number = || asked.parse().ok().filter(|index| *index < self.list.len());
        self.last(asked).or_else(by_number).ok_or_else(|| {
            self.unknown(asked, format!("the target stage `{asked}` is not in this file"))
                .with_label("without a target, this stage is built")
        })
    }

    /// What is wrong with the stages that are not to be taken from the cache, by name or by what they are called.
    pub(super) fn check_no_cache(&self, no_cache: &NoCache) -> Vec<Diagnostic> {
        let names = match no_cache {
            NoCache::Nothing | NoCache::Everything => &[][..],
            NoCache::Stages(names) => names,
        };
        let is_known = |name: &str| (0..self.list.len()).any(|index| self.label(index).eq_ignore_ascii_case(name));
        let unknown = names.iter().filter(|name| !is_known(name));
        unknown
            .map(|name| {
                self.unknown(name, format!("the stage `{name}`, to be built without the cache, is not in this file"))
            })
            .collect()
    }

    /// An error about a stage that somebody asked for outside of the file.
    fn unknown(&self, asked: &str, message: String) -> Diagnostic {
        let last = self.list[self.list.len() - 1].instruction.span;
        let error = Diagnostic::error(Code::UnknownTarget, message, last);
        let names: Vec<&str> = self.by_name.keys().copied().collect();
        match self.nearest(asked, self.list.len()) {
            Some(name) => error.with_hint(format!("did you mean `{name}`?")),
            None if names.is_empty() => error.with_hint("no stage has a name: write `FROM IMAGE AS NAME`"),
            None => error.with_hint(format!("the stages are {}", names.join(", "))),
        }
    }
}

impl Dockerfile {
    /// Its stages, in their order.
    pub fn stages(&self) -> Vec<Stage<'_>> {
        Stages::of(self).list
    }
}
