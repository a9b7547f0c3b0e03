//! Which packages of a lock one platform gets.
//!
//! 1. What was asked to be omitted goes, by the roles that the lock notes.
//! 2. An optional package that does not run on the platform goes, and with it what only makes sense with it: who needs
//!    it without fail (up to the next optional need), and what is needed by nobody else.
//! 3. Any other package that does not run there is an error. All of them are named at once.
//!
//! These are npm's rules (`optional-set.js`, `gather-dep-set.js` in its arborist), written anew over indexes.

use super::{
    lock::{Lock, Package, Source},
    target::Target,
};
use std::collections::BTreeSet;

/// Roles that are left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) struct Omit {
    /// Packages that only developing needs.
    pub(super) dev: bool,
    /// Packages that can be done without.
    pub(super) optional: bool,
    /// Packages that only others expect.
    pub(super) peer: bool,
}

/// Packages that must be there and do not run on the platform: positions in the lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unsupported(pub(super) Vec<usize>);

impl Omit {
    fn covers(self, package: &Package) -> bool {
        let role = package.role;
        (role.peer && self.peer)
            || (role.dev && self.dev)
            || (role.optional && self.optional)
            || (role.dev_optional && self.optional && self.dev)
    }
}

/// Positions of the packages that are put into the tree, in the lock's order. The project itself is not.
pub(super) fn select(lock: &Lock, target: &Target, omit: Omit) -> Result<Vec<usize>, Unsupported> {
    let needed_by = needed_by(lock);
    let mut impossible = BTreeSet::new();
    let mut unsupported = Vec::new();
    for (index, package) in lock.packages.iter().enumerate() {
        if target.runs(&package.runs_on) {
            continue;
        }
        if package.role.optional {
            impossible.extend(optional_part(lock, &needed_by, index));
        } else if !omit.covers(package) {
            unsupported.push(index);
        }
    }
    if !unsupported.is_empty() {
        return Err(Unsupported(unsupported));
    }
    let stays = |(index, package): &(usize, &Package)| {
        package.source != Source::Project && !omit.covers(package) && !impossible.contains(index)
    };
    Ok(lock.packages.iter().enumerate().filter(stays).map(|(index, _)| index).collect())
}

/// Who needs each package, and whether without fail.
fn needed_by(lock: &Lock) -> Vec<Vec<(usize, bool)>> {
    let mut users = vec![Vec::new(); lock.packages.len()];
    for (index, package) in lock.packages.iter().enumerate() {
        for need in &package.needs {
            users[need.package].push((index, need.optional));
        }
    }
    users
}

/// Everything that goes when the optional package `failed` cannot be there.
fn optional_part(lock: &Lock, needed_by: &[Vec<(usize, bool)>], failed: usize) -> BTreeSet<usize> {
    // Up: who cannot do without it cannot be there either. All ways in are optional somewhere, for `failed` is.
    let mut core = BTreeSet::from([failed]);
    let mut waiting = vec![failed];
    while let Some(index) = waiting.pop() {
        for &(user, optional) in &needed_by[index] {
            if !optional && core.insert(user) {
                waiting.push(user);
            }
        }
    }
    // Down: what they need, as long as nobody else does.
    let mut part = core.clone();
    let mut waiting: Vec<usize> = core.iter().copied().collect();
    while let Some(index) = waiting.pop() {
        for need in &lock.packages[index].needs {
            if part.insert(need.package) {
                waiting.push(need.package);
            }
        }
    }
    loop {
        let needed_outside =
            |index: &usize| !core.contains(index) && needed_by[*index].iter().any(|(user, _)| !part.contains(user));
        let kept: Vec<usize> = part.iter().copied().filter(needed_outside).collect();
        if kept.is_empty() {
            return part;
        }
        for index in kept {
            part.remove(&index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packages::{libc::Libc, node::package_lock};

    #[track_caller]
    fn check(packages: &str, omit: Omit, expected: Result<&[&str], &[&str]>) {
        let lock = package_lock::read(&format!(r#"{{"lockfileVersion": 3, "packages": {{{packages}}}}}"#)).unwrap();
        let target = Target::new(&"linux/amd64".parse().unwrap(), Libc::GLIBC);
        let names = |indexes: Vec<usize>| -> Vec<&str> {
            indexes.into_iter().map(|index| lock.packages[index].name.as_str()).collect()
        };
        let selected = select(&lock, &target, omit).map(names).map_err(|unsupported| names(unsupported.0));
        assert_eq!(selected.as_deref().map_err(Vec::as_slice), expected);
    }

    #[test]
    fn roles_are_omitted() {
        let packages = r#""": {"dependencies": {"a": "1"}},
            "node_modules/a": {"version": "1"}, "node_modules/d": {"version": "1", "dev": true},
            "node_modules/o": {"version": "1", "optional": true}, "node_modules/p": {"version": "1", "peer": true},
            "node_modules/x": {"version": "1", "devOptional": true}"#;
        check(packages, Omit::default(), Ok(&["a", "d", "o", "p", "x"]));
        check(packages, Omit { dev: true, ..Omit::default() }, Ok(&["a", "o", "p", "x"]));
        check(packages, Omit { dev: true, optional: true, peer: true }, Ok(&["a"]));
    }

    #[test]
    fn optional_packages_of_other_machines_go_with_what_only_they_need() {
        let packages = r#""": {"dependencies": {"a": "1", "shared": "1"}, "optionalDependencies": {"wrap": "1"}},
            "node_modules/a": {"version": "1", "optionalDependencies": {"a-linux": "1", "a-darwin": "1"}},
            "node_modules/a-linux": {"version": "1", "optional": true, "os": ["linux"], "cpu": ["x64"]},
            "node_modules/a-darwin": {"version": "1", "optional": true, "os": ["darwin"]},
            "node_modules/shared": {"version": "1"},
            "node_modules/wrap": {"version": "1", "optional": true, "dependencies": {"native": "1", "with": "1"}},
            "node_modules/native": {"version": "1", "optional": true, "libc": ["musl"],
                "dependencies": {"only": "1", "shared": "1"}},
            "node_modules/only": {"version": "1", "optional": true},
            "node_modules/with": {"version": "1", "optional": true}"#;
        check(packages, Omit::default(), Ok(&["a", "a-linux", "shared"]));
    }

    #[test]
    fn what_must_be_there_and_does_not_run_is_named() {
        let packages = r#""": {"dependencies": {"a": "1", "b": "1"}},
            "node_modules/a": {"version": "1", "os": ["darwin"]}, "node_modules/b": {"version": "1", "cpu": ["!x64"]},
            "node_modules/c": {"version": "1", "os": ["win32"], "dev": true}"#;
        check(packages, Omit { dev: true, ..Omit::default() }, Err(&["a", "b"]));
    }
}
