//! The client: its options, and what it keeps about each registry.

use super::auth::{Access, Authorizer};
use super::credentials::default_credential_files;
use super::error::RegistryError;
use super::place::{Asked, PlaceFiles, Places, Server};
use super::retry::{Backoff, RetryPolicy};
use super::traffic::{Counters, Traffic};
use super::transport::{Request, Response, Transport};
use crate::http::Clients;
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
    /// Files that say where images come from.
    pub places: PlaceFiles,
    /// Whether nobody is asked.
    pub offline: bool,
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
            places: PlaceFiles::of_this_machine(),
            offline: false,
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
    places: Places,
    /// For servers that need no authorities of their own.
    clients: Clients,
    counters: Arc<Counters>,
    hosts: Mutex<HashMap<Server, Arc<Host>>>,
}

/// A registry, or a server that speaks for one.
pub(super) struct Host {
    pub(super) name: String,
    /// The root of its API.
    pub(super) base: Url,
    pub(super) transfers: Semaphore,
    stands_for: Option<String>,
    retry: RetryPolicy,
    transport: Transport,
    authorizer: Authorizer,
}

impl Host {
    /// The address of a part of a repository (distribution-spec, "Endpoints").
    pub(super) fn url(&self, repository: &str, rest: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(repository.split('/')).extend(rest);
        }
        if let Some(registry) = &self.stands_for {
            url.query_pairs_mut().append_pair("ns", registry);
        }
        url
    }

    pub(super) fn backoff(&self) -> Backoff<'_> {
        Backoff::new(&self.retry)
    }
}

/// What became of the places that were asked.
#[derive(Default)]
pub(super) struct Tried(Vec<(String, RegistryError)>);

impl Tried {
    /// One of them has no answer.
    pub(super) fn failed(&mut self, host: &Host, error: RegistryError) {
        self.0.push((host.name.clone(), error));
    }

    /// The last one's answer counts; the others' are told with it.
    pub(super) fn into_error(mut self) -> RegistryError {
        let Some((_, last)) = self.0.pop() else { return RegistryError::SetUp("no place to ask".to_owned()) };
        if self.0.is_empty() {
            return last;
        }
        let mirrors = self.0.iter().map(|(name, error)| format!("{name}: {error}")).collect::<Vec<_>>().join("; ");
        RegistryError::Mirrored { last: Box::new(last), mirrors }
    }
}

impl Client {
    /// A client. Fails if a file of its options cannot be read.
    pub fn new(options: Options) -> Result<Self, RegistryError> {
        let places = Places::read(&options.places, &options.insecure)?;
        let credential_files = options.credential_files.clone().into();
        let clients = Clients::new(&options.ca_certificates, options.connect_timeout).map_err(RegistryError::SetUp)?;
        let (counters, hosts) = Default::default();
        Ok(Self { shared: Arc::new(Shared { options, credential_files, places, clients, counters, hosts }) })
    }

    /// PEM files of authorities that are trusted beside the system's.
    pub fn ca_certificates(&self) -> &[PathBuf] {
        &self.shared.options.ca_certificates
    }

    /// What has gone over the wire.
    pub fn traffic(&self) -> Traffic {
        self.shared.counters.snapshot()
    }

    /// Whether the registry of `reference` is spoken to without TLS.
    pub fn speaks_plain_http(&self, reference: &Reference) -> Result<bool, RegistryError> {
        Ok(self.host(reference)?.base.scheme() == "http")
    }

    /// Whether nobody is asked.
    pub fn is_offline(&self) -> bool {
        self.shared.options.offline
    }

    /// What is kept about the registry of `reference`, to push there.
    pub(super) fn host(&self, reference: &Reference) -> Result<Arc<Host>, RegistryError> {
        if self.is_offline() {
            let problem = format!("{} cannot be pushed", reference.familiar());
            return Err(RegistryError::Offline { host: reference.host().to_owned(), problem });
        }
        self.host_of(self.shared.places.own(reference)?.server)
    }

    /// Where to pull from, the first to ask first, and what the repository is called there.
    pub(super) fn places(
        &self,
        reference: &Reference,
        asked: Asked,
    ) -> Result<Vec<(Arc<Host>, String)>, RegistryError> {
        if self.is_offline() {
            let name = reference.familiar();
            let problem =
                format!("{name} is not in the local store: `flashbuild pull {name}` fetches it, with a network");
            return Err(RegistryError::Offline { host: reference.host().to_owned(), problem });
        }
        let places = self.shared.places.of(reference, asked)?;
        places.into_iter().map(|place| Ok((self.host_of(place.server)?, place.repository))).collect()
    }

    fn host_of(&self, server: Server) -> Result<Arc<Host>, RegistryError> {
        let mut hosts = self.shared.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(host) = hosts.get(&server) {
            return Ok(host.clone());
        }
        let options = &self.shared.options;
        // Who has another to ask does not wait for this one.
        let attempts = if server.is_mirror { 1 } else { options.retry.attempts };
        let host = Arc::new(Host {
            name: server.name.clone(),
            base: server.api.clone(),
            transfers: Semaphore::new(options.transfers_per_host.max(1)),
            stands_for: server.stands_for.clone(),
            retry: RetryPolicy { attempts, ..options.retry.clone() },
            transport: Transport::new(options, &server, &self.shared.clients, Arc::clone(&self.shared.counters))?,
            authorizer: Authorizer::new(&server.name, &server.api, self.shared.credential_files.clone()),
        });
        hosts.insert(server, host.clone());
        Ok(host)
    }

    /// Bytes of a piece of a blob.
    pub(super) fn chunk_size(&self) -> u64 {
        self.shared.options.chunk_size.max(1)
    }

    /// Sends a request, and again with a new token if the registry itself asks for one. Twice at most: a token may end
    /// just when the next one is on its way.
    pub(super) async fn send(
        &self,
        host: &Host,
        access: &Access,
        request: &Request<'_>,
    ) -> Result<Response, RegistryError> {
        let transport = &host.transport;
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
        let mut backoff = host.backoff();
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
