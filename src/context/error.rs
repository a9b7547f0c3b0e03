//! Why a build cannot begin.

use crate::{git::GitError, http::HttpError, layer::LayerError, store::StoreError};
use std::{io, path::PathBuf};

/// Why there is no context, or no Dockerfile in it.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// What was typed makes no sense.
    #[error("{0}")]
    Typed(String),
    /// A folder that is none.
    #[error("the build context {path} is not a folder", path = .0.display())]
    NoFolder(PathBuf),
    /// No Dockerfile where one should be.
    #[error("no Dockerfile in {place}: write one, or name it with --file{}", or_meant(.similar.as_ref()))]
    NoDockerfile {
        /// The context.
        place: String,
        /// A file there that may be what is meant.
        similar: Option<String>,
    },
    /// The Dockerfile that was named is not there.
    #[error("there is no file {path}{}", or_meant(.similar.as_ref()))]
    NoFile {
        /// As it was named.
        path: String,
        /// A file beside it that may be what is meant.
        similar: Option<String>,
    },
    /// It is not what it should be.
    #[error("cannot read {what}: {problem}")]
    Unreadable {
        /// A file, standard input or an address.
        what: String,
        /// Why.
        problem: String,
    },
    /// The context is an archive that cannot be unpacked.
    #[error("cannot unpack the build context: {0}")]
    Archive(#[from] LayerError),
    /// The repository.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The address.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn or_meant(similar: Option<&String>) -> String {
    similar.map_or_else(String::new, |name| format!("; did you mean {name:?}?"))
}

impl ContextError {
    /// Whether this machine or its network is at fault, and not what was given.
    pub fn is_environment(&self) -> bool {
        match self {
            Self::Store(_)
            | Self::Http(HttpError::Unreachable { .. } | HttpError::SetUp(_) | HttpError::Store(_))
            | Self::Git(GitError::NoGit) => true,
            Self::Archive(error) => error.is_no_space(),
            Self::Typed(_)
            | Self::NoFolder(_)
            | Self::NoDockerfile { .. }
            | Self::NoFile { .. }
            | Self::Unreadable { .. }
            | Self::Git(_)
            | Self::Http(_) => false,
        }
    }

    pub(super) fn unreadable(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |error| Self::Unreadable { what, problem: error.to_string() }
    }
}
