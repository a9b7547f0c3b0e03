//! Whose scripts may run.

use crate::packages::{
    PackageError,
    node::lock::{Lock, Package, is_package_name},
};
use flashbuild_frontend::package::DepsRequest;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// The flag.
const FLAG: &str = "allow-scripts";
/// The value that stands for what the project says; no package can have this name.
const PROJECT: &str = "@project";

/// Whose scripts may run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::packages::node) struct Allowed {
    /// By name: which versions, or all.
    packages: BTreeMap<String, Versions>,
    /// Names that are in the Dockerfile.
    named: BTreeSet<String>,
    /// Whether what the project says counts.
    asks_project: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Versions {
    All,
    These(BTreeSet<String>),
}

/// The files of a project in which pnpm is told whose scripts to trust; Bun notes it in its lock.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::packages::node) struct Project<'a> {
    /// `package.json`.
    pub(in crate::packages::node) manifest: Option<&'a str>,
    /// `pnpm-workspace.yaml`.
    pub(in crate::packages::node) workspace: Option<&'a str>,
}

impl Allowed {
    /// What the flags of `request` say.
    pub(in crate::packages::node) fn of(request: &DepsRequest) -> Result<Self, PackageError> {
        let mut allowed = Self::default();
        let words = request.flags(FLAG).flat_map(|value| value.split(',')).map(str::trim);
        for word in words.filter(|word| !word.is_empty()) {
            if word == PROJECT {
                allowed.asks_project = true;
            } else {
                let name = allowed.add(word).ok_or_else(|| refused(word))?;
                allowed.named.insert(name);
            }
        }
        Ok(allowed)
    }

    /// Whether the project's own files count.
    pub(in crate::packages::node) fn asks_project(&self) -> bool {
        self.asks_project
    }

    /// Adds what a project says: `None` if it says nothing.
    pub(in crate::packages::node) fn add_project(
        &mut self,
        lock: &Lock,
        project: Project<'_>,
    ) -> Result<(), PackageError> {
        let trusted = trusted(lock, project)?.ok_or_else(|| PackageError::Flag {
            flag: FLAG,
            problem: format!(
                "{PROJECT} means the list that Bun (trustedDependencies) or pnpm (onlyBuiltDependencies) has, and this \
                 project has none: name the packages instead"
            ),
        })?;
        for word in trusted {
            self.add(&word).ok_or_else(|| refused(&word))?;
        }
        Ok(())
    }

    /// Every name in the Dockerfile has to be that of a package.
    pub(in crate::packages::node) fn check(&self, lock: &Lock) -> Result<(), PackageError> {
        let absent: Vec<&str> = self
            .named
            .iter()
            .filter(|name| lock.packages.iter().all(|package| package.name != **name))
            .map(String::as_str)
            .collect();
        if absent.is_empty() {
            return Ok(());
        }
        let problem = format!("the lock has no {}", absent.join(", "));
        Err(PackageError::Flag { flag: FLAG, problem })
    }

    /// Whether the scripts of `package` may run.
    pub(in crate::packages::node) fn has(&self, package: &Package) -> bool {
        match self.packages.get(&package.name) {
            Some(Versions::All) => true,
            Some(Versions::These(versions)) => versions.contains(&package.version),
            None => false,
        }
    }

    /// Adds `NAME`, or `NAME@VERSION || VERSION`; returns the name.
    fn add(&mut self, word: &str) -> Option<String> {
        let at = word.get(1..)?.find('@').map(|at| at + 1);
        let name = at.map_or(word, |at| &word[..at]);
        if !is_package_name(name) || name.contains(['*', '!', ' ']) {
            return None;
        }
        let known = self.packages.entry(name.to_owned()).or_insert_with(|| Versions::These(BTreeSet::new()));
        match (at, known) {
            (None, known) => *known = Versions::All,
            (Some(at), Versions::These(versions)) => {
                versions.extend(word[at + 1..].split("||").map(|version| version.trim().to_owned()));
            }
            (Some(_), Versions::All) => {}
        }
        Some(name.to_owned())
    }
}

fn refused(word: &str) -> PackageError {
    let problem = format!("{word:?} is no name of a package: it takes NAME, NAME@VERSION and {PROJECT}");
    PackageError::Flag { flag: FLAG, problem }
}

/// The list of a project, wherever its package manager keeps it.
fn trusted(lock: &Lock, project: Project<'_>) -> Result<Option<Vec<String>>, PackageError> {
    /// Where pnpm has its settings.
    #[derive(Deserialize, Default)]
    #[serde(rename_all = "camelCase", default)]
    struct Pnpm {
        only_built_dependencies: Option<Vec<String>>,
        allow_builds: Option<BTreeMap<String, bool>>,
    }
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Manifest {
        pnpm: Pnpm,
    }
    impl Pnpm {
        fn names(self) -> Option<Vec<String>> {
            let built =
                self.allow_builds.map(|builds| builds.into_iter().filter_map(|(name, may)| may.then_some(name)));
            match (self.only_built_dependencies, built) {
                (None, None) => None,
                (names, built) => Some(names.into_iter().flatten().chain(built.into_iter().flatten()).collect()),
            }
        }
    }
    if lock.trusted.is_some() {
        return Ok(lock.trusted.clone());
    }
    let failed = |file: &str, problem: String| PackageError::Lock { file: file.to_owned(), problem };
    let workspace = match project.workspace {
        Some(text) => {
            let settings: Option<Pnpm> =
                serde_saphyr::from_str(text).map_err(|error| failed("pnpm-workspace.yaml", error.to_string()))?;
            settings.and_then(Pnpm::names)
        }
        None => None,
    };
    let manifest = match project.manifest {
        Some(text) => {
            let manifest: Manifest =
                serde_json::from_str(text).map_err(|error| failed("package.json", error.to_string()))?;
            manifest.pnpm.names()
        }
        None => None,
    };
    Ok(workspace.or(manifest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packages::node::{bun_lock, pnpm_lock};
    use flashbuild_frontend::package::{Ecosystem, LockPlace, Room};

    fn request(values: &[&str]) -> DepsRequest {
        DepsRequest {
            ecosystem: Ecosystem::Node,
            flags: values.iter().map(|value| (FLAG.to_owned(), (*value).to_owned())).collect(),
            arguments: vec!["bun.lock".to_owned()],
            platform: "linux/amd64".parse().unwrap(),
            environment: Vec::new(),
            base: None,
            has_system: false,
            system: Vec::new(),
            below: None,
            from: LockPlace::Context,
            room: Room::default(),
        }
    }

    /// Which of `a@1`, `a@2`, `@s/b@1` and `alias` (which is `c@1`) are allowed.
    fn allowed(allowed: &Allowed) -> Vec<String> {
        let lock = bun_lock::read(LOCK).unwrap();
        let packages = lock.packages.iter().filter(|package| allowed.has(package));
        packages.map(|package| format!("{}@{}", package.name, package.version)).collect()
    }

    const LOCK: &str = r#"{"lockfileVersion": 1, "trustedDependencies": ["@s/b"], "packages": {
        "@s/b": ["@s/b@1.0.0", "", {}, ""], "a": ["a@1.0.0", "", {}, ""], "@s/b/a": ["a@2.0.0", "", {}, ""],
        "alias": ["c@1.0.0", "", {}, ""]}}"#;

    #[test]
    fn packages_are_allowed_by_their_own_name_and_perhaps_version() {
        for (values, expected) in [
            (&[][..], &[][..]),
            (&["a"], &["a@2.0.0", "a@1.0.0"]),
            (&["a@2.0.0"], &["a@2.0.0"]),
            (&["a@3.0.0,@s/b"], &["@s/b@1.0.0"]),
            (&["@s/b@1.0.0", "a@1.0.0"], &["@s/b@1.0.0", "a@1.0.0"]),
            (&["a@9.9.9", "a"], &["a@2.0.0", "a@1.0.0"]),
            (&["c"], &["c@1.0.0"]),
        ] {
            let found = allowed(&Allowed::of(&request(values)).unwrap());
            let found: BTreeSet<&str> = found.iter().map(String::as_str).collect();
            assert_eq!(found, expected.iter().copied().collect(), "{values:?}");
        }
    }

    #[test]
    fn what_is_no_name_or_in_no_lock_is_refused() {
        for word in ["*", "a*", "!a", "../x", "@", "@all", "a b", "node_modules"] {
            let error = Allowed::of(&request(&[word])).unwrap_err().to_string();
            assert!(error.starts_with("--allow-scripts: ") && error.contains("is no name of a package"), "{error}");
        }
        let lock = bun_lock::read(LOCK).unwrap();
        let error = Allowed::of(&request(&["a,alias,d"])).unwrap().check(&lock).unwrap_err();
        assert_eq!(error.to_string(), "--allow-scripts: the lock has no alias, d");
    }

    #[test]
    fn a_project_is_asked_where_its_package_manager_keeps_the_list() {
        let names = |lock: &Lock, manifest, workspace| {
            let mut allowed = Allowed::of(&request(&["@project"])).unwrap();
            assert!(allowed.asks_project());
            let added = allowed.add_project(lock, Project { manifest, workspace });
            added
                .map(|()| allowed.packages.into_keys().collect::<Vec<_>>().join(" "))
                .map_err(|error| error.to_string())
        };
        let bun = bun_lock::read(LOCK).unwrap();
        assert_eq!(names(&bun, None, None).unwrap(), "@s/b");
        let pnpm = pnpm_lock::read("lockfileVersion: '9.0'\n").unwrap();
        let manifest = Some(r#"{"pnpm": {"onlyBuiltDependencies": ["a", "c@1.0.0 || 2.0.0"]}}"#);
        assert_eq!(names(&pnpm, manifest, None).unwrap(), "a c");
        assert_eq!(names(&pnpm, manifest, Some("onlyBuiltDependencies: [d]\n")).unwrap(), "d");
        assert_eq!(names(&pnpm, None, Some("allowBuilds: {a: true, b: false}\n")).unwrap(), "a");
        // Another package manager's list is none of its.
        let none = bun_lock::read(&LOCK.replace("trustedDependencies", "other")).unwrap();
        for lock in [&none, &pnpm] {
            let error = names(lock, Some(r#"{"trustedDependencies": ["a"]}"#), None).unwrap_err();
            assert!(error.contains("this project has none: name the packages"), "{error}");
        }
    }
}
