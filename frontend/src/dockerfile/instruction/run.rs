//! `RUN`.

use super::{Command, Deps, Heredoc, MountFlag, Word, mount};
use crate::{
    diagnostic::Diagnostic,
    dockerfile::flags::{FlagSpec, Flags, Shape},
};

/// `RUN`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// `--mount`
    pub mounts: Vec<MountFlag>,
    /// `--network`
    pub network: Option<Word>,
    /// `--security`
    pub security: Option<Word>,
    /// `--device`, each as written.
    pub devices: Vec<Word>,
    /// What runs.
    pub command: Command,
    /// Its heredocs, in the order of their marks.
    pub heredocs: Vec<Heredoc>,
    /// What takes its place here, said in a comment right above it: `# deps: python requirements.txt`.
    pub deps: Option<Box<Deps>>,
}

impl Run {
    /// The heredoc that is the whole command: its body is the script, instead of input to a command.
    pub fn script(&self) -> Option<&Heredoc> {
        match (&self.command, self.heredocs.as_slice()) {
            (Command::Shell(line), [only]) if line.span == only.mark.span => Some(only),
            (Command::Shell(_) | Command::Exec(_), _) => None,
        }
    }
}

pub(super) const FLAGS: &[FlagSpec] =
    &[("mount", Shape::List), ("network", Shape::Text), ("security", Shape::Text), ("device", Shape::List)];

pub(super) fn read(
    command: Command,
    heredocs: Vec<Heredoc>,
    flags: &Flags,
    missing: impl Fn() -> Diagnostic,
) -> Result<Run, Diagnostic> {
    let empty = match &command {
        Command::Exec(words) => words.is_empty(),
        Command::Shell(line) => line.value.is_empty(),
    };
    if empty {
        return Err(missing());
    }
    Ok(Run {
        mounts: flags.list("mount").iter().map(mount::read).collect::<Result<_, _>>()?,
        network: flags.text("network"),
        security: flags.text("security"),
        devices: flags.list("device"),
        command,
        heredocs,
        deps: None,
    })
}
