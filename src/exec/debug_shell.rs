//! A look into the sandbox of a step that failed.

use crate::sandbox::{SandboxError, Spec};
use futures_util::future::BoxFuture;
use std::{fmt, io};

/// Who is let into the sandboxes of steps that failed, before they are taken down.
pub trait DebugShell: fmt::Debug + Send + Sync {
    /// Runs something in the sandbox of a step. `spec` is that of the step, on the tree as the step left it and with its
    /// mounts; what is run is up to the one who looks. Nothing that it changes is kept.
    fn open<'a>(&'a self, spec: Spec, why: &'a str) -> BoxFuture<'a, Result<(), SandboxError>>;
}

/// The specification of a step that ran, for another run on what it left.
pub(super) fn again(spec: &Spec) -> io::Result<Spec> {
    let mut spec = spec.clone();
    spec.renew_work("again")?;
    // What was appended for the step is still there.
    spec.appended.clear();
    Ok(spec)
}
