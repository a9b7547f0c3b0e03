//! `DEPS python`: wheels of a lock file become layers.
//!
//! 1. [`Target`]: for which Python on which platform, and where packages go, with what the flags leave open looked up in the
//!    image below ([`system`]).
//! 2. [`lock`]: which packages of which version, with which hashes; markers, extras and groups are decided here.
//! 3. [`pin`]: what requirements without hashes mean, from `flashbuild.lock`, from the store, or by asking uv or pip.
//! 4. [`choose`]: the best wheel of each, from what the lock, folders and indexes offer ([`config`] says which).
//! 5. [`sdist`]: how a wheel is built where there is none, if that is asked for; [`stand_in`] lets such packages take part in
//!    step 3.
//! 6. [`wheel`]: a wheel's files, when the layer is made.
//!
//! Nothing of it runs Python, but for that step, which is a process of the build like any other.

mod choose;
mod config;
mod index;
mod lock;
mod memory;
mod pages;
mod pin;
mod resolve;
mod sdist;
mod stand_in;
mod system;
mod tags;
mod target;
mod wheel;

use super::{PackageError, Packages, Planned, packing};
use crate::layer::{Item, View};
use choose::{Chosen, Shelves};
use config::Sources;
use flashbuild_frontend::package::{
    DepsRequest, LockPlace, MadeWheelLayout, Package, PackageLayout, PackageOp, WheelLayout,
};
use lock::{Format, Locked, Requirements, Wanted};
use pages::Pages;
use sdist::Buildable;
pub(super) use sdist::check_made;
use std::{collections::BTreeMap, fs::File};
use system::System;
pub(super) use system::needs_below;
use tags::normalised;
use target::Target;
use url::Url;

pub(crate) use wheel::csv_fields;

/// An error if no file of this name is a lock.
pub(super) fn check_lock(name: &str) -> Result<(), PackageError> {
    Format::of(name).map(drop)
}

/// Which wheels a lock file means.
pub(super) async fn plan(packages: &Packages, request: &DepsRequest, below: &View) -> Result<Planned, PackageError> {
    let [file] = request.arguments.as_slice() else {
        let problem = "DEPS python takes one lock file; write another DEPS for another file".to_owned();
        return Err(PackageError::Lock { file: request.arguments.join(" "), problem });
    };
    let buildable = Buildable::of(request);
    let mut target = Target::of(request, &System::of(request, below))?;
    let mut notes = Vec::new();
    if request.flag("compile").is_some() && !target.compile() {
        notes.push(format!(
            "there is no {} on this machine to compile modules with: they are compiled when they are imported",
            target.python_name()
        ));
    }
    let wanted = Wanted {
        extras: request.flags("extra").map(normalised).collect(),
        groups: request.flags("group").map(str::to_owned).collect(),
    };
    let mut sources = Sources::of_this_machine();
    sources.find_links.splice(0..0, request.flags("find-links").map(str::to_owned));
    let mut pinned = None;
    let locked = match Format::of(file)? {
        format @ (Format::Pylock | Format::Uv | Format::Pipfile | Format::Poetry) => {
            let mut contents = lock::read(format, file, &packages.files.read(file)?, &target, &wanted)?;
            notes.append(&mut contents.notes);
            contents.packages
        }
        Format::Requirements => {
            let requirements = read_requirements(packages, file, &target, &wanted, &mut sources)?;
            if requirements.unpinned.is_empty() {
                requirements.locked
            } else {
                let asked = pin::Asked { packages, request, file, target: &target, buildable: &buildable };
                let mut answer = pin::pin(asked, requirements, &mut sources).await?;
                notes.append(&mut answer.notes);
                let locked = std::mem::take(&mut answer.locked);
                pinned = Some(answer);
                locked
            }
        }
    };
    let locked = without_doubles(locked)?;
    if locked.iter().any(Locked::needs_index) {
        tokio::task::block_in_place(|| sources.complete());
    }
    let key = memory::key(request, &locked, &sources);
    packages.note_answer(key);
    // Trusts the indexes, whether they are asked or not: artifacts come from there.
    let shelves = shelves(packages, sources)?;
    accept_credentials(packages, request, file);
    let chosen = if let Some(chosen) = memory::recall(&packages.store, key)? {
        chosen
    } else {
        let chosen = shelves.choose(locked, &target, &request.platform, &buildable).await?;
        memory::remember(&packages.store, key, &chosen)?;
        chosen
    };
    if let Some(pinned) = pinned {
        pinned.note(packages, chosen.iter().map(Chosen::locked).collect());
    }
    Ok(Planned { notes, ..planned(chosen, &target, request) })
}

/// Requirements, and where else they say that wheels are.
fn read_requirements(
    packages: &Packages,
    file: &str,
    target: &Target,
    wanted: &Wanted,
    sources: &mut Sources,
) -> Result<Requirements, PackageError> {
    if !wanted.extras.is_empty() || !wanted.groups.is_empty() {
        let problem = "requirements have no extras or groups to choose from".to_owned();
        return Err(PackageError::Lock { file: file.to_owned(), problem });
    }
    let mut open = |file: &str| packages.files.read(file);
    let mut requirements = Requirements::read(file, target, &mut open)?;
    if sources.require_hashes {
        requirements.require_hashes("the configuration of pip or uv says require-hashes")?;
    }
    sources.find_links.append(&mut requirements.find_links);
    let indexes = std::mem::take(&mut requirements.indexes);
    if !indexes.is_empty() {
        // The file is not the person who builds: only what is public, or configured beside it, counts.
        for text in sources.index.iter().chain(&sources.extra) {
            packages.client.configure(index_url(text)?);
        }
        for text in &indexes {
            packages.client.check(&index_url(text)?)?;
        }
    }
    let mut indexes = indexes.into_iter();
    if let Some(first) = indexes.next() {
        sources.extra.extend(sources.index.replace(first));
        sources.extra.extend(indexes);
    }
    Ok(requirements)
}

/// One entry a package. Two versions of one package cannot be in one folder.
fn without_doubles(locked: Vec<Locked>) -> Result<Vec<Locked>, PackageError> {
    let mut by_name: BTreeMap<String, Locked> = BTreeMap::new();
    for package in locked {
        match by_name.get_mut(&package.name) {
            None => {
                by_name.insert(package.name.clone(), package);
            }
            Some(known) if known.version == package.version => {
                known.requested |= package.requested;
                known.files.extend(package.files);
                known.hashes.extend(package.hashes);
            }
            Some(known) => {
                let problem = format!("it needs {} {} and {} at once", known.name, known.version, package.version);
                return Err(PackageError::Lock { file: package.at, problem });
            }
        }
    }
    Ok(by_name.into_values().collect())
}

/// Opens folders and trusts indexes.
fn shelves(packages: &Packages, sources: Sources) -> Result<Shelves, PackageError> {
    let pages = Pages(packages.clone());
    let mut shelves = Shelves { client: packages.client.clone(), pages, indexes: Vec::new(), folders: Vec::new() };
    for folder in sources.find_links {
        if folder.starts_with("http:") || folder.starts_with("https:") {
            let problem = format!("{folder} is a page: give a folder, or configure an index");
            return Err(PackageError::Flag { flag: "find-links", problem });
        }
        let path = packages.files.root().join(folder.strip_prefix("file://").unwrap_or(&folder));
        // A folder of somebody's configuration need not exist.
        if path.is_dir() {
            shelves.folders.extend(index::in_folder(&path)?);
        }
    }
    if !sources.no_index {
        let asks_keyring = sources.keyring == Some(true);
        for text in sources.index.into_iter().chain(sources.extra) {
            let url = index_url(&text)?;
            let client = &packages.client;
            shelves.indexes.push(if asks_keyring { client.configure_with_keyring(url) } else { client.configure(url) });
        }
    }
    Ok(shelves)
}

/// Credentials in variables for indexes that have their names in the project of a `uv.lock`. Only of the context: who builds
/// it trusts it as far as they do with uv.
fn accept_credentials(packages: &Packages, request: &DepsRequest, file: &str) {
    if request.from != LockPlace::Context || Format::of(file).ok() != Some(Format::Uv) {
        return;
    }
    let project = file.strip_suffix("uv.lock").map(|folder| packages.files.read(&format!("{folder}pyproject.toml")));
    if let Some(Ok(project)) = project {
        for url in config::credentials_for_project(&project, &config::own_variable) {
            packages.client.accept_credentials(&url);
        }
    }
}

fn index_url(text: &str) -> Result<Url, PackageError> {
    Url::parse(text).map_err(|error| PackageError::Flag {
        flag: "index-url",
        problem: format!("the index that is configured is no address: {error}"),
    })
}

/// Wheels to layers.
fn planned(chosen: Vec<Chosen>, target: &Target, request: &DepsRequest) -> Planned {
    let mut planned = Planned::default();
    let mut wheels = Vec::with_capacity(chosen.len());
    for Chosen { name, version, requested, hash, addresses, sdist, size } in chosen {
        planned.addresses.extend(addresses.into_iter().map(|address| (hash.clone(), address)));
        let wheel = target.layout(requested);
        let layout = match sdist {
            None => PackageLayout::Wheel(wheel),
            Some(file) => {
                planned.plan.builds.push(sdist::build(&name, &version, &hash, &file, target));
                PackageLayout::MadeWheel(MadeWheelLayout { wheel, platform: request.platform.clone() })
            }
        };
        wheels.push((Package { name, version, artifact: hash, layout, part: None }, size));
    }
    let files = target.files();
    if !files.is_empty() {
        planned.plan.layers.push(PackageOp { packages: Vec::new(), files });
    }
    planned.plan.layers.extend(packing::by_name(wheels, packing::Share::Most, request.room));
    planned
}

/// The files of a wheel.
pub(super) fn unpack(
    package: &Package,
    layout: &WheelLayout,
    artifact: File,
    time: i64,
) -> Result<Vec<Item>, PackageError> {
    wheel::unpack(package, layout, artifact, time)
}
