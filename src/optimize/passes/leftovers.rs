//! What compilers leave beside what they made.

use super::{Action, Candidate, Pass, Trust, path};

pub(super) const PASS: Pass = Pass {
    name: "leftovers",
    title: "leftovers of compilers",
    safe: "programs are linked from these files and do not read them",
    trust: Trust::Profile,
    action: Action::Remove(takes),
};

fn takes(file: &Candidate<'_>) -> bool {
    // The start files of a C library are object files that belong.
    if file.owner.is_some() {
        return false;
    }
    let cargo = |path: &[u8]| {
        let mut folders = path::folders(path);
        folders.by_ref().any(|folder| folder == b"target")
            && folders.any(|folder| matches!(folder, b"deps" | b"incremental" | b".fingerprint"))
    };
    path::ends_with(file.path, &[".o", ".lo", ".gch", ".pch", ".gcno", ".gcda", ".d.tmp"])
        || path::has_folder(file.path, &["CMakeFiles", ".libs", "obj.target", ".ccache"])
        || cargo(file.path)
}
