//! Byte code of Python, which Python makes from the source.

use super::{Action, Candidate, Pass, Trust, path};

pub(super) const PASS: Pass = Pass {
    name: "byte-code",
    title: "byte code of Python",
    safe: "Python compiles the source again at every start of a container, which makes the start slower",
    trust: Trust::Profile,
    action: Action::Remove(takes),
};

fn takes(file: &Candidate<'_>) -> bool {
    // Outside of these folders it may be all that there is of a module.
    path::has_folder(file.path, &["__pycache__"]) && path::ends_with(file.path, &[".pyc"])
}
