//! What all lock files of this ecosystem say, in one form: where each package lies, what it is and who needs it.
//!
//! A lock has already decided which version of a package serves whom; the place of a package *is* that decision, because
//! programs find packages by walking up the tree from where they lie. So nothing is resolved here.
//!
//! A lock comes with the project, but also from whoever last proposed a change to it. Its paths are therefore checked:
//! none leads out of the project, and none that is unpacked lies outside of a `node_modules`.

use super::{bin::Bins, integrity::Integrity};
use std::collections::HashMap;

/// A lock that was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Lock {
    /// All packages, in the lock's order. The project itself is one of them.
    pub(super) packages: Vec<Package>,
    /// Links to packages that are not where who needs them would find them.
    pub(super) links: Vec<Link>,
    /// Names of packages whose install scripts the project trusts, if the lock says.
    pub(super) trusted: Option<Vec<String>>,
}

/// One package at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Package {
    /// Folder that it lies in, relative to the project's: `node_modules/a/node_modules/@b/c`; empty for the project.
    pub(super) path: String,
    /// Its own name, which an alias makes differ from the folder's.
    pub(super) name: String,
    /// Its version; empty where the lock has none, which is never so for one that is downloaded.
    pub(super) version: String,
    /// Where its files come from.
    pub(super) source: Source,
    /// Where it runs.
    pub(super) runs_on: RunsOn,
    /// For what it is needed.
    pub(super) role: Role,
    /// Programs that it has, as far as the lock knows them.
    pub(super) bins: Bins,
    /// Whether it wants something to be run when it is installed; `None` if only its own `package.json` says.
    pub(super) has_install_script: Option<bool>,
    /// What it needs.
    pub(super) needs: Vec<Need>,
}

/// Where the files of a package come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// A tarball, from a registry unless the lock says from where.
    Tarball {
        /// What it must hash to; `None` if the lock does not say, and then it is not unpacked.
        integrity: Option<Integrity>,
        /// Its address, if the lock has it.
        url: Option<String>,
    },
    /// The tarball of the package that it lies in.
    Bundled,
    /// A folder of the project: the package is a link to it.
    Link {
        /// That folder, relative to the project's.
        target: String,
    },
    /// It is a folder of the project; whoever copies the project copies it.
    Project,
    /// Somewhere that no lock can vouch for, as a repository: how the lock names it.
    Elsewhere(String),
}

/// Machines that a package runs on: names as the runtime has them, each possibly negated by `!`. An empty list is any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct RunsOn {
    /// `process.platform`.
    pub(super) os: Vec<String>,
    /// `process.arch`.
    pub(super) cpu: Vec<String>,
    /// `glibc` or `musl`.
    pub(super) libc: Vec<String>,
}

/// For what a package is needed, if not simply so that the project runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "the flags of a lock's entry, which are independent")]
pub(super) struct Role {
    /// Only to develop the project.
    pub(super) dev: bool,
    /// Only if it can be installed.
    pub(super) optional: bool,
    /// To develop something, or by something that is optional.
    pub(super) dev_optional: bool,
    /// Only because another package expects its user to have it.
    pub(super) peer: bool,
}

/// A package that another needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Need {
    /// Which, in the lock's list.
    pub(super) package: usize,
    /// Whether it can do without.
    pub(super) optional: bool,
}

/// A symbolic link to a package's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    /// Where the link is, relative to the project's folder.
    pub(super) path: String,
    /// The package that it leads to, in the lock's list.
    pub(super) target: usize,
    /// The package that it is there for, without which it goes; `None` for the project itself.
    pub(super) owner: Option<usize>,
    /// For what the project needs it.
    pub(super) role: Role,
    /// The folder that gets links to the package's programs too.
    pub(super) bins: Option<String>,
}

/// Why a lock is not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum LockError {
    /// It is not in its format.
    #[error("it cannot be read: {0}")]
    Syntax(String),
    /// A version of the format that is not known here.
    #[error("its version {version} is not supported; write it anew with {tool}")]
    Version {
        /// What it says.
        version: String,
        /// What writes one that is.
        tool: &'static str,
    },
    /// A path that leads elsewhere.
    #[error("{path:?} is no place for a package: only folders in a `node_modules` of the project are")]
    Path {
        /// As written.
        path: String,
    },
    /// A hash that is none.
    #[error("{package} has the malformed integrity {integrity:?}")]
    Integrity {
        /// Where the package lies.
        package: String,
        /// As written.
        integrity: String,
    },
    /// A package that is referred to is not there.
    #[error("{from} needs {name}, which the lock does not have: write the lock anew")]
    Incomplete {
        /// Who needs it.
        from: String,
        /// What is needed.
        name: String,
    },
    /// A feature that would change what is installed.
    #[error("it says {what}, which is not supported")]
    Unsupported {
        /// The feature, in the lock's words.
        what: String,
    },
}

/// Names that a package needs before it is known which packages serve it.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// By the position of who needs: names, and whether each is optional.
    pub(super) names: Vec<Vec<(String, bool)>>,
}

impl Lock {
    /// Checks every path, and finds who serves whom by walking up from each package as programs do.
    pub(super) fn connected(mut packages: Vec<Package>, wanted: &Wanted) -> Result<Self, LockError> {
        for package in &packages {
            check_place(package)?;
        }
        let places: HashMap<String, usize> =
            packages.iter().enumerate().map(|(index, package)| (package.path.clone(), index)).collect();
        for (index, names) in wanted.names.iter().enumerate() {
            let from = packages[index].path.clone();
            let found = names.iter().filter_map(|(name, optional)| {
                Some(Need { package: find(&places, &from, name)?, optional: *optional })
            });
            packages[index].needs = found.collect();
            if let Source::Link { target } = &packages[index].source
                && let Some(&target) = places.get(target)
            {
                packages[index].needs.push(Need { package: target, optional: false });
            }
        }
        Ok(Self { packages, links: Vec::new(), trusted: None })
    }
}

/// The package that a program in the folder `from` gets when it asks for `name` (Node.js, "Loading from `node_modules`
/// folders").
fn find(places: &HashMap<String, usize>, from: &str, name: &str) -> Option<usize> {
    let mut folder = from;
    loop {
        if folder.rsplit('/').next() != Some("node_modules") {
            let here = if folder.is_empty() { "" } else { "/" };
            if let Some(&found) = places.get(&format!("{folder}{here}node_modules/{name}")) {
                return Some(found);
            }
        }
        if folder.is_empty() {
            return None;
        }
        folder = folder.rsplit_once('/').map_or("", |(above, _)| above);
    }
}

pub(super) fn check_place(package: &Package) -> Result<(), LockError> {
    let fine = match &package.source {
        // Nothing is ever written there.
        Source::Project => true,
        Source::Tarball { .. } | Source::Bundled | Source::Link { .. } | Source::Elsewhere(_) => {
            is_clean(&package.path) && name_in_path(&package.path).is_some()
        }
    };
    if fine { Ok(()) } else { Err(LockError::Path { path: package.path.clone() }) }
}

/// Whether a path stays inside of the folder that it is relative to.
pub(super) fn is_clean(path: &str) -> bool {
    let is_name = |name: &str| !matches!(name, "" | "." | "..") && !name.contains(['\0', '\\']) && name.len() <= 255;
    path.split('/').all(is_name)
}

/// The name that a package has from the folder it lies in: `@b/c` in `node_modules/a/node_modules/@b/c`.
pub(super) fn name_in_path(path: &str) -> Option<&str> {
    let name = match path.rsplit_once("/node_modules/") {
        Some((_, name)) => name,
        None => path.strip_prefix("node_modules/")?,
    };
    is_package_name(name).then_some(name)
}

/// Whether it is a name that a package may have: `name` or `@scope/name`, and no hidden file, as `.bin` is one.
pub(super) fn is_package_name(name: &str) -> bool {
    let is_part = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.contains(['/', '\\', '\0', '%']);
    match name.strip_prefix('@') {
        Some(scoped) => scoped.split_once('/').is_some_and(|(scope, name)| is_part(scope) && is_part(name)),
        None => is_part(name) && name != "node_modules",
    }
}

/// `target` as a link in the folder that `path` is in has to spell it.
pub(super) fn relative(path: &str, target: &str) -> String {
    let folder: Vec<&str> = path.split('/').collect();
    let folder = &folder[..folder.len() - 1];
    let target: Vec<&str> = target.split('/').filter(|name| !name.is_empty()).collect();
    let common = folder.iter().zip(&target).take_while(|(a, b)| a == b).count();
    let up = folder[common..].iter().map(|_| "..");
    let spelled: Vec<&str> = up.chain(target[common..].iter().copied()).collect();
    if spelled.is_empty() { ".".to_owned() } else { spelled.join("/") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_found_by_walking_up() {
        let paths = ["node_modules/a", "node_modules/b", "node_modules/a/node_modules/b", "x/y/node_modules/@s/c"];
        let places = paths.iter().enumerate().map(|(index, path)| ((*path).to_owned(), index)).collect();
        let cases = [
            ("node_modules/a", "b", Some(2)),
            ("node_modules/a/node_modules/b", "b", Some(2)),
            ("node_modules/b", "b", Some(1)),
            ("", "a", Some(0)),
            ("x/y", "@s/c", Some(3)),
            ("x/y", "a", Some(0)),
            ("x", "@s/c", None),
        ];
        for (from, name, expected) in cases {
            assert_eq!(find(&places, from, name), expected, "{name} from {from}");
        }
    }

    #[test]
    fn only_folders_of_packages_have_a_name() {
        let good = [("node_modules/a", "a"), ("x/node_modules/@s/b", "@s/b"), ("node_modules/a/node_modules/b", "b")];
        for (path, name) in good {
            assert_eq!(name_in_path(path), Some(name));
        }
        let bad =
            ["", "a", "node_modules/", "node_modules/.bin", "node_modules/@s", "node_modules/a/b", "node_modules/.."];
        for path in bad {
            assert_eq!(name_in_path(path), None, "{path}");
        }
        for path in ["", "..", "a/../b", "/a", "a//b", "a/./b", "a\\b", "a/"] {
            assert!(!is_clean(path), "{path}");
        }
    }

    #[test]
    fn links_are_spelled_from_where_they_are() {
        assert_eq!(relative("node_modules/a", "packages/a"), "../packages/a");
        assert_eq!(relative("node_modules/@s/a", "packages/a"), "../../packages/a");
        assert_eq!(relative("node_modules/.bin/x", "node_modules/a/cli.js"), "../a/cli.js");
        assert_eq!(relative("node_modules/a", ""), "..");
    }
}
