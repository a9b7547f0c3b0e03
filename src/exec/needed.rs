//! Programs without which a step is not started: better one sentence about the image than what a script makes of it.

use super::{Exec, ExecError, Product};
use crate::layer::{LastLink, View};
use flashbuild_frontend::graph::{ExecOp, NeededProgram};

/// Looks for all that `op` needs in `tree`. Nothing runs, so this works for any platform.
pub(super) fn check(exec: &Exec, op: &ExecOp, tree: &Product) -> Result<(), ExecError> {
    if op.needs.is_empty() {
        return Ok(());
    }
    let view = exec.view(tree)?;
    let path = op.env.iter().rev().find_map(|pair| pair.strip_prefix("PATH=")).unwrap_or_default();
    let is_absent = |needed: &&NeededProgram| !path.split(':').any(|folder| is_file(&view, folder, &needed.name));
    match op.needs.iter().find(is_absent) {
        Some(NeededProgram { name, hint }) => Err(ExecError::NoProgram { name: name.clone(), hint: hint.clone() }),
        None => Ok(()),
    }
}

/// Whether there is a file of this name, at the end of whatever links.
fn is_file(view: &View, folder: &str, name: &str) -> bool {
    let path = format!("{folder}/{name}");
    let found = view.resolve(path.as_bytes(), LastLink::Follow);
    found.is_ok_and(|found| found.missing.is_empty() && found.hit.is_some_and(|hit| hit.file().is_some()))
}
