//! `poetry.lock`, version 2.1 and later: earlier ones do not say which group needs a package.

use super::{
    super::{super::PackageError, tags::normalised, target::Target},
    Contents, Locked, LockedFile, Wanted, marker, problem, range, refuse_source, strong, usable,
};
use pep508_rs::ExtraName;
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    package: Vec<Package>,
    #[serde(default)]
    extras: BTreeMap<String, Vec<String>>,
    metadata: Metadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Metadata {
    lock_version: String,
    python_versions: Option<String>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    #[serde(default)]
    optional: bool,
    #[serde(default)]
    groups: Vec<String>,
    markers: Option<Markers>,
    #[serde(default)]
    files: Vec<File>,
    source: Option<Source>,
}

/// One marker for all groups, or one for each.
#[derive(Deserialize)]
#[serde(untagged)]
enum Markers {
    All(String),
    ByGroup(BTreeMap<String, String>),
}

#[derive(Deserialize)]
struct File {
    file: String,
    hash: String,
}

#[derive(Deserialize)]
struct Source {
    r#type: Option<String>,
}

pub(super) fn read(file: &str, text: &str, target: &Target, wanted: &Wanted) -> Result<Contents, PackageError> {
    let document: Document = toml::from_str(text).map_err(|error| problem(file, error.message().to_owned()))?;
    let version = document.metadata.lock_version.split_once('.');
    let version = version.and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
    if version.is_none_or(|version: (u32, u32)| version < (2, 1)) {
        let problem_ =
            format!("lock-version {} does not name groups: lock again with poetry 2", document.metadata.lock_version);
        return Err(problem(file, problem_));
    }
    if let Some(constraint) = &document.metadata.python_versions {
        range::check_poetry(file, constraint, target)?;
    }
    let mut of_extras: Vec<String> = Vec::new();
    for extra in &wanted.extras {
        let found = document.extras.iter().find(|(name, _)| normalised(name) == *extra);
        let Some((_, packages)) = found else {
            return Err(problem(file, format!("the project has no extra {extra:?}")));
        };
        // An entry may have a constraint behind the name: `name (>=1)`.
        let name_of =
            |entry: &String| normalised(entry.split([' ', '[', '(', '<', '>', '=']).next().unwrap_or_default());
        of_extras.extend(packages.iter().map(name_of));
    }
    let extras: Vec<ExtraName> = wanted.extras.iter().filter_map(|extra| ExtraName::new(extra.clone()).ok()).collect();
    let mut locked = Vec::new();
    for package in &document.package {
        let name = normalised(&package.name);
        let in_group = |group: &&String| group.as_str() == "main" || wanted.groups.contains(group);
        let groups: Vec<&String> = package.groups.iter().filter(in_group).collect();
        let by_marker = package.markers.is_some() && !extras.is_empty();
        if groups.is_empty() || (package.optional && !by_marker && !of_extras.contains(&name)) {
            continue;
        }
        let conditions: Vec<Option<&str>> = match &package.markers {
            None => vec![None],
            Some(Markers::All(condition)) => vec![Some(condition)],
            Some(Markers::ByGroup(conditions)) => {
                groups.iter().map(|group| conditions.get(group.as_str()).map(String::as_str)).collect()
            }
        };
        let mut fits = false;
        for condition in conditions {
            fits |= match condition {
                None => true,
                Some(condition) => target.fits(&marker(file, condition)?, &extras),
            };
        }
        if !fits {
            continue;
        }
        let source = package.source.as_ref().and_then(|source| source.r#type.as_deref());
        if let Some(source) = source.filter(|source| *source != "legacy") {
            return Err(refuse_source(file, &name, &format!("a {source} source")));
        }
        let hashes: Vec<&str> = package.files.iter().map(|found| found.hash.as_str()).collect();
        usable(file, &name, &hashes)?;
        let files = package.files.iter().filter_map(|found| {
            Some(LockedFile { name: found.file.clone(), hash: strong(&found.hash)?, url: None, size: None })
        });
        locked.push(Locked {
            version: package.version.clone(),
            requested: false,
            files: files.collect(),
            hashes: Vec::new(),
            at: file.to_owned(),
            name,
        });
    }
    Ok(Contents { packages: locked, notes: Vec::new() })
}
