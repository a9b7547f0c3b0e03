//! `ONBUILD`, an instruction for the images that are built on this one.

use super::Instruction;
use crate::{
    diagnostic::{Code, Diagnostic},
    dockerfile::syntax::{Arguments, Statement},
};

/// `ONBUILD`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Onbuild {
    /// The text behind `ONBUILD`, as the configuration records it.
    pub text: String,
    /// The instruction that it is.
    pub instruction: Instruction,
}

pub(super) fn read(statement: Statement, source: &str) -> Result<Onbuild, Diagnostic> {
    if matches!(statement.arguments, Arguments::From(_) | Arguments::Maintainer(_)) {
        return Err(Diagnostic::error(
            Code::ForbiddenTrigger,
            format!("{} cannot be an ONBUILD instruction", statement.keyword.value.to_ascii_uppercase()),
            statement.keyword.span,
        ));
    }
    let mut text = statement.text.value.clone();
    for heredoc in &statement.heredocs {
        // Bodies are recorded as written: whoever builds on the image reads them again, tabs included.
        let body = heredoc.content.span;
        text.push('\n');
        text.push_str(&source[body.start..body.end]);
        text.push_str(&heredoc.name);
    }
    Ok(Onbuild { text, instruction: super::read(statement, source)? })
}
