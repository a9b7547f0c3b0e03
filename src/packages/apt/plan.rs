//! `DEPS apt …` for one platform becomes layers.

use super::{
    AptError,
    architecture::debian_name,
    base, configure,
    resolve::{Deb, Request, Scripts, resolve},
    root,
    sources::SourceFlags,
};
use crate::{
    image::BlobDigest,
    packages::{Address, LOCK_FILE_NAME, PackageError, Packages, Planned, lock::LockedPackage, netrc::Netrc, packing},
};
use flashbuild_frontend::package::{DebLayout, DepsPlan, DepsRequest, Package, PackageLayout};
use std::{fs, path::Path};
use url::Url;

/// The flag that has scripts run.
const CONFIGURE: &str = "configure";

/// Which packages `request` means, in layers, and where they are.
pub(in crate::packages) async fn plan(packages: &Packages, request: &DepsRequest) -> Result<Planned, PackageError> {
    let is_on = |flag| request.flag(flag).is_some();
    let configures = is_on(CONFIGURE);
    let etc = root::etc().await?;
    let mut notes = Vec::new();
    let debs = if let Some(locked) = packages.lock.find(request) {
        where_locked(packages, request, &locked, &etc).await?
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
        packages.client.check_online(&format!("what DEPS apt {} means", request.arguments.join(" ")))?;
        let debs = resolve(&packages.store, &request.platform, &asked(request, wanted), &etc, packages.ask).await?;
        packages.lock.note(request, debs.iter().map(locked).collect());
        debs
    };
    let layout = DebLayout { docs: !is_on("no-docs") };
    // In the order of names: what is locked has no other.
    let mut all: Vec<Package> = debs.iter().map(|deb| package(deb, &layout)).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    let mut layers = packing::by_size(debs.iter().map(|deb| (package(deb, &layout), deb.size)).collect());
    if is_scratch(request) {
        layers.insert(0, base::layer(debian_name(&request.platform)?));
    }
    let credentials = credentials(&etc);
    let mut addresses = Vec::with_capacity(debs.len());
    for deb in debs {
        if let Some(address) = address(packages, &credentials, &deb)? {
            addresses.push((deb.hash, address));
        }
    }
    let steps = if configures { vec![configure::step(all, &request.arguments)] } else { Vec::new() };
    Ok(Planned { plan: DepsPlan { layers, steps, ..DepsPlan::default() }, addresses, notes, ..Planned::default() })
}

/// Whether nothing is below: then the packages have to bring what every system has.
fn is_scratch(request: &DepsRequest) -> bool {
    !request.has_system
}

fn asked(request: &DepsRequest, packages: Vec<String>) -> Request {
    let all = |flag| request.flags(flag).map(str::to_owned).collect();
    Request {
        packages,
        sources: SourceFlags { suites: all("suite"), components: all("component"), mirrors: all("mirror") },
        recommends: request.flag("recommends").is_some(),
        scripts: match (request.flag(CONFIGURE).is_some(), is_scratch(request)) {
            (false, _) => Scripts::None,
            (true, true) => Scripts::OnNothing,
            (true, false) => Scripts::OnSystem,
        },
    }
}

fn locked(deb: &Deb) -> LockedPackage {
    LockedPackage { name: deb.name.clone(), version: deb.version.clone(), size: deb.size, hash: deb.hash.clone() }
}

/// The packages that the lock names. Where they are is found out only if one is not here: then the archive must have
/// exactly these.
async fn where_locked(
    packages: &Packages,
    request: &DepsRequest,
    locked: &[LockedPackage],
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
    let found = resolve(&packages.store, &request.platform, &asked(request, exactly), etc, false).await;
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
