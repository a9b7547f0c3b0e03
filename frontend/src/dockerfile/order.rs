//! The order of instructions: a stage must begin before anything is done in it.
//!
//! Only `ARG` may come before the first `FROM` (Dockerfile reference, "FROM").

use super::{
    instruction::{Instruction, Kind},
    lexer::Lexed,
    syntax,
};
use crate::diagnostic::{Code, Diagnostic, Span};

/// What has been seen of a file.
#[derive(Debug, Default)]
pub(super) struct Order {
    in_stage: bool,
    end: Option<Span>,
    complained: bool,
}

impl Order {
    /// Takes note of a line, and tells whether it begins a stage. A `FROM` counts even if it is mistyped or wrong, so that
    /// it is the only error.
    pub(super) fn look_at(&mut self, line: &Lexed) -> bool {
        let text = line.text.piece().trim();
        let (keyword, _) = text.split_blank();
        let begins_stage = syntax::meant(keyword.as_str()) == Some("FROM");
        self.in_stage |= begins_stage;
        self.end = Some(text.span());
        begins_stage
    }

    /// Lets an instruction pass if it may stand here. The first that may not is the only one to be refused.
    pub(super) fn admit(&mut self, instruction: Instruction) -> Result<Instruction, Diagnostic> {
        let anywhere = matches!(instruction.kind, Kind::Arg(_) | Kind::From(_));
        if self.in_stage || anywhere || self.complained {
            return Ok(instruction);
        }
        self.complained = true;
        Err(Diagnostic::error(
            Code::InstructionBeforeFrom,
            format!("{} comes before the first FROM", instruction.keyword.value.to_ascii_uppercase()),
            instruction.keyword.span,
        )
        .with_hint("begin with `FROM IMAGE`, or `FROM scratch`; only ARG may come before"))
    }

    /// The error of a file that builds nothing.
    pub(super) fn missing_stage(&self) -> Option<Diagnostic> {
        let message = match self.end {
            _ if self.in_stage => return None,
            Some(_) => "no FROM: there is nothing to build",
            None => "a Dockerfile without instructions",
        };
        Some(
            Diagnostic::error(Code::NoStage, message, self.end.unwrap_or_default())
                .with_hint("begin a stage with `FROM IMAGE`, or `FROM scratch`"),
        )
    }
}
