//! Where images come from: the registry in their name, or what the machine's configuration puts before it.
//!
//! Two kinds of files are read where other tools keep them:
//!
//! | files | of | say |
//! |---|---|---|
//! | `registries.conf`, `registries.conf.d/*.conf` | Podman, skopeo, buildah (`containers-registries.conf(5)`, version 2) | for prefixes of names: another location, mirrors, insecure, blocked |
//! | `certs.d/HOST/hosts.toml`, or `*.crt`, `*.cert` and `*.key` there | containerd, nerdctl, dockerd | for registries: mirrors, what they can, authorities, certificates to show, headers |
//!
//! Rules:
//!
//! - What a `registries.conf` says of a name counts before what a `hosts.toml` says of its registry.
//! - Mirrors are asked in their order, the registry itself last; a mirror that has no answer, whatever the reason, is
//!   passed by. What a mirror sends is believed as far as a digest says so; a tag is asked of those that may answer tags.
//! - Nothing is ever pushed to a mirror, nor to a location that stands for another: a push goes where its name says.
//! - A name without a host is one of Docker Hub, as everywhere in this program: `unqualified-search-registries` and
//!   aliases would make the same Dockerfile mean different things on different machines.
//! - Credentials are those of the host that is asked: a mirror gets its own or none.

mod hosts_toml;
mod registries_conf;
#[cfg(test)]
mod tests;

use super::{error::RegistryError, host};
use crate::http::Trust;
use flashbuild_frontend::reference::Reference;
use hosts_toml::HostsFolders;
use registries_conf::RegistriesConf;
use reqwest::Url;
use std::{
    env,
    path::{Path, PathBuf},
};

/// Files that say where images come from.
#[derive(Debug, Clone, Default)]
pub struct PlaceFiles {
    /// `registries.conf`; drop-ins lie in the folder of the same name with `.d`.
    pub registries_conf: Option<PathBuf>,
    /// Folders with a folder for each registry, the first to look into first.
    pub hosts: Vec<PathBuf>,
}

impl PlaceFiles {
    /// Those of this user and this machine: `$CONTAINERS_REGISTRIES_CONF` and `$FLASHBUILD_CERTS_D`, or where other tools
    /// look.
    pub fn of_this_machine() -> Self {
        let variable = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let config = variable("XDG_CONFIG_HOME").or_else(|| Some(variable("HOME")?.join(".config")));
        let of_user = |path: &str| config.as_ref().map(|folder| folder.join(path));
        let is_there = |path: &PathBuf| path.exists();
        let registries_conf = variable("CONTAINERS_REGISTRIES_CONF")
            .or_else(|| of_user("containers/registries.conf").filter(is_there))
            .or_else(|| Some(PathBuf::from("/etc/containers/registries.conf")).filter(is_there));
        let tools = ["containerd/certs.d", "docker/certs.d", "containers/certs.d"];
        let hosts = match variable("FLASHBUILD_CERTS_D") {
            Some(folder) => vec![folder],
            None => {
                tools.into_iter().filter_map(of_user).chain(tools.map(|path| Path::new("/etc").join(path))).collect()
            }
        };
        Self { registries_conf, hosts }
    }
}

/// A server that speaks for a registry.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Server {
    /// As credentials and messages name it.
    pub(super) name: String,
    /// The root of its API: `https://host/v2/`.
    pub(super) api: Url,
    /// The registry that it stands for, if it wants to be told.
    pub(super) stands_for: Option<String>,
    /// Sent with every request.
    pub(super) headers: Vec<(String, String)>,
    pub(super) trust: Trust,
    /// Whether another is asked if this one has no answer.
    pub(super) is_mirror: bool,
}

/// A server, and what a repository is called there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) server: Server,
    pub(super) repository: String,
}

/// What is asked of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// What a tag leads to.
    Tag,
    /// Something by its digest.
    Digest,
}

impl Asked {
    pub(super) fn by(reference: &Reference) -> Self {
        if reference.digest().is_some() { Self::Digest } else { Self::Tag }
    }
}

/// The configuration, read.
pub(super) struct Places {
    conf: RegistriesConf,
    hosts: HostsFolders,
    /// Hosts, as they are written in names, that may speak plain HTTP.
    insecure: Vec<String>,
}

impl Places {
    pub(super) fn read(files: &PlaceFiles, insecure: &[String]) -> Result<Self, RegistryError> {
        let conf = match &files.registries_conf {
            Some(file) => RegistriesConf::read(file)?,
            None => RegistriesConf::default(),
        };
        Ok(Self { conf, hosts: HostsFolders::new(files.hosts.clone()), insecure: insecure.to_vec() })
    }

    /// The registry in a name, to push to.
    pub(super) fn own(&self, reference: &Reference) -> Result<Place, RegistryError> {
        let entry = self.conf.entry(reference)?;
        let is_insecure =
            entry.is_some_and(|entry| entry.insecure) || self.insecure.iter().any(|host| host == reference.host());
        let (server, _) = self.hosts.of(reference.host(), unconfigured(reference.host(), is_insecure)?)?;
        Ok(Place { server, repository: reference.path().to_owned() })
    }

    /// Where to pull from, the first to ask first.
    pub(super) fn of(&self, reference: &Reference, asked: Asked) -> Result<Vec<Place>, RegistryError> {
        let Some(entry) = self.conf.entry(reference)? else {
            let is_insecure = self.insecure.iter().any(|host| host == reference.host());
            let (own, mirrors) = self.hosts.of(reference.host(), unconfigured(reference.host(), is_insecure)?)?;
            let servers = mirrors.into_iter().filter(|mirror| mirror.answers(asked)).map(|mirror| mirror.server);
            let repository = reference.path();
            return Ok(servers
                .chain([own])
                .map(|server| Place { server, repository: repository.to_owned() })
                .collect());
        };
        let mut places = Vec::new();
        for mirror in entry.mirrors_for(asked) {
            places.extend(self.moved(&mirror.location, &entry.rest(reference), mirror.insecure, true)?);
        }
        match &entry.location {
            Some(location) => {
                places.extend(self.moved(location, &entry.rest(reference), entry.insecure, false)?);
            }
            None => places.push(self.own(reference)?),
        }
        Ok(places)
    }

    /// What lies at `rest` behind a location. One that may be insecure may have a certificate that nobody knows, or none.
    fn moved(&self, location: &str, rest: &str, insecure: bool, is_mirror: bool) -> Result<Vec<Place>, RegistryError> {
        let whole = format!("{}{rest}", location.trim_end_matches('/'));
        let (host, repository) = whole.split_once('/').ok_or_else(|| {
            RegistryError::SetUp(format!("registries.conf: {location:?} leads to no repository of a registry"))
        })?;
        let place = |server| Place { server: Server { is_mirror, ..server }, repository: repository.to_owned() };
        let is_listed = self.insecure.iter().any(|listed| listed == host);
        let (server, _) = self.hosts.of(host, unconfigured(host, is_listed)?)?;
        if !insecure || server.api.scheme() == "http" {
            return Ok(vec![place(server)]);
        }
        let plain = unconfigured(host, true)?;
        let unknown = Server { trust: Trust { trusts_all: true, ..server.trust.clone() }, ..server };
        Ok(vec![Place { server: Server { is_mirror: true, ..unknown.clone() }, ..place(unknown) }, place(plain)])
    }
}

/// The registry of a name, as it is without a configuration.
fn unconfigured(name: &str, insecure: bool) -> Result<Server, RegistryError> {
    let listed = if insecure { vec![name.to_owned()] } else { Vec::new() };
    let mut api = host::base_url(name, &listed)
        .map_err(|problem| RegistryError::SetUp(format!("{name:?} is no registry: {problem}")))?;
    api.set_path("/v2/");
    let (stands_for, headers, trust) = (None, Vec::new(), Trust::default());
    Ok(Server { name: name.to_owned(), api, stands_for, headers, trust, is_mirror: false })
}
