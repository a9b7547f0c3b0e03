//! `HEALTHCHECK`.

use super::{Command, Word, duration};
use crate::{
    diagnostic::{Code, Diagnostic},
    dockerfile::{
        flags::{FlagSpec, Flags, Shape},
        syntax::Check,
    },
};

/// `HEALTHCHECK`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Healthcheck {
    /// `HEALTHCHECK NONE`
    None,
    /// `HEALTHCHECK [flags] CMD …`
    Cmd(HealthcheckCommand),
}

/// `HEALTHCHECK CMD` with its flags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthcheckCommand {
    /// What checks.
    pub command: Command,
    /// `--interval`, nanoseconds.
    pub interval: Option<i64>,
    /// `--timeout`, nanoseconds.
    pub timeout: Option<i64>,
    /// `--start-period`, nanoseconds.
    pub start_period: Option<i64>,
    /// `--start-interval`, nanoseconds.
    pub start_interval: Option<i64>,
    /// `--retries`
    pub retries: Option<i64>,
}

pub(super) const FLAGS: &[FlagSpec] = &[
    ("interval", Shape::Text),
    ("timeout", Shape::Text),
    ("start-period", Shape::Text),
    ("start-interval", Shape::Text),
    ("retries", Shape::Text),
];

pub(super) fn read(check: Check, flags: &Flags) -> Result<Healthcheck, Diagnostic> {
    let given = match &check.command {
        Command::Exec(words) => words.first(),
        Command::Shell(line) => Some(line).filter(|line| !line.value.is_empty()),
    };
    match (check.form.value.to_ascii_uppercase().as_str(), given) {
        ("NONE", None) => Ok(Healthcheck::None),
        ("NONE", Some(word)) => {
            Err(Diagnostic::error(Code::InvalidHealthcheck, "HEALTHCHECK NONE takes no arguments", word.span))
        }
        ("CMD", None) => {
            Err(Diagnostic::error(Code::InvalidHealthcheck, "HEALTHCHECK CMD requires a command", check.form.span))
        }
        ("CMD", Some(_)) => Ok(Healthcheck::Cmd(HealthcheckCommand {
            command: check.command,
            interval: time(flags, "interval")?,
            timeout: time(flags, "timeout")?,
            start_period: time(flags, "start-period")?,
            start_interval: time(flags, "start-interval")?,
            retries: flags.text("retries").map(|word| retries(&word)).transpose()?,
        })),
        _ => Err(Diagnostic::error(
            Code::InvalidHealthcheck,
            format!("HEALTHCHECK does not know `{}`", check.form.value),
            check.form.span,
        )
        .with_hint("write `HEALTHCHECK CMD COMMAND` or `HEALTHCHECK NONE`")),
    }
}

/// A duration of at least a millisecond, or 0 for the engine's default.
fn time(flags: &Flags, name: &str) -> Result<Option<i64>, Diagnostic> {
    const MILLISECOND: i64 = 1_000_000;
    let Some(word) = flags.text(name) else {
        return Ok(None);
    };
    match duration::parse(&word.value) {
        Some(0) => Ok(Some(0)),
        Some(nanoseconds) if nanoseconds >= MILLISECOND => Ok(Some(nanoseconds)),
        Some(_) => {
            Err(Diagnostic::error(Code::InvalidDuration, format!("--{name} cannot be less than 1ms"), word.span))
        }
        None => Err(Diagnostic::error(Code::InvalidDuration, format!("`{}` is no duration", word.value), word.span)
            .with_hint("write a number and a unit, such as `30s` or `1m30s`")),
    }
}

fn retries(word: &Word) -> Result<i64, Diagnostic> {
    match word.value.parse::<i32>() {
        Ok(retries) if retries >= 0 => Ok(i64::from(retries)),
        Ok(_) | Err(_) => Err(Diagnostic::error(
            Code::InvalidRetries,
            format!("--retries is a number from 0 up, not `{}`", word.value),
            word.span,
        )),
    }
}
