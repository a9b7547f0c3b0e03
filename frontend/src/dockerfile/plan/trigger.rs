//! `ONBUILD`: what the base of a stage makes it do first.
//!
//! Triggers are done once, in the stage that starts from where they were declared, and not in those that start from that
//! stage (Dockerfile reference, "ONBUILD").

use super::{Origin, Planner, Step};
use crate::{
    diagnostic::{Code, Diagnostic, Span},
    dockerfile::{
        Dockerfile,
        inputs::Inputs,
        instruction::{Instruction, Kind},
    },
};
use std::borrow::Cow;

impl<'a> Planner<'a, '_> {
    /// The triggers of a stage's base, as far as it is known.
    pub(super) fn triggers(&self, index: usize, inputs: &Inputs) -> Result<Vec<Step<'a>>, Diagnostic> {
        let stage = &self.stages[index];
        match &stage.base {
            Origin::Unknown | Origin::Scratch | Origin::Files(_) => Ok(Vec::new()),
            Origin::Stage(base) => {
                let triggers = self.names.stages.list[*base].body.iter().filter_map(|instruction| {
                    if let Kind::Onbuild(onbuild) = &instruction.kind { Some(&onbuild.instruction) } else { None }
                });
                triggers.map(|instruction| self.trigger(Cow::Borrowed(instruction), index, None)).collect()
            }
            Origin::Image(reference) => {
                let span = self.names.stages.list[index].from.base.span;
                let image = inputs.image(reference, &stage.platform);
                let texts = image.into_iter().flat_map(|image| &image.config.config.on_build);
                texts.map(|text| self.trigger(Cow::Owned(read(text, span)?), index, Some(span))).collect()
            }
        }
    }

    fn trigger(
        &self,
        instruction: Cow<'a, Instruction>,
        index: usize,
        foreign: Option<Span>,
    ) -> Result<Step<'a>, Diagnostic> {
        let mut step = Step { instruction, from: None, build_from: None, mounts: Vec::new(), trigger: true, foreign };
        step.from = self.names.origin(&step.instruction, index).map_err(|error| step.blame(error))?;
        step.build_from = self.names.build_from(&step.instruction, index).map_err(|error| step.blame(error))?;
        step.mounts = self.names.mounts(&step.instruction, index).map_err(|error| step.blame(error))?;
        if !step.origins().is_empty() {
            self.check_upward(&step, index, Some(&self.needs())).map_err(|error| step.blame(error))?;
        }
        Ok(step)
    }
}

/// The instruction of a trigger as an image records it, which has to be exactly one.
fn read(text: &str, from: Span) -> Result<Instruction, Diagnostic> {
    let unreadable = |reason: &str| {
        let line = text.lines().next().unwrap_or_default();
        Diagnostic::error(
            Code::UnreadableTrigger,
            format!("the image's ONBUILD trigger `{line}` cannot be read: {reason}"),
            from,
        )
    };
    let file = Dockerfile::parse(&format!("FROM scratch\nONBUILD {text}\n"))
        .map_err(|errors| unreadable(&errors.first().map_or_else(String::new, |error| error.message.clone())))?;
    match <[Instruction; 2]>::try_from(file.instructions) {
        Ok([_, Instruction { kind: Kind::Onbuild(onbuild), .. }]) => Ok(onbuild.instruction),
        Ok(_) | Err(_) => Err(unreadable("it is not one instruction")),
    }
}
