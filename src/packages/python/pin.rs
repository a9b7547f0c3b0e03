//! Requirements without hashes to pinned ones: from `flashbuild.lock`, from the store, or by asking ([`resolve`]).
//!
//! What was found out once stays, so that the next build is the same and asks nobody: in the store until an index is asked
//! again (`--pull`), and for everybody in `flashbuild.lock` once `flashbuild lock` has written it there.

use super::{
    config::Sources,
    index,
    lock::{Locked, Requirements},
    resolve::{self, Question},
    sdist::Buildable,
    stand_in::{Candidate, StandIns},
    tags::{WheelName, normalised},
    target::Target,
};
use crate::{
    packages::{LOCK_FILE_NAME, PackageError, Packages, lock::LockedPackage},
    store::{RecordKey, RecordKind},
};
use flashbuild_frontend::package::{ArtifactHash, DepsRequest};
use pep508_rs::{Requirement, VerbatimUrl, VersionOrUrl};
use std::str::FromStr as _;

/// Changes whenever the way to ask does.
const VERSION: &str = "flashbuild-python-pins-1";

/// Requirements that were pinned.
pub(super) struct Pinned {
    pub(super) locked: Vec<Locked>,
    pub(super) notes: Vec<String>,
    /// The request with what it means written out: what `flashbuild.lock` knows the answer by.
    named: DepsRequest,
    /// Whether `flashbuild.lock` has the answer already.
    is_locked: bool,
}

impl Pinned {
    /// Notes which wheels it came to, for `flashbuild lock`.
    pub(super) fn note(&self, packages: &Packages, wheels: Vec<LockedPackage>) {
        if !self.is_locked {
            packages.lock.note(&self.named, wheels, Vec::new());
        }
    }
}

/// Who asks, for what.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) packages: &'a Packages,
    pub(super) request: &'a DepsRequest,
    pub(super) file: &'a str,
    pub(super) target: &'a Target,
    pub(super) buildable: &'a Buildable,
}

/// Pins all of `requirements`, which are those of the file.
pub(super) async fn pin(
    asked: Asked<'_>,
    requirements: Requirements,
    sources: &mut Sources,
) -> Result<Pinned, PackageError> {
    let Asked { packages, request, file, target, buildable } = asked;
    let question = question(&requirements);
    let mut named = request.clone();
    named.arguments.extend(question.requirements.iter().cloned());
    named.arguments.extend(question.constraints.iter().map(|constraint| format!("-c {constraint}")));
    let is_named = |name: &str| requirements.unpinned.iter().any(|unpinned| unpinned.name == name);
    if let Some(known) = packages.lock.find(&named) {
        let locked = known.into_iter().map(|package| Locked {
            requested: is_named(&package.name) || requirements.locked.iter().any(|known| known.name == package.name),
            name: package.name,
            version: package.version,
            files: Vec::new(),
            hashes: vec![package.hash],
            at: LOCK_FILE_NAME.to_owned(),
        });
        return Ok(Pinned { locked: locked.collect(), notes: Vec::new(), named, is_locked: true });
    }
    let candidates = candidates(&requirements, buildable);
    let (text, by) = answer(asked, &question, &candidates, sources).await?;
    let mut open = |_: &str| Ok(text.clone());
    let mut locked = requirements.locked;
    let by_hand = locked.len();
    for mut package in Requirements::read(file, target, &mut open)?.locked {
        if locked[..by_hand].iter().all(|known| known.name != package.name) {
            package.requested = is_named(&package.name);
            file.clone_into(&mut package.at);
            // uv has no more than one wheel of a folder in its answer.
            package.hashes.extend(in_folders(packages, sources, &package)?);
            locked.push(package);
        }
    }
    let mut notes = Vec::new();
    if let Some(by) = by {
        let pins: Vec<String> =
            locked[by_hand..].iter().map(|package| format!("{} {}", package.name, package.version)).collect();
        notes.push(format!(
            "{file} has requirements without hashes; {by} says that they mean: {}. The store remembers it, and \
             `flashbuild lock` writes it down for everybody",
            pins.join(", ")
        ));
    }
    if !packages.lock.is_empty() {
        notes.push(format!(
            "{LOCK_FILE_NAME} has no answer for what {file} asks for now on {}: run `flashbuild lock`",
            request.platform
        ));
    }
    Ok(Pinned { locked, notes, named, is_locked: false })
}

/// The wheels of a pinned package that are in folders.
fn in_folders(packages: &Packages, sources: &Sources, package: &Locked) -> Result<Vec<ArtifactHash>, PackageError> {
    let mut hashes = Vec::new();
    for folder in sources.find_links.iter().filter(|folder| !folder.contains("://")) {
        let folder = packages.files.root().join(folder);
        if !folder.is_dir() {
            continue;
        }
        for (name, path) in index::in_folder(&folder)? {
            let wheel = WheelName::parse(&name);
            if wheel.is_some_and(|wheel| wheel.name == package.name && wheel.version == package.version) {
                hashes.push(index::hash_of(&path)?);
            }
        }
    }
    Ok(hashes)
}

/// The packages that may be built, as far as the requirements name them.
fn candidates(requirements: &Requirements, buildable: &Buildable) -> Vec<Candidate> {
    let parsed = |text: &String| Requirement::<VerbatimUrl>::from_str(text).ok();
    let constraints: Vec<_> = requirements.constraints.iter().filter_map(parsed).collect();
    let mut names: Vec<String> = requirements.unpinned.iter().map(|unpinned| unpinned.name.clone()).collect();
    if let Buildable::Named(named) = buildable {
        names.extend(named.iter().cloned());
    }
    names.retain(|name| buildable.contains(name) && requirements.locked.iter().all(|known| known.name != *name));
    names.sort();
    names.dedup();
    let candidate = |name: String| {
        let own = requirements.unpinned.iter().filter(|unpinned| unpinned.name == name);
        let own: Vec<_> = own.filter_map(|unpinned| parsed(&unpinned.requirement)).collect();
        let of_it = constraints.iter().filter(|constraint| normalised(constraint.name.as_ref()) == name).chain(&own);
        let specifiers = of_it.filter_map(|requirement| match &requirement.version_or_url {
            Some(VersionOrUrl::VersionSpecifier(specifiers)) => Some(specifiers.clone()),
            Some(VersionOrUrl::Url(_)) | None => None,
        });
        let specifiers = specifiers.collect();
        Candidate { name, specifiers, pre: requirements.pre }
    };
    names.into_iter().map(candidate).collect()
}

/// Everything that versions depend on each other for.
fn question(requirements: &Requirements) -> Question {
    let by_hand =
        requirements.locked.iter().map(|package| match package.files.first().and_then(|file| file.url.as_ref()) {
            Some(url) => format!("{} @ {url}", package.name),
            None => format!("{}=={}", package.name, package.version),
        });
    let unpinned = requirements.unpinned.iter().map(|unpinned| unpinned.requirement.clone());
    Question {
        requirements: unpinned.chain(by_hand).collect(),
        constraints: requirements.constraints.clone(),
        pre: requirements.pre,
    }
}

/// Requirements with hashes, as a text, and who said so if they were asked now.
async fn answer(
    asked: Asked<'_>,
    question: &Question,
    candidates: &[Candidate],
    sources: &mut Sources,
) -> Result<(String, Option<&'static str>), PackageError> {
    let Asked { packages, file, target, .. } = asked;
    let own = sources;
    let mut sources = own.clone();
    // They are asked elsewhere.
    for folder in sources.find_links.iter_mut().filter(|folder| !folder.contains("://")) {
        let path = packages.files.root().join(&*folder);
        *folder = std::path::absolute(&path).unwrap_or(path).display().to_string();
    }
    let built = if candidates.is_empty() { String::new() } else { format!(" {candidates:?}") };
    let facts = format!("{question:?} {} {:?}{built}", target.version(), sources.without_credentials());
    let of_all = key(&facts);
    // pip answers for one target only.
    let of_target = key(&format!("{facts} {:?}", target.tags.platforms().first()));
    // The platforms of one build ask the same, so they wait for each other.
    let mut answers = packages.answers.lock().await;
    for key in [of_all, of_target] {
        let known = match answers.get(&key) {
            Some(known) => Some(known.clone()),
            None if packages.ask => None,
            None => packages.store.records(&[key])?.remove(&key).and_then(|known| String::from_utf8(known).ok()),
        };
        if let Some(known) = known {
            return Ok((known, None));
        }
    }
    let mut stand_ins = None;
    if !candidates.is_empty() {
        tokio::task::block_in_place(|| own.complete());
        let made = StandIns::of(file, candidates, &super::shelves(packages, own.clone())?).await?;
        sources.find_links.extend(made.folder().map(|folder| folder.display().to_string()));
        stand_ins = Some(made);
    }
    let mut answer = resolve::resolve(file, question, target, &sources).await?;
    if let Some(stand_ins) = stand_ins {
        answer.text = stand_ins.replaced_in(answer.text);
    }
    let key = if answer.by == "uv" { of_all } else { of_target };
    packages.store.put_record(key, RecordKind::Definition, answer.text.as_bytes(), &[])?;
    answers.insert(key, answer.text.clone());
    Ok((answer.text, Some(answer.by)))
}

fn key(facts: &str) -> RecordKey {
    RecordKey(*blake3::Hasher::new_derive_key(VERSION).update(facts.as_bytes()).finalize().as_bytes())
}
