//! `pylock.toml` ("pylock.toml Specification" of the Python packaging specifications, PEP 751).

use super::{
    super::{super::PackageError, tags::normalised, target::Target},
    Contents, Hashes, Locked, LockedFile, Wanted, address, file_name, problem, pylock_marker, range, refuse_source,
};
use pep508_rs::ExtraName;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Document {
    lock_version: String,
    requires_python: Option<String>,
    #[serde(default)]
    environments: Vec<String>,
    #[serde(default)]
    extras: Vec<String>,
    #[serde(default)]
    dependency_groups: Vec<String>,
    #[serde(default)]
    default_groups: Vec<String>,
    #[serde(default)]
    packages: Vec<Package>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Package {
    name: String,
    version: Option<String>,
    marker: Option<String>,
    requires_python: Option<String>,
    #[serde(default)]
    wheels: Vec<Artifact>,
    sdist: Option<Artifact>,
    vcs: Option<toml::Table>,
    directory: Option<toml::Table>,
    archive: Option<toml::Table>,
}

#[derive(Deserialize)]
struct Artifact {
    name: Option<String>,
    url: Option<String>,
    path: Option<String>,
    size: Option<u64>,
    hashes: Hashes,
}

pub(super) fn read(file: &str, text: &str, target: &Target, wanted: &Wanted) -> Result<Contents, PackageError> {
    let document: Document = toml::from_str(text).map_err(|error| problem(file, error.message().to_owned()))?;
    if !document.lock_version.starts_with("1.") {
        return Err(problem(file, format!("lock-version {} is not known, only 1.x is", document.lock_version)));
    }
    let chosen = chosen(file, &document, wanted)?;
    if let Some(python) = &document.requires_python {
        range::check_python(file, "the lock", python, target)?;
    }
    range::check_environments(file, &document.environments, target)?;
    let mut locked = Vec::new();
    for package in document.packages {
        let Package { name, version, marker: condition, requires_python, wheels, sdist, vcs, directory, archive } =
            package;
        if let Some(condition) = condition
            && !target.fits(&pylock_marker::parse(file, &condition)?, &chosen)
        {
            continue;
        }
        if let Some(python) = requires_python {
            range::check_python(file, &name, &python, target)?;
        }
        let source = [(vcs, "a repository"), (directory, "a folder"), (archive, "an archive")];
        if let Some((_, source)) = source.into_iter().find(|(table, _)| table.is_some()) {
            return Err(refuse_source(file, &name, source));
        }
        let files: Result<Vec<LockedFile>, PackageError> =
            wheels.iter().chain(&sdist).map(|artifact| locked_file(file, artifact)).collect();
        locked.push(Locked {
            name: normalised(&name),
            version: version.unwrap_or_default(),
            requested: false,
            files: files?,
            hashes: Vec::new(),
            at: file.to_owned(),
        });
    }
    Ok(Contents { packages: locked, notes: Vec::new() })
}

/// Extras and groups that markers hold for: those that are wanted, and the groups that are installed unless somebody says
/// otherwise.
fn chosen(file: &str, document: &Document, wanted: &Wanted) -> Result<Vec<ExtraName>, PackageError> {
    let mut chosen = Vec::new();
    for (kind, wanted, there) in
        [("extra", &wanted.extras, &document.extras), ("group", &wanted.groups, &document.dependency_groups)]
    {
        let there: Vec<String> = there.iter().map(|name| normalised(name)).collect();
        if let Some(unknown) = wanted.iter().find(|name| !there.contains(&normalised(name))) {
            let all = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
            let hint = "what the lock can choose from is decided when it is exported";
            return Err(problem(file, format!("it has no {kind} {unknown:?} (there: {all}): {hint}")));
        }
    }
    chosen.extend(wanted.extras.iter().filter_map(|name| pylock_marker::extra(&normalised(name))));
    let groups = wanted.groups.iter().chain(&document.default_groups);
    chosen.extend(groups.filter_map(|name| pylock_marker::group(&normalised(name))));
    Ok(chosen)
}

fn locked_file(file: &str, artifact: &Artifact) -> Result<LockedFile, PackageError> {
    let url = artifact.url.as_deref().map(|url| address(file, url)).transpose()?;
    let of_path = || artifact.path.as_deref().map(|path| path.rsplit('/').next().unwrap_or(path).to_owned());
    let name = artifact.name.clone().or_else(|| url.as_ref().and_then(file_name)).or_else(of_path);
    let name = name.ok_or_else(|| problem(file, "an artifact has neither name nor address"))?;
    let hash = artifact.hashes.best().ok_or_else(|| problem(file, format!("{name} has no sha256 or sha512 hash")))?;
    Ok(LockedFile { name, hash, url, size: artifact.size })
}
