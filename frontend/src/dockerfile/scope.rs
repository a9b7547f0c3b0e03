//! Which variables have which values, where.
//!
//! | variable | seen by `FROM` | seen in a stage |
//! |---|---|---|
//! | automatic (`TARGETPLATFORM` …) | always | once declared with `ARG` |
//! | `ARG` before the first `FROM` | below it | once declared again, as the default |
//! | `ARG` in a stage | never | below it, and in stages that start from that stage |
//! | `ENV`, and the base image's | never | below it, and in what starts from it |
//!
//! `ENV` and `ARG` of one name overwrite each other in the order of the file, as in moby/buildkit. A build argument wins over
//! any default, automatic values included (Dockerfile reference, "ARG").

use super::{
    Dockerfile,
    expand::{ExpandError, Expander},
    inputs::{EPOCH_ARG, Options},
    instruction::{ArgDeclaration, Heredoc, Word},
    stage::{Stage, Stages},
};
use crate::{
    diagnostic::{Code, Diagnostic, Span},
    platform::Platform,
};
use std::collections::HashMap;

/// Variables in the order in which they first got a value.
#[derive(Debug, Clone, Default)]
pub(super) struct Variables {
    list: Vec<(String, String)>,
    index: HashMap<String, usize>,
}

impl Variables {
    /// Reads `NAME=value` entries.
    pub(super) fn read(entries: &[String]) -> Self {
        let mut variables = Self::default();
        for entry in entries {
            let (name, value) = entry.split_once('=').unwrap_or((entry, ""));
            variables.set(name, value);
        }
        variables
    }

    /// Writes `NAME=value` entries.
    pub(super) fn write(&self) -> Vec<String> {
        self.list.iter().map(|(name, value)| format!("{name}={value}")).collect()
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.index.get(name).map(|index| self.list[*index].1.as_str())
    }

    /// The names, in the order of the variables.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.list.iter().map(|(name, _)| name.as_str())
    }

    pub(super) fn set(&mut self, name: &str, value: &str) {
        if let Some(index) = self.index.get(name) {
            value.clone_into(&mut self.list[*index].1);
        } else {
            self.index.insert(name.to_owned(), self.list.len());
            self.list.push((name.to_owned(), value.to_owned()));
        }
    }

    pub(super) fn expand(&self, word: &Word, escape: char) -> Result<String, Diagnostic> {
        let lookup = |name: &str| self.get(name).map(str::to_owned);
        Expander::new(escape, &lookup).expand(&word.value).map_err(|error| cannot_expand(&error, word.span))
    }

    /// The words that `word` is after expansion.
    pub(super) fn expand_words(&self, word: &Word, escape: char) -> Result<Vec<String>, Diagnostic> {
        let lookup = |name: &str| self.get(name).map(str::to_owned);
        Expander::new(escape, &lookup).expand_words(&word.value).map_err(|error| cannot_expand(&error, word.span))
    }

    /// The body of `heredoc`, expanded unless its delimiter was quoted.
    pub(super) fn expand_body(&self, heredoc: &Heredoc) -> Result<String, Diagnostic> {
        if !heredoc.expand {
            return Ok(heredoc.content.value.clone());
        }
        let lookup = |name: &str| self.get(name).map(str::to_owned);
        Expander::heredoc(&lookup)
            .expand(&heredoc.content.value)
            .map_err(|error| cannot_expand(&error, heredoc.content.span))
    }

    /// Whether all variables that `word` names have values.
    pub(super) fn know(&self, word: &Word, escape: char) -> bool {
        let lookup = |name: &str| self.get(name).map(str::to_owned);
        Expander::new(escape, &lookup).names(&word.value).is_ok_and(|names| names.unset.is_empty())
    }

    /// Whether all variables that the body of `heredoc` names have values.
    pub(super) fn know_body(&self, heredoc: &Heredoc) -> bool {
        let lookup = |name: &str| self.get(name).map(str::to_owned);
        Expander::heredoc(&lookup).names(&heredoc.content.value).is_ok_and(|names| names.unset.is_empty())
    }

    /// `text` for people: with the values that are known, and as it is if that fails.
    pub(super) fn show(&self, text: &str, escape: char) -> String {
        let lookup = |name: &str| self.get(name).map(str::to_owned);
        Expander::display(escape, &lookup).expand(text).unwrap_or_else(|_| text.to_owned())
    }
}

fn cannot_expand(error: &ExpandError, span: Span) -> Diagnostic {
    let diagnostic = |code| Diagnostic::error(code, error.to_string(), span);
    match error {
        ExpandError::Required { name, .. } => diagnostic(Code::RequiredVariable)
            .with_hint(format!("give it a value: `--build-arg {name}=VALUE`, or a default with ARG or ENV")),
        ExpandError::Unclosed(_) => diagnostic(Code::UnclosedWord),
        ExpandError::MissingName(_) | ExpandError::UnknownModifier(_) => diagnostic(Code::InvalidVariable),
        ExpandError::InvalidPattern { .. } => diagnostic(Code::InvalidVariablePattern),
        ExpandError::TooDeep | ExpandError::TooLong => diagnostic(Code::ExpansionTooLarge),
    }
}

/// What `FROM` sees for the target platform: automatic and global arguments; and what is wrong with those that have no value
/// therefore.
pub(super) fn global_variables(
    options: &Options,
    target: &Platform,
    stages: &Stages<'_>,
    escape: char,
) -> (Variables, Vec<Diagnostic>) {
    let mut errors = Vec::new();
    let last_name = stages.list.last().and_then(Stage::name);
    let target_stage = options.target.as_deref().or(last_name).unwrap_or("default");
    let mut globals = Variables::default();
    for (role, platform) in [("BUILD", &options.build_platform), ("TARGET", target)] {
        for (property, value) in [
            ("PLATFORM", platform.to_string().as_str()),
            ("OS", &platform.os),
            ("OSVERSION", ""),
            ("ARCH", &platform.arch),
            ("VARIANT", platform.variant.as_deref().unwrap_or_default()),
        ] {
            globals.set(&format!("{role}{property}"), value);
        }
    }
    globals.set("TARGETSTAGE", target_stage);
    let automatic: Vec<String> = globals.list.iter().map(|(name, _)| name.clone()).collect();
    for name in automatic {
        if let Some(value) = options.build_arg(&name) {
            globals.set(&name, &value);
        }
    }
    for ArgDeclaration { name, default } in &stages.global_args {
        if let Some(value) = options.build_arg(&name.value) {
            globals.set(&name.value, &value);
        } else if let Some(default) = default {
            match globals.expand(default, escape) {
                Ok(value) if name.value == EPOCH_ARG => globals.set(&name.value, &options.epoch_text(&value)),
                Ok(value) => globals.set(&name.value, &value),
                Err(error) => errors.push(error),
            }
        }
    }
    (globals, errors)
}

/// `SOURCE_DATE_EPOCH`, from the options, the build arguments or the file.
pub(super) fn epoch(file: &Dockerfile, options: &Options, globals: &Variables) -> Result<Option<i64>, Diagnostic> {
    let asked = options.build_arg(EPOCH_ARG);
    match asked.as_deref().or_else(|| globals.get(EPOCH_ARG)) {
        None | Some("") => Ok(None),
        Some(seconds) => seconds.parse().map(Some).map_err(|_| {
            let stages = Stages::of(file);
            let written = stages.global_args.iter().rev().find(|arg| arg.name.value == EPOCH_ARG && asked.is_none());
            let span = match written.and_then(|arg| arg.default.as_ref()) {
                Some(word) => word.span,
                None => stages.list[0].instruction.span,
            };
            Diagnostic::error(
                Code::InvalidEpoch,
                format!("{EPOCH_ARG} is a number of seconds since 1970, not `{seconds}`"),
                span,
            )
        }),
    }
}

/// The variables of a stage.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope {
    /// All that can be used: `ENV` and `ARG`.
    pub(super) visible: Variables,
    /// What containers of the image get: `ENV`.
    pub(super) environment: Variables,
    /// `ARG`s declared so far, each once, with the value they got there.
    args: Variables,
}

impl Scope {
    /// The scope of a stage that starts with the environment of an image.
    pub(super) fn of_image(environment: &[String]) -> Self {
        let environment = Variables::read(environment);
        Self { visible: environment.clone(), environment, args: Variables::default() }
    }

    pub(super) fn set_env(&mut self, name: &str, value: &str) {
        self.visible.set(name, value);
        self.environment.set(name, value);
    }

    pub(super) fn declare(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.visible.set(name, value);
        }
        self.args.set(name, value.unwrap_or_default());
    }

    /// Bytes of all names and values.
    pub(super) fn size(&self) -> usize {
        let all = [&self.visible, &self.environment, &self.args];
        all.iter().flat_map(|variables| &variables.list).map(|(name, value)| 2 * name.len() + value.len() + 64).sum()
    }

    /// Whether an `ARG` of that name was declared, with a value or not.
    pub(super) fn declares(&self, name: &str) -> bool {
        self.args.get(name).is_some()
    }

    /// `|2 A=b C=`: how the history tells which arguments a command saw; empty if there are none.
    pub(super) fn args_for_history(&self) -> String {
        use std::fmt::Write as _;
        let mut text = String::new();
        let args = &self.args.list;
        if !args.is_empty() {
            let _ = write!(text, "|{} ", args.len());
        }
        for (name, value) in args {
            let _ = write!(text, "{name}={} ", self.visible.get(name).unwrap_or(value));
        }
        text
    }
}
