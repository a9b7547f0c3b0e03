//! Flags of an instruction: `--name` or `--name=value`, right behind the keyword.
//!
//! - Flags end at the first word that does not start with `--`, or behind `--` alone.
//! - Quotes and escapes in a flag are removed; variables stay as written.
//! - An instruction takes the flags of its [`FlagSpec`]s and no others, each once unless it is a [`Shape::List`].

use super::{instruction::Word, line::Piece};
use crate::diagnostic::{Code, Diagnostic, Span, Spanned, nearest};

/// A flag as written.
#[derive(Debug, Clone)]
pub(super) struct Flag {
    /// Its text without quotes, dashes included.
    pub(super) text: Word,
    /// Where the value starts: in the text, and in the source.
    value: Option<(usize, usize)>,
}

impl Flag {
    fn name(&self) -> &str {
        let end = self.value.map_or(self.text.value.len(), |(at, _)| at - 1);
        &self.text.value[2..end]
    }

    fn value(&self) -> Option<Word> {
        self.value.map(|(at, source)| {
            Spanned::new(self.text.value[at..].to_owned(), Span::new(source, self.text.span.end.max(source)))
        })
    }
}

/// Takes the flags off the start of `text`; returns them and what stands behind them.
pub(super) fn split(text: Piece<'_>, escape: char) -> (Vec<Flag>, Piece<'_>) {
    let mut flags = Vec::new();
    let mut rest = text.trim();
    while rest.as_str().starts_with("--") {
        let (flag, length) = read(rest, escape);
        rest = rest.tail(length).trim();
        if flag.text.value == "--" {
            break;
        }
        flags.push(flag);
    }
    (flags, rest)
}

/// The flag at the start of `text`, and its length there.
fn read(text: Piece<'_>, escape: char) -> (Flag, usize) {
    let source = text.as_str();
    let mut flag = String::new();
    let mut value = None;
    let mut quote = None;
    let mut length = source.len();
    let mut characters = source.char_indices();
    while let Some((at, character)) = characters.next() {
        if quote.is_none() && character.is_whitespace() {
            length = at;
            break;
        }
        if quote == Some(character) {
            quote = None;
        } else if quote.is_none() && matches!(character, '\'' | '"') {
            quote = Some(character);
        } else if character == escape {
            flag.extend(characters.next().map(|(_, next)| next));
        } else {
            flag.push(character);
            if character == '=' && value.is_none() {
                value = Some((flag.len(), at + 1));
            }
        }
    }
    let value = value.map(|(at, source)| (at, text.slice(source..length).span().start));
    let text = Spanned::new(flag, text.slice(0..length).span());
    (Flag { text, value }, length)
}

/// What a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Nothing, `true` or `false`.
    Switch,
    /// Nothing, `true`, `false`, or a value.
    SwitchOrText,
    /// One value.
    Text,
    /// A value each time it is given.
    List,
}

/// A flag that an instruction takes.
pub(super) type FlagSpec = (&'static str, Shape);

/// Flags that were checked against what the instruction takes.
#[derive(Debug)]
pub(super) struct Flags(Vec<Flag>);

impl Flags {
    /// Checks `flags` against `specs`.
    pub(super) fn check(keyword: &str, flags: Vec<Flag>, specs: &[FlagSpec]) -> Result<Self, Diagnostic> {
        let mut seen: Vec<&str> = Vec::new();
        for flag in &flags {
            let name = flag.name();
            let Some(&(known, shape)) = specs.iter().find(|(known, _)| *known == name) else {
                return Err(unknown(keyword, flag, specs));
            };
            if shape != Shape::List && seen.contains(&known) {
                return Err(Diagnostic::error(Code::RepeatedFlag, format!("--{name} is given twice"), flag.text.span));
            }
            if !seen.contains(&known) {
                seen.push(known);
            }
            match shape {
                Shape::Switch => {
                    switch(flag)?;
                }
                Shape::Text | Shape::List if flag.value.is_none() => {
                    return Err(Diagnostic::error(
                        Code::FlagWithoutValue,
                        format!("--{name} needs a value"),
                        flag.text.span,
                    )
                    .with_hint(format!("write `--{name}=VALUE`")));
                }
                Shape::Text | Shape::List | Shape::SwitchOrText => {}
            }
        }
        Ok(Self(flags))
    }

    /// The value of a [`Shape::Text`] flag; an empty value counts as none.
    pub(super) fn text(&self, name: &str) -> Option<Word> {
        let flag = self.0.iter().find(|flag| flag.name() == name)?;
        flag.value().filter(|value| !value.value.is_empty())
    }

    /// The values of a [`Shape::List`] flag.
    pub(super) fn list(&self, name: &str) -> Vec<Word> {
        let given = self.0.iter().filter(|flag| flag.name() == name);
        given.filter_map(Flag::value).collect()
    }

    /// The value of a [`Shape::SwitchOrText`] flag that is not off: `true` if it has none.
    pub(super) fn switch_or_text(&self, name: &str) -> Option<Word> {
        let flag = self.0.iter().find(|flag| flag.name() == name)?;
        let value = flag.value().filter(|value| !value.value.is_empty());
        let value = value.unwrap_or_else(|| Word::new("true".to_owned(), flag.text.span));
        Some(value).filter(|value| !value.value.eq_ignore_ascii_case("false"))
    }

    /// The state of a [`Shape::Switch`] flag, if it was given.
    pub(super) fn switch(&self, name: &str) -> Option<Spanned<bool>> {
        let flag = self.0.iter().find(|flag| flag.name() == name)?;
        switch(flag).ok()
    }
}

fn switch(flag: &Flag) -> Result<Spanned<bool>, Diagnostic> {
    let state = match flag.value() {
        None => true,
        Some(value) if value.value.eq_ignore_ascii_case("true") => true,
        Some(value) if value.value.eq_ignore_ascii_case("false") => false,
        Some(value) => {
            return Err(Diagnostic::error(
                Code::InvalidSwitch,
                format!("--{} is `true` or `false`, not `{}`", flag.name(), value.value),
                flag.text.span,
            ));
        }
    };
    Ok(Spanned::new(state, flag.text.span))
}

fn unknown(keyword: &str, flag: &Flag, specs: &[FlagSpec]) -> Diagnostic {
    let name = flag.name();
    let error = Diagnostic::error(Code::UnknownFlag, format!("{keyword} has no flag `--{name}`"), flag.text.span);
    let names = specs.iter().map(|(known, _)| *known);
    match nearest(name, names.clone()) {
        Some(known) => error.with_hint(format!("did you mean `--{known}`?")),
        None if specs.is_empty() => error.with_hint(format!("{keyword} takes no flags")),
        None => {
            let known: Vec<_> = names.map(|known| format!("`--{known}`")).collect();
            error.with_hint(format!("{keyword} takes {}", known.join(", ")))
        }
    }
}
