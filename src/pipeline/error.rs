//! Why there is no image.

use crate::{
    context::ContextError, export::ExportError, packages::PackageError, registry::RegistryError, solver::event::Step,
    store::StoreError,
};

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The Dockerfile, or a step of it; rendered with its lines.
    #[error("{0}")]
    Dockerfile(String),
    /// There is no Dockerfile.
    #[error("{0}")]
    NoDockerfile(String),
    /// A rewritten image is not what it should be.
    #[error("{0}")]
    Rewrite(String),
    /// Something else that was given, such as a lock file or the name of an image.
    #[error("{0}")]
    Input(String),
    /// The machine, the disk or a registry.
    #[error("{0}")]
    Environment(String),
}

/// Ends a step as `result` says, which is handed back: a step that is dropped is one that somebody cancelled.
pub(super) fn ended<T>(step: Step, result: Result<T, BuildError>) -> Result<T, BuildError> {
    match &result {
        Ok(_) => step.ran(),
        Err(error) => step.failed(error.brief()),
    }
    result
}

impl BuildError {
    /// Without the lines of the Dockerfile, which people see when all is over.
    fn brief(&self) -> String {
        let text = self.to_string();
        match self {
            Self::Dockerfile(_) => {
                let first = text.lines().next().unwrap_or_default();
                first.strip_prefix("error: ").unwrap_or(first).to_owned()
            }
            Self::NoDockerfile(_) | Self::Rewrite(_) | Self::Input(_) | Self::Environment(_) => text,
        }
    }
}

impl From<ContextError> for BuildError {
    fn from(error: ContextError) -> Self {
        if error.is_environment() {
            Self::Environment(error.to_string())
        } else {
            Self::NoDockerfile(error.to_string())
        }
    }
}

impl From<StoreError> for BuildError {
    fn from(error: StoreError) -> Self {
        Self::Environment(error.to_string())
    }
}

impl From<ExportError> for BuildError {
    fn from(error: ExportError) -> Self {
        Self::Environment(error.to_string())
    }
}

impl From<PackageError> for BuildError {
    fn from(error: PackageError) -> Self {
        if error.is_environment() || error.is_no_space() {
            Self::Environment(error.to_string())
        } else {
            Self::Input(error.to_string())
        }
    }
}

impl From<RegistryError> for BuildError {
    fn from(error: RegistryError) -> Self {
        Self::Environment(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::solver::event::{EventKind, Events, Outcome};

    #[test]
    fn a_step_ends_as_its_work_did() {
        let (events, mut receiver) = Events::channel();
        ended(events.step("read"), Ok(())).unwrap();
        ended::<()>(events.step("read"), Err(BuildError::Environment("no such\nfile".to_owned()))).unwrap_err();
        ended::<()>(events.step("read"), Err(BuildError::Dockerfile("error: bad\n --> 1".to_owned()))).unwrap_err();
        let mut outcomes = Vec::new();
        while let Ok(event) = receiver.try_recv() {
            if let EventKind::Finished { outcome, .. } = event.kind {
                outcomes.push(outcome);
            }
        }
        let failed = |text: &str| Outcome::Failed(text.to_owned());
        assert_eq!(outcomes, [Outcome::Ran, failed("no such\nfile"), failed("bad")]);
    }
}
