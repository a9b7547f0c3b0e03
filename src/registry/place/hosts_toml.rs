//! `hosts.toml` and its folder (containerd, `docs/hosts.md`).

use super::{Asked, RegistryError, Server, host};
use crate::http::{Trust, is_loopback};
use reqwest::Url;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

/// Folders with a folder for each registry.
#[derive(Debug, Default)]
pub(super) struct HostsFolders(Vec<PathBuf>);

/// A server that is asked before the registry.
pub(super) struct HostMirror {
    pub(super) server: Server,
    can: Vec<Capability>,
}

impl HostMirror {
    pub(super) fn answers(&self, asked: Asked) -> bool {
        let needed = match asked {
            Asked::Tag => Capability::Resolve,
            Asked::Digest => Capability::Pull,
        };
        self.can.contains(&needed)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Capability {
    Pull,
    Resolve,
    Push,
}

/// A value, or a list.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore<T> {
    One(T),
    More(Vec<T>),
}

impl<T> OneOrMore<T> {
    fn into_vec(self) -> Vec<T> {
        match self {
            Self::One(one) => vec![one],
            Self::More(more) => more,
        }
    }
}

/// A certificate in one file with its key, or in two.
#[derive(Deserialize)]
#[serde(untagged)]
enum ClientCertificate {
    File(PathBuf),
    Pair(PathBuf, PathBuf),
}

/// What is said of a server.
#[derive(Deserialize, Default)]
#[serde(default)]
struct About {
    capabilities: Option<Vec<Capability>>,
    ca: Option<OneOrMore<PathBuf>>,
    client: Option<OneOrMore<ClientCertificate>>,
    skip_verify: bool,
    override_path: bool,
    header: InOrder<OneOrMore<String>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct HostsFile {
    server: Option<String>,
    host: InOrder<About>,
    #[serde(flatten)]
    about: About,
}

/// A table in the order of the file.
struct InOrder<T>(Vec<(String, T)>);

impl<T> Default for InOrder<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for InOrder<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Rows<T>(std::marker::PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Rows<T> {
            type Value = InOrder<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<InOrder<T>, A::Error> {
                let mut rows = Vec::new();
                while let Some(row) = map.next_entry()? {
                    rows.push(row);
                }
                Ok(InOrder(rows))
            }
        }
        deserializer.deserialize_map(Rows(std::marker::PhantomData))
    }
}

impl HostsFolders {
    pub(super) fn new(folders: Vec<PathBuf>) -> Self {
        Self(folders)
    }

    /// The registry `name` as its folder has it, in place of `plain`, and its mirrors.
    pub(super) fn of(&self, name: &str, plain: Server) -> Result<(Server, Vec<HostMirror>), RegistryError> {
        let Some(folder) = self.folder(name) else { return Ok((plain, Vec::new())) };
        let path = folder.join("hosts.toml");
        let failed = |problem: String| RegistryError::SetUp(format!("{}: {problem}", path.display()));
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let trust = certificates(&folder).map_err(|error| failed(error.to_string()))?;
                return Ok((Server { trust, ..plain }, Vec::new()));
            }
            Err(error) => return Err(failed(error.to_string())),
        };
        let file: HostsFile = toml::from_str(&text).map_err(|error| failed(error.to_string()))?;
        let server = |address: &str, about: About, is_mirror| {
            let api = api(address, about.override_path).map_err(|problem| failed(format!("{address:?}: {problem}")))?;
            let host = host_of(&api);
            let mut headers = Vec::new();
            for (header, values) in about.header.0 {
                headers.extend(values.into_vec().into_iter().map(|value| (header.clone(), value)));
            }
            let trust = about_trust(&folder, about.ca, about.client, about.skip_verify);
            let stands_for = (is_mirror && host != host_of(&plain.api)).then(|| name.to_owned());
            let can = about.capabilities.unwrap_or(vec![Capability::Pull, Capability::Resolve, Capability::Push]);
            // Credentials for the registry itself are kept under the name that it has in names of images.
            let name = if is_mirror { host } else { name.to_owned() };
            Ok::<_, RegistryError>(HostMirror {
                server: Server { name, api, stands_for, headers, trust, is_mirror },
                can,
            })
        };
        let mirrors = file.host.0.into_iter().map(|(address, about)| server(&address, about, true));
        let mirrors = mirrors.collect::<Result<Vec<_>, _>>()?;
        let own = match &file.server {
            Some(address) => server(address, file.about, false)?.server,
            None => Server { trust: server(plain.api.as_str(), file.about, false)?.server.trust, ..plain.clone() },
        };
        Ok((own, mirrors))
    }

    /// containerd writes a port between underscores where a colon cannot stand in names of files.
    fn folder(&self, name: &str) -> Option<PathBuf> {
        let with_port = name.rsplit_once(':').map(|(host, port)| format!("{host}_{port}_"));
        let names: Vec<&str> = with_port.as_deref().into_iter().chain([name, "_default"]).collect();
        self.0.iter().find_map(|folder| names.iter().map(|name| folder.join(name)).find(|path| path.is_dir()))
    }
}

/// The root of the API of a server that is given as an address or as a host.
fn api(address: &str, is_whole_path: bool) -> Result<Url, String> {
    let guessed = |scheme: &str| Url::parse(&format!("{scheme}://{address}")).map_err(|error| error.to_string());
    let mut url = if address.contains("://") {
        Url::parse(address).map_err(|error| error.to_string())?
    } else {
        let url = guessed("https")?;
        if is_loopback(&url) { guessed("http")? } else { url }
    };
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err("it is no address of a server".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
        return Err("credentials and queries do not belong there".to_owned());
    }
    if url.host_str() == Some("docker.io") {
        url = host::base_url("docker.io", &[])?;
    }
    let path = url.path().trim_end_matches('/').to_owned();
    let version = if is_whole_path || path.ends_with("/v2") { "" } else { "/v2" };
    url.set_path(&format!("{path}{version}/"));
    Ok(url)
}

fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Paths are relative to the folder.
fn about_trust(
    folder: &Path,
    ca: Option<OneOrMore<PathBuf>>,
    client: Option<OneOrMore<ClientCertificate>>,
    trusts_all: bool,
) -> Trust {
    let authorities = ca.map(OneOrMore::into_vec).unwrap_or_default().iter().map(|path| folder.join(path)).collect();
    let identity = client.map(OneOrMore::into_vec).unwrap_or_default().into_iter().next().map(|client| match client {
        ClientCertificate::File(file) => (folder.join(file), None),
        ClientCertificate::Pair(certificate, key) => (folder.join(certificate), Some(folder.join(key))),
    });
    Trust { authorities, identity, trusts_all }
}

/// A folder without a `hosts.toml`, as dockerd has them: authorities end in `.crt`, a certificate to show in `.cert`, and
/// its key in `.key`.
fn certificates(folder: &Path) -> io::Result<Trust> {
    let mut trust = Trust::default();
    let mut files: Vec<PathBuf> = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    files.sort();
    for file in files {
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("crt") => trust.authorities.push(file),
            Some("cert") if trust.identity.is_none() => {
                let key = file.with_extension("key");
                trust.identity = Some((file, Some(key)));
            }
            Some(_) | None => {}
        }
    }
    Ok(trust)
}
