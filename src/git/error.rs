//! Why there is no checkout.

use std::{io, path::PathBuf};

/// Why there is no checkout of a repository.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// The command is missing.
    #[error("repositories need the command `git`, which is not in PATH: install git")]
    NoGit,
    /// Nobody may be asked.
    #[error("{0} is not fetched, because of --offline: name a folder in its place, or build with a network")]
    Offline(String),
    /// `git` failed.
    #[error("cannot fetch {remote}: {said}")]
    Failed {
        /// The repository.
        remote: String,
        /// What `git` said.
        said: String,
    },
    /// Nothing has that name.
    #[error("{remote} has no branch, tag or commit {reference:?}")]
    NoReference {
        /// The repository.
        remote: String,
        /// The name.
        reference: String,
    },
    /// There is no commit at all.
    #[error("{0} is empty")]
    Empty(String),
    /// Another commit than the one that was named.
    #[error("{remote} is not what was expected: its commit is {actual}, which does not start with {expected}")]
    Checksum {
        /// The repository.
        remote: String,
        /// How the commit has to start.
        expected: String,
        /// The commit.
        actual: String,
    },
    /// `fetch-by-commit` without a whole commit.
    #[error("{0}: fetch-by-commit needs checksum= with all digits of the commit")]
    ByCommit(String),
    /// The system refused something.
    #[error("{path}: {error}", path = path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
}
