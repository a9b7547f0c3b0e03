//! `DEPS apt …` for one platform becomes layers.

use super::{
    architecture::debian_name,
    base,
    resolve::{Deb, Request, resolve},
    root,
    sources::SourceFlags,
};
use crate::packages::{Address, PackageError, Packages, Planned, netrc::Netrc, packing::pack};
use flashbuild_frontend::package::{DebLayout, DepsPlan, DepsRequest, Package, PackageLayout};
use std::{fs, path::Path};
use url::Url;

/// Which packages `request` means, a layer each, and where they are.
pub(in crate::packages) async fn plan(packages: &Packages, request: &DepsRequest) -> Result<Planned, PackageError> {
    let owned = |flag| request.flags(flag).map(str::to_owned).collect();
    let is_on = |flag| request.flag(flag).is_some();
    let mut wanted = request.arguments.clone();
    let is_scratch = request.base.is_none();
    if is_scratch && !wanted.iter().any(|package| package == base::PACKAGE) {
        wanted.push(base::PACKAGE.to_owned());
    }
    let asked = Request {
        packages: wanted,
        sources: SourceFlags { suites: owned("suite"), components: owned("component"), mirrors: owned("mirror") },
        recommends: is_on("recommends"),
    };
    let etc = root::etc().await?;
    let debs = resolve(&packages.store, &request.platform, &asked, &etc, false).await?;

    let layout = DebLayout { docs: !is_on("no-docs") };
    let mut layers = pack(debs.iter().map(|deb| (package(deb, &layout), deb.size)).collect());
    if is_scratch {
        layers.insert(0, base::layer(debian_name(&request.platform)?));
    }
    let credentials = credentials(&etc);
    let mut addresses = Vec::with_capacity(debs.len());
    for deb in debs {
        let address = address(packages, &credentials, &deb)?;
        addresses.push((deb.hash, address));
    }
    Ok(Planned { plan: DepsPlan { layers }, addresses, notes: Vec::new() })
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
fn address(packages: &Packages, credentials: &Netrc, deb: &Deb) -> Result<Address, PackageError> {
    let refuse = |problem| PackageError::Address { address: deb.uri.clone(), problem };
    let mut url: Url = deb.uri.parse().map_err(|_| refuse("apt gave it, and it is no address"))?;
    match url.scheme() {
        "http" | "https" => {
            if let Some((user, password)) = credentials.of(url.host_str().unwrap_or_default())
                && url.username().is_empty()
            {
                let _ = url.set_username(&user);
                let _ = url.set_password(Some(&password));
            }
            Ok(Address::Web(packages.client.configure(url)))
        }
        "file" => url.to_file_path().map(Address::File).map_err(|()| refuse("it names no file")),
        _ => Err(refuse("packages are fetched from http:, https: and file: only")),
    }
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
