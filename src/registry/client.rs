//! The client: its options, and what it keeps about each registry.

use super::auth::{Access, Authorizer};
use super::credentials::default_credential_files;
use super::error::RegistryError;
use super::host;
use super::retry::{Backoff, RetryPolicy};
use super::traffic::Traffic;
use super::transport::{Request, Response, Transport};
use flashbuild_frontend::reference::Reference;
use reqwest::Url;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

/// How to talk to registries.
#[derive(Debug, Clone)]
pub struct Options {
    /// Files with credentials, the first to ask first.
    pub credential_files: Vec<PathBuf>,
    /// Hosts, as they are written in names of images, that speak plain HTTP. Loopback always does.
    pub insecure: Vec<String>,
    /// PEM files of authorities that are trusted beside the system's.
    pub ca_certificates: Vec<PathBuf>,
    /// How many blobs may be on their way from or to one registry.
    pub transfers_per_host: usize,
    /// Bytes of a piece of a blob, where a whole one did not get through.
    pub chunk_size: u64,
    /// How long a connection may take.
    pub connect_timeout: Duration,
    /// How long a registry may be silent.
    pub idle_timeout: Duration,
    /// When to try again.
    pub retry: RetryPolicy,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            credential_files: default_credential_files(),
            insecure: Vec::new(),
            ca_certificates: Vec::new(),
            transfers_per_host: 4,
            chunk_size: 16 << 20,
            connect_timeout: Duration::from_secs(20),
            idle_timeout: Duration::from_mins(1),
            retry: RetryPolicy::default(),
        }
    }
}

/// New tokens for one request.
const MOST_RENEWALS: usize = 2;

/// A client of any number of registries. Clones share connections, tokens and limits.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    options: Options,
    credential_files: Arc<[PathBuf]>,
    transport: Transport,
    hosts: Mutex<HashMap<String, Arc<Host>>>,
}

/// One registry.
pub(super) struct Host {
    pub(super) name: String,
    pub(super) base: Url,
    pub(super) transfers: Semaphore,
    authorizer: Authorizer,
}

impl Host {
    /// The address of a part of a repository (distribution-spec, "Endpoints").
    pub(super) fn url(&self, repository: &str, rest: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.clear().push("v2").extend(repository.split('/')).extend(rest);
        }
        url
    }
}

impl Client {
    /// A client. Fails if a CA file cannot be read.
    pub fn new(options: Options) -> Result<Self, RegistryError> {
        let transport = Transport::new(&options)?;
        let credential_files = options.credential_files.clone().into();
        Ok(Self { shared: Arc::new(Shared { options, credential_files, transport, hosts: Mutex::default() }) })
    }

    /// PEM files of authorities that are trusted beside the system's.
    pub fn ca_certificates(&self) -> &[PathBuf] {
        &self.shared.options.ca_certificates
    }

    /// What has gone over the wire.
    pub fn traffic(&self) -> Traffic {
        self.shared.transport.counters.snapshot()
    }

    /// What is kept about the registry of `reference`.
    pub(super) fn host(&self, reference: &Reference) -> Result<Arc<Host>, RegistryError> {
        let name = reference.host();
        let mut hosts = self.shared.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(host) = hosts.get(name) {
            return Ok(host.clone());
        }
        let options = &self.shared.options;
        let base = host::base_url(name, &options.insecure)
            .map_err(|problem| RegistryError::SetUp(format!("{name:?} is no registry: {problem}")))?;
        let host = Arc::new(Host {
            name: name.to_owned(),
            transfers: Semaphore::new(options.transfers_per_host.max(1)),
            authorizer: Authorizer::new(name, &base, self.shared.credential_files.clone()),
            base,
        });
        hosts.insert(name.to_owned(), host.clone());
        Ok(host)
    }

    /// Bytes of a piece of a blob.
    pub(super) fn chunk_size(&self) -> u64 {
        self.shared.options.chunk_size.max(1)
    }

    pub(super) fn backoff(&self) -> Backoff<'_> {
        Backoff::new(&self.shared.options.retry)
    }

    /// Sends a request, and again with a new token if the registry itself asks for one. Twice at most: a token may end
    /// just when the next one is on its way.
    pub(super) async fn send(
        &self,
        host: &Host,
        access: &Access,
        request: &Request<'_>,
    ) -> Result<Response, RegistryError> {
        let transport = &self.shared.transport;
        let mut authorization = host.authorizer.authorization(transport, access).await?;
        for _ in 0..MOST_RENEWALS {
            let response = transport.send(&host.name, &host.base, request, authorization.as_ref()).await?;
            if response.status().as_u16() != 401 || !response.is_own {
                return Ok(response);
            }
            match host.authorizer.renew(transport, access, response.headers(), authorization.as_ref()).await? {
                Some(renewed) => authorization = Some(renewed),
                None => return Ok(response),
            }
            response.drain().await;
        }
        transport.send(&host.name, &host.base, request, authorization.as_ref()).await
    }

    /// Sends a request until it is answered with one of the `expected` statuses, or finally with another one.
    /// `what` names what is asked for.
    pub(super) async fn ask(
        &self,
        host: &Host,
        access: &Access,
        request: &Request<'_>,
        expected: &[u16],
        what: &str,
    ) -> Result<Response, RegistryError> {
        let mut backoff = self.backoff();
        loop {
            let error = match self.send(host, access, request).await {
                Ok(response) if expected.contains(&response.status().as_u16()) => return Ok(response),
                Ok(response) => response.into_error(what).await,
                Err(error) => error,
            };
            backoff.pause(error).await?;
        }
    }
}
