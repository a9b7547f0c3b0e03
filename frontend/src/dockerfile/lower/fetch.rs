//! Sources of `ADD` that are elsewhere: files at URLs, and repositories; with what flags say about them.

use super::StageBuild;
use crate::{
    diagnostic::{Code, Diagnostic, Span, Spanned},
    dockerfile::instruction::Word,
    graph::{CopySource, GitOp, HttpOp},
    remote::{GitAddress, Remote, file_name, git::checksum},
};

/// A source of `COPY` or `ADD`, read.
pub(super) enum Taken {
    /// Files of the context, a stage or an image.
    Files(CopySource),
    /// A file behind a URL.
    File(HttpOp),
    /// A repository, and the folder of it that is meant.
    Repository(GitOp, Option<String>),
}

/// Flags of `ADD` about what is elsewhere.
pub(super) struct FetchFlags<'a> {
    pub(super) checksum: Option<&'a Word>,
    pub(super) keep_git_dir: Option<&'a Spanned<bool>>,
}

impl FetchFlags<'_> {
    /// What an address comes to.
    pub(super) fn fetch(&self, stage: &StageBuild<'_, '_>, remote: Remote, span: Span) -> Result<Taken, Diagnostic> {
        let checksum = match self.checksum {
            None => None,
            Some(word) => Some((stage.expand(word)?, word.span)).filter(|(text, _)| !text.is_empty()),
        };
        match remote {
            Remote::File(url) => {
                let checksum = checksum.map(|(text, span)| sha256(&text, span)).transpose()?;
                Ok(Taken::File(HttpOp { name: file_name(&url), url, checksum }))
            }
            Remote::Repository(address) => self.repository(address, checksum, span),
        }
    }

    fn repository(&self, address: GitAddress, flag: Option<(String, Span)>, span: Span) -> Result<Taken, Diagnostic> {
        let GitAddress { remote, reference, subdir, submodules, fetch_by_commit, .. } = address;
        if let (Some(flag), Some(asked)) = (self.keep_git_dir, address.keep_git_dir)
            && flag.value != asked
        {
            return Err(Diagnostic::error(
                Code::ConflictingAddress,
                "the flag and the address disagree about keep-git-dir",
                flag.span,
            ));
        }
        let keep_git_dir = address.keep_git_dir.or(self.keep_git_dir.map(|flag| flag.value)).unwrap_or(false);
        let checksum = match (flag, address.checksum) {
            (None, asked) => asked,
            (Some((text, span)), asked) => {
                let flag = checksum(&text).map_err(|_| {
                    Diagnostic::error(Code::InvalidChecksum, format!("`{text}` is no commit"), span)
                        .with_hint("the checksum of a repository is its commit, or how that starts")
                })?;
                if asked.is_some_and(|asked| asked != flag) {
                    return Err(Diagnostic::error(
                        Code::ConflictingAddress,
                        "the flag and the address name different commits",
                        span,
                    ));
                }
                Some(flag)
            }
        };
        if fetch_by_commit && checksum.is_none() {
            return Err(Diagnostic::error(Code::MissingChecksum, "fetch-by-commit needs a checksum", span)
                .with_hint("add `--checksum=COMMIT` with all digits of the commit"));
        }
        let submodules = submodules.unwrap_or(true);
        let op = GitOp { remote, reference, checksum, keep_git_dir, submodules, fetch_by_commit };
        Ok(Taken::Repository(op, subdir))
    }

    /// Refuses a checksum that could not be that of anything.
    pub(super) fn check(&self, taken: &[Taken]) -> Result<(), Diagnostic> {
        let Some(checksum) = self.checksum else { return Ok(()) };
        match taken {
            [Taken::File(_) | Taken::Repository(..)] => Ok(()),
            [Taken::Files(_)] | [] => Err(Diagnostic::error(
                Code::ChecksumOfNothing,
                "only what comes from elsewhere has a checksum",
                checksum.span,
            )
            .with_hint("the source is a path; --checksum is for URLs and repositories")),
            _ => Err(Diagnostic::error(
                Code::ChecksumOfNothing,
                "--checksum is of one source, and there are several",
                checksum.span,
            )
            .with_hint("write an ADD for each")),
        }
    }
}

/// Reads `sha256:` and 64 digits.
fn sha256(text: &str, span: Span) -> Result<String, Diagnostic> {
    let digits = text.strip_prefix("sha256:").filter(|digits| digits.len() == 64);
    match digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit())) {
        Some(_) => Ok(text.to_ascii_lowercase()),
        None => Err(Diagnostic::error(Code::InvalidChecksum, format!("`{text}` is no checksum of a file"), span)
            .with_hint("write `sha256:` and 64 hexadecimal digits, as `sha256sum` prints them")),
    }
}
