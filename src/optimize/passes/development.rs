//! What only a compiler needs: static libraries, headers, and how to link.

use super::{Action, Candidate, Pass, Trust, path};

pub(super) const PASS: Pass = Pass {
    name: "development",
    title: "static libraries and headers",
    safe: "only compilers and linkers read these files; an image that compiles something has to keep them",
    trust: Trust::Profile,
    action: Action::Remove(takes),
};

fn takes(file: &Candidate<'_>) -> bool {
    path::is_in(file.path, &["usr/include", "usr/local/include", "usr/lib/pkgconfig", "usr/share/pkgconfig"])
        || path::has_folder(file.path, &["pkgconfig"])
        || path::ends_with(file.path, &[".a", ".la"])
        || path::in_python_site(file.path).is_some_and(|rest| path::ends_with(rest, &[".pyi", ".pxd", ".h", ".hpp"]))
        || path::in_node_package(file.path)
            .is_some_and(|rest| path::ends_with(rest, &[".d.ts", ".d.mts", ".d.cts", ".map"]))
}
