//! `requirements.txt` ("Requirements File Format" of pip), with hashes or without.
//!
//! A line is a requirement with options, an option for the whole file, or the name of another file (`-r`, `-c`). Lines go on
//! behind a backslash. Variables in braces (`${NAME}`) are pip's business with secrets in addresses, and are refused.
//!
//! Hashes are all or nothing ("Hash-checking Mode" of pip): as soon as one line has `--hash`, be it a constraint or for another
//! platform, or the file says `--require-hashes`, each requirement of the target needs one. Otherwise who takes a hash off
//! a line, or adds a line, would decide what is installed. A hash that vouches for nothing is no hash, and refused.

use super::{
    super::{super::PackageError, sdist, tags::normalised, target::Target},
    Locked, LockedFile, file_name, problem, refuse_source, strong, usable,
};
use flashbuild_frontend::package::ArtifactHash;
use pep508_rs::{Requirement, VerbatimUrl, VersionOrUrl};
use std::str::FromStr as _;

/// What the files say together.
#[derive(Debug, Default)]
pub(in super::super) struct Requirements {
    /// Pinned by hashes.
    pub(in super::super) locked: Vec<Locked>,
    /// Without hashes.
    pub(in super::super) unpinned: Vec<Unpinned>,
    /// `--index-url` and `--extra-index-url`, in their order.
    pub(in super::super) indexes: Vec<String>,
    /// `--find-links`.
    pub(in super::super) find_links: Vec<String>,
    /// Requirements that choose versions, and ask for nothing.
    pub(in super::super) constraints: Vec<String>,
    /// `--pre`: whether versions before a release count.
    pub(in super::super) pre: bool,
    /// What asks for hashes of all requirements, if something does.
    pub(super) hashes_wanted: Option<String>,
}

/// A requirement that somebody has to resolve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Unpinned {
    /// Normalised.
    pub(in super::super) name: String,
    pub(in super::super) requirement: String,
    /// Where it is written: `requirements.txt:3`.
    at: String,
}

/// How deep files may name files.
const MAX_DEPTH: usize = 16;

impl Requirements {
    /// Reads `file` and the files that it names, with `open`.
    pub(in super::super) fn read(
        file: &str,
        target: &Target,
        open: &mut dyn FnMut(&str) -> Result<String, PackageError>,
    ) -> Result<Self, PackageError> {
        let mut requirements = Self::default();
        requirements.add_file(file, target, open, 0)?;
        requirements.check_hashes()?;
        Ok(requirements)
    }

    /// Refuses requirements without hashes, because `why`.
    pub(in super::super) fn require_hashes(&mut self, why: &str) -> Result<(), PackageError> {
        self.want_hashes(|| why.to_owned());
        self.check_hashes()
    }

    /// Refuses requirements without hashes where some have them.
    fn check_hashes(&self) -> Result<(), PackageError> {
        let (Some(why), [first, others @ ..]) = (&self.hashes_wanted, self.unpinned.as_slice()) else { return Ok(()) };
        let more = match others.len() {
            0 => String::new(),
            count => format!(" (and {count} more)"),
        };
        Err(problem(
            &first.at,
            format!(
                "{:?}{more} has no hash, but {why}, and then every requirement needs one: write all of them with \
                 `uv pip compile --generate-hashes` or `pip-compile --generate-hashes`",
                first.requirement
            ),
        ))
    }

    fn want_hashes(&mut self, why: impl FnOnce() -> String) {
        self.hashes_wanted.get_or_insert_with(why);
    }

    fn add_file(
        &mut self,
        file: &str,
        target: &Target,
        open: &mut dyn FnMut(&str) -> Result<String, PackageError>,
        depth: usize,
    ) -> Result<(), PackageError> {
        if depth > MAX_DEPTH {
            return Err(problem(file, "requirements name each other without an end"));
        }
        let text = open(file)?;
        for (line, content) in logical_lines(&text) {
            let at = format!("{file}:{line}");
            let (first, rest) = match content.split_once([' ', '=']) {
                Some((first, rest)) if content.starts_with('-') => (first, rest.trim_start_matches([' ', '='])),
                _ => (content.as_str(), ""),
            };
            let value = rest.trim();
            match first {
                "-r" | "--requirement" => {
                    self.add_file(&beside(file, value), target, open, depth + 1)?;
                }
                "-c" | "--constraint" => {
                    let other = beside(file, value);
                    for (line, content) in logical_lines(&open(&other)?) {
                        let at = format!("{other}:{line}");
                        let (written, hashes) = split_hashes(&content, &at)?;
                        if !hashes.is_empty() {
                            self.want_hashes(|| format!("{at} has one"));
                        }
                        self.constraints.push(constraint(written, &at)?);
                    }
                }
                "--pre" => self.pre = true,
                "--require-hashes" => self.want_hashes(|| format!("{at} says --require-hashes")),
                "--no-binary" | "--only-binary" | "--prefer-binary" | "--trusted-host" | "--use-feature" => {}
                "-i" | "--index-url" => self.indexes.insert(0, value.to_owned()),
                "--extra-index-url" => self.indexes.push(value.to_owned()),
                "-f" | "--find-links" => self.find_links.push(value.to_owned()),
                "-e" | "--editable" => return Err(refuse_source(&at, value, "a folder")),
                option if option.starts_with('-') => {
                    return Err(problem(&at, format!("the option {option} is not understood")));
                }
                _ => self.add(&content, target, at)?,
            }
        }
        Ok(())
    }

    fn add(&mut self, line: &str, target: &Target, at: String) -> Result<(), PackageError> {
        if line.contains("${") {
            return Err(problem(&at, "variables are not filled in here: write the requirement out"));
        }
        let (written, hashes) = split_hashes(line, &at)?;
        if !hashes.is_empty() {
            self.want_hashes(|| format!("{at} has one"));
        }
        let requirement = requirement(written, &at)?;
        if !target.fits(&requirement.marker, &[]) {
            return Ok(());
        }
        let name = normalised(requirement.name.as_ref());
        if let Some(VersionOrUrl::Url(url)) = &requirement.version_or_url {
            let url = url.to_url();
            return self.add_address(name, &url, hashes, at);
        }
        if hashes.is_empty() {
            self.unpinned.push(Unpinned { name, requirement: written.to_owned(), at });
            return Ok(());
        }
        let version = match &requirement.version_or_url {
            Some(VersionOrUrl::VersionSpecifier(specifiers)) => {
                match specifiers.iter().collect::<Vec<_>>().as_slice() {
                    [only] if only.to_string().starts_with("==") && !only.to_string().ends_with('*') => {
                        only.version().to_string()
                    }
                    _ => return Err(not_pinned(&at, written)),
                }
            }
            Some(VersionOrUrl::Url(_)) | None => return Err(not_pinned(&at, written)),
        };
        self.locked.push(Locked { name, version, requested: true, files: Vec::new(), hashes, at });
        Ok(())
    }

    /// `name @ https://…`.
    fn add_address(
        &mut self,
        name: String,
        url: &url::Url,
        mut hashes: Vec<ArtifactHash>,
        at: String,
    ) -> Result<(), PackageError> {
        let mut url = url.clone();
        hashes.extend(url.fragment().and_then(|fragment| strong(&fragment.replace('=', ":"))));
        url.set_fragment(None);
        let artifact = |file: &String| file.strip_suffix(".whl").is_some() || sdist::is_sdist(file);
        let Some(file) = file_name(&url).filter(artifact) else {
            return Err(refuse_source(&at, &name, "an address that is neither a wheel nor a source distribution"));
        };
        let Some(hash) = hashes.first().cloned() else {
            return Err(problem(&at, format!("{name} has no hash: write --hash=sha256:… behind its address")));
        };
        let version = sdist::version(&file).or_else(|| file.split('-').nth(1)).unwrap_or_default().to_owned();
        let files = vec![LockedFile { name: file, hash, url: Some(url), size: None }];
        self.locked.push(Locked { name, version, requested: true, files, hashes: Vec::new(), at });
        Ok(())
    }
}

/// A requirement, and the hashes behind it. If there are some, at least one can be relied upon.
fn split_hashes<'a>(line: &'a str, at: &str) -> Result<(&'a str, Vec<ArtifactHash>), PackageError> {
    let mut words = line.split(" --");
    let written = words.next().unwrap_or_default().trim();
    let mut hashes = Vec::new();
    for option in words {
        match option.strip_prefix("hash").map(|rest| rest.trim_start_matches(['=', ' ']).trim()) {
            Some(hash) => hashes.push(hash),
            None => return Err(problem(at, format!("the option --{option} is not understood"))),
        }
    }
    Ok((written, usable(at, written, &hashes)?))
}

/// The file that `file` calls `other`.
fn beside(file: &str, other: &str) -> String {
    match file.rsplit_once('/') {
        Some((folder, _)) => format!("{folder}/{other}"),
        None => other.to_owned(),
    }
}

/// A constraint. It may choose a version, not an address.
fn constraint(written: &str, at: &str) -> Result<String, PackageError> {
    match requirement(written, at)?.version_or_url {
        Some(VersionOrUrl::Url(_)) => Err(problem(at, "a constraint chooses a version, and this is an address")),
        Some(VersionOrUrl::VersionSpecifier(_)) | None => Ok(written.to_owned()),
    }
}

fn requirement(written: &str, at: &str) -> Result<Requirement<VerbatimUrl>, PackageError> {
    Requirement::from_str(written).map_err(|error| {
        let first = error.to_string().lines().next().unwrap_or_default().to_owned();
        problem(at, format!("{written:?} is no requirement: {first}"))
    })
}

fn not_pinned(at: &str, written: &str) -> PackageError {
    problem(at, format!("{written:?} has hashes but no single version: write NAME==VERSION"))
}

/// Lines joined where they end in a backslash, without comments and blanks, with the number of their first line.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut joined: Option<(usize, String)> = None;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_start_matches('\u{feff}');
        let line = if line.trim_start().starts_with('#') { "" } else { line.split(" #").next().unwrap_or_default() };
        let (content, goes_on) = match line.trim_end().strip_suffix('\\') {
            Some(content) => (content, true),
            None => (line, false),
        };
        let (_, whole) = joined.get_or_insert_with(|| (index + 1, String::new()));
        whole.push(' ');
        whole.push_str(content.trim());
        if !goes_on {
            lines.extend(joined.take());
        }
    }
    lines.extend(joined);
    let trimmed = lines.into_iter().map(|(line, content)| (line, content.trim().to_owned()));
    trimmed.filter(|(_, content)| !content.is_empty()).collect()
}
