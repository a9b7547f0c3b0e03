//! Lock files: text to the packages that a target needs. One file a format; all of them are pure.
//!
//! | file | format | says of an artifact |
//! |---|---|---|
//! | `*.txt`, `*.in` | `requirements` | hashes |
//! | `pylock.toml`, `pylock.*.toml` | `pylock` | hash, name, mostly an address and a size |
//! | `uv.lock` | `uv` | hash, address, mostly a size |
//! | `Pipfile.lock` | `pipfile` | hashes |
//! | `poetry.lock` | `poetry` | hash, name |

mod pipfile;
mod poetry;
mod pylock;
mod pylock_marker;
mod range;
mod requirements;
mod uv;

pub(super) use requirements::Requirements;

use super::{super::PackageError, target::Target};
use flashbuild_frontend::package::ArtifactHash;
use pep508_rs::MarkerTree;
use serde::Deserialize;
use std::{collections::BTreeMap, str::FromStr as _};
use url::Url;

/// A package that the target needs, pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Locked {
    /// Normalised.
    pub(super) name: String,
    /// As the lock has it.
    pub(super) version: String,
    /// Whether it was asked for by name.
    pub(super) requested: bool,
    /// Artifacts of which the file's name is known.
    pub(super) files: Vec<LockedFile>,
    /// Hashes of artifacts of which nothing else is known.
    pub(super) hashes: Vec<ArtifactHash>,
    /// Where the lock says so, for messages: `requirements.txt:3`.
    pub(super) at: String,
}

impl Locked {
    /// Whether the lock leaves open where some artifact is.
    pub(super) fn needs_index(&self) -> bool {
        !self.hashes.is_empty() || self.files.iter().any(|file| file.url.is_none())
    }
}

/// An artifact in a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LockedFile {
    pub(super) name: String,
    pub(super) hash: ArtifactHash,
    pub(super) url: Option<Url>,
    /// Bytes, if the lock says it.
    pub(super) size: Option<u64>,
}

/// What a lock comes to for a target.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) packages: Vec<Locked>,
    /// What a person should know, a sentence each.
    pub(super) notes: Vec<String>,
}

/// What was asked for besides the file.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    /// `--extra`, normalised.
    pub(super) extras: Vec<String>,
    /// `--group`, as written.
    pub(super) groups: Vec<String>,
}

/// How a lock file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Requirements,
    Pylock,
    Uv,
    Pipfile,
    Poetry,
}

impl Format {
    /// By the file's name.
    pub(super) fn of(file: &str) -> Result<Self, PackageError> {
        let name = file.rsplit('/').next().unwrap_or_default();
        let ends_in = |extension| std::path::Path::new(name).extension().is_some_and(|found| found == extension);
        match name {
            "uv.lock" => Ok(Self::Uv),
            "Pipfile.lock" => Ok(Self::Pipfile),
            "poetry.lock" => Ok(Self::Poetry),
            "pylock.toml" => Ok(Self::Pylock),
            _ if name.starts_with("pylock.") && ends_in("toml") => Ok(Self::Pylock),
            _ if ends_in("txt") || ends_in("in") => Ok(Self::Requirements),
            _ => Err(PackageError::Lock {
                file: file.to_owned(),
                problem: "DEPS python reads uv.lock, pylock.toml, Pipfile.lock, poetry.lock and requirements.txt"
                    .to_owned(),
            }),
        }
    }
}

/// Reads a lock of any format but [`Format::Requirements`], which may name further files.
pub(super) fn read(
    format: Format,
    file: &str,
    text: &str,
    target: &Target,
    wanted: &Wanted,
) -> Result<Contents, PackageError> {
    match format {
        Format::Pylock => pylock::read(file, text, target, wanted),
        Format::Uv => uv::read(file, text, target, wanted),
        Format::Pipfile => pipfile::read(file, text, target, wanted),
        Format::Poetry => poetry::read(file, text, target, wanted),
        Format::Requirements => unreachable!("requirements are read with the files that they name"),
    }
}

/// An error that names the file.
fn problem(file: &str, problem: impl Into<String>) -> PackageError {
    PackageError::Lock { file: file.to_owned(), problem: problem.into() }
}

fn marker(file: &str, text: &str) -> Result<MarkerTree, PackageError> {
    MarkerTree::from_str(text).map_err(|error| {
        let first = error.to_string().lines().next().unwrap_or_default().to_owned();
        problem(file, format!("the marker {text:?} cannot be read: {first}"))
    })
}

/// The name of the file at the end of an address, percent-decoded as far as wheels' names need it.
fn file_name(url: &Url) -> Option<String> {
    let last = url.path_segments()?.next_back()?;
    Some(last.replace("%2B", "+").replace("%2b", "+").replace("%21", "!"))
}

/// An address in a lock.
fn address(file: &str, text: &str) -> Result<Url, PackageError> {
    Url::parse(text).map_err(|error| problem(file, format!("{text:?} is no address: {error}")))
}

/// `"algorithm:hex"`; weak algorithms are passed over.
fn strong(hash: &str) -> Option<ArtifactHash> {
    let (algorithm, hex) = hash.split_once(':')?;
    ArtifactHash::new(algorithm, hex).ok()
}

/// Those of `hashes` that can be relied upon. Weak ones beside them are passed over; if all are weak or broken, that is an
/// error, because whoever wrote them relies on them.
fn usable(at: &str, what: &str, hashes: &[&str]) -> Result<Vec<ArtifactHash>, PackageError> {
    let found: Vec<ArtifactHash> = hashes.iter().filter_map(|hash| strong(hash)).collect();
    match hashes.first() {
        Some(first) if found.is_empty() => Err(problem(
            at,
            format!(
                "{what} has no hash that can be relied upon ({first}): write sha256: and 64 hexadecimal digits, or sha512: \
                 and 128, or lock again"
            ),
        )),
        Some(_) | None => Ok(found),
    }
}

/// A table of hashes by algorithm.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
struct Hashes(BTreeMap<String, String>);

impl Hashes {
    /// The strongest that can be relied upon; SHA-256 first, because artifacts are kept by it.
    fn best(&self) -> Option<ArtifactHash> {
        ["sha256", "sha512"].iter().find_map(|name| ArtifactHash::new(name, self.0.get(*name)?).ok())
    }
}

/// What a package that cannot be a wheel of an index is, for messages.
fn refuse_source(at: &str, name: &str, source: &str) -> PackageError {
    problem(
        at,
        format!(
            "{name} comes from {source}: DEPS takes wheels and source distributions; install it in a RUN behind DEPS, or leave it out of the lock"
        ),
    )
}

#[cfg(test)]
mod tests;
