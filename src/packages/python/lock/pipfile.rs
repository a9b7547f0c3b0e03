//! `Pipfile.lock`: pinned packages by section, with hashes.

use super::{
    super::{super::PackageError, tags::normalised, target::Target},
    Contents, Locked, Wanted, marker, problem, refuse_source, usable,
};
use pep508_rs::pep440_rs::VersionSpecifiers;
use serde::Deserialize;
use std::{collections::BTreeMap, str::FromStr as _};

#[derive(Deserialize)]
struct Entry {
    version: Option<String>,
    markers: Option<String>,
    #[serde(default)]
    hashes: Vec<String>,
    path: Option<String>,
    file: Option<String>,
    git: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Meta {
    requires: Requires,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Requires {
    python_version: Option<String>,
    python_full_version: Option<String>,
}

/// `_meta` is the one section that holds no packages.
type Document = BTreeMap<String, serde_json::Value>;

pub(super) fn read(file: &str, text: &str, target: &Target, wanted: &Wanted) -> Result<Contents, PackageError> {
    if !wanted.extras.is_empty() {
        return Err(problem(file, "a Pipfile has no extras: name its sections with --group"));
    }
    let mut document: Document = serde_json::from_str(text).map_err(|error| problem(file, error.to_string()))?;
    let meta = document.remove("_meta").map_or_else(|| Ok(Meta::default()), serde_json::from_value);
    let notes = other_python(file, &meta.map_err(|error| problem(file, error.to_string()))?.requires, target);
    let sections = std::iter::once("default").chain(wanted.groups.iter().map(String::as_str));
    let mut locked: BTreeMap<String, Locked> = BTreeMap::new();
    for section in sections {
        // `--group=dev` is what pipenv calls it on the command line.
        let section = if section == "dev" { "develop" } else { section };
        let Some(packages) = document.remove(section) else {
            return Err(problem(file, format!("it has no section {section:?}")));
        };
        let packages: BTreeMap<String, Entry> =
            serde_json::from_value(packages).map_err(|error| problem(file, error.to_string()))?;
        for (name, entry) in packages {
            if let Some(condition) = &entry.markers
                && !target.fits(&marker(file, condition)?, &[])
            {
                continue;
            }
            let source = [(entry.path, "a folder"), (entry.file, "an address"), (entry.git, "a repository")];
            if let Some((_, source)) = source.into_iter().find(|(given, _)| given.is_some()) {
                return Err(refuse_source(file, &name, source));
            }
            let version = entry.version.as_deref().and_then(|version| version.strip_prefix("=="));
            let Some(version) = version else {
                // It pins only what it would install on the machine that it runs on.
                let why = format!(
                    "pipenv did not pin {name}: give it a version and `markers` in the Pipfile, and lock again"
                );
                return Err(problem(file, why));
            };
            let name = normalised(&name);
            let hashes: Vec<&str> = entry.hashes.iter().map(String::as_str).collect();
            let hashes = usable(file, &name, &hashes)?;
            let package = Locked {
                name: name.clone(),
                version: version.to_owned(),
                requested: false,
                files: Vec::new(),
                hashes,
                at: file.to_owned(),
            };
            locked.insert(name, package);
        }
    }
    Ok(Contents { packages: locked.into_values().collect(), notes: notes.into_iter().collect() })
}

/// A warning, as pipenv has it, if the Pipfile wants another Python.
fn other_python(file: &str, requires: &Requires, target: &Target) -> Option<String> {
    let full = requires.python_full_version.as_ref().map(|version| (version, format!("=={version}")));
    let (version, range) =
        full.or_else(|| requires.python_version.as_ref().map(|version| (version, format!("=={version}.*"))))?;
    let fits = VersionSpecifiers::from_str(&range).is_ok_and(|range| target.may_be(&range));
    (!fits).then(|| {
        format!(
            "{file} is for Python {version}, and the interpreter is {}: its pins may not fit",
            target.interpreter_name()
        )
    })
}
