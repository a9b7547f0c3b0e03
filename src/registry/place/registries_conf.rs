//! `registries.conf` (`containers-registries.conf(5)`, version 2).

use super::{Asked, RegistryError};
use flashbuild_frontend::reference::Reference;
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

/// All of it, drop-ins included.
#[derive(Debug, Default)]
pub(super) struct RegistriesConf {
    /// By prefix: what is read later replaces what was there.
    entries: BTreeMap<String, Entry>,
}

/// What holds for names with a prefix.
#[derive(Debug)]
pub(super) struct Entry {
    prefix: String,
    file: PathBuf,
    /// What takes the prefix's place; none for `*.example.com` where that stays as it is.
    pub(super) location: Option<String>,
    pub(super) insecure: bool,
    blocked: bool,
    mirrors: Vec<Mirror>,
}

#[derive(Debug)]
pub(super) struct Mirror {
    pub(super) location: String,
    pub(super) insecure: bool,
    answers: Answers,
}

/// What a mirror is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Answers {
    #[default]
    All,
    DigestOnly,
    TagOnly,
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    registry: Vec<RawEntry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawEntry {
    prefix: Option<String>,
    location: Option<String>,
    #[serde(default)]
    insecure: bool,
    #[serde(default)]
    blocked: bool,
    #[serde(default)]
    mirror_by_digest_only: bool,
    #[serde(default)]
    mirror: Vec<RawMirror>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawMirror {
    location: String,
    #[serde(default)]
    insecure: bool,
    pull_from_mirror: Option<Answers>,
}

impl RegistriesConf {
    /// Reads a file, and then those in the folder beside it.
    pub(super) fn read(file: &Path) -> Result<Self, RegistryError> {
        let mut conf = Self::default();
        let mut folder = file.as_os_str().to_owned();
        folder.push(".d");
        conf.add(file)?;
        let failed = |error: io::Error| RegistryError::SetUp(format!("{}: {error}", Path::new(&folder).display()));
        let mut files: Vec<PathBuf> = match fs::read_dir(&folder) {
            Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>().map_err(failed)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(failed(error)),
        };
        files.retain(|path| path.extension().is_some_and(|extension| extension == "conf"));
        files.sort();
        files.iter().try_for_each(|file| conf.add(file))?;
        Ok(conf)
    }

    fn add(&mut self, path: &Path) -> Result<(), RegistryError> {
        let failed = |problem: String| RegistryError::SetUp(format!("{}: {problem}", path.display()));
        let text = fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
        let file: File = toml::from_str(&text).map_err(|error| failed(error.to_string()))?;
        for raw in file.registry {
            let prefix = raw.prefix.clone().filter(|prefix| !prefix.is_empty()).or_else(|| raw.location.clone());
            let prefix = prefix.ok_or_else(|| failed("a [[registry]] with neither prefix nor location".to_owned()))?;
            let prefix = prefix.trim_end_matches('/').to_owned();
            let location = raw.location.filter(|location| !location.is_empty());
            if location.is_none() && !prefix.starts_with("*.") {
                return Err(failed(format!("the [[registry]] {prefix:?} has no location")));
            }
            let only = if raw.mirror_by_digest_only { Answers::DigestOnly } else { Answers::All };
            let mirror = |mirror: RawMirror| Mirror {
                location: mirror.location,
                insecure: mirror.insecure,
                answers: mirror.pull_from_mirror.unwrap_or(only),
            };
            let mirrors = raw.mirror.into_iter().map(mirror).collect();
            let (insecure, blocked) = (raw.insecure, raw.blocked);
            let entry = Entry { prefix: prefix.clone(), file: path.to_owned(), location, insecure, blocked, mirrors };
            self.entries.insert(prefix, entry);
        }
        Ok(())
    }

    /// What holds for a name: the entry with the longest prefix. One that is blocked is an error.
    pub(super) fn entry(&self, reference: &Reference) -> Result<Option<&Entry>, RegistryError> {
        let fitting = self.entries.values().filter(|entry| entry.rest_if_fits(reference).is_some());
        match fitting.max_by_key(|entry| entry.prefix.len()) {
            Some(entry) if entry.blocked => {
                Err(RegistryError::Blocked { reference: reference.to_string(), file: entry.file.clone() })
            }
            found => Ok(found),
        }
    }
}

impl Entry {
    /// The part of a name behind the prefix, from its `/` on.
    pub(super) fn rest(&self, reference: &Reference) -> String {
        self.rest_if_fits(reference).unwrap_or_default()
    }

    fn rest_if_fits(&self, reference: &Reference) -> Option<String> {
        let (host, path) = (reference.host(), reference.path());
        if let Some(domain) = self.prefix.strip_prefix('*') {
            // `*.example.com` is for all hosts below it, and takes their whole name.
            return host.ends_with(domain).then(|| format!("/{path}"));
        }
        let name = format!("{host}/{path}");
        let rest = name.strip_prefix(&self.prefix)?;
        (rest.is_empty() || rest.starts_with('/')).then(|| rest.to_owned())
    }

    /// The mirrors that may be asked.
    pub(super) fn mirrors_for(&self, asked: Asked) -> impl Iterator<Item = &Mirror> {
        self.mirrors.iter().filter(move |mirror| match mirror.answers {
            Answers::All => true,
            Answers::DigestOnly => asked == Asked::Digest,
            Answers::TagOnly => asked == Asked::Tag,
        })
    }
}
