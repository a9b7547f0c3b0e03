//! `skip=A,B;error=true;experimental=all`: which rules count, and how much.
//!
//! It stands in the directive `# check=`, in a comment of that form right above an instruction (only for that one), or in
//! the build argument `BUILDKIT_DOCKERFILE_CHECK`, which then takes the place of the directive.

use super::Rule;
use crate::{diagnostic::nearest, dockerfile::instruction::Word};

/// Which rules count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckOptions {
    /// Rules that are silent.
    pub skip: Choice,
    /// Experimental rules that are not.
    pub experimental: Choice,
    /// Whether warnings fail the build.
    pub error: bool,
}

/// Some rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// These, by name. A name that no rule has means nothing: the rule may be of another version.
    Only(Vec<String>),
    /// All.
    All,
}

impl Default for Choice {
    fn default() -> Self {
        Self::Only(Vec::new())
    }
}

impl Choice {
    fn read(text: &str) -> Self {
        match text.trim() {
            "all" => Self::All,
            names => Self::Only(names.split(',').map(|name| name.trim().to_owned()).collect()),
        }
    }

    fn has(&self, rule: &Rule) -> bool {
        match self {
            Self::Only(names) => names.iter().any(|name| name == rule.name),
            Self::All => true,
        }
    }
}

/// Why a text is no choice of rules.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckOptionError {
    /// Something without a `=`.
    #[error("the check option `{0}` has no value")]
    NoValue(String),
    /// A name that is not known.
    #[error("there is no check option `{0}`")]
    Unknown(String),
    /// `error=` something else.
    #[error("the check option `error` is `true` or `false`, not `{0}`")]
    NoBool(String),
}

/// The names of options.
const OPTIONS: [&str; 3] = ["skip", "error", "experimental"];

impl CheckOptionError {
    /// What to write instead.
    pub fn hint(&self) -> String {
        match self {
            Self::Unknown(name) => match nearest(name, OPTIONS) {
                Some(known) => format!("did you mean `{known}`?"),
                None => "the options are skip, error and experimental, separated by `;`".to_owned(),
            },
            Self::NoValue(_) => "write `skip=RULE,RULE` or `skip=all`, `error=true`, `experimental=all`".to_owned(),
            Self::NoBool(_) => "write `error=true`".to_owned(),
        }
    }
}

impl CheckOptions {
    /// Reads `skip=…;error=…;experimental=…`.
    pub fn parse(text: &str) -> Result<Self, CheckOptionError> {
        let mut options = Self::default();
        if text.trim().is_empty() {
            return Ok(options);
        }
        for part in text.trim().splitn(3, ';') {
            let (name, value) =
                part.split_once('=').ok_or_else(|| CheckOptionError::NoValue(part.trim().to_owned()))?;
            match name.trim() {
                "skip" => options.skip = Choice::read(value),
                "experimental" => options.experimental = Choice::read(value),
                "error" => options.error = boolean(value.trim())?,
                other => return Err(CheckOptionError::Unknown(other.to_owned())),
            }
        }
        Ok(options)
    }

    /// Reads the value of a directive: what is behind its first blank is a remark.
    pub(super) fn parse_directive(value: &str) -> Result<Self, CheckOptionError> {
        Self::parse(value.split(' ').next().unwrap_or_default())
    }

    /// Whether `rule` is heard where these comments stand above an instruction.
    pub(super) fn hears(&self, rule: &Rule, comments: &[Word]) -> bool {
        let here = comments.iter().find_map(local).and_then(Result::ok).unwrap_or_default();
        if rule.experimental {
            self.experimental.has(rule) || here.experimental.has(rule)
        } else {
            !self.skip.has(rule) && !here.skip.has(rule)
        }
    }
}

/// What a comment of the form `check=…` says.
fn local(comment: &Word) -> Option<Result<CheckOptions, CheckOptionError>> {
    let (name, value) = comment.value.split_once('=')?;
    name.trim_end().eq_ignore_ascii_case("check").then(|| CheckOptions::parse_directive(value.trim()))
}

/// A truth value as Go's `strconv.ParseBool` reads it.
fn boolean(text: &str) -> Result<bool, CheckOptionError> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        other => Err(CheckOptionError::NoBool(other.to_owned())),
    }
}
