//! What the words behind `FROM`, `--platform` and `--from` mean.

use super::Origin;
use crate::{
    diagnostic::{Code, Diagnostic, Span},
    dockerfile::{
        inputs::{NamedContext, Options},
        instruction::{Instruction, Kind, MountFlag, MountKey, Word},
        scope::Variables,
        stage::Stages,
    },
    platform::Platform,
};

/// What a name can mean, for one target platform.
pub(super) struct Names<'a, 't> {
    pub(super) stages: Stages<'a>,
    /// What `FROM` sees.
    pub(super) globals: Variables,
    pub(super) escape: char,
    pub(super) target: &'t Platform,
    pub(super) options: &'t Options,
    /// Whether `globals` may lack some that lines which could not be read define.
    pub(super) lacks_globals: bool,
}

impl Names<'_, '_> {
    /// What stage `index` starts from.
    pub(super) fn base(&self, index: usize) -> Result<Origin, Diagnostic> {
        let word = &self.stages.list[index].from.base;
        let base = self.globals.expand(word, self.escape)?;
        if base.is_empty() && self.lacks_globals {
            return Ok(Origin::Unknown);
        }
        if base.is_empty() {
            return Err(Diagnostic::error(
                Code::EmptyBase,
                format!("the base `{}` is empty once expanded", word.value),
                word.span,
            )
            .with_hint("only ARGs before the first FROM count in FROM: give it a default there"));
        }
        if let Some(stage) = self.stages.above(&base, index) {
            return Ok(Origin::Stage(stage));
        }
        let asked = self.platform(index).ok().flatten();
        if let Some(context) = self.context(&base, asked.as_ref().unwrap_or(self.target)) {
            return Ok(context);
        }
        self.image_or_scratch(&base, word.span, index)
    }

    /// What `name` means as a context, if it is one.
    pub(super) fn context(&self, name: &str, platform: &Platform) -> Option<Origin> {
        Some(match self.options.context(name, platform)? {
            NamedContext::Scratch => Origin::Scratch,
            NamedContext::Image(reference) => Origin::Image(reference.clone()),
            NamedContext::Files(files) => Origin::Files(files.clone()),
        })
    }

    fn image_or_scratch(&self, name: &str, span: Span, index: usize) -> Result<Origin, Diagnostic> {
        if name == "scratch" {
            return Ok(Origin::Scratch);
        }
        name.parse().map(Origin::Image).map_err(|reason| {
            let error = Diagnostic::error(Code::InvalidImageName, format!("`{name}` is no image: {reason}"), span);
            match self.stages.nearest(name, index) {
                Some(stage) => error.with_hint(format!("did you mean the stage `{stage}`?")),
                None => error,
            }
        })
    }

    /// The platform of stage `index`, if it asks for one.
    pub(super) fn platform(&self, index: usize) -> Result<Option<Platform>, Diagnostic> {
        let Some(word) = &self.stages.list[index].from.platform else {
            return Ok(None);
        };
        let text = self.globals.expand(word, self.escape)?;
        if text.is_empty() && self.lacks_globals {
            return Ok(None);
        }
        if text.is_empty() {
            return Err(Diagnostic::error(
                Code::EmptyPlatform,
                format!("the platform `{}` is empty once expanded", word.value),
                word.span,
            )
            .with_hint("use TARGETPLATFORM or BUILDPLATFORM, or an ARG before the first FROM"));
        }
        text.parse()
            .map(Some)
            .map_err(|reason| Diagnostic::error(Code::InvalidPlatform, format!("{reason}"), word.span))
    }

    /// What the `--from` of an instruction of stage `index` means, if it has one.
    pub(super) fn origin(&self, instruction: &Instruction, index: usize) -> Result<Option<Origin>, Diagnostic> {
        let from = match (&instruction.kind, instruction.kind.deps()) {
            (_, Some(deps)) => deps.from.as_ref(),
            (Kind::Copy(copy), None) => copy.from.as_ref(),
            (_, None) => None,
        };
        from.map(|word| self.named(word, index)).transpose()
    }

    /// What the `--build-from` of an instruction of stage `index` means, if it has one.
    pub(super) fn build_from(&self, instruction: &Instruction, index: usize) -> Result<Option<Origin>, Diagnostic> {
        let deps = instruction.kind.deps();
        deps.and_then(|deps| deps.build_from.as_ref()).map(|word| self.named(word, index)).transpose()
    }

    /// What the `from` of each mount of an instruction of stage `index` means.
    pub(super) fn mounts(&self, instruction: &Instruction, index: usize) -> Result<Vec<Option<Origin>>, Diagnostic> {
        let Kind::Run(run) = &instruction.kind else {
            return Ok(Vec::new());
        };
        let from = |mount: &MountFlag| mount.value(MountKey::From).filter(|word| !word.value.is_empty()).cloned();
        run.mounts.iter().map(|mount| from(mount).map(|word| self.named(&word, index)).transpose()).collect()
    }

    fn named(&self, word: &Word, index: usize) -> Result<Origin, Diagnostic> {
        let name = Variables::default().expand(word, self.escape)?;
        if name != word.value {
            return Err(Diagnostic::error(Code::VariableInFrom, "--from cannot hold variables", word.span)
                .with_hint("name a stage, and put the variable there: `FROM $IMAGE AS NAME`"));
        }
        if let Ok(number) = name.parse::<usize>() {
            let count = self.stages.list.len();
            return if number < count {
                Ok(Origin::Stage(number))
            } else {
                Err(Diagnostic::error(Code::UnknownStageNumber, format!("there is no stage {number}"), word.span)
                    .with_hint(format!("stages are counted from 0, and this file has {count}")))
            };
        }
        match self.stages.above(&name, index).or_else(|| self.stages.last(&name)) {
            Some(stage) => Ok(Origin::Stage(stage)),
            None => match self.context(&name, self.target) {
                Some(context) => Ok(context),
                None => self.image_or_scratch(&name, word.span, index),
            },
        }
    }
}
