//! Debug symbols that are files of their own.

use super::{Action, Candidate, Pass, Trust, path};

pub(super) const PASS: Pass = Pass {
    name: "debug",
    title: "debug symbols",
    safe: "only debuggers and profilers read these files",
    trust: Trust::Profile,
    action: Action::Remove(takes),
};

fn takes(file: &Candidate<'_>) -> bool {
    path::is_in(file.path, &["usr/lib/debug"]) || path::ends_with(file.path, &[".debug", ".dwo", ".dwp", ".pdb"])
}
