//! Documentation. Licences stay: their terms ask for it.

use super::{Action, Candidate, Pass, Trust, path};

pub(super) const PASS: Pass = Pass {
    name: "docs",
    title: "documentation and manuals",
    safe: "people read these files and programs do not; copyright and licence files stay",
    trust: Trust::Profile,
    action: Action::Remove(takes),
};

const FOLDERS: &[&str] = &[
    "usr/share/doc",
    "usr/share/man",
    "usr/share/info",
    "usr/share/gtk-doc",
    "usr/share/doc-base",
    "usr/share/lintian",
    "usr/share/linda",
    "usr/local/share/doc",
    "usr/local/share/man",
];

fn takes(file: &Candidate<'_>) -> bool {
    if is_licence(path::name(file.path)) {
        return false;
    }
    path::is_in(file.path, FOLDERS)
        || path::in_node_package(file.path).is_some_and(|rest| path::ends_with(rest, &[".md", ".markdown"]))
}

fn is_licence(name: &[u8]) -> bool {
    let name = name.to_ascii_lowercase();
    ["copyright", "licen", "copying", "notice"].iter().any(|start| name.starts_with(start.as_bytes()))
}
