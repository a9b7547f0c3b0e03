//! `COPY` and `ADD`.

use super::{Heredoc, Word};
use crate::{
    diagnostic::{Code, Diagnostic, Span, Spanned},
    dockerfile::flags::{FlagSpec, Flags, Shape},
};

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

pub(super) const COPY_FLAGS: &[FlagSpec] = &[
    ("from", Shape::Text),
    ("chown", Shape::Text),
    ("chmod", Shape::Text),
    ("link", Shape::Switch),
    ("parents", Shape::Switch),
    ("exclude", Shape::List),
];

pub(super) const ADD_FLAGS: &[FlagSpec] = &[
    ("chown", Shape::Text),
    ("chmod", Shape::Text),
    ("link", Shape::Switch),
    ("keep-git-dir", Shape::Switch),
    ("checksum", Shape::Text),
    ("unpack", Shape::Switch),
    ("exclude", Shape::List),
];

pub(super) fn copy(words: Vec<Word>, heredocs: Vec<Heredoc>, flags: &Flags, keyword: Span) -> Result<Copy, Diagnostic> {
    let (sources, dest) = sources_and_dest("COPY", words, heredocs, keyword)?;
    let parents = flags.switch("parents").filter(|parents| parents.value);
    Ok(Copy {
        flags: shared(flags),
        from: flags.text("from"),
        parents: parents.map(|parents| parents.span),
        sources,
        dest,
    })
}

pub(super) fn add(words: Vec<Word>, heredocs: Vec<Heredoc>, flags: &Flags, keyword: Span) -> Result<Add, Diagnostic> {
    let (sources, dest) = sources_and_dest("ADD", words, heredocs, keyword)?;
    Ok(Add {
        flags: shared(flags),
        keep_git_dir: flags.switch("keep-git-dir"),
        checksum: flags.text("checksum"),
        unpack: flags.switch("unpack"),
        sources,
        dest,
    })
}

fn shared(flags: &Flags) -> TransferFlags {
    TransferFlags {
        chown: flags.text("chown"),
        chmod: flags.text("chmod"),
        link: flags.switch("link").is_some_and(|link| link.value),
        exclude: flags.list("exclude"),
    }
}

fn sources_and_dest(
    name: &str,
    words: Vec<Word>,
    heredocs: Vec<Heredoc>,
    keyword: Span,
) -> Result<(Vec<Source>, Word), Diagnostic> {
    let mut arguments = with_heredocs(words, heredocs);
    let dest = match arguments.pop() {
        Some(Source::Path(dest)) => dest,
        Some(Source::Heredoc(heredoc)) => {
            return Err(Diagnostic::error(
                Code::HeredocAsDestination,
                format!("{name} cannot write to a heredoc"),
                heredoc.mark.span,
            )
            .with_hint("the last argument is the destination"));
        }
        None => {
            return Err(Diagnostic::error(
                Code::MissingDestination,
                format!("{name} requires a source and a destination"),
                keyword,
            ));
        }
    };
    if arguments.is_empty() {
        return Err(Diagnostic::error(
            Code::MissingDestination,
            format!("{name} requires a source and a destination"),
            dest.span,
        )
        .with_label("only this is given"));
    }
    Ok((arguments, dest))
}

/// Puts each heredoc in the place of its mark, which may have been split into several words.
fn with_heredocs(words: Vec<Word>, heredocs: Vec<Heredoc>) -> Vec<Source> {
    let mut heredocs = heredocs.into_iter().peekable();
    let mut covered_to = 0;
    let mut sources = Vec::with_capacity(words.len());
    for word in words {
        if let Some(heredoc) = heredocs.next_if(|next| next.mark.span.start == word.span.start) {
            covered_to = heredoc.mark.span.end;
            sources.push(Source::Heredoc(heredoc));
        } else if word.span.start >= covered_to {
            sources.push(Source::Path(word));
        }
    }
    sources
}
