//! `uv.lock`: the packages of a project for all environments, and who depends on whom.
//!
//! Packages are visited from the project on, along dependencies whose markers hold. Members of its workspace are no artifacts: what
//! they need is installed and they are not, as with `uv sync --no-install-workspace`. A workspace without a project at its
//! root begins with all members. uv documents the file as its own
//! ("The lockfile"); version 1 is what it has written since 0.5.

use super::{
    super::{super::PackageError, tags::normalised, target::Target},
    Contents, Locked, LockedFile, Wanted, address, file_name, marker, problem, range, refuse_source, strong,
};
use pep508_rs::ExtraName;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Document {
    version: u32,
    requires_python: Option<String>,
    #[serde(default)]
    supported_markers: Vec<String>,
    #[serde(default)]
    manifest: Manifest,
    #[serde(default, rename = "package")]
    packages: Vec<Package>,
}

/// What the whole workspace says.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Manifest {
    /// Names of the packages that are in it, the root among them.
    members: Vec<String>,
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

pub(super) fn read(file: &str, text: &str, target: &Target, wanted: &Wanted) -> Result<Contents, PackageError> {
    let document: Document = toml::from_str(text).map_err(|error| problem(file, error.message().to_owned()))?;
    if document.version != 1 {
        return Err(problem(file, format!("version {} is not known, only 1 is", document.version)));
    }
    if let Some(python) = &document.requires_python {
        range::check_python(file, "the lock", python, target)?;
    }
    range::check_environments(file, &document.supported_markers, target)?;
    let walk = Walk { file, target, packages: &document.packages };
    let roots = roots(&document);
    if roots.is_empty() {
        return Err(problem(file, "it names no project: none of its packages lies in `.`, and none is a member"));
    }
    let mut seen: BTreeSet<(usize, Option<&str>)> = BTreeSet::new();
    let mut waiting = walk.of_projects(&roots, wanted)?;
    let requested: BTreeSet<usize> = waiting.iter().map(|(package, _)| *package).collect();
    while let Some((index, extra)) = waiting.pop() {
        if seen.insert((index, extra)) {
            waiting.extend(walk.of(index, extra)?);
        }
    }
    let needed: BTreeSet<usize> = seen.into_iter().map(|(index, _)| index).collect();
    let others = needed.into_iter().filter(|index| !roots.contains(index));
    let (members, needed): (Vec<usize>, Vec<usize>) =
        others.partition(|index| document.is_member(&document.packages[*index]));
    let packages: Result<Vec<Locked>, PackageError> =
        needed.into_iter().map(|index| walk.locked(index, requested.contains(&index))).collect();
    let members: Vec<&str> = members.into_iter().map(|index| document.packages[index].name.as_str()).collect();
    let note = (!members.is_empty()).then(|| {
        let members = members.join(", ");
        format!("{file}: of the workspace, what {members} needs is installed, but not {members}: COPY the code and put it on the path")
    });
    Ok(Contents { packages: packages?, notes: note.into_iter().collect() })
}

impl Document {
    /// Whether a package is a folder of the workspace.
    fn is_member(&self, package: &Package) -> bool {
        package.source.project().is_some() && self.manifest.members.contains(&package.name)
    }
}

/// Whose dependencies are installed: the project at the root of the workspace, or all of its members if there is none.
fn roots(document: &Document) -> BTreeSet<usize> {
    let packages = document.packages.iter().enumerate();
    let root = packages.clone().find(|(_, package)| package.source.project() == Some("."));
    let members = packages.filter(|(_, package)| root.is_none() && document.is_member(package));
    root.into_iter().chain(members).map(|(index, _)| index).collect()
}

struct Walk<'a> {
    file: &'a str,
    target: &'a Target,
    packages: &'a [Package],
}

type Visit<'a> = (usize, Option<&'a str>);

impl<'a> Walk<'a> {
    /// What the projects themselves ask for.
    fn of_projects(&self, roots: &BTreeSet<usize>, wanted: &Wanted) -> Result<Vec<Visit<'a>>, PackageError> {
        let projects: Vec<&Package> = roots.iter().map(|root| &self.packages[*root]).collect();
        let mut visits = Vec::new();
        for project in &projects {
            visits.extend(self.follow(&project.dependencies, None)?);
        }
        for extra in &wanted.extras {
            let of_one = |project: &&'a Package| {
                project
                    .optional_dependencies
                    .iter()
                    .find(|(name, _)| normalised(name) == *extra)
                    .map(|(_, found)| found)
            };
            let found: Vec<_> = projects.iter().filter_map(of_one).collect();
            if found.is_empty() {
                return Err(self.unknown("extra", extra));
            }
            for dependencies in found {
                visits.extend(self.follow(dependencies, Some(extra))?);
            }
        }
        for group in &wanted.groups {
            let found: Vec<_> = projects.iter().filter_map(|project| project.dev_dependencies.get(group)).collect();
            if found.is_empty() {
                return Err(self.unknown("group", group));
            }
            for dependencies in found {
                visits.extend(self.follow(dependencies, None)?);
            }
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
