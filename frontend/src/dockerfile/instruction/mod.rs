//! Typed instructions: what a Dockerfile says, before any variable is expanded.
//!
//! A [`Word`] is text as written (quotes and `$variables` still in it), with its span. Which words are expanded, and
//! when, is the business of lowering. An empty flag value (`--from=`) counts as none.
//!
//! One file a group of instructions: its types, and the rules by which they are read from the generic tree.

mod deps;
mod duration;
mod from;
mod healthcheck;
mod mount;
mod onbuild;
mod run;
mod settings;
mod transfer;

pub use deps::Deps;
pub use from::From;
pub use healthcheck::{Healthcheck, HealthcheckCommand};
pub use mount::{MountField, MountFlag, MountKey};
pub use onbuild::Onbuild;
pub use run::Run;
pub use settings::{ArgDeclaration, KeyValue};
pub use transfer::{Add, Copy, Source, TransferFlags};

use super::{
    flags::{FlagSpec, Flags},
    syntax::{Arguments, KEYWORDS, Statement},
};
use crate::diagnostic::{Code, Diagnostic, Span, Spanned};

/// Text as written, not expanded.
pub type Word = Spanned<String>;

/// A parsed instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    /// What it says.
    pub kind: Kind,
    /// From the keyword to the end of the last line, heredocs included.
    pub span: Span,
    /// From the keyword to the end of the line and its continuations, without heredocs.
    pub head: Span,
    /// The keyword, as written.
    pub keyword: Word,
    /// The logical line without comments and continuations, keyword included, as `docker history` shows it.
    pub original: String,
    /// Texts of the comment lines above, `#` removed: those since the previous instruction or the last `#` alone.
    pub comments: Vec<Spanned<String>>,
    /// The first blank line between the lines of the instruction, which a linter frowns at.
    pub empty_continuation: Option<Span>,
}

/// The 18 instructions of the language, and `DEPS`, our own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// `ADD`
    Add(Add),
    /// `ARG`
    Arg(Vec<ArgDeclaration>),
    /// `CMD`
    Cmd(Command),
    /// `COPY`
    Copy(Copy),
    /// `DEPS`
    Deps(Deps),
    /// `ENTRYPOINT`
    Entrypoint(Command),
    /// `ENV`
    Env(Vec<KeyValue>),
    /// `EXPOSE`
    Expose(Vec<Word>),
    /// `FROM`
    From(From),
    /// `HEALTHCHECK`
    Healthcheck(Healthcheck),
    /// `LABEL`
    Label(Vec<KeyValue>),
    /// `MAINTAINER`
    Maintainer(Word),
    /// `ONBUILD`: the instruction to run later, checked, and its text.
    Onbuild(Box<Onbuild>),
    /// `RUN`
    Run(Run),
    /// `SHELL`
    Shell(Vec<Word>),
    /// `STOPSIGNAL`
    Stopsignal(Word),
    /// `USER`
    User(Word),
    /// `VOLUME`
    Volume(Vec<Word>),
    /// `WORKDIR`
    Workdir(Word),
}

impl Kind {
    /// The packages that do it, whichever way it says so.
    pub(in crate::dockerfile) fn deps(&self) -> Option<&Deps> {
        match self {
            Self::Deps(deps) => Some(deps),
            Self::Run(run) => run.deps.as_deref(),
            Self::Add(_)
            | Self::Arg(_)
            | Self::Cmd(_)
            | Self::Copy(_)
            | Self::Entrypoint(_)
            | Self::Env(_)
            | Self::Expose(_)
            | Self::From(_)
            | Self::Healthcheck(_)
            | Self::Label(_)
            | Self::Maintainer(_)
            | Self::Onbuild(_)
            | Self::Shell(_)
            | Self::Stopsignal(_)
            | Self::User(_)
            | Self::Volume(_)
            | Self::Workdir(_) => None,
        }
    }
}

/// A command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// A JSON list of words: no shell is involved.
    Exec(Vec<Word>),
    /// A line for the stage's shell.
    Shell(Word),
}

/// `<<NAME` in a line, and the lines it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heredoc {
    /// The mark in the line, as written: `3<<-"EOF"`.
    pub mark: Word,
    /// The delimiter, quotes removed.
    pub name: String,
    /// The file descriptor written before `<<`, 0 if none.
    pub descriptor: u32,
    /// The body, tabs already removed where `<<-` asks for it; ends in a line feed unless empty.
    pub content: Spanned<String>,
    /// Whether variables in the body are expanded (the delimiter was not quoted).
    pub expand: bool,
    /// Whether leading tabs were removed (`<<-`).
    pub chomp: bool,
}

/// Reads a statement as the instruction that it is. `source` is the text that its spans point into.
pub(super) fn read(statement: Statement, source: &str) -> Result<Instruction, Diagnostic> {
    let Statement { keyword, flags, arguments, text, heredocs, span } = statement;
    let name = keyword.value.to_ascii_uppercase();
    let flags = Flags::check(&name, flags, flag_specs(&arguments, &keyword)?)?;
    let missing =
        || Diagnostic::error(Code::MissingArgument, format!("{name} requires at least one argument"), keyword.span);
    let kind = match arguments {
        Arguments::Add(list) => Kind::Add(transfer::add(list.words, heredocs, &flags, keyword.span)?),
        Arguments::Arg(declarations) => Kind::Arg(settings::some(declarations, missing)?),
        Arguments::Cmd(command) => Kind::Cmd(command),
        Arguments::Copy(list) => Kind::Copy(transfer::copy(list.words, heredocs, &flags, keyword.span)?),
        Arguments::Deps(dependencies) => Kind::Deps(deps::read(dependencies, keyword.span)?),
        Arguments::Entrypoint(command) => Kind::Entrypoint(command),
        Arguments::Env(pairs) => Kind::Env(settings::some(pairs, missing)?),
        Arguments::Expose(ports) => Kind::Expose(settings::some(ports, missing)?),
        Arguments::From(words) => Kind::From(from::read(&words, &flags, keyword.span)?),
        Arguments::Healthcheck(check) => Kind::Healthcheck(healthcheck::read(check.ok_or_else(missing)?, &flags)?),
        Arguments::Label(pairs) => Kind::Label(settings::some(pairs, missing)?),
        Arguments::Maintainer(name) => Kind::Maintainer(name.ok_or_else(missing)?),
        Arguments::Onbuild(inner) => Kind::Onbuild(Box::new(onbuild::read(*inner.ok_or_else(missing)?, source)?)),
        Arguments::Run(command) => Kind::Run(run::read(command, heredocs, &flags, missing)?),
        Arguments::Shell(command) => Kind::Shell(settings::shell(command, missing)?),
        Arguments::Stopsignal(signal) => Kind::Stopsignal(signal.ok_or_else(missing)?),
        Arguments::User(user) => Kind::User(user.ok_or_else(missing)?),
        Arguments::Volume(list) => Kind::Volume(settings::volumes(list.words, missing)?),
        Arguments::Workdir(path) => Kind::Workdir(path.ok_or_else(missing)?),
        Arguments::Unknown(meant) => return Err(unknown(&keyword, meant)),
    };
    Ok(Instruction {
        kind,
        span,
        head: text.span,
        keyword,
        original: text.value,
        comments: Vec::new(),
        empty_continuation: None,
    })
}

impl Instruction {
    /// Puts what a comment right above it says in the place of a `RUN`. `source` is the text that its spans point into.
    pub(super) fn with_comment(mut self, source: &str, escape: char) -> Result<Self, Diagnostic> {
        if let Kind::Run(run) = &mut self.kind
            && let Some(comment) = self.comments.last()
            && is_next_line(&source[comment.span.end..self.span.start])
        {
            run.deps = deps::of_comment(comment, escape)?.map(Box::new);
        }
        Ok(self)
    }
}

/// Whether what is behind what lies `between` begins on the next line.
fn is_next_line(between: &str) -> bool {
    between.trim().is_empty() && between.matches('\n').count() == 1
}

/// The flags that the instruction takes.
fn flag_specs(arguments: &Arguments, keyword: &Word) -> Result<&'static [FlagSpec], Diagnostic> {
    Ok(match arguments {
        Arguments::Add(_) => transfer::ADD_FLAGS,
        Arguments::Copy(_) => transfer::COPY_FLAGS,
        Arguments::From(_) => from::FLAGS,
        Arguments::Healthcheck(_) => healthcheck::FLAGS,
        Arguments::Run(_) => run::FLAGS,
        Arguments::Unknown(meant) => return Err(unknown(keyword, *meant)),
        Arguments::Arg(_)
        | Arguments::Cmd(_)
        | Arguments::Deps(_)
        | Arguments::Entrypoint(_)
        | Arguments::Env(_)
        | Arguments::Expose(_)
        | Arguments::Label(_)
        | Arguments::Maintainer(_)
        | Arguments::Onbuild(_)
        | Arguments::Shell(_)
        | Arguments::Stopsignal(_)
        | Arguments::User(_)
        | Arguments::Volume(_)
        | Arguments::Workdir(_) => &[],
    })
}

fn unknown(keyword: &Word, meant: Option<&str>) -> Diagnostic {
    let error =
        Diagnostic::error(Code::UnknownInstruction, format!("unknown instruction `{}`", keyword.value), keyword.span);
    match meant {
        Some(meant) => error.with_hint(format!("did you mean `{meant}`?")),
        None => error.with_hint(format!("the instructions are {}", KEYWORDS.join(", "))),
    }
}
