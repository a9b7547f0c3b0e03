//! `pylock.toml` ("pylock.toml Specification" of the Python packaging specifications, PEP 751).

use super::{
    super::{super::PackageError, tags::normalised, target::Target},
    Hashes, Locked, LockedFile, Wanted, address, file_name, marker, problem, refuse_source,
};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Document {
    lock_version: String,
    #[serde(default)]
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: Option<String>,
    marker: Option<String>,
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

pub(super) fn read(file: &str, text: &str, target: &Target, wanted: &Wanted) -> Result<Vec<Locked>, PackageError> {
    let document: Document = toml::from_str(text).map_err(|error| problem(file, error.message().to_owned()))?;
    if !document.lock_version.starts_with("1.") {
        return Err(problem(file, format!("lock-version {} is not known, only 1.x is", document.lock_version)));
    }
    if !wanted.extras.is_empty() || !wanted.groups.is_empty() {
        let hint = "extras and groups of pylock.toml are chosen when it is exported: leave --extra and --group out";
        return Err(problem(file, hint));
    }
    let mut locked = Vec::new();
    for package in document.packages {
        let Package { name, version, marker: condition, wheels, sdist, vcs, directory, archive } = package;
        if let Some(condition) = condition
            && !target.fits(&marker(file, &condition)?, &[])
        {
            continue;
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
    Ok(locked)
}

fn locked_file(file: &str, artifact: &Artifact) -> Result<LockedFile, PackageError> {
    let url = artifact.url.as_deref().map(|url| address(file, url)).transpose()?;
    let of_path = || artifact.path.as_deref().map(|path| path.rsplit('/').next().unwrap_or(path).to_owned());
    let name = artifact.name.clone().or_else(|| url.as_ref().and_then(file_name)).or_else(of_path);
    let name = name.ok_or_else(|| problem(file, "an artifact has neither name nor address"))?;
    let hash = artifact.hashes.best().ok_or_else(|| problem(file, format!("{name} has no sha256 or sha512 hash")))?;
    Ok(LockedFile { name, hash, url, size: artifact.size })
}
