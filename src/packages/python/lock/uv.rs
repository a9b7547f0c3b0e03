//! `uv.lock`: the packages of a project for all environments, and who depends on whom.
//!
//! Packages are visited from the project on, along dependencies whose markers hold. uv documents the file as its own
//! ("The lockfile"); version 1 is what it has written since 0.5.

use super::{
    super::{super::PackageError, tags::normalised, target::Target},
    Locked, LockedFile, Wanted, address, file_name, marker, problem, refuse_source, strong,
};
use pep508_rs::ExtraName;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Deserialize)]
struct Document {
    version: u32,
    #[serde(default, rename = "package")]
    packages: Vec<Package>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Package {
    name: String,
    version: Option<String>,
    source: Source,
    #[serde(default)]
    dependencies: Vec<Dependency>,
    #[serde(default)]
    optional_dependencies: BTreeMap<String, Vec<Dependency>>,
    #[serde(default)]
    dev_dependencies: BTreeMap<String, Vec<Dependency>>,
    #[serde(default)]
    wheels: Vec<Artifact>,
    sdist: Option<Artifact>,
}

#[derive(Deserialize, Default)]
struct Source {
    registry: Option<String>,
    r#virtual: Option<String>,
    editable: Option<String>,
    directory: Option<String>,
    git: Option<String>,
    path: Option<String>,
    url: Option<String>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    version: Option<String>,
    #[serde(default)]
    extra: Vec<String>,
    marker: Option<String>,
}

#[derive(Deserialize)]
struct Artifact {
    url: Option<String>,
    filename: Option<String>,
    path: Option<String>,
    hash: Option<String>,
    size: Option<u64>,
}

impl Source {
    /// The folder, if the package is one of the project's own.
    fn project(&self) -> Option<&str> {
        self.r#virtual.as_deref().or(self.editable.as_deref()).or(self.directory.as_deref())
    }
}

pub(super) fn read(file: &str, text: &str, target: &Target, wanted: &Wanted) -> Result<Vec<Locked>, PackageError> {
    let document: Document = toml::from_str(text).map_err(|error| problem(file, error.message().to_owned()))?;
    if document.version != 1 {
        return Err(problem(file, format!("version {} is not known, only 1 is", document.version)));
    }
    let walk = Walk { file, target, packages: &document.packages };
    let root = document.packages.iter().position(|package| package.source.project() == Some("."));
    let Some(root) = root else { return Err(problem(file, "it names no project: none of its packages lies in `.`")) };
    let mut seen: BTreeSet<(usize, Option<&str>)> = BTreeSet::new();
    let mut requested: BTreeSet<usize> = BTreeSet::new();
    let mut waiting = walk.of_project(root, wanted)?;
    requested.extend(waiting.iter().map(|(package, _)| *package));
    while let Some((index, extra)) = waiting.pop() {
        if seen.insert((index, extra)) {
            waiting.extend(walk.of(index, extra)?);
        }
    }
    let needed: BTreeSet<usize> = seen.into_iter().map(|(index, _)| index).filter(|index| *index != root).collect();
    needed.into_iter().map(|index| walk.locked(index, requested.contains(&index))).collect()
}

struct Walk<'a> {
    file: &'a str,
    target: &'a Target,
    packages: &'a [Package],
}

type Visit<'a> = (usize, Option<&'a str>);

impl<'a> Walk<'a> {
    /// What the project itself asks for.
    fn of_project(&self, root: usize, wanted: &Wanted) -> Result<Vec<Visit<'a>>, PackageError> {
        let project = &self.packages[root];
        let mut visits = self.follow(&project.dependencies, None)?;
        for extra in &wanted.extras {
            let found = project.optional_dependencies.iter().find(|(name, _)| normalised(name) == *extra);
            let Some((_, dependencies)) = found else { return Err(self.unknown("extra", extra)) };
            visits.extend(self.follow(dependencies, Some(extra))?);
        }
        for group in &wanted.groups {
            let Some(dependencies) = project.dev_dependencies.get(group) else {
                return Err(self.unknown("group", group));
            };
            visits.extend(self.follow(dependencies, None)?);
        }
        Ok(visits)
    }

    /// What a package, or one of its extras, depends on.
    fn of(&self, index: usize, extra: Option<&str>) -> Result<Vec<Visit<'a>>, PackageError> {
        let package = &self.packages[index];
        match extra {
            None => self.follow(&package.dependencies, None),
            // An extra that a package no longer has is none.
            Some(extra) => self.follow(package.optional_dependencies.get(extra).map_or(&[][..], Vec::as_slice), None),
        }
    }

    fn follow(&self, dependencies: &'a [Dependency], extra: Option<&str>) -> Result<Vec<Visit<'a>>, PackageError> {
        let extras: Vec<ExtraName> =
            extra.and_then(|extra| ExtraName::new(extra.to_owned()).ok()).into_iter().collect();
        let mut visits = Vec::new();
        for dependency in dependencies {
            if let Some(condition) = &dependency.marker
                && !self.target.fits(&marker(self.file, condition)?, &extras)
            {
                continue;
            }
            let matches = |package: &Package| {
                package.name == dependency.name
                    && dependency.version.as_ref().is_none_or(|version| package.version.as_ref() == Some(version))
            };
            let index = self.packages.iter().position(matches).ok_or_else(|| {
                problem(self.file, format!("{} is needed but not locked: lock again", dependency.name))
            })?;
            visits.push((index, None));
            visits.extend(dependency.extra.iter().map(|extra| (index, Some(extra.as_str()))));
        }
        Ok(visits)
    }

    fn locked(&self, index: usize, requested: bool) -> Result<Locked, PackageError> {
        let Package { name, version, source, wheels, sdist, .. } = &self.packages[index];
        let refused = [(source.git.as_ref(), "a repository"), (source.path.as_ref(), "a file")];
        if let Some((_, what)) = refused.into_iter().find(|(source, _)| source.is_some()) {
            return Err(refuse_source(self.file, name, what));
        }
        if source.project().is_some() {
            return Err(refuse_source(self.file, name, "a folder"));
        }
        if source.registry.is_none() && source.url.is_none() {
            return Err(problem(self.file, format!("the source of {name} is not understood")));
        }
        let mut files = Vec::with_capacity(wheels.len() + 1);
        for artifact in wheels.iter().chain(sdist) {
            let url = artifact.url.as_deref().map(|url| address(self.file, url)).transpose()?;
            let of_path = || artifact.path.as_deref().and_then(|path| path.rsplit('/').next()).map(str::to_owned);
            let of_file = artifact.filename.clone().or_else(of_path).or_else(|| url.as_ref().and_then(file_name));
            let hash = artifact.hash.as_deref().and_then(strong);
            let (Some(file), Some(hash)) = (of_file, hash) else {
                return Err(problem(self.file, format!("an artifact of {name} has no name or no sha256 hash")));
            };
            files.push(LockedFile { name: file, hash, url, size: artifact.size });
        }
        Ok(Locked {
            name: normalised(name),
            version: version.clone().unwrap_or_default(),
            requested,
            files,
            hashes: Vec::new(),
            at: self.file.to_owned(),
        })
    }

    fn unknown(&self, kind: &str, name: &str) -> PackageError {
        problem(self.file, format!("the project has no {kind} {name:?}"))
    }
}
