//! A word as its parts, before any value is known.

use super::{ExpandError, Expander, Quotes};
use std::{iter::Peekable, str::Chars};

/// Nesting beyond this is refused, so that no text can exhaust the stack.
const MAX_DEPTH: usize = 64;

/// Parts of a word, in order.
pub(super) type Template = Vec<Part>;

/// A part of a word.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Text outside quotes: white space in it separates words.
    Plain(String),
    /// Quoted or escaped text: white space in it does not.
    Fixed(String),
    /// Between double quotes: variables, but no separation of words.
    Quoted(Template),
    /// A variable.
    Variable(Variable),
}

/// `$name` or `${name…}`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) form: Form,
}

/// What is to be done with the value.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `$name`
    Bare,
    /// `${name}`
    Braced,
    /// `${name-word}` and its like; with `colon`, an empty value counts as unset.
    Alternative { colon: bool, operator: Operator, word: Template },
    /// `${name#pattern}` and `${name%pattern}`.
    Trim { end: End, pattern: Template },
    /// `${name/pattern/replacement}`, or with `//`.
    Replace { all: bool, pattern: Template, replacement: Template },
}

/// What [`Form::Alternative`] does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    /// `-`: the word in place of an unset value.
    Default,
    /// `+`: the word in place of a set value.
    Replacement,
    /// `?`: an error if unset, with the word as its message.
    Required,
}

/// The end that a pattern is taken off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// `#`
    Start,
    /// `%`
    Finish,
}

/// Parses a word as `expander` reads it.
pub(super) fn parse(word: &str, expander: &Expander<'_>) -> Result<Template, ExpandError> {
    let mut parser =
        Parser { input: word.chars().peekable(), escape: expander.escape, quotes: expander.quotes, depth: 0 };
    parser.parts(None, Escapes::Remove)
}

/// All variables of a template, those in nested words included.
pub(super) fn names(template: &Template, found: &mut impl FnMut(&str)) {
    for part in template {
        match part {
            Part::Plain(_) | Part::Fixed(_) => {}
            Part::Quoted(parts) => names(parts, found),
            Part::Variable(variable) => {
                found(&variable.name);
                match &variable.form {
                    Form::Bare | Form::Braced => {}
                    Form::Alternative { word, .. } => names(word, found),
                    Form::Trim { pattern, .. } => names(pattern, found),
                    Form::Replace { pattern, replacement, .. } => {
                        names(pattern, found);
                        names(replacement, found);
                    }
                }
            }
        }
    }
}

/// What becomes of escape characters. Patterns keep them, because there they escape wildcards too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escapes {
    Remove,
    Keep,
}

struct Parser<'w> {
    input: Peekable<Chars<'w>>,
    escape: char,
    quotes: Quotes,
    depth: usize,
}

impl Parser<'_> {
    /// Parts up to `stop`, which is consumed, or up to the end of the input.
    fn parts(&mut self, stop: Option<char>, escapes: Escapes) -> Result<Template, ExpandError> {
        let mut parts = Template::new();
        while let Some(character) = self.input.next() {
            match character {
                stopped if Some(stopped) == stop => return Ok(parts),
                '$' => parts.push(self.dollar()?),
                '\'' if self.quotes != Quotes::Literal => parts.push(self.single_quoted()?),
                '"' if self.quotes != Quotes::Literal => parts.push(self.double_quoted(escapes)?),
                escape if escape == self.escape => {
                    let kept = (escapes == Escapes::Keep).then_some(escape);
                    parts.push(Part::Fixed(kept.into_iter().chain(self.input.next()).collect()));
                }
                plain => match parts.last_mut() {
                    Some(Part::Plain(text)) => text.push(plain),
                    _ => parts.push(Part::Plain(plain.to_string())),
                },
            }
        }
        match stop {
            None => Ok(parts),
            Some(stop) => Err(ExpandError::Unclosed(stop)),
        }
    }

    fn single_quoted(&mut self) -> Result<Part, ExpandError> {
        let mut text = String::new();
        loop {
            match self.input.next() {
                Some('\'') => break,
                Some(character) => text.push(character),
                None => return Err(ExpandError::Unclosed('\'')),
            }
        }
        Ok(Part::Fixed(match self.quotes {
            Quotes::Keep => format!("'{text}'"),
            Quotes::Remove | Quotes::Literal => text,
        }))
    }

    fn double_quoted(&mut self, escapes: Escapes) -> Result<Part, ExpandError> {
        let mut parts = Template::new();
        let mut text = String::new();
        if self.quotes == Quotes::Keep {
            text.push('"');
        }
        loop {
            match self.input.next() {
                Some('"') => break,
                Some('$') => {
                    parts.push(Part::Fixed(std::mem::take(&mut text)));
                    parts.push(self.dollar()?);
                }
                Some(escape) if escape == self.escape => {
                    let escapable = |next: &char| matches!(next, '"' | '$') || *next == escape;
                    let next = self.input.next_if(escapable);
                    if escapes == Escapes::Keep || next.is_none() {
                        text.push(escape);
                    }
                    text.extend(next);
                }
                Some(character) => text.push(character),
                None => return Err(ExpandError::Unclosed('"')),
            }
        }
        if self.quotes == Quotes::Keep {
            text.push('"');
        }
        parts.push(Part::Fixed(text));
        Ok(Part::Quoted(parts))
    }

    /// What follows a `$`.
    fn dollar(&mut self) -> Result<Part, ExpandError> {
        if self.input.next_if_eq(&'{').is_some() {
            self.depth += 1;
            if self.depth > MAX_DEPTH {
                return Err(ExpandError::TooDeep);
            }
            let variable = self.braced();
            self.depth -= 1;
            return variable.map(Part::Variable);
        }
        let name = self.name();
        if name.is_empty() {
            return Ok(Part::Plain("$".to_owned()));
        }
        let form = Form::Bare;
        Ok(Part::Variable(Variable { name, form }))
    }

    fn braced(&mut self) -> Result<Variable, ExpandError> {
        let name = self.name();
        let operator = self.input.next().ok_or(ExpandError::Unclosed('}'))?;
        if name.is_empty() {
            return Err(ExpandError::MissingName(operator));
        }
        let form = match operator {
            '}' => Form::Braced,
            ':' => {
                let operator = self.input.next().ok_or(ExpandError::Unclosed('}'))?;
                self.alternative(operator, true)?
            }
            '#' => self.trim(End::Start)?,
            '%' => self.trim(End::Finish)?,
            '/' => Form::Replace {
                all: self.input.next_if_eq(&'/').is_some(),
                pattern: self.parts(Some('/'), Escapes::Keep)?,
                replacement: self.parts(Some('}'), Escapes::Keep)?,
            },
            other => self.alternative(other, false)?,
        };
        Ok(Variable { name, form })
    }

    fn alternative(&mut self, operator: char, colon: bool) -> Result<Form, ExpandError> {
        let operator = match operator {
            '-' => Operator::Default,
            '+' => Operator::Replacement,
            '?' => Operator::Required,
            other if colon => return Err(ExpandError::UnknownModifier(format!(":{other}"))),
            other => return Err(ExpandError::UnknownModifier(other.to_string())),
        };
        Ok(Form::Alternative { colon, operator, word: self.parts(Some('}'), Escapes::Remove)? })
    }

    fn trim(&mut self, end: End) -> Result<Form, ExpandError> {
        let pattern = self.parts(Some('}'), Escapes::Keep)?;
        Ok(Form::Trim { end, pattern })
    }

    /// A name, a positional parameter (all its digits), or one of the shell's special parameters.
    fn name(&mut self) -> String {
        let mut name = String::new();
        let is_special = |first: &char| matches!(first, '@' | '*' | '#' | '?' | '-' | '$' | '!');
        if let Some(special) = self.input.next_if(is_special) {
            name.push(special);
            return name;
        }
        let numeric = self.input.peek().is_some_and(char::is_ascii_digit);
        while let Some(character) = self
            .input
            .next_if(|next| if numeric { next.is_ascii_digit() } else { next.is_alphanumeric() || *next == '_' })
        {
            name.push(character);
        }
        name
    }
}
