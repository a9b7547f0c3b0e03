//! Roles of packages, for locks that do not note them: found by walking from the project along what needs what.

use super::lock::{Lock, Role, Source};

/// A package that a part of the project itself asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Root {
    /// Which, in the lock's list.
    pub(super) package: usize,
    /// Only to develop.
    pub(super) dev: bool,
    /// Only if it can be installed.
    pub(super) optional: bool,
}

/// Notes in each package for what it is needed. What nothing needs goes with the first thing that is omitted; parts of
/// the project and links to them are always there.
pub(super) fn note(lock: &mut Lock, roots: &[Root]) {
    let with_dev = reachable(lock, roots.iter().filter(|root| !root.optional), false);
    let with_optional = reachable(lock, roots.iter().filter(|root| !root.dev), true);
    let always = reachable(lock, roots.iter().filter(|root| !root.dev && !root.optional), false);
    for (index, package) in lock.packages.iter_mut().enumerate() {
        if matches!(package.source, Source::Project | Source::Link { .. }) {
            continue;
        }
        let (dev, optional) = (!with_optional[index], !with_dev[index]);
        package.role = Role { dev, optional, dev_optional: !always[index] && !dev && !optional, peer: false };
    }
}

fn reachable<'a>(lock: &Lock, roots: impl Iterator<Item = &'a Root>, through_optional: bool) -> Vec<bool> {
    let mut found = vec![false; lock.packages.len()];
    let mut waiting: Vec<usize> = roots.map(|root| root.package).collect();
    while let Some(index) = waiting.pop() {
        // What parts of the project need is among the roots, where it is known for what.
        let is_project = lock.packages[index].source == Source::Project;
        if !std::mem::replace(&mut found[index], true) && !is_project {
            let needs = lock.packages[index].needs.iter().filter(|need| through_optional || !need.optional);
            waiting.extend(needs.map(|need| need.package));
        }
    }
    found
}
