//! A look into the sandbox of a step that failed.

use super::{Exec, ExecError};
use crate::sandbox::{Exit, SandboxError, Spec};
use futures_util::future::BoxFuture;
use std::{fmt, io};

/// Who is let into the sandboxes of steps that failed, before they are taken down.
pub trait DebugShell: fmt::Debug + Send + Sync {
    /// Runs something in the sandbox of a step. `spec` is that of the step, on the tree as the step left it and with its
    /// mounts; what is run is up to the one who looks. Nothing that it changes is kept.
    fn open<'a>(&'a self, spec: Spec, why: &'a str) -> BoxFuture<'a, Result<(), SandboxError>>;
}

/// Lets whoever was promised it into the sandbox of a step, if that failed.
pub(super) async fn open_after(
    exec: &Exec,
    spec: &Spec,
    problem: Option<&ExecError>,
    exit: &Result<Exit, SandboxError>,
) -> Result<(), ExecError> {
    let Some(shell) = &exec.options.debug_shell else { return Ok(()) };
    let why = match (problem, exit) {
        (None, Err(SandboxError::Program { message, .. })) => message.clone(),
        (None, _) => return Ok(()),
        (Some(problem), _) => problem.to_string(),
    };
    let again = again(spec).map_err(|error| ExecError::Context { path: spec.work.clone(), error })?;
    Ok(shell.open(again, &why).await?)
}

/// The specification of a step that ran, for another run on what it left.
fn again(spec: &Spec) -> io::Result<Spec> {
    let mut spec = spec.clone();
    spec.renew_work("again")?;
    // What was appended for the step is still there.
    spec.appended.clear();
    Ok(spec)
}
