//! `DEPS apt …` for one platform becomes layers.

use super::{
    AptError,
    architecture::debian_name,
    base, configure,
    installed::Installed,
    memory,
    replaced::{Ground, Replaced},
    resolve::{Deb, Request, Scripts, counts_on, resolve},
    root, settled,
    sources::SourceFlags,
    version,
};
use crate::{
    image::BlobDigest,
    packages::{
        Address, LOCK_FILE_NAME, PackageError, Packages, Planned, TreeBelow, lock::LockedPackage, netrc::Netrc, packing,
    },
};
use flashbuild_frontend::package::{DebLayout, DepsPlan, DepsRequest, Package, PackageLayout};
use std::{cmp::Ordering, fs, path::Path};
use url::Url;

/// The flag that has scripts run.
const CONFIGURE: &str = "configure";

/// Which packages `request` means, in layers, and where they are.
pub(in crate::packages) async fn plan(
    packages: &Packages,
    request: &DepsRequest,
    below: &TreeBelow,
) -> Result<Planned, PackageError> {
    let is_on = |flag| request.flag(flag).is_some();
    let configures = is_on(CONFIGURE);
    let etc = root::etc().await?;
    let architecture = debian_name(&request.platform)?;
    let installed = tokio::task::block_in_place(|| Installed::read(below, architecture, scripts(request)))?;
    let mut notes = Vec::new();
    let debs = if let Some(locked) = packages.lock.find(request) {
        let missing = missing_of(locked, &packages.lock.below(request), &installed)?;
        where_locked(packages, request, &missing, &installed, &etc).await?
    } else {
        if !packages.lock.is_empty() {
            let asked = request.arguments.join(" ");
            notes.push(format!(
                "{LOCK_FILE_NAME} has no answer for DEPS apt {asked} on {}: run `flashbuild lock`",
                request.platform
            ));
        }
        let mut wanted = request.arguments.clone();
        if is_scratch(request) && !wanted.iter().any(|package| package == base::PACKAGE) {
            wanted.push(base::PACKAGE.to_owned());
        }
        let asked = asked(request, wanted, &installed);
        let debs = what_is_meant(packages, request, &asked, &etc, &mut notes).await?;
        if packages.lock.renews() {
            let store = &packages.store;
            let below = counts_on(store, &request.platform, &asked, &etc, &installed, &debs).await?;
            packages.lock.note(request, debs.iter().map(locked).collect(), below.into_iter().collect());
        }
        debs
    };
    let layout = DebLayout { docs: !is_on("no-docs") };
    // In the order of names: what is locked has no other.
    let mut all: Vec<Package> = debs.iter().map(|deb| package(deb, &layout)).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    let mut layers = packing::by_size(debs.iter().map(|deb| (package(deb, &layout), deb.size)).collect(), request.room);
    if is_scratch(request) {
        layers.insert(0, base::layer(architecture));
    }
    let ground = Ground { below, installed: &installed, architecture };
    let replaced = tokio::task::block_in_place(|| Replaced::of(&all, &ground, configures))?;
    layers.splice(0..0, replaced.files);
    layers.extend(replaced.status);
    if debs.is_empty() {
        notes.push(format!("DEPS apt {} brings nothing: it is there already", request.arguments.join(" ")));
    }
    let stays = installed.versions().filter(|(name, _)| debs.iter().all(|deb| deb.name != *name));
    let found = stays.map(|(name, version)| (name.to_owned(), version.to_owned())).collect();
    let credentials = credentials(&etc);
    let mut addresses = Vec::with_capacity(debs.len());
    for deb in debs {
        if let Some(address) = address(packages, &credentials, &deb)? {
            addresses.push((deb.hash, address));
        }
    }
    let settled = (!configures && !all.is_empty()).then(|| Box::new(settled::layer(&all, architecture)));
    let steps = if configures && !all.is_empty() { vec![configure::step(all, &request.arguments)] } else { Vec::new() };
    Ok(Planned {
        plan: DepsPlan { layers, settled, steps, found, ..DepsPlan::default() },
        addresses,
        notes,
        ..Planned::default()
    })
}

/// The packages that names mean: as apt says, or as it said last if it can ask nobody.
async fn what_is_meant(
    packages: &Packages,
    request: &DepsRequest,
    asked: &Request,
    etc: &Path,
    notes: &mut Vec<String>,
) -> Result<Vec<Deb>, PackageError> {
    let store = &packages.store;
    let key = memory::key(debian_name(&request.platform)?, asked, etc)?;
    packages.note_answer(key);
    let arguments = request.arguments.join(" ");
    if let Err(offline) = packages.client.check_online(&format!("what DEPS apt {arguments} means")) {
        return memory::recall(store, key)?.ok_or(offline);
    }
    match resolve(store, &request.platform, asked, etc, packages.ask).await {
        Ok(debs) => {
            memory::remember(store, key, &debs)?;
            Ok(debs)
        }
        Err(error @ AptError::Refused { command: "update", .. }) if !packages.ask => {
            let known = memory::recall(store, key)?.ok_or(error)?;
            notes.push(format!("apt cannot ask its mirrors: DEPS apt {arguments} means what it said last"));
            Ok(known)
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether nothing is below: then the packages have to bring what every system has.
fn is_scratch(request: &DepsRequest) -> bool {
    !request.has_system
}

/// Whether scripts run, and on what.
fn scripts(request: &DepsRequest) -> Scripts {
    match (request.flag(CONFIGURE).is_some(), is_scratch(request)) {
        (false, _) => Scripts::None,
        (true, true) => Scripts::OnNothing,
        (true, false) => Scripts::OnSystem,
    }
}

fn asked(request: &DepsRequest, packages: Vec<String>, installed: &Installed) -> Request {
    let all = |flag| request.flags(flag).map(str::to_owned).collect();
    Request {
        packages,
        sources: SourceFlags { suites: all("suite"), components: all("component"), mirrors: all("mirror") },
        recommends: request.flag("recommends").is_some(),
        scripts: scripts(request),
        installed: installed.for_apt(),
    }
}

fn locked(deb: &Deb) -> LockedPackage {
    LockedPackage { name: deb.name.clone(), version: deb.version.clone(), size: deb.size, hash: deb.hash.clone() }
}

/// Those of the packages that the lock names that are not `installed`. What is below may be another tree than it was; it
/// has to be newer nowhere, and to have the packages that those of the lock count on.
fn missing_of(
    locked: Vec<LockedPackage>,
    counts_on: &[String],
    installed: &Installed,
) -> Result<Vec<LockedPackage>, AptError> {
    let gone: Vec<&str> = counts_on.iter().map(String::as_str).filter(|name| installed.get(name).is_none()).collect();
    if !gone.is_empty() {
        return Err(AptError::NotBelow(gone.join(", ")));
    }
    let mut missing = Vec::with_capacity(locked.len());
    for package in locked {
        match installed.get(&package.name).map(|there| version::compare(&there.version, &package.version)) {
            None | Some(Ordering::Less) => missing.push(package),
            Some(Ordering::Equal) => {}
            Some(Ordering::Greater) => {
                let installed = installed.get(&package.name).map(|there| there.version.clone()).unwrap_or_default();
                let LockedPackage { name, version, .. } = package;
                return Err(AptError::LockedOlder { package: name, locked: version, installed });
            }
        }
    }
    Ok(missing)
}

/// The packages that the lock names. Where they are is found out only if one is not here: then the archive must have
/// exactly these.
async fn where_locked(
    packages: &Packages,
    request: &DepsRequest,
    locked: &[LockedPackage],
    installed: &Installed,
    etc: &Path,
) -> Result<Vec<Deb>, PackageError> {
    let mut is_here = true;
    for package in locked {
        let blob: Option<BlobDigest> = package.hash.to_string().parse().ok();
        is_here &= blob.map(|blob| packages.store.blob_path(&blob)).transpose()?.flatten().is_some();
    }
    if is_here {
        return Ok(locked.iter().map(without_address).collect());
    }
    let exactly = locked.iter().map(|package| format!("{}={}", package.name, package.version)).collect();
    let found = resolve(&packages.store, &request.platform, &asked(request, exactly, installed), etc, false).await;
    let found = found.map_err(|error| AptError::Moved { error: Box::new(error) })?;
    let find = |package: &LockedPackage| {
        let deb = found.iter().find(|deb| deb.name == package.name);
        deb.filter(|deb| deb.hash == package.hash).cloned().ok_or_else(|| AptError::OtherThanLocked {
            package: format!("{} {}", package.name, package.version),
            expected: package.hash.clone(),
        })
    };
    Ok(locked.iter().map(find).collect::<Result<_, _>>()?)
}

fn without_address(package: &LockedPackage) -> Deb {
    let LockedPackage { name, version, size, hash } = package.clone();
    Deb { name, version, uri: None, size, hash }
}

fn package(deb: &Deb, layout: &DebLayout) -> Package {
    Package {
        name: deb.name.clone(),
        version: deb.version.clone(),
        artifact: deb.hash.clone(),
        layout: PackageLayout::Deb(layout.clone()),
        part: None,
    }
}

/// Where a package is. apt's sources are the host's or the Dockerfile's own words, so their servers may be anywhere.
fn address(packages: &Packages, credentials: &Netrc, deb: &Deb) -> Result<Option<Address>, PackageError> {
    let Some(uri) = &deb.uri else { return Ok(None) };
    let refuse = |problem| PackageError::Address { address: uri.clone(), problem };
    let mut url: Url = uri.parse().map_err(|_| refuse("apt gave it, and it is no address"))?;
    let address = match url.scheme() {
        "http" | "https" => {
            if let Some((user, password)) = credentials.of(url.host_str().unwrap_or_default())
                && url.username().is_empty()
            {
                let _ = url.set_username(&user);
                let _ = url.set_password(Some(&password));
            }
            Address::Web(packages.client.configure(url))
        }
        "file" => Address::File(url.to_file_path().map_err(|()| refuse("it names no file"))?),
        _ => return Err(refuse("packages are fetched from http:, https: and file: only")),
    };
    Ok(Some(address))
}

/// What `apt_auth.conf(5)` says, which has netrc's form.
fn credentials(etc: &Path) -> Netrc {
    let mut paths = vec![etc.join("auth.conf")];
    let parts = fs::read_dir(etc.join("auth.conf.d")).into_iter().flatten().flatten();
    let mut parts: Vec<_> = parts.map(|entry| entry.path()).collect();
    parts.retain(|path| path.extension().is_some_and(|extension| extension == "conf"));
    parts.sort_unstable();
    paths.extend(parts);
    let texts: Vec<String> = paths.iter().filter_map(|path| fs::read_to_string(path).ok()).collect();
    Netrc::parse(&texts.join("\n"))
}
