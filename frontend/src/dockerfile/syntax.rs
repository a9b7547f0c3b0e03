//! A logical line to keyword, flags and arguments: the generic tree of the language, before any instruction's own rules.
//!
//! | Instructions | What is behind the keyword and its flags |
//! |---|---|
//! | `RUN` `CMD` `ENTRYPOINT` `SHELL` | a JSON list of strings, or else one line for a shell |
//! | `COPY` `ADD` `VOLUME` | a JSON list of strings, or else words between blanks |
//! | `FROM` `EXPOSE` | words between blanks |
//! | `ARG` | words between white space, where quotes and escapes hold a word together |
//! | `ENV` `LABEL` | such words with a `=`, or `key value` |
//! | `USER` `WORKDIR` `STOPSIGNAL` `MAINTAINER` | one text, white space included |
//! | `DEPS` | a word, then flags, then words between blanks |
//! | `HEALTHCHECK` | a word (`CMD`, `NONE`), then as `RUN` |
//! | `ONBUILD` | another instruction |
//!
//! Something that looks like JSON and is not is a line for a shell: `[ -f x ]` is a command. A JSON list of something
//! else than strings is an error.

use super::{
    flags::{self, Flag},
    instruction::{ArgDeclaration, Command, Heredoc, KeyValue, Word},
    line::Piece,
    words,
};
use crate::diagnostic::{Code, Diagnostic, Span, nearest};

/// One instruction as the generic tree.
#[derive(Debug)]
pub(super) struct Statement {
    /// The keyword as written.
    pub(super) keyword: Word,
    /// The flags, not yet checked.
    pub(super) flags: Vec<Flag>,
    /// What is behind them.
    pub(super) arguments: Arguments,
    /// The text of the line.
    pub(super) text: Word,
    /// The heredocs that follow the line.
    pub(super) heredocs: Vec<Heredoc>,
    /// From the keyword to the end of the last line, heredocs included.
    pub(super) span: Span,
}

/// What is behind keyword and flags, by instruction.
#[derive(Debug)]
pub(super) enum Arguments {
    Add(List),
    Arg(Vec<ArgDeclaration>),
    Cmd(Command),
    Copy(List),
    Deps(Option<Dependencies>),
    Entrypoint(Command),
    Env(Vec<KeyValue>),
    Expose(Vec<Word>),
    From(Vec<Word>),
    Healthcheck(Option<Check>),
    Label(Vec<KeyValue>),
    Maintainer(Option<Word>),
    Onbuild(Option<Box<Statement>>),
    Run(Command),
    Shell(Command),
    Stopsignal(Option<Word>),
    User(Option<Word>),
    Volume(List),
    Workdir(Option<Word>),
    /// Of a keyword that does not exist, with the one that was probably meant.
    Unknown(Option<&'static str>),
}

/// Words that may have been a JSON list.
#[derive(Debug)]
pub(super) struct List {
    pub(super) words: Vec<Word>,
    pub(super) json: bool,
}

/// The arguments of `DEPS`.
#[derive(Debug)]
pub(super) struct Dependencies {
    /// The first word: whose packages.
    pub(super) ecosystem: Word,
    /// The flags behind it, not yet checked.
    pub(super) flags: Vec<Flag>,
    /// What is behind them.
    pub(super) words: Vec<Word>,
}

/// The arguments of `HEALTHCHECK`.
#[derive(Debug)]
pub(super) struct Check {
    /// The first word.
    pub(super) form: Word,
    /// What is behind it.
    pub(super) command: Command,
}

/// All instructions, in the order of the alphabet.
pub(super) const KEYWORDS: [&str; 19] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "DEPS",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// Reads a logical line.
pub(super) fn read(line: Piece<'_>, escape: char) -> Result<Statement, Diagnostic> {
    let line = line.trim();
    let (keyword, behind) = line.split_blank();
    let upper = keyword.as_str().to_ascii_uppercase();
    let (flags, rest) = match behind {
        Some(behind) => flags::split(behind, escape),
        None => (Vec::new(), line.tail(keyword.as_str().len())),
    };
    Ok(Statement {
        arguments: arguments(&upper, rest, escape)?,
        keyword: keyword.word(),
        flags,
        text: line.word(),
        span: line.span(),
        heredocs: Vec::new(),
    })
}

impl Statement {
    /// Whether heredocs can follow the line: `RUN`, `COPY` and `ADD` unless in JSON form, and `ONBUILD` of these. So that
    /// a mistyped keyword does not turn its heredocs into more errors, what was probably meant counts.
    pub(super) fn takes_heredocs(&self) -> bool {
        match &self.arguments {
            Arguments::Run(command) => matches!(command, Command::Shell(_)),
            Arguments::Copy(list) | Arguments::Add(list) => !list.json,
            Arguments::Unknown(meant) => matches!(meant, Some("RUN" | "COPY" | "ADD")),
            Arguments::Onbuild(inner) => inner.as_ref().is_some_and(|inner| inner.takes_heredocs()),
            Arguments::Arg(_)
            | Arguments::Cmd(_)
            | Arguments::Deps(_)
            | Arguments::Entrypoint(_)
            | Arguments::Env(_)
            | Arguments::Expose(_)
            | Arguments::From(_)
            | Arguments::Healthcheck(_)
            | Arguments::Label(_)
            | Arguments::Maintainer(_)
            | Arguments::Shell(_)
            | Arguments::Stopsignal(_)
            | Arguments::User(_)
            | Arguments::Volume(_)
            | Arguments::Workdir(_) => false,
        }
    }

    /// Gives the statement, or the one inside `ONBUILD`, the heredocs that follow it and end with `last_line`.
    pub(super) fn attach(&mut self, heredocs: Vec<Heredoc>, last_line: Span) {
        self.span = self.span.to(last_line);
        if let Arguments::Onbuild(Some(inner)) = &mut self.arguments {
            inner.attach(heredocs, last_line);
        } else {
            self.heredocs = heredocs;
        }
    }
}

/// The keyword that `text` is, or probably should be.
pub(super) fn meant(text: &str) -> Option<&'static str> {
    nearest(text, KEYWORDS)
}

fn arguments(keyword: &str, rest: Piece<'_>, escape: char) -> Result<Arguments, Diagnostic> {
    Ok(match keyword {
        "ADD" => Arguments::Add(list(rest)?),
        "ARG" => Arguments::Arg(words::declarations(rest, escape)?),
        "CMD" => Arguments::Cmd(command(rest)?),
        "COPY" => Arguments::Copy(list(rest)?),
        "DEPS" => Arguments::Deps(dependencies(rest, escape)),
        "ENTRYPOINT" => Arguments::Entrypoint(command(rest)?),
        "ENV" => Arguments::Env(words::key_values("ENV", rest, escape)?),
        "EXPOSE" => Arguments::Expose(owned(rest.split_blanks())),
        "FROM" => Arguments::From(owned(rest.split_blanks())),
        "HEALTHCHECK" => Arguments::Healthcheck(check(rest)?),
        "LABEL" => Arguments::Label(words::key_values("LABEL", rest, escape)?),
        "MAINTAINER" => Arguments::Maintainer(text(rest)),
        "ONBUILD" => Arguments::Onbuild(nested(rest, escape)?),
        "RUN" => Arguments::Run(command(rest)?),
        "SHELL" => Arguments::Shell(command(rest)?),
        "STOPSIGNAL" => Arguments::Stopsignal(text(rest)),
        "USER" => Arguments::User(text(rest)),
        "VOLUME" => Arguments::Volume(list(rest)?),
        "WORKDIR" => Arguments::Workdir(text(rest)),
        unknown => Arguments::Unknown(meant(unknown)),
    })
}

fn owned(pieces: Vec<Piece<'_>>) -> Vec<Word> {
    pieces.into_iter().map(Piece::word).collect()
}

fn text(rest: Piece<'_>) -> Option<Word> {
    (!rest.is_empty()).then(|| rest.word())
}

fn command(rest: Piece<'_>) -> Result<Command, Diagnostic> {
    Ok(match words::json_list(rest)? {
        Some(words) => Command::Exec(words),
        None => Command::Shell(rest.word()),
    })
}

fn list(rest: Piece<'_>) -> Result<List, Diagnostic> {
    Ok(match words::json_list(rest)? {
        Some(words) => List { words, json: true },
        None => List { words: owned(rest.split_blanks()), json: false },
    })
}

pub(super) fn dependencies(rest: Piece<'_>, escape: char) -> Option<Dependencies> {
    if rest.is_empty() {
        return None;
    }
    let (ecosystem, behind) = rest.split_blank();
    let (flags, rest) = behind.map_or((Vec::new(), None), |behind| {
        let (flags, rest) = flags::split(behind, escape);
        (flags, Some(rest))
    });
    let words = rest.map_or(Vec::new(), |rest| owned(rest.split_blanks()));
    Some(Dependencies { ecosystem: ecosystem.word(), flags, words })
}

fn check(rest: Piece<'_>) -> Result<Option<Check>, Diagnostic> {
    if rest.is_empty() {
        return Ok(None);
    }
    let source = rest.as_str();
    let end = source.find(char::is_whitespace).unwrap_or(source.len());
    Ok(Some(Check { form: rest.slice(0..end).word(), command: command(rest.tail(end).trim())? }))
}

fn nested(rest: Piece<'_>, escape: char) -> Result<Option<Box<Statement>>, Diagnostic> {
    if rest.is_empty() {
        return Ok(None);
    }
    let (keyword, _) = rest.split_blank();
    if keyword.as_str().eq_ignore_ascii_case("ONBUILD") {
        return Err(Diagnostic::error(
            Code::ForbiddenTrigger,
            "ONBUILD cannot be an ONBUILD instruction itself",
            keyword.span(),
        ));
    }
    read(rest, escape).map(|statement| Some(Box::new(statement)))
}
