//! The Dockerfile and its `.dockerignore`: read, and quoted in errors.

use super::{BuildError, Request, inputs::Unanswered};
use crate::{exec::ExecError, git::GitError, http::HttpError, registry::RegistryError, resolve::ResolveError};
use flashbuild_frontend::{
    diagnostic::{Diagnostic, Span, render_all},
    dockerfile::Missing,
    ignore::IgnoreRules,
};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The text of the build, and how to talk about it.
pub(super) struct BuildFile {
    pub(super) name: String,
    pub(super) text: String,
    /// Where it is.
    pub(super) folder: PathBuf,
    pub(super) ignore: Vec<String>,
}

impl BuildFile {
    pub(super) fn read(request: &Request) -> Result<Self, BuildError> {
        if !request.context.is_dir() {
            return Err(BuildError::NoDockerfile(format!(
                "the build context {} is not a folder",
                request.context.display()
            )));
        }
        let path = match &request.file {
            Some(path) => path.clone(),
            None => ["Dockerfile", "dockerfile"]
                .map(|name| request.context.join(name))
                .into_iter()
                .find(|path| path.is_file())
                .ok_or_else(|| {
                    BuildError::NoDockerfile(format!(
                        "no Dockerfile in {}: write one, or name it with --file",
                        request.context.display()
                    ))
                })?,
        };
        let at = |path: &Path, error: &dyn std::fmt::Display| {
            BuildError::NoDockerfile(format!("cannot read {}: {error}", path.display()))
        };
        let text = fs::read_to_string(&path).map_err(|error| at(&path, &error))?;
        let mut beside = path.clone().into_os_string();
        beside.push(".dockerignore");
        let candidates = [PathBuf::from(beside), request.context.join(".dockerignore")];
        let ignore = match candidates.iter().find(|path| path.is_file()) {
            None => Vec::new(),
            Some(path) => {
                let text = fs::read_to_string(path).map_err(|error| at(path, &error))?;
                IgnoreRules::parse(&text).map_err(|error| at(path, &error))?
            }
        };
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let folder = path.parent().map(Path::to_owned).unwrap_or_default();
        Ok(Self { name, text, folder, ignore })
    }

    pub(super) fn refuse(&self, errors: &[Diagnostic]) -> BuildError {
        BuildError::Dockerfile(render_all(errors, &self.name, &self.text, false))
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

    /// What may be behind the failure of a step, as far as the file and its `.dockerignore` tell.
    fn hint(&self, error: &ExecError) -> Option<String> {
        let ExecError::NotFound { path, place: "the build context", .. } = error else { return None };
        let left_out = IgnoreRules::new(&self.ignore).is_ok_and(|rules| rules.matches(path));
        left_out.then(|| format!("a pattern of .dockerignore leaves `{path}` out"))
    }

    pub(super) fn failed(&self, error: &ExecError, span: Option<Span>) -> BuildError {
        let rendered = match span {
            Some(span) => {
                let diagnostic = Diagnostic::error(error.to_string(), span);
                let hinted = match self.hint(error) {
                    Some(hint) => diagnostic.with_hint(hint),
                    None => diagnostic,
                };
                hinted.render(&self.name, &self.text, false)
            }
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
            | ExecError::NoSecret(_)
            | ExecError::SecretSource { .. }
            | ExecError::NoAgent(_)
            | ExecError::NoDevice(_)
            | ExecError::Agent { .. }
            | ExecError::Image(_)
            | ExecError::Internal(_) => BuildError::Dockerfile(rendered),
        }
    }
}
