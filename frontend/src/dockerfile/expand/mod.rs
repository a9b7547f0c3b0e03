//! Words with `$variables`, quotes and escapes to text.
//!
//! A word is first parsed into a template, then values are put in. Rules (Dockerfile reference, "Environment
//! replacement"; POSIX, "Parameter Expansion"):
//!
//! | Written | Means |
//! |---|---|
//! | `$name`, `${name}` | the value; nothing if unset |
//! | `$1`, `$@` and the like | nothing: there are no parameters |
//! | `${name-word}`, `${name:-word}` | the value, or `word` if unset (`:` or empty) |
//! | `${name+word}`, `${name:+word}` | `word`, or nothing if unset (`:` or empty) |
//! | `${name?word}`, `${name:?word}` | the value, or the error `word` if unset (`:` or empty) |
//! | `${name#pattern}`, `##` | the value without the shortest (longest) match of the pattern at its start |
//! | `${name%pattern}`, `%%` | the same at its end |
//! | `${name/pattern/text}`, `//` | the value with the first match (all matches) replaced |
//! | `'text'` | the text: nothing in it has a meaning |
//! | `"text"` | the text with variables; an escape takes the meaning from `"`, `$` and the escape character only |
//! | escape character, a character | the character; at the very end, nothing |
//!
//! Words in modifiers are words themselves. Only the one that is chosen is evaluated, but all names count as used.

mod pattern;
mod template;
#[cfg(test)]
mod tests;

use pattern::{Greed, Pattern};
use std::{cell::Cell, collections::BTreeSet};
use template::{End, Form, Operator, Part, Template, Variable};

/// Why a word cannot be expanded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpandError {
    /// The word ends inside quotes or braces.
    #[error("`{0}` is missing")]
    Unclosed(char),
    /// `${}` and the like.
    #[error("`${{` must be followed by a name, not by `{0}`")]
    MissingName(char),
    /// `${name=word}` and the like.
    #[error("`{0}` is no modifier of a variable")]
    UnknownModifier(String),
    /// `${name?message}`, and there is no value.
    #[error("{name}: {message}")]
    Required {
        /// The variable.
        name: String,
        /// The message given, or one that says what is missing.
        message: String,
    },
    /// A pattern with an escape that means nothing.
    #[error("`{escape}` has no meaning in the pattern `{pattern}`")]
    InvalidPattern {
        /// The whole pattern.
        pattern: String,
        /// The escape in it.
        escape: String,
    },
    /// Braces in braces in braces.
    #[error("variables are nested too deeply")]
    TooDeep,
    /// Values in values in values.
    #[error("the text is too long once its variables are replaced")]
    TooLong,
}

/// What becomes of quotes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Quotes {
    /// They are removed.
    #[default]
    Remove,
    /// They have their meaning and stay, for showing a word to people.
    Keep,
    /// They are characters like any other, as in the body of a heredoc.
    Literal,
}

/// What becomes of a variable that has no value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unset {
    /// Nothing, unless a modifier says otherwise.
    #[default]
    Empty,
    /// It stays as written, for showing a word to people.
    Keep,
}

/// How many bytes of values one word may take in or search through, so that no file can double a variable until memory
/// is full. What a process can be given is a fraction of it.
const MAX_VALUES: usize = 1 << 20;

/// Expands words.
#[derive(Clone, Copy)]
pub struct Expander<'a> {
    /// The escape character.
    pub escape: char,
    /// What becomes of quotes.
    pub quotes: Quotes,
    /// What becomes of variables without a value.
    pub unset: Unset,
    /// Values of variables.
    pub lookup: &'a dyn Fn(&str) -> Option<String>,
}

/// The variables that a word names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// Those that have a value.
    pub set: BTreeSet<String>,
    /// Those that have none.
    pub unset: BTreeSet<String>,
}

impl<'a> Expander<'a> {
    /// An expander of instructions' words.
    pub fn new(escape: char, lookup: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { escape, quotes: Quotes::default(), unset: Unset::default(), lookup }
    }

    /// An expander of heredoc bodies: quotes mean nothing, and a backslash escapes whatever the directive says.
    pub fn heredoc(lookup: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { quotes: Quotes::Literal, ..Self::new('\\', lookup) }
    }

    /// An expander for showing words to people: quotes and variables without a value stay.
    pub fn display(escape: char, lookup: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { quotes: Quotes::Keep, unset: Unset::Keep, ..Self::new(escape, lookup) }
    }

    /// The word as one text.
    pub fn expand(&self, word: &str) -> Result<String, ExpandError> {
        Evaluation::of(self).text(&template::parse(word, self)?)
    }

    /// The word as the words that it is after expansion: white space separates them, unless quoted or escaped. Empty
    /// words are dropped.
    pub fn expand_words(&self, word: &str) -> Result<Vec<String>, ExpandError> {
        let mut words = Vec::new();
        let mut current = String::new();
        let evaluation = Evaluation::of(self);
        for part in &template::parse(word, self)? {
            let text = evaluation.part(part)?;
            match part {
                Part::Fixed(_) | Part::Quoted(_) => current.push_str(&text),
                Part::Plain(_) | Part::Variable(_) => {
                    for character in text.chars() {
                        if !character.is_whitespace() {
                            current.push(character);
                        } else if !current.is_empty() {
                            words.push(std::mem::take(&mut current));
                        }
                    }
                }
            }
        }
        if !current.is_empty() {
            words.push(current);
        }
        Ok(words)
    }

    /// The variables that the word names, whether or not their values decide anything.
    pub fn names(&self, word: &str) -> Result<Names, ExpandError> {
        let mut names = Names::default();
        template::names(&template::parse(word, self)?, &mut |name| {
            let group = if (self.lookup)(name).is_some() { &mut names.set } else { &mut names.unset };
            group.insert(name.to_owned());
        });
        Ok(names)
    }
}

/// One word on its way to a text.
struct Evaluation<'e, 'a> {
    expander: &'e Expander<'a>,
    /// How many bytes of values it may still take.
    left: Cell<usize>,
}

impl<'e, 'a> Evaluation<'e, 'a> {
    fn of(expander: &'e Expander<'a>) -> Self {
        Self { expander, left: Cell::new(MAX_VALUES) }
    }

    /// Accounts for bytes of values.
    fn take(&self, bytes: usize) -> Result<(), ExpandError> {
        self.left.set(self.left.get().checked_sub(bytes).ok_or(ExpandError::TooLong)?);
        Ok(())
    }

    fn text(&self, template: &Template) -> Result<String, ExpandError> {
        template.iter().map(|part| self.part(part)).collect()
    }

    fn part(&self, part: &Part) -> Result<String, ExpandError> {
        match part {
            Part::Plain(text) | Part::Fixed(text) => Ok(text.clone()),
            Part::Quoted(parts) => self.text(parts),
            Part::Variable(variable) => self.variable(variable),
        }
    }

    fn variable(&self, variable: &Variable) -> Result<String, ExpandError> {
        let value = (self.expander.lookup)(&variable.name);
        self.take(value.as_ref().map_or(0, String::len))?;
        if value.is_none() && self.expander.unset == Unset::Keep {
            return self.as_written(variable);
        }
        match &variable.form {
            Form::Bare | Form::Braced => Ok(value.unwrap_or_default()),
            Form::Alternative { colon, operator, word } => {
                let usable = value.as_ref().is_some_and(|value| !colon || !value.is_empty());
                match (operator, usable) {
                    (Operator::Default, false) | (Operator::Replacement, true) => self.text(word),
                    (Operator::Replacement, false) => Ok(String::new()),
                    (Operator::Default | Operator::Required, true) => Ok(value.unwrap_or_default()),
                    (Operator::Required, false) => {
                        let given = self.text(word)?;
                        Err(ExpandError::Required {
                            name: variable.name.clone(),
                            message: match value {
                                _ if !given.is_empty() => given,
                                None => "must be set".to_owned(),
                                Some(_) => "must not be empty".to_owned(),
                            },
                        })
                    }
                }
            }
            Form::Trim { end, pattern } => {
                let value = value.unwrap_or_default();
                let text = self.text(pattern)?;
                let doubled = match end {
                    End::Start => text.strip_prefix('#'),
                    End::Finish => text.strip_prefix('%'),
                };
                let greed = if doubled.is_some() { Greed::Longest } else { Greed::Shortest };
                let pattern = Pattern::parse(doubled.unwrap_or(&text), self.expander.escape)?;
                self.take(pattern.effort(&value))?;
                Ok(match end {
                    End::Start => pattern.trim_start(&value, greed),
                    End::Finish => pattern.trim_end(&value, greed),
                })
            }
            Form::Replace { all, pattern, replacement } => {
                let pattern = Pattern::parse(&self.text(pattern)?, self.expander.escape)?;
                let replacement = self.text(replacement)?;
                let value = value.unwrap_or_default();
                self.take(pattern.effort(&value))?;
                let replaced = pattern.replace(&value, &replacement, *all, self.left.get());
                let replaced = replaced.ok_or(ExpandError::TooLong)?;
                self.take(replaced.len())?;
                Ok(replaced)
            }
        }
    }

    /// A variable as it was written, with the words in it expanded.
    fn as_written(&self, variable: &Variable) -> Result<String, ExpandError> {
        let name = &variable.name;
        Ok(match &variable.form {
            Form::Bare => format!("${name}"),
            Form::Braced => format!("${{{name}}}"),
            Form::Alternative { colon, operator, word } => {
                let colon = if *colon { ":" } else { "" };
                let operator = match operator {
                    Operator::Default => '-',
                    Operator::Replacement => '+',
                    Operator::Required => '?',
                };
                format!("${{{name}{colon}{operator}{}}}", self.text(word)?)
            }
            Form::Trim { end, pattern } => {
                let operator = match end {
                    End::Start => '#',
                    End::Finish => '%',
                };
                format!("${{{name}{operator}{}}}", self.text(pattern)?)
            }
            Form::Replace { all, pattern, replacement } => {
                let slashes = if *all { "//" } else { "/" };
                let (pattern, replacement) = (self.text(pattern)?, self.text(replacement)?);
                format!("${{{name}{slashes}{pattern}/{replacement}}}")
            }
        })
    }
}
