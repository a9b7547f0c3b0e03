//! `bun.lock`: JSON with comments and trailing commas (Bun documentation, "Lockfile"; `bun.lock.zig` for what it leaves
//! open).
//!
//! A key of `packages` is the chain of names that leads to a folder: `a/@s/b` lies in `node_modules/a/node_modules/@s/b`. A
//! value is a list that begins with `name@resolution`; a package of a registry goes on with the registry, what the
//! `package.json` says, and the hash.

use super::{
    bin::{BinField, Bins},
    integrity::Integrity,
    lock::{Lock, LockError, Package, Role, RunsOn, Source, Wanted, is_clean},
    package_lock::OneOrMany,
    roles::{self, Root},
};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The newest version of the format that is known here.
const NEWEST: u32 = 2;

/// Reads the lock.
pub(super) fn read(text: &str) -> Result<Lock, LockError> {
    let file: Option<File> = jsonc_parser::parse_to_serde_value(text, &jsonc_parser::ParseOptions::default())
        .map_err(|error| LockError::Syntax(error.to_string()))?;
    let file = file.ok_or_else(|| LockError::Syntax("it is empty".to_owned()))?;
    if file.version > NEWEST {
        return Err(LockError::Version { version: file.version.to_string(), tool: "an older `bun install`" });
    }
    if !file.patched.is_empty() {
        return Err(LockError::Unsupported { what: "that packages are patched".to_owned() });
    }
    let mut packages = Vec::new();
    let mut wanted = Wanted::default();
    for (folder, member) in &file.workspaces {
        wanted.names.push(member.needs.wanted(true));
        packages.push(member.package(folder));
    }
    let folders: HashMap<&str, &str> =
        file.packages.iter().filter_map(|(key, entry)| Some((key.as_str(), entry.workspace()?))).collect();
    for (key, entry) in &file.packages {
        wanted.names.push(entry.info().map(|info| info.needs.wanted(false)).unwrap_or_default());
        packages.push(entry.package(path_of(key, &folders))?);
    }
    let mut lock = Lock { trusted: file.trusted, ..Lock::connected(packages, &wanted)? };
    let roots = file.workspaces.values().enumerate().flat_map(|(index, member)| member.roots(&lock, index));
    let roots: Vec<Root> = roots.collect();
    roles::note(&mut lock, &roots);
    Ok(lock)
}

#[derive(Deserialize)]
struct File {
    #[serde(rename = "lockfileVersion", default)]
    version: u32,
    #[serde(default)]
    workspaces: BTreeMap<String, Member>,
    #[serde(default)]
    packages: BTreeMap<String, Entry>,
    #[serde(rename = "patchedDependencies", default)]
    patched: BTreeMap<String, String>,
    #[serde(rename = "trustedDependencies", default)]
    trusted: Option<Vec<String>>,
}

/// The project, or a member of its workspace.
#[derive(Deserialize)]
struct Member {
    #[serde(default)]
    name: String,
    #[serde(default)]
    version: String,
    bin: Option<BinField>,
    #[serde(flatten)]
    needs: Needs,
}

/// What a `package.json` says of other packages.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Needs {
    dependencies: BTreeMap<String, String>,
    dev_dependencies: BTreeMap<String, String>,
    optional_dependencies: BTreeMap<String, String>,
    peer_dependencies: BTreeMap<String, String>,
    optional_peers: BTreeSet<String>,
}

/// What the `package.json` of a package of a registry says.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Info {
    #[serde(flatten)]
    needs: Needs,
    os: OneOrMany,
    cpu: OneOrMany,
    libc: OneOrMany,
    bin: Option<BinField>,
    bundled: bool,
}

/// `[resolution, …]`: what follows depends on the resolution.
#[derive(Deserialize)]
struct Entry(Vec<Part>);

#[derive(Deserialize)]
#[serde(untagged)]
enum Part {
    Text(String),
    Info(Box<Info>),
}

impl Needs {
    /// Names, and whether each can be done without.
    fn wanted(&self, with_dev: bool) -> Vec<(String, bool)> {
        let mut wanted: BTreeMap<&str, bool> = BTreeMap::new();
        wanted.extend(self.peer_dependencies.keys().map(|name| (name.as_str(), self.optional_peers.contains(name))));
        wanted.extend(self.dev_dependencies.keys().filter(|_| with_dev).map(|name| (name.as_str(), false)));
        wanted.extend(self.dependencies.keys().map(|name| (name.as_str(), false)));
        wanted.extend(self.optional_dependencies.keys().map(|name| (name.as_str(), true)));
        wanted.into_iter().map(|(name, optional)| (name.to_owned(), optional)).collect()
    }
}

impl Member {
    fn package(&self, folder: &str) -> Package {
        Package {
            path: folder.to_owned(),
            name: self.name.clone(),
            version: self.version.clone(),
            source: Source::Project,
            runs_on: RunsOn::default(),
            role: Role::default(),
            bins: self.bin.clone().map_or_else(Bins::new, |bin| bin.normalized(&self.name)),
            has_install_script: None,
            needs: Vec::new(),
        }
    }

    /// What it asks for; `index` is its own position in the lock.
    fn roots(&self, lock: &Lock, index: usize) -> Vec<Root> {
        let needs = &self.needs;
        let root = |package: usize| {
            let name = super::lock::name_in_path(&lock.packages[package].path).unwrap_or_default();
            let optional = needs.optional_dependencies.contains_key(name) || needs.optional_peers.contains(name);
            let always = needs.dependencies.contains_key(name) || needs.peer_dependencies.contains_key(name);
            Root { package, dev: !always && !optional, optional }
        };
        lock.packages[index].needs.iter().map(|need| root(need.package)).collect()
    }
}

impl Entry {
    /// `name@version`, `name@workspace:folder` and the like.
    fn resolution(&self) -> Option<(&str, &str)> {
        let Some(Part::Text(text)) = self.0.first() else { return None };
        let at = text.get(1..)?.find('@')? + 1;
        Some((&text[..at], &text[at + 1..]))
    }

    fn workspace(&self) -> Option<&str> {
        self.resolution()?.1.strip_prefix("workspace:")
    }

    fn info(&self) -> Option<&Info> {
        self.0.iter().find_map(|part| match part {
            Part::Info(info) => Some(&**info),
            Part::Text(_) => None,
        })
    }

    fn package(&self, path: String) -> Result<Package, LockError> {
        let malformed = || LockError::Syntax(format!("{path} has no name and version"));
        let (name, resolution) = self.resolution().ok_or_else(malformed)?;
        let none = Info::default();
        let info = self.info().unwrap_or(&none);
        let (version, source) = self.source(&path, resolution, info)?;
        Ok(Package {
            name: name.to_owned(),
            version,
            source,
            runs_on: RunsOn { os: info.os.0.clone(), cpu: info.cpu.0.clone(), libc: info.libc.0.clone() },
            role: Role::default(),
            bins: info.bin.clone().map_or_else(Bins::new, |bin| bin.normalized(name)),
            has_install_script: None,
            needs: Vec::new(),
            path,
        })
    }

    /// The version and where it comes from.
    fn source(&self, path: &str, resolution: &str, info: &Info) -> Result<(String, Source), LockError> {
        if let Some(folder) = self.workspace() {
            if !folder.is_empty() && !is_clean(folder) {
                return Err(LockError::Path { path: folder.to_owned() });
            }
            return Ok((String::new(), Source::Link { target: folder.to_owned() }));
        }
        if info.bundled {
            return Ok((resolution.to_owned(), Source::Bundled));
        }
        // A version begins with a digit; an address, a repository or a folder does not.
        let is_web = resolution.starts_with("https://") || resolution.starts_with("http://");
        if !is_web && !resolution.starts_with(|first: char| first.is_ascii_digit()) {
            return Ok((String::new(), Source::Elsewhere(resolution.to_owned())));
        }
        let last = match self.0.last() {
            Some(Part::Text(text)) if self.0.len() > 2 => Some(text),
            Some(_) | None => None,
        };
        let malformed = |text: &String| LockError::Integrity { package: path.to_owned(), integrity: text.clone() };
        let parsed = |text: &String| Integrity::parse(text).ok_or_else(|| malformed(text));
        let integrity = last.filter(|text| !text.is_empty()).map(parsed).transpose()?;
        if is_web {
            return Ok((String::new(), Source::Tarball { integrity, url: Some(resolution.to_owned()) }));
        }
        // Behind the version stands the address of the tarball, or nothing if it is where the registry has it.
        let url = match self.0.get(1) {
            Some(Part::Text(url)) if url.contains("/-/") => Some(url.clone()),
            Some(_) | None => None,
        };
        Ok((resolution.to_owned(), Source::Tarball { integrity, url }))
    }
}

/// The folder that a chain of names leads to. One that begins at a member of the workspace begins in its folder.
fn path_of(key: &str, folders: &HashMap<&str, &str>) -> String {
    let mut path = String::new();
    let mut start = 0;
    let mut names = key.split('/').peekable();
    while let Some(name) = names.next() {
        let mut length = name.len();
        if name.starts_with('@')
            && let Some(rest) = names.next()
        {
            length += 1 + rest.len();
        }
        let end = start + length;
        if let Some(folder) = folders.get(&key[..end]).filter(|_| end < key.len()) {
            (*folder).clone_into(&mut path);
        } else {
            path += if path.is_empty() { "node_modules/" } else { "/node_modules/" };
            path += &key[start..end];
        }
        start = end + 1;
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = r#"{
      // As bun writes it.
      "lockfileVersion": 1,
      "workspaces": {
        "": { "name": "demo", "dependencies": { "al": "npm:is-odd@3", "tool": "1" }, "devDependencies": { "dev": "1" }, },
        "packages/lib": { "name": "lib", "version": "0.1.0", "dependencies": { "is-odd": "2" }, "devDependencies": { "dev": "1" }, },
      },
      "packages": {
        "al": ["is-odd@3.0.1", "", { "dependencies": { "is-number": "^6.0.0" } }, "sha512-HASH"],
        "al/@s/number": ["@s/number@1.0.0", "", {}, "sha512-HASH"],
        "dev": ["dev@1.0.0", "", { "optionalDependencies": { "native": "1" } }, "sha512-HASH"],
        "git": ["git@git+ssh://x/y.git#abc", {}, "abc"],
        "is-number": ["is-number@6.0.0", "", {}, "sha512-HASH"],
        "lib": ["lib@workspace:packages/lib"],
        "lib/is-odd": ["is-odd@2.0.0", "https://npm.test/is-odd/-/is-odd-2.0.0.tgz", {}, "sha512-HASH"],
        "native": ["native@1.0.0", "", { "os": "linux", "cpu": ["x64", "arm64"], }, "sha512-HASH"],
        "tool": ["tool@1.0.0", "", { "bin": { "tool": "./cli.js" } }, "sha512-HASH"],
      },
    }"#;

    fn lock(text: &str) -> Result<Lock, LockError> {
        let hash = "A".repeat(86) + "==";
        read(&text.replace("HASH", &hash))
    }

    #[test]
    fn keys_are_chains_of_folders() {
        let lock = lock(LOCK).unwrap();
        let lines = lock.packages.iter().map(|package| {
            let dev = if package.role.dev { " dev" } else { "" };
            let optional = if package.role.optional { " optional" } else { "" };
            format!("{} {}@{}{dev}{optional}", package.path, package.name, package.version)
        });
        assert_eq!(
            lines.collect::<Vec<_>>(),
            [
                " demo@",
                "packages/lib lib@0.1.0",
                "node_modules/al is-odd@3.0.1",
                "node_modules/al/node_modules/@s/number @s/number@1.0.0 dev optional",
                "node_modules/dev dev@1.0.0 dev",
                "node_modules/git git@ dev optional",
                "node_modules/is-number is-number@6.0.0",
                "node_modules/lib lib@",
                "packages/lib/node_modules/is-odd is-odd@2.0.0",
                "node_modules/native native@1.0.0 dev optional",
                "node_modules/tool tool@1.0.0",
            ]
        );
        let by_path = |path: &str| lock.packages.iter().find(|package| package.path == path).unwrap();
        assert_eq!(by_path("node_modules/lib").source, Source::Link { target: "packages/lib".to_owned() });
        assert_eq!(by_path("node_modules/git").source, Source::Elsewhere("git+ssh://x/y.git#abc".to_owned()));
        assert_eq!(by_path("node_modules/native").runs_on.cpu, ["x64", "arm64"]);
        assert_eq!(by_path("node_modules/tool").bins["tool"], "cli.js");
        let Source::Tarball { integrity, url } = &by_path("packages/lib/node_modules/is-odd").source else { panic!() };
        assert!(integrity.is_some());
        assert_eq!(url.as_deref(), Some("https://npm.test/is-odd/-/is-odd-2.0.0.tgz"));
    }

    #[test]
    fn what_would_be_lost_is_refused() {
        assert!(matches!(
            lock(&LOCK.replace(
                "\"packages\": {\n        \"al",
                "\"patchedDependencies\": {\"al@1\": \"x\"}, \"packages\": {\n        \"al"
            )),
            Err(LockError::Unsupported { .. })
        ));
        assert!(matches!(lock("{\"lockfileVersion\": 3}"), Err(LockError::Version { .. })));
        assert!(matches!(lock(&LOCK.replace("\"al/@s", "\"al/..")), Err(LockError::Path { .. })));
        assert!(matches!(lock(&LOCK.replace("workspace:packages", "workspace:..")), Err(LockError::Path { .. })));
        assert!(matches!(lock(""), Err(LockError::Syntax(_))));
    }
}
