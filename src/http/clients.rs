//! HTTP clients: who is trusted, how long a connection may take, and which way it goes.

use super::{
    address::{is_link_local, is_loopback},
    resolver::SystemResolver,
};
use reqwest::{Certificate, Identity, Url, redirect};
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::Duration,
};

/// Clients that follow no redirects. Proxies of the environment are used, but never for this machine and what serves it
/// alone.
///
/// The authorities of the system are read when a server shows a certificate for the first time that they have to vouch for: to
/// parse them takes longer than to find out that nothing of an image has changed.
#[derive(Clone)]
pub struct Clients {
    shared: Arc<Shared>,
}

struct Shared {
    certificates: Vec<Certificate>,
    identity: Option<Identity>,
    trusts_all: bool,
    connect_timeout: Duration,
    /// Knows no authorities but those that were given, and no proxies.
    plain: reqwest::Client,
    direct: OnceLock<reqwest::Client>,
    proxied: OnceLock<reqwest::Client>,
}

/// Who is trusted, and who we are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Trust {
    /// PEM files of authorities that are trusted beside the system's.
    pub authorities: Vec<PathBuf>,
    /// A certificate to show and its key, PEM; both may lie in one file.
    pub identity: Option<(PathBuf, Option<PathBuf>)>,
    /// Whether any certificate will do.
    pub trusts_all: bool,
}

impl Clients {
    /// Clients that trust the authorities in the PEM files `ca_certificates` beside the system's. An error is what is
    /// wrong, in words.
    pub fn new(ca_certificates: &[PathBuf], connect_timeout: Duration) -> Result<Self, String> {
        let trust = Trust { authorities: ca_certificates.to_vec(), ..Trust::default() };
        Self::with_trust(&trust, connect_timeout)
    }

    /// Clients for servers that need more than the system's authorities. An error is what is wrong, in words.
    pub fn with_trust(trust: &Trust, connect_timeout: Duration) -> Result<Self, String> {
        // Fails if there is a provider already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let certificates = certificates(&trust.authorities)?;
        let identity =
            trust.identity.as_ref().map(|(certificate, key)| identity(certificate, key.as_deref())).transpose()?;
        let builder = builder(&certificates, identity.as_ref(), trust.trusts_all, connect_timeout);
        let plain = builder.tls_certs_only([]).no_proxy().build().map_err(|error| innermost(&error))?;
        let (direct, proxied) = Default::default();
        let trusts_all = trust.trusts_all;
        let shared = Shared { certificates, identity, trusts_all, connect_timeout, plain, direct, proxied };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The client to ask `url` with.
    pub fn of(&self, url: &Url) -> &reqwest::Client {
        let shared = &*self.shared;
        if !(is_loopback(url) || is_link_local(url)) {
            shared.proxied.get_or_init(|| shared.client(|builder| builder))
        } else if url.scheme() == "http" {
            &shared.plain
        } else {
            shared.direct.get_or_init(|| shared.client(reqwest::ClientBuilder::no_proxy))
        }
    }
}

impl Shared {
    /// A client that trusts the authorities of the system too. If it has none, servers' certificates are refused when they
    /// are shown.
    fn client(&self, proxies: impl Fn(reqwest::ClientBuilder) -> reqwest::ClientBuilder) -> reqwest::Client {
        let builder = || {
            let builder = builder(&self.certificates, self.identity.as_ref(), self.trusts_all, self.connect_timeout);
            proxies(builder)
        };
        let client = builder().build().or_else(|_| builder().tls_certs_only([]).build());
        client.unwrap_or_else(|_| self.plain.clone())
    }
}

fn builder(
    certificates: &[Certificate],
    identity: Option<&Identity>,
    trusts_all: bool,
    connect_timeout: Duration,
) -> reqwest::ClientBuilder {
    let builder = reqwest::Client::builder()
        .user_agent(concat!("flashbuild/", env!("CARGO_PKG_VERSION")))
        .dns_resolver(SystemResolver::shared())
        .redirect(redirect::Policy::none())
        .connect_timeout(connect_timeout)
        .tls_certs_merge(certificates.iter().cloned())
        .tls_danger_accept_invalid_certs(trusts_all);
    match identity {
        Some(identity) => builder.identity(identity.clone()),
        None => builder,
    }
}

/// All certificates in PEM files. An error is what is wrong with one, in words.
pub fn certificates(files: &[PathBuf]) -> Result<Vec<Certificate>, String> {
    let mut all = Vec::new();
    for file in files {
        let failed = |cause: String| format!("CA certificates {}: {cause}", file.display());
        let pem = fs::read(file).map_err(|error| failed(error.to_string()))?;
        all.extend(Certificate::from_pem_bundle(&pem).map_err(|error| failed(innermost(&error)))?);
    }
    Ok(all)
}

fn identity(certificate: &Path, key: Option<&Path>) -> Result<Identity, String> {
    let read = |file: &Path| fs::read(file).map_err(|error| format!("certificate {}: {error}", file.display()));
    let mut pem = read(certificate)?;
    if let Some(key) = key {
        pem.push(b'\n');
        pem.extend(read(key)?);
    }
    Identity::from_pem(&pem).map_err(|error| format!("certificate {}: {}", certificate.display(), innermost(&error)))
}

/// The last of a chain of causes, which is the one that tells a person something.
pub fn innermost(error: &reqwest::Error) -> String {
    let mut last: &dyn std::error::Error = error;
    while let Some(source) = last.source() {
        last = source;
    }
    match last.downcast_ref::<io::Error>() {
        // "connection refused" rather than "Connection refused (os error 111)".
        Some(error) if error.raw_os_error().is_some() => error.kind().to_string(),
        Some(_) | None if last.is::<reqwest::Error>() => "the connection failed".to_owned(),
        Some(_) | None => last.to_string(),
    }
}
