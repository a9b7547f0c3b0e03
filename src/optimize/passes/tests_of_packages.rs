//! Tests that packages of languages bring along. The application's own are left alone.

use super::{Action, Candidate, Pass, Trust, path};

pub(super) const PASS: Pass = Pass {
    name: "tests",
    title: "tests of packages",
    safe: "packages are tested where they are made; none of them loads its tests when it is used, with rare exceptions",
    trust: Trust::Profile,
    action: Action::Remove(takes),
};

const FOLDERS: &[&str] = &["tests", "test", "__tests__"];

fn takes(file: &Candidate<'_>) -> bool {
    let inside = path::in_node_package(file.path).or_else(|| path::in_python_site(file.path));
    if let Some(rest) = inside {
        // The folder at the top of a site is a package of that name.
        return path::has_folder(rest, FOLDERS);
    }
    let mut folders = path::folders(file.path).skip_while(|folder| !folder.starts_with(b"python3."));
    folders.next().is_some()
        && matches!(folders.next(), Some(b"test" | b"idlelib" | b"unittest"))
        && path::has_folder(file.path, &["test", "tests", "idle_test"])
}
