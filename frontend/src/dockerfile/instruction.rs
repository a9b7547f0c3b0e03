//! Typed instructions: what a Dockerfile says, before any variable is expanded.
//!
//! A [`Word`] is text as written (quotes and `$variables` still in it), with its span. Which words are expanded, and
//! when, is the business of lowering.

use crate::diagnostic::{Span, Spanned};

/// Text as written, not expanded.
pub type Word = Spanned<String>;

/// A parsed instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    /// What it says.
    pub kind: Kind,
    /// From the keyword to the end of the last line, heredocs included.
    pub span: Span,
    /// The keyword, as written.
    pub keyword: Word,
    /// The logical line without comments and continuations, keyword included, as `docker history` shows it.
    pub original: String,
    /// Texts of the comment lines right above, `#` removed.
    pub comments: Vec<Spanned<String>>,
}

/// The 18 instructions.
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

/// One name of an `ARG`, with its default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArgDeclaration {
    /// The name.
    pub name: Word,
    /// The default, not expanded.
    pub default: Option<Word>,
}

/// One pair of `ENV` or `LABEL`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyValue {
    /// The key.
    pub key: Word,
    /// The value.
    pub value: Word,
    /// Whether it was written `key value`, without `=` (legacy).
    pub legacy: bool,
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

/// `RUN`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// `--mount`, each as written.
    pub mounts: Vec<Word>,
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
}

/// One source of `COPY` or `ADD`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A path, pattern or address.
    Path(Word),
    /// A file written in the Dockerfile.
    Heredoc(Heredoc),
}

/// Flags that `COPY` and `ADD` share.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TransferFlags {
    /// `--chown`
    pub chown: Option<Word>,
    /// `--chmod`
    pub chmod: Option<Word>,
    /// `--link`
    pub link: bool,
    /// `--exclude`, each as written.
    pub exclude: Vec<Word>,
}

/// `COPY`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// Shared flags.
    pub flags: TransferFlags,
    /// `--from`
    pub from: Option<Word>,
    /// Where `--parents` was given.
    pub parents: Option<Span>,
    /// What.
    pub sources: Vec<Source>,
    /// Where to.
    pub dest: Word,
}

/// `ADD`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Add {
    /// Shared flags.
    pub flags: TransferFlags,
    /// `--keep-git-dir`
    pub keep_git_dir: Option<Spanned<bool>>,
    /// `--checksum`
    pub checksum: Option<Word>,
    /// `--unpack`
    pub unpack: Option<Spanned<bool>>,
    /// What.
    pub sources: Vec<Source>,
    /// Where to.
    pub dest: Word,
}

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

/// `ONBUILD`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Onbuild {
    /// The text behind `ONBUILD`, as the configuration records it.
    pub text: String,
    /// The instruction that it is.
    pub instruction: Instruction,
}
