//! HTTP clients: who is trusted, how long a connection may take, and which way it goes.

use super::address::{is_link_local, is_loopback};
use reqwest::{Certificate, Identity, Url, redirect};
use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

/// Clients that follow no redirects. Proxies of the environment are used, but never for this machine and what serves it
/// alone.
#[derive(Clone)]
pub struct Clients {
    direct: reqwest::Client,
    proxied: reqwest::Client,
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
        let builder = || {
            let builder = reqwest::Client::builder()
                .user_agent(concat!("flashbuild/", env!("CARGO_PKG_VERSION")))
                .redirect(redirect::Policy::none())
                .connect_timeout(connect_timeout)
                .tls_certs_merge(certificates.clone())
                .tls_danger_accept_invalid_certs(trust.trusts_all);
            match &identity {
                Some(identity) => builder.identity(identity.clone()),
                None => builder,
            }
        };
        Ok(Self {
            direct: builder().no_proxy().build().map_err(|error| innermost(&error))?,
            proxied: builder().build().map_err(|error| innermost(&error))?,
        })
    }

    /// The client to ask `url` with.
    pub fn of(&self, url: &Url) -> &reqwest::Client {
        if is_loopback(url) || is_link_local(url) { &self.direct } else { &self.proxied }
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
