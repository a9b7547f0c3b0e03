//! Instructions that are a list of words or pairs: `ARG`, `ENV`, `LABEL`, `EXPOSE`, `SHELL`, `VOLUME`.

use super::{Command, Word};
use crate::diagnostic::{Code, Diagnostic, Spanned};

/// One name of an `ARG`, with its default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArgDeclaration {
    /// The name.
    pub name: Word,
    /// The default, not expanded.
    pub default: Option<Word>,
}

/// One pair of `ENV` or `LABEL`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyValue {
    /// The key.
    pub key: Word,
    /// The value.
    pub value: Word,
    /// Whether it was written `key value`, without `=` (legacy).
    pub legacy: bool,
}

/// `items`, if there are any.
pub(super) fn some<T>(items: Vec<T>, missing: impl Fn() -> Diagnostic) -> Result<Vec<T>, Diagnostic> {
    if items.is_empty() {
        return Err(missing());
    }
    Ok(items)
}

pub(super) fn shell(command: Command, missing: impl Fn() -> Diagnostic) -> Result<Vec<Word>, Diagnostic> {
    match command {
        Command::Exec(words) => some(words, missing),
        Command::Shell(line) if line.value.is_empty() => Err(missing()),
        Command::Shell(line) => {
            Err(Diagnostic::error(Code::ShellNotJson, "SHELL requires its arguments in JSON form", line.span)
                .with_hint("write `SHELL [\"/bin/bash\", \"-c\"]`, every word in double quotes"))
        }
    }
}

pub(super) fn volumes(words: Vec<Word>, missing: impl Fn() -> Diagnostic) -> Result<Vec<Word>, Diagnostic> {
    let words = some(words, missing)?;
    words
        .into_iter()
        .map(|word| match word.value.trim() {
            "" => Err(Diagnostic::error(Code::EmptyVolume, "a volume needs a path", word.span)),
            path => Ok(Spanned::new(path.to_owned(), word.span)),
        })
        .collect()
}
