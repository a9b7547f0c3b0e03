//! `flashbuild init`: a project's own files say what its Dockerfile has to do.
//!
//! 1. [`Project::read`] reads what there is to know: names at the top of the folder, and manifests.
//! 2. [`propose`] decides, and says for each decision why. It does no I/O.
//!
//! A language is a file here and a row in `LANGUAGES`; the first that knows the project decides.

mod ignored;
mod node;
mod project;
mod python;

pub use project::Project;

/// A Dockerfile and what goes with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// The text of the `Dockerfile`.
    pub dockerfile: String,
    /// The text of the `.dockerignore`.
    pub dockerignore: String,
    /// Why they say what they say, a sentence each.
    pub reasons: Vec<String>,
}

/// Why nothing is proposed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InitError {
    /// No language is recognised.
    #[error(
        "this is no project that is known here: there is no package.json, pyproject.toml, requirements.txt or Pipfile \
         in it"
    )]
    Unknown,
    /// It is not said which versions of its packages the project works with.
    #[error("there is a {manifest} but no lock file: write one with `{command}`{note}")]
    NoLock {
        /// What says which packages.
        manifest: &'static str,
        /// What writes a lock.
        command: &'static str,
        /// Words behind that.
        note: &'static str,
    },
    /// A manifest that cannot be understood.
    #[error("{file} cannot be read: {problem}")]
    Manifest {
        /// Which.
        file: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// There is no such folder.
    #[error("{0} is not a folder")]
    NoFolder(String),
    /// The folder cannot be read.
    #[error("{path}: {problem}")]
    Folder {
        /// Which.
        path: String,
        /// What the system said.
        problem: String,
    },
}

/// A language: a proposal if the project is of it.
type Language = fn(&Project) -> Option<Result<Proposal, InitError>>;

/// All of them.
const LANGUAGES: [Language; 2] = [node::propose, python::propose];

/// What a project's Dockerfile should be.
pub fn propose(project: &Project) -> Result<Proposal, InitError> {
    LANGUAGES.iter().find_map(|language| language(project)).unwrap_or(Err(InitError::Unknown))
}

#[cfg(test)]
mod tests;
