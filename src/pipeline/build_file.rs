//! The Dockerfile, quoted in errors.

use super::BuildError;
use crate::{context::Fetched, exec::ExecError, git::GitError, http::HttpError, sandbox::SandboxError};
use flashbuild_frontend::{
    diagnostic::{Code, Diagnostic, Span, render_all},
    ignore::IgnoreRules,
};
use std::{collections::BTreeMap, path::PathBuf};

/// The text of the build, and how to talk about it.
pub(super) struct BuildFile {
    pub(super) name: String,
    pub(super) text: String,
    /// Where it is, or where it would be.
    pub(super) folder: PathBuf,
    /// The patterns of files that the build does not see.
    pub(super) ignore: Vec<String>,
    /// What of the build's files came from elsewhere, the file itself perhaps among it.
    pub(super) fetched: BTreeMap<String, Fetched>,
}

impl BuildFile {
    pub(super) fn refuse(&self, errors: &[Diagnostic]) -> BuildError {
        BuildError::Dockerfile(self.show(errors))
    }

    /// The errors with the lines that they are about.
    pub(super) fn show(&self, errors: &[Diagnostic]) -> String {
        render_all(errors, &self.name, &self.text, false)
    }

    /// What may be behind the failure of a step, as far as the file and its `.dockerignore` tell.
    fn hint(&self, error: &ExecError) -> Option<String> {
        if let ExecError::Sandbox(SandboxError::Program { message, code }) = error {
            return program_hint(message, *code);
        }
        let ExecError::NotFound { path, place: "the build context", .. } = error else { return None };
        let left_out = IgnoreRules::new(&self.ignore).is_ok_and(|rules| rules.matches(path));
        left_out.then(|| format!("a pattern of .dockerignore leaves `{path}` out"))
    }

    pub(super) fn failed(&self, error: &ExecError, span: Option<Span>) -> BuildError {
        let rendered = match span {
            Some(span) => {
                let diagnostic = Diagnostic::error(Code::StepFailed, error.to_string(), span);
                let hinted = match self.hint(error) {
                    Some(hint) => diagnostic.with_hint(hint),
                    None => diagnostic,
                };
                hinted.render(&self.name, &self.text, false)
            }
            None => format!("error: {error}"),
        };
        match error {
            ExecError::Store(_)
            | ExecError::Cache(_)
            | ExecError::Export(_)
            | ExecError::Sandbox(
                SandboxError::Spec(_)
                | SandboxError::Helper(_)
                | SandboxError::Silent(_)
                | SandboxError::Setup(_)
                | SandboxError::Cancelled,
            )
            | ExecError::NoEmulator { .. }
            | ExecError::Http(
                HttpError::Unreachable { .. } | HttpError::Offline { .. } | HttpError::SetUp(_) | HttpError::Store(_),
            )
            | ExecError::Git(GitError::NoGit | GitError::Offline(_)) => BuildError::Environment(rendered),
            ExecError::Registry(error) if error.is_environment() => BuildError::Environment(rendered),
            ExecError::Package(error) if error.is_environment() => BuildError::Environment(rendered),
            error if error.is_no_space() => BuildError::Environment(rendered),
            ExecError::Layer(_)
            | ExecError::Package(_)
            | ExecError::Registry(_)
            | ExecError::Http(_)
            | ExecError::Git(_)
            | ExecError::Sandbox(SandboxError::Program { .. })
            | ExecError::Exit { .. }
            | ExecError::OutOfMemory { .. }
            | ExecError::NotFound { .. }
            | ExecError::Path(_)
            | ExecError::NoUser { .. }
            | ExecError::Mode(_)
            | ExecError::Context { .. }
            | ExecError::NoContext(_)
            | ExecError::NoSecret(_)
            | ExecError::Secret(_)
            | ExecError::NoAgent(_)
            | ExecError::NoDevice(_)
            | ExecError::Agent { .. }
            | ExecError::Image(_)
            | ExecError::NoProgram { .. }
            | ExecError::Internal(_) => BuildError::Dockerfile(rendered),
        }
    }
}

/// What to do about a program that did not start: `code` is what a shell would exit with.
fn program_hint(message: &str, code: i32) -> Option<String> {
    /// A program that is not there.
    const ABSENT: i32 = 127;
    if code != ABSENT {
        return None;
    }
    let hint = if message.contains("\"/bin/sh\"") {
        "a RUN that is a line needs a shell: begin the stage with an image that has /bin/sh, or run a program that is there, \
         as in `RUN [\"/program\", \"argument\"]`"
    } else if message.contains("loader") {
        "begin the stage with an image that has it, or copy a static program"
    } else {
        "install or copy it in a step before, or begin the stage with an image that has it"
    };
    Some(hint.to_owned())
}
