//! The Dockerfile, quoted in errors.

use super::{BuildError, inputs::Unanswered};
use crate::{exec::ExecError, git::GitError, http::HttpError, registry::RegistryError, resolve::ResolveError};
use flashbuild_frontend::{
    diagnostic::{Diagnostic, Span},
    dockerfile::Missing,
};
use std::path::PathBuf;

/// The text of the build, and how to talk about it.
pub(super) struct BuildFile {
    pub(super) name: String,
    pub(super) text: String,
    /// Where it is, or where it would be.
    pub(super) folder: PathBuf,
}

impl BuildFile {
    pub(super) fn refuse(&self, errors: &[Diagnostic]) -> BuildError {
        let rendered: Vec<String> = errors.iter().map(|error| error.render(&self.name, &self.text, false)).collect();
        BuildError::Dockerfile(rendered.join("\n\n"))
    }

    pub(super) fn unresolved(&self, missing: &Missing, error: &Unanswered) -> BuildError {
        let rendered = missing.failed(&error.to_string()).render(&self.name, &self.text, false);
        let is_environment = match error {
            Unanswered::Image(ResolveError::Registry(RegistryError::Unreachable { .. }) | ResolveError::Store(_)) => {
                true
            }
            Unanswered::Image(ResolveError::Registry(_) | ResolveError::Image(_)) => false,
            Unanswered::Deps(error) => error.is_environment(),
        };
        if is_environment { BuildError::Environment(rendered) } else { BuildError::Dockerfile(rendered) }
    }

    pub(super) fn failed(&self, error: &ExecError, span: Option<Span>) -> BuildError {
        let rendered = match span {
            Some(span) => Diagnostic::error(error.to_string(), span).render(&self.name, &self.text, false),
            None => format!("error: {error}"),
        };
        match error {
            ExecError::Store(_) | ExecError::Sandbox(_) | ExecError::NoEmulator { .. } => {
                BuildError::Environment(rendered)
            }
            ExecError::Http(HttpError::Unreachable { .. } | HttpError::SetUp(_) | HttpError::Store(_))
            | ExecError::Git(GitError::NoGit) => BuildError::Environment(rendered),
            ExecError::Package(error) if error.is_environment() => BuildError::Environment(rendered),
            error if error.is_no_space() => BuildError::Environment(rendered),
            ExecError::Layer(_)
            | ExecError::Package(_)
            | ExecError::Registry(_)
            | ExecError::Http(_)
            | ExecError::Git(_)
            | ExecError::Exit { .. }
            | ExecError::OutOfMemory { .. }
            | ExecError::NotFound { .. }
            | ExecError::Path(_)
            | ExecError::NoUser { .. }
            | ExecError::Mode(_)
            | ExecError::Context { .. }
            | ExecError::NoContext(_)
            | ExecError::Image(_)
            | ExecError::Internal(_) => BuildError::Dockerfile(rendered),
        }
    }
}
