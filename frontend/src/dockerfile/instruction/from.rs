//! `FROM`, which begins a stage.

use super::Word;
use crate::{
    diagnostic::{Code, Diagnostic, Span, Spanned},
    dockerfile::flags::{FlagSpec, Flags, Shape},
};

/// `FROM [--platform=P] BASE [AS NAME]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct From {
    /// `--platform`
    pub platform: Option<Word>,
    /// Image, stage or `scratch`.
    pub base: Word,
    /// Name of the stage, lower-cased.
    pub name: Option<Word>,
}

pub(super) const FLAGS: &[FlagSpec] = &[("platform", Shape::Text)];

pub(super) fn read(words: &[Word], flags: &Flags, keyword: Span) -> Result<From, Diagnostic> {
    let (base, name) = match words {
        [base] => (base, None),
        [base, between, name] if between.value.eq_ignore_ascii_case("as") => (base, Some(stage_name(name)?)),
        [] => {
            return Err(Diagnostic::error(Code::InvalidFrom, "FROM requires an image or a stage", keyword)
                .with_hint("`FROM scratch` starts with nothing"));
        }
        [_, rest @ ..] => {
            let span = rest.iter().fold(rest[0].span, |all, word| all.to(word.span));
            return Err(Diagnostic::error(Code::InvalidFrom, "FROM takes one image and perhaps a name", span)
                .with_hint("write `FROM IMAGE` or `FROM IMAGE AS NAME`"));
        }
    };
    Ok(From { platform: flags.text("platform"), base: base.clone(), name })
}

/// Stage names are case-insensitive, start with a letter, and go on with letters, digits, `-`, `_` and `.`.
fn stage_name(word: &Word) -> Result<Word, Diagnostic> {
    let name = word.value.to_lowercase();
    let valid = name.starts_with(|first: char| first.is_ascii_lowercase())
        && name
            .chars()
            .all(|each| each.is_ascii_lowercase() || each.is_ascii_digit() || matches!(each, '-' | '_' | '.'));
    if valid {
        return Ok(Spanned::new(name, word.span));
    }
    Err(Diagnostic::error(Code::InvalidStageName, format!("`{}` cannot be the name of a stage", word.value), word.span)
        .with_hint("a name starts with a letter and goes on with letters, digits, `-`, `_` and `.`"))
}
