//! Packages without a wheel: one is built from the locked source distribution, in a step of the build (`--build-sdist`).
//!
//! The step runs `build_wheel.py` with the Python of the tree that has the tools, which must be of the target's version. pip
//! does the work ("Build system interface" of the Python packaging specifications, PEP 517). What the source says that it needs
//! to be built is taken from that tree if all of it is there; else pip fetches it, as it would in a `RUN`. Only the wheel is
//! taken out of the step; its key is that of a process: the tree, the source's hash, the platform, the script.

use super::tags::{WheelName, normalised};
use super::target::Target;
use crate::packages::{Made, PackageError};
use flashbuild_frontend::{
    graph::{NeededProgram, ScriptFile},
    package::{ArtifactHash, DepsRequest, Package, PackageBuild, PackageLayout},
};

const SCRIPT: &str = include_str!("build_wheel.py");
const NO_PYTHON: &str = "--build-sdist builds with the Python, pip and compiler of the stage as it is before DEPS: add them \
                         there, or name a stage or image that has them with --build-from";
/// Where the script is while it runs.
const SCRIPT_PATH: &str = "/run/deps/build_wheel.py";

/// Which packages may be built from source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Buildable {
    Nothing,
    All,
    /// Normalised names.
    Named(Vec<String>),
}

impl Buildable {
    /// What `--build-sdist` says.
    pub(super) fn of(request: &DepsRequest) -> Self {
        match request.flag("build-sdist") {
            None => Self::Nothing,
            Some(value) if value.eq_ignore_ascii_case("true") => Self::All,
            Some(names) => {
                Self::Named(names.split(',').filter(|name| !name.trim().is_empty()).map(normalised).collect())
            }
        }
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        match self {
            Self::Nothing => false,
            Self::All => true,
            Self::Named(names) => names.iter().any(|known| known == name),
        }
    }

    /// What to write behind the flag, so that `names` are built too.
    pub(super) fn hint(&self, names: &[&str]) -> String {
        match self {
            Self::Nothing | Self::All => String::new(),
            Self::Named(known) => {
                let all = known.iter().map(String::as_str).chain(names.iter().copied());
                format!("={}", all.collect::<Vec<_>>().join(","))
            }
        }
    }
}

/// The name of a source distribution without its ending, which says that it is one. `.tar.gz` is what the specification
/// ("Source distribution format") has, `.zip` what older ones are.
fn stem(file: &str) -> Option<&str> {
    [".tar.gz", ".zip"].into_iter().find_map(|ending| file.strip_suffix(ending)).filter(|stem| stem.contains('-'))
}

/// Whether a file of this name is a source distribution.
pub(super) fn is_sdist(file: &str) -> bool {
    stem(file).is_some()
}

/// The normalised name of the project that it is of.
pub(super) fn project(file: &str) -> Option<String> {
    stem(file)?.rsplit_once('-').map(|(name, _)| normalised(name))
}

/// The version that it is of.
pub(super) fn version(file: &str) -> Option<&str> {
    stem(file)?.rsplit_once('-').map(|(_, version)| version)
}

/// How the wheel of a package is built, whose source has the hash `artifact` and is called `file`.
pub(super) fn build(name: &str, version: &str, artifact: &ArtifactHash, file: &str, target: &Target) -> PackageBuild {
    let python = format!("3.{}", target.minor);
    // pip goes by the ending alone.
    let ending = if file.strip_suffix(".zip").is_some() { "zip" } else { "tar.gz" };
    let file = format!("{name}.{ending}");
    let source = format!("{}/{file}", PackageBuild::SOURCE);
    let args = [&format!("python{python}"), "-B", SCRIPT_PATH, &python, name, version, &source, PackageBuild::MADE];
    PackageBuild {
        name: name.to_owned(),
        version: version.to_owned(),
        artifact: artifact.clone(),
        file,
        args: args.map(str::to_owned).to_vec(),
        env: vec!["PYTHONDONTWRITEBYTECODE=1".to_owned(), "PYTHONUNBUFFERED=1".to_owned()],
        needs: vec![NeededProgram { name: format!("python{python}"), hint: NO_PYTHON.to_owned() }],
        files: vec![ScriptFile { path: SCRIPT_PATH.to_owned(), content: SCRIPT.to_owned(), mode: 0o644 }],
    }
}

/// Refuses what a step left if it is no wheel of the package, or does not run on the image's platform.
pub(in crate::packages) fn check_made(package: &Package, made: &Made) -> Result<(), PackageError> {
    let refuse =
        |problem: String| PackageError::Artifact { name: format!("{} {}", package.name, package.version), problem };
    let PackageLayout::MadeWheel(layout) = &package.layout else {
        return Err(refuse("no step makes packages of its kind".to_owned()));
    };
    let wheel = WheelName::parse(&made.name).filter(|wheel| wheel.name == package.name);
    let Some(wheel) = wheel else { return Err(refuse(format!("its build left {:?}", made.name))) };
    if made.platform != layout.platform && !wheel.is_for_any_platform() {
        return Err(refuse(format!(
            "it was built on {} and is for that platform alone, and the image is for {}: name a stage for that platform \
             with --build-from, or none to build in the stage itself",
            made.platform, layout.platform
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_sources() {
        for (file, expected) in [
            ("Foo.bar-1.0.tar.gz", Some(("foo-bar", "1.0"))),
            ("a-b-2.zip", Some(("a-b", "2"))),
            ("a-1-py3-none-any.whl", None),
            ("a.tar.gz", None),
            ("a-1.tar.xz", None),
        ] {
            let found = project(file).zip(version(file));
            assert_eq!(found.as_ref().map(|(name, version)| (name.as_str(), *version)), expected, "{file}");
            assert_eq!(is_sdist(file), expected.is_some(), "{file}");
        }
    }
}
