//! `package-lock.json` and `npm-shrinkwrap.json`, versions 2 and 3 (npm documentation, "package-lock.json").
//!
//! `packages` says all: each key is a folder, and what is said there is what the `package.json` in it would say, with
//! flags for what it is needed. Version 1 has no such list.

use super::{
    bin::{BinField, Bins},
    integrity::Integrity,
    lock::{Lock, LockError, Package, Role, RunsOn, Source, Wanted, is_clean, name_in_path},
};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;

/// Reads the lock.
pub(super) fn read(text: &str) -> Result<Lock, LockError> {
    let file: File = serde_json::from_str(text).map_err(|error| LockError::Syntax(error.to_string()))?;
    if !(2..=3).contains(&file.version) {
        let tool = "`npm install --package-lock-only --lockfile-version=3`";
        return Err(LockError::Version { version: file.version.to_string(), tool });
    }
    let mut packages = Vec::with_capacity(file.packages.0.len());
    let mut wanted = Wanted::default();
    for (path, entry) in file.packages.0 {
        // What nothing needs is not installed.
        if entry.extraneous {
            continue;
        }
        wanted.names.push(entry.wanted());
        packages.push(entry.package(path)?);
    }
    Lock::connected(packages, &wanted)
}

#[derive(Deserialize)]
struct File {
    #[serde(rename = "lockfileVersion", default)]
    version: u32,
    #[serde(default)]
    packages: Ordered<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "the flags of an entry, as the format has them")]
struct Entry {
    name: Option<String>,
    version: Option<String>,
    resolved: Option<String>,
    integrity: Option<String>,
    link: bool,
    in_bundle: bool,
    extraneous: bool,
    dev: bool,
    optional: bool,
    dev_optional: bool,
    peer: bool,
    has_install_script: bool,
    bin: Option<BinField>,
    os: OneOrMany,
    cpu: OneOrMany,
    libc: OneOrMany,
    dependencies: BTreeMap<String, String>,
    dev_dependencies: BTreeMap<String, String>,
    optional_dependencies: BTreeMap<String, String>,
    peer_dependencies: BTreeMap<String, String>,
    peer_dependencies_meta: BTreeMap<String, PeerMeta>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PeerMeta {
    optional: bool,
}

impl Entry {
    /// Names that it needs, and whether it can do without.
    fn wanted(&self) -> Vec<(String, bool)> {
        let mut wanted: BTreeMap<&str, bool> = BTreeMap::new();
        for name in self.peer_dependencies.keys() {
            let optional = self.peer_dependencies_meta.get(name).is_some_and(|meta| meta.optional);
            wanted.insert(name, optional);
        }
        wanted.extend(self.dev_dependencies.keys().map(|name| (name.as_str(), false)));
        wanted.extend(self.dependencies.keys().map(|name| (name.as_str(), false)));
        // What is both is optional.
        wanted.extend(self.optional_dependencies.keys().map(|name| (name.as_str(), true)));
        wanted.into_iter().map(|(name, optional)| (name.to_owned(), optional)).collect()
    }

    fn package(self, path: String) -> Result<Package, LockError> {
        let name = self.name.clone().or_else(|| name_in_path(&path).map(ToOwned::to_owned)).unwrap_or_default();
        let source = self.source(&path)?;
        Ok(Package {
            source,
            runs_on: RunsOn { os: self.os.0, cpu: self.cpu.0, libc: self.libc.0 },
            role: Role { dev: self.dev, optional: self.optional, dev_optional: self.dev_optional, peer: self.peer },
            bins: self.bin.map_or_else(Bins::new, |bin| bin.normalized(&name)),
            has_install_script: Some(self.has_install_script),
            needs: Vec::new(),
            version: self.version.unwrap_or_default(),
            name,
            path,
        })
    }

    fn source(&self, path: &str) -> Result<Source, LockError> {
        if self.link {
            let target = self.resolved.clone().unwrap_or_default();
            // It may lead to a neighbour of the project; it is only a link. But it is no text of another kind.
            let fine = is_clean(target.trim_start_matches("../")) || target.is_empty();
            return if fine { Ok(Source::Link { target }) } else { Err(LockError::Path { path: target }) };
        }
        if name_in_path(path).is_none() && !path.split('/').any(|part| part == "node_modules") {
            return Ok(Source::Project);
        }
        if self.in_bundle {
            return Ok(Source::Bundled);
        }
        match &self.resolved {
            Some(resolved) if !resolved.starts_with("https://") && !resolved.starts_with("http://") => {
                return Ok(Source::Elsewhere(resolved.clone()));
            }
            Some(_) | None => {}
        }
        let malformed = |text: &String| LockError::Integrity { package: path.to_owned(), integrity: text.clone() };
        let parsed = |text: &String| Integrity::parse(text).ok_or_else(|| malformed(text));
        let integrity = self.integrity.as_ref().map(parsed).transpose()?;
        Ok(Source::Tarball { integrity, url: self.resolved.clone() })
    }
}

/// A list of texts, or one text.
#[derive(Default)]
pub(super) struct OneOrMany(pub(super) Vec<String>);

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            One(String),
            Many(Vec<String>),
        }
        Ok(match Written::deserialize(deserializer)? {
            Written::One(one) => Self(vec![one]),
            Written::Many(many) => Self(many),
        })
    }
}

/// An object's members in the order in which they are written.
pub(super) struct Ordered<T>(pub(super) Vec<(String, T)>);

impl<T> Default for Ordered<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Ordered<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> serde::de::Visitor<'de> for Members<T> {
            type Value = Ordered<T>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Ordered(members))
            }
        }
        deserializer.deserialize_map(Members(std::marker::PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packages::node::{integrity::Algorithm, lock::Need};

    fn lock(packages: &str) -> Result<Lock, LockError> {
        read(&format!(r#"{{"lockfileVersion": 3, "packages": {{{packages}}}}}"#))
    }

    #[test]
    fn entries_become_packages_that_know_each_other() {
        let sha1 = "sha1-AQEBAQEBAQEBAQEBAQEBAQEBAQE=";
        let lock = lock(&format!(
            r#""": {{"name": "app", "dependencies": {{"a": "1", "lib": "*"}}, "workspaces": ["lib"]}},
            "lib": {{"version": "0.1.0", "dependencies": {{"b": "2"}}}},
            "node_modules/lib": {{"resolved": "lib", "link": true}},
            "node_modules/a": {{"version": "1.0.0", "integrity": "{sha1}", "bin": "cli.js", "hasInstallScript": true,
                "optionalDependencies": {{"b": "1"}}, "dependencies": {{"b": "1"}}, "os": "linux"}},
            "node_modules/a/node_modules/b": {{"name": "real-b", "version": "1.0.0", "resolved": "git+ssh://x/y#z"}},
            "node_modules/b": {{"version": "2.0.0", "resolved": "https://host/b.tgz", "dev": true, "peer": true}},
            "node_modules/b/node_modules/c": {{"version": "3.0.0", "inBundle": true}}"#
        ))
        .unwrap();
        let sources: Vec<_> = lock.packages.iter().map(|package| package.source.clone()).collect();
        let integrity = Some(Integrity { algorithm: Algorithm::Sha1, digest: vec![1; 20] });
        assert_eq!(
            sources,
            [
                Source::Project,
                Source::Project,
                Source::Link { target: "lib".to_owned() },
                Source::Tarball { integrity, url: None },
                Source::Elsewhere("git+ssh://x/y#z".to_owned()),
                Source::Tarball { integrity: None, url: Some("https://host/b.tgz".to_owned()) },
                Source::Bundled,
            ]
        );
        let need = |package, optional| Need { package, optional };
        assert_eq!(lock.packages[0].needs, [need(3, false), need(2, false)]);
        assert_eq!(lock.packages[1].needs, [need(5, false)]);
        assert_eq!(lock.packages[2].needs, [need(1, false)]);
        let a = &lock.packages[3];
        assert_eq!(a.needs, [need(4, true)]);
        assert_eq!((a.name.as_str(), a.version.as_str(), a.has_install_script), ("a", "1.0.0", Some(true)));
        assert_eq!((a.bins["a"].as_str(), &a.runs_on.os[..]), ("cli.js", &["linux".to_owned()][..]));
        assert_eq!(lock.packages[4].name, "real-b");
        assert_eq!(lock.packages[5].role, Role { dev: true, peer: true, ..Role::default() });
    }

    #[test]
    fn places_outside_of_the_project_are_refused() {
        for path in
            ["node_modules/../../etc", "../node_modules/x/..", "/node_modules/a", "node_modules/.bin", "node_modules/"]
        {
            let error = lock(&format!(r#""{path}": {{"version": "1.0.0"}}"#)).unwrap_err();
            assert_eq!(error, LockError::Path { path: path.to_owned() });
        }
        let error = lock(r#""node_modules/a": {"link": true, "resolved": "a/../../../etc"}"#).unwrap_err();
        assert!(matches!(error, LockError::Path { .. }));
    }

    #[test]
    fn other_versions_are_named() {
        let error = read(r#"{"lockfileVersion": 1, "dependencies": {}}"#).unwrap_err();
        assert!(error.to_string().starts_with("its version 1 is not supported; write it anew with `npm install"));
        assert!(matches!(read("{").unwrap_err(), LockError::Syntax(_)));
        assert!(matches!(
            lock(r#""node_modules/a": {"integrity": "sha512-AA"}"#).unwrap_err(),
            LockError::Integrity { .. }
        ));
    }
}
