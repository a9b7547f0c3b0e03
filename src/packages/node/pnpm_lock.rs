//! `pnpm-lock.yaml`, version 9, and the folders that pnpm makes of it (pnpm documentation, "Symlinked `node_modules`
//! structure").
//!
//! Each package lies in a folder of its own, `node_modules/.pnpm/NAME@VERSION/node_modules/NAME`, once for each set of
//! peers that it meets, and finds what it needs through links beside it. The project has links to what it asks for; a
//! link for every other name, in `node_modules/.pnpm/node_modules`, is for packages that need what they do not name.
//!
//! | differs from what pnpm writes | why |
//! |---|---|
//! | packages have no `.bin` of their own, only the project and the members of its workspace | it serves scripts that are not run |
//! | programs are links, as npm makes them | pnpm's are scripts that find their way to the same file |
//! | no `.modules.yaml`, no state of the workspace | they hold times and paths of the machine that installs |

use super::{
    bin::Bins,
    integrity::Integrity,
    lock::{
        Link, Lock, LockError, Need, Package, Role, RunsOn, Source, check_place, is_clean, is_package_name,
        name_in_path,
    },
    package_lock::OneOrMany,
    roles::{self, Root},
};
use crate::image::Digest;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Longest name of a package's folder (`virtual-store-dir-max-length`).
const MAX_FOLDER: usize = 120;

/// Reads the lock.
pub(super) fn read(text: &str) -> Result<Lock, LockError> {
    let file: File = serde_saphyr::from_str(text).map_err(|error| LockError::Syntax(error.to_string()))?;
    if file.version != "9.0" {
        return Err(LockError::Version {
            version: file.version,
            tool: "`pnpm install --lockfile-only` of pnpm 9 or later",
        });
    }
    if file.patched.is_some() {
        return Err(LockError::Unsupported { what: "that packages are patched".to_owned() });
    }
    let mut packages: Vec<Package> = file.importers.keys().map(|folder| project(folder)).collect();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for key in file.snapshots.keys() {
        places.insert(key, packages.len());
        packages.push(file.package(key)?);
    }
    for package in &packages {
        check_place(package)?;
    }
    let mut lock = Lock { packages, links: Vec::new(), trusted: None };
    let mut roots = Vec::new();
    for (index, (folder, importer)) in file.importers.iter().enumerate() {
        let folder = if folder == "." { "" } else { folder };
        if !folder.is_empty() && !is_clean(folder) {
            return Err(LockError::Path { path: folder.to_owned() });
        }
        roots.extend(importer.connect(&mut lock, &places, index, folder)?);
    }
    for (index, (key, snapshot)) in file.snapshots.iter().enumerate() {
        snapshot.connect(&mut lock, &places, file.importers.len() + index, key)?;
    }
    roles::note(&mut lock, &roots);
    hoist(&mut lock, &roots);
    Ok(lock)
}

#[derive(Deserialize)]
struct File {
    #[serde(rename = "lockfileVersion", default)]
    version: String,
    #[serde(default)]
    importers: BTreeMap<String, Importer>,
    #[serde(default)]
    packages: BTreeMap<String, Entry>,
    #[serde(default)]
    snapshots: BTreeMap<String, Snapshot>,
    #[serde(rename = "patchedDependencies", default)]
    patched: Option<serde::de::IgnoredAny>,
}

/// The project, or a member of its workspace.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Importer {
    dependencies: BTreeMap<String, Asked>,
    dev_dependencies: BTreeMap<String, Asked>,
    optional_dependencies: BTreeMap<String, Asked>,
}

/// What a name that the project asks for came to.
#[derive(Deserialize)]
struct Asked {
    version: String,
}

/// A version of a package.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Entry {
    resolution: Resolution,
    version: Option<String>,
    os: OneOrMany,
    cpu: OneOrMany,
    libc: OneOrMany,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Resolution {
    integrity: Option<String>,
    tarball: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    directory: Option<String>,
}

/// A version of a package with the peers that it meets.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Snapshot {
    dependencies: BTreeMap<String, String>,
    optional_dependencies: BTreeMap<String, String>,
}

impl File {
    fn package(&self, key: &str) -> Result<Package, LockError> {
        let without_peers = key.split_once('(').map_or(key, |(key, _)| key);
        let (name, version) = named(without_peers).ok_or_else(|| LockError::Path { path: key.to_owned() })?;
        let missing = || LockError::Incomplete { from: "its list of snapshots".to_owned(), name: key.to_owned() };
        let entry = self.packages.get(without_peers).ok_or_else(missing)?;
        Ok(Package {
            path: format!("node_modules/.pnpm/{}/node_modules/{name}", folder_name(key)),
            name: name.to_owned(),
            version: entry.version.clone().unwrap_or_else(|| version.to_owned()),
            source: entry.source(key, version)?,
            runs_on: RunsOn { os: entry.os.0.clone(), cpu: entry.cpu.0.clone(), libc: entry.libc.0.clone() },
            role: Role::default(),
            bins: Bins::new(),
            has_install_script: None,
            needs: Vec::new(),
        })
    }
}

impl Entry {
    fn source(&self, key: &str, version: &str) -> Result<Source, LockError> {
        let Resolution { integrity, tarball, kind, directory } = &self.resolution;
        let elsewhere = kind.is_some() || directory.is_some() || version.starts_with("file:");
        let web = tarball.as_ref().is_none_or(|url| url.starts_with("https://") || url.starts_with("http://"));
        if elsewhere || !web {
            return Ok(Source::Elsewhere(version.to_owned()));
        }
        let malformed = |text: &String| LockError::Integrity { package: key.to_owned(), integrity: text.clone() };
        let parsed = |text: &String| Integrity::parse(text).ok_or_else(|| malformed(text));
        Ok(Source::Tarball { integrity: integrity.as_ref().map(parsed).transpose()?, url: tarball.clone() })
    }
}

impl Importer {
    /// Links the project to what it asks for, and says what that is.
    fn connect(
        &self,
        lock: &mut Lock,
        places: &HashMap<&str, usize>,
        index: usize,
        folder: &str,
    ) -> Result<Vec<Root>, LockError> {
        let above = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let mut roots = Vec::new();
        let kinds = [
            (&self.dependencies, false, false),
            (&self.dev_dependencies, true, false),
            (&self.optional_dependencies, false, true),
        ];
        for (asked, dev, optional) in kinds {
            for (alias, Asked { version }) in asked {
                let path = format!("{above}node_modules/{alias}");
                let role = Role { dev, optional, ..Role::default() };
                if !is_package_name(alias) {
                    return Err(LockError::Path { path });
                }
                if let Some(target) = version.strip_prefix("link:") {
                    let target = joined(folder, target).ok_or_else(|| LockError::Path { path: target.to_owned() })?;
                    let source = Source::Link { target };
                    lock.packages.push(Package { path, name: alias.clone(), source, role, ..project("") });
                    continue;
                }
                let package = place_of(places, alias, version, folder)?;
                let bins = Some(format!("{above}node_modules/.bin"));
                lock.links.push(Link { path, target: package, owner: None, role, bins });
                lock.packages[index].needs.push(Need { package, optional });
                roots.push(Root { package, dev, optional });
            }
        }
        Ok(roots)
    }
}

impl Snapshot {
    /// Links what the package needs beside it.
    fn connect(
        &self,
        lock: &mut Lock,
        places: &HashMap<&str, usize>,
        index: usize,
        key: &str,
    ) -> Result<(), LockError> {
        let folder = format!("node_modules/.pnpm/{}/node_modules", folder_name(key));
        let needs = self.dependencies.iter().map(|need| (need, false));
        for ((alias, version), optional) in needs.chain(self.optional_dependencies.iter().map(|need| (need, true))) {
            let path = format!("{folder}/{alias}");
            if !is_package_name(alias) {
                return Err(LockError::Path { path });
            }
            let package = place_of(places, alias, version, key)?;
            lock.packages[index].needs.push(Need { package, optional });
            // A package that needs itself finds itself.
            if lock.packages[package].path != path {
                lock.links.push(Link { path, target: package, owner: Some(index), role: Role::default(), bins: None });
            }
        }
        Ok(())
    }
}

/// A link for each name that the project does not ask for itself, to the version that is closest to the project.
fn hoist(lock: &mut Lock, roots: &[Root]) {
    let mut taken: BTreeSet<String> = BTreeSet::new();
    let mut level: Vec<usize> = roots.iter().map(|root| root.package).collect();
    let mut seen: BTreeSet<usize> = BTreeSet::new();
    let mut links = Vec::new();
    for link in lock.links.iter().filter(|link| link.owner.is_none()) {
        if let Some(alias) = link.path.strip_prefix("node_modules/") {
            taken.insert(alias.to_lowercase());
        }
    }
    // What members of a workspace ask for is as close as it gets.
    let of_members = lock.links.iter().filter(|link| link.owner.is_none() && !link.path.starts_with("node_modules/"));
    for link in of_members {
        hoist_one(&mut links, &mut taken, link);
    }
    while !level.is_empty() {
        level.sort_by(|a, b| lock.packages[*a].path.cmp(&lock.packages[*b].path));
        level.dedup();
        level.retain(|index| seen.insert(*index));
        let mut next = Vec::new();
        for &index in &level {
            let owned = lock.links.iter().filter(|link| link.owner == Some(index));
            for link in owned {
                hoist_one(&mut links, &mut taken, link);
                next.push(link.target);
            }
        }
        level = next;
    }
    lock.links.extend(links);
}

/// Another link to where `link` leads, unless its name is taken.
fn hoist_one(links: &mut Vec<Link>, taken: &mut BTreeSet<String>, link: &Link) {
    let alias = name_in_path(&link.path).unwrap_or_default();
    if taken.insert(alias.to_lowercase()) {
        let path = format!("node_modules/.pnpm/node_modules/{alias}");
        links.push(Link { path, target: link.target, owner: link.owner, role: link.role, bins: None });
    }
}

fn project(folder: &str) -> Package {
    Package {
        path: if folder == "." { String::new() } else { folder.to_owned() },
        name: String::new(),
        version: String::new(),
        source: Source::Project,
        runs_on: RunsOn::default(),
        role: Role::default(),
        bins: Bins::new(),
        has_install_script: None,
        needs: Vec::new(),
    }
}

/// `name@version`, where the name may begin with an `@`.
fn named(key: &str) -> Option<(&str, &str)> {
    let at = key.get(1..)?.find('@')? + 1;
    let (name, version) = (&key[..at], &key[at + 1..]);
    is_package_name(name).then_some((name, version))
}

/// The package that `alias` in `version` is; an alias of another name says both in its version.
fn place_of(places: &HashMap<&str, usize>, alias: &str, version: &str, from: &str) -> Result<usize, LockError> {
    let found = places.get(format!("{alias}@{version}").as_str()).or_else(|| places.get(version));
    found.copied().ok_or_else(|| LockError::Incomplete { from: from.to_owned(), name: format!("{alias}@{version}") })
}

/// `target`, seen from `folder`, as a path in the project; `None` if it leads out of it.
fn joined(folder: &str, target: &str) -> Option<String> {
    let mut names: Vec<&str> = folder.split('/').filter(|name| !name.is_empty()).collect();
    for name in target.split('/') {
        match name {
            "" | "." => {}
            ".." => drop(names.pop()?),
            name => names.push(name),
        }
    }
    let joined = names.join("/");
    (joined.is_empty() || is_clean(&joined)).then_some(joined)
}

/// The name of a package's own folder (`depPathToFilename` of pnpm 10).
fn folder_name(key: &str) -> String {
    let replaced: String = key
        .chars()
        .map(|character| {
            if matches!(character, '\\' | '/' | ':' | '*' | '?' | '"' | '<' | '>' | '|' | '#') {
                '+'
            } else {
                character
            }
        })
        .collect();
    let mut name = replaced;
    if name.contains('(') {
        name = name.strip_suffix(')').unwrap_or(&name).replace(")(", "_").replace(['(', ')'], "_");
    }
    if name.len() <= MAX_FOLDER && (name == name.to_lowercase() || name.starts_with("file+")) {
        return name;
    }
    let hash = Digest::of(name.as_bytes()).to_string();
    let hex = hash.rsplit(':').next().unwrap_or_default();
    let kept: String = name.chars().take(MAX_FOLDER - 33).collect();
    format!("{kept}_{}", &hex[..32])
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = "
lockfileVersion: '9.0'
importers:
  .:
    dependencies:
      al: {specifier: 'npm:is-odd@3', version: is-odd@3.0.1}
      react-thing: {specifier: '1', version: 1.0.0(react@18.0.0)(@s/x@1.0.0)}
    devDependencies:
      dev: {specifier: '1', version: 1.0.0}
  packages/lib:
    dependencies:
      other: {specifier: 'workspace:*', version: 'link:../other'}
packages:
  is-odd@3.0.1: {resolution: {integrity: sha512-HASH}}
  is-number@6.0.0: {resolution: {integrity: sha512-HASH}}
  react-thing@1.0.0: {resolution: {integrity: sha512-HASH}, hasBin: true}
  react@18.0.0: {resolution: {integrity: sha512-HASH, tarball: 'https://x.test/react.tgz'}}
  '@s/x@1.0.0': {resolution: {integrity: sha512-HASH}, os: [linux], cpu: [x64]}
  dev@1.0.0: {resolution: {type: git, repo: 'x', commit: y}}
snapshots:
  is-odd@3.0.1: {dependencies: {is-number: 6.0.0}}
  is-number@6.0.0: {}
  react-thing@1.0.0(react@18.0.0)(@s/x@1.0.0):
    dependencies: {react: 18.0.0}
    optionalDependencies: {'@s/x': 1.0.0}
  react@18.0.0: {}
  '@s/x@1.0.0': {optional: true}
  dev@1.0.0: {dependencies: {is-number: 6.0.0}}
";

    fn lock(text: &str) -> Result<Lock, LockError> {
        let hash = "A".repeat(86) + "==";
        read(&text.replace("HASH", &hash))
    }

    #[test]
    fn packages_lie_apart_and_links_connect_them() {
        let lock = lock(LOCK).unwrap();
        let thing = "node_modules/.pnpm/react-thing@1.0.0_react@18.0.0_@s+x@1.0.0/node_modules";
        let link = |link: &Link| format!("{} -> {}", link.path, lock.packages[link.target].path);
        let number = "node_modules/.pnpm/is-number@6.0.0/node_modules/is-number";
        let react = "node_modules/.pnpm/react@18.0.0/node_modules/react";
        let x = "node_modules/.pnpm/@s+x@1.0.0/node_modules/@s/x";
        assert_eq!(
            lock.links.iter().map(link).collect::<Vec<_>>(),
            [
                "node_modules/al -> node_modules/.pnpm/is-odd@3.0.1/node_modules/is-odd".to_owned(),
                format!("node_modules/react-thing -> {thing}/react-thing"),
                "node_modules/dev -> node_modules/.pnpm/dev@1.0.0/node_modules/dev".to_owned(),
                format!("node_modules/.pnpm/dev@1.0.0/node_modules/is-number -> {number}"),
                format!("node_modules/.pnpm/is-odd@3.0.1/node_modules/is-number -> {number}"),
                format!("{thing}/react -> {react}"),
                format!("{thing}/@s/x -> {x}"),
                format!("node_modules/.pnpm/node_modules/is-number -> {number}"),
                format!("node_modules/.pnpm/node_modules/react -> {react}"),
                format!("node_modules/.pnpm/node_modules/@s/x -> {x}"),
            ]
        );
        let by_name = |name: &str| lock.packages.iter().find(|package| package.name == name).unwrap();
        assert_eq!(by_name("@s/x").role, Role { optional: true, ..Role::default() });
        assert_eq!(by_name("dev").role, Role { dev: true, ..Role::default() });
        assert_eq!(by_name("is-number").role, Role::default());
        assert!(matches!(by_name("dev").source, Source::Elsewhere(_)));
        assert_eq!(by_name("other").source, Source::Link { target: "packages/other".to_owned() });
        assert_eq!(by_name("other").path, "packages/lib/node_modules/other");
    }

    #[test]
    fn folders_have_names_that_every_file_system_takes() {
        assert_eq!(folder_name("@s/a@1.0.0(b@2.0.0)(@c/d@3.0.0)"), "@s+a@1.0.0_b@2.0.0_@c+d@3.0.0");
        let upper = folder_name("JSONStream@1.3.5");
        assert!(upper.starts_with("JSONStream@1.3.5_") && upper.len() == 49, "{upper}");
        assert_eq!(folder_name(&"a".repeat(300)).len(), 120);
    }

    #[test]
    fn what_would_be_lost_or_leads_elsewhere_is_refused() {
        assert!(matches!(
            lock(&format!("{LOCK}patchedDependencies: {{a: {{path: x}}}}\n")),
            Err(LockError::Unsupported { .. })
        ));
        assert!(matches!(lock("lockfileVersion: '6.0'"), Err(LockError::Version { .. })));
        assert!(matches!(lock(&LOCK.replace("link:../other", "link:../../../etc")), Err(LockError::Path { .. })));
        assert!(matches!(
            lock(&LOCK.replace("react@18.0.0: {}", "react@18.0.1: {}")),
            Err(LockError::Incomplete { .. })
        ));
        assert!(matches!(lock(&LOCK.replace("      dev: {", "      ../../dev: {")), Err(LockError::Path { .. })));
        assert!(matches!(lock(": x: ["), Err(LockError::Syntax(_))));
    }
}
