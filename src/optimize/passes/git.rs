//! Histories of repositories.

use super::{Action, Candidate, Pass, Trust, path};

pub(super) const PASS: Pass = Pass {
    name: "git",
    title: "repositories (.git)",
    safe: "what runs was checked out: the history is for those who change it",
    trust: Trust::Profile,
    action: Action::Remove(takes),
};

fn takes(file: &Candidate<'_>) -> bool {
    path::has_folder(file.path, &[".git", ".hg", ".svn"])
}
