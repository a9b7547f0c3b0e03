//! One HTTP client for indexes and artifacts: who is trusted, with which credentials, and trying again.
//!
//! - Every address is checked before it is asked, redirects included (module `address`).
//! - Credentials of an origin come from the configured address of an index there, else from netrc, else from a keyring, and
//!   go along only while a request stays at that origin.
//! - Failures that may pass (no connection, 408, 429, 5xx) are tried again, with growing pauses. Silence ends a request, its
//!   length does not.

use super::{
    PackageError, address,
    keyring::{Keyring, Login},
    netrc::Netrc,
};
use crate::http::{Origin, SystemResolver, innermost, is_loopback, shown};
use bytes::Bytes;
use reqwest::{Certificate, StatusCode, header, redirect};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};
use tokio::sync::Semaphore;
use url::Url;

const MOST_REDIRECTS: usize = 5;
/// How often something is tried.
const ATTEMPTS: u32 = 5;

/// How to talk to indexes.
#[derive(Debug, Clone)]
pub struct Options {
    /// PEM files of authorities that are trusted beside the system's.
    pub ca_certificates: Vec<PathBuf>,
    /// File with credentials, as curl and pip read it.
    pub netrc: Option<PathBuf>,
    /// How many transfers may run at once.
    pub transfers: usize,
    /// How long a connection may take.
    pub connect_timeout: Duration,
    /// How long a server may be silent.
    pub idle_timeout: Duration,
    /// Whether nobody is asked.
    pub offline: bool,
}

impl Default for Options {
    fn default() -> Self {
        let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".netrc"));
        Self {
            ca_certificates: Vec::new(),
            netrc: std::env::var_os("NETRC").map(PathBuf::from).or(home),
            transfers: 16,
            connect_timeout: Duration::from_secs(20),
            idle_timeout: Duration::from_mins(1),
            offline: false,
        }
    }
}

/// A client. Clones share connections and limits.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    certificates: Vec<Certificate>,
    connect_timeout: Duration,
    /// Made when somebody asks: the authorities of the system take milliseconds to parse, and most builds need none.
    direct: OnceLock<reqwest::Client>,
    proxied: OnceLock<reqwest::Client>,
    trust: Arc<Mutex<Trust>>,
    keyring: Keyring,
    transfers: Semaphore,
    idle: Duration,
    offline: bool,
}

impl Shared {
    /// The client for this machine, or for others.
    fn client(&self, is_direct: bool) -> Result<&reqwest::Client, PackageError> {
        let kept = if is_direct { &self.direct } else { &self.proxied };
        if let Some(client) = kept.get() {
            return Ok(client);
        }
        let trust = Arc::clone(&self.trust);
        let builder = reqwest::Client::builder()
            .user_agent(concat!("flashbuild/", env!("CARGO_PKG_VERSION")))
            .dns_resolver(SystemResolver::shared())
            .redirect(redirect::Policy::custom(move |attempt| {
                let allowed = address::check(attempt.url(), &locked(&trust).origins);
                match allowed {
                    Err(error) => attempt.error(error),
                    Ok(()) if attempt.previous().len() > MOST_REDIRECTS => attempt.error("too many redirects"),
                    Ok(()) => attempt.follow(),
                }
            }))
            .connect_timeout(self.connect_timeout)
            .tls_certs_merge(self.certificates.iter().cloned());
        let builder = if is_direct { builder.no_proxy() } else { builder };
        let client = builder.build().map_err(|error| set_up(innermost(&error)))?;
        Ok(kept.get_or_init(|| client))
    }
}

fn set_up(problem: String) -> PackageError {
    PackageError::Fetch { what: "packages".to_owned(), problem, environment: true }
}

/// What the person who builds configured.
#[derive(Default)]
struct Trust {
    origins: BTreeSet<Origin>,
    credentials: HashMap<Origin, (String, String)>,
    /// Whose password a keyring may have.
    logins: HashMap<Origin, Login>,
    /// `Authorization` headers for all addresses below one (`//host:port/path/`).
    authorizations: BTreeMap<String, String>,
    netrc: Netrc,
}

/// An answer whose body is still to be read.
pub(super) struct Response {
    inner: reqwest::Response,
    idle: Duration,
    what: String,
}

impl Client {
    /// A client. Fails if a file of certificates cannot be used.
    pub fn new(options: &Options) -> Result<Self, PackageError> {
        // Fails if there is a provider already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut certificates = Vec::new();
        for file in &options.ca_certificates {
            let failed = |problem: String| set_up(format!("CA certificates {}: {problem}", file.display()));
            let pem = fs::read(file).map_err(|error| failed(error.to_string()))?;
            certificates.extend(Certificate::from_pem_bundle(&pem).map_err(|error| failed(innermost(&error)))?);
        }
        let netrc = options.netrc.as_ref().and_then(|path| fs::read_to_string(path).ok());
        let trust = Trust { netrc: Netrc::parse(&netrc.unwrap_or_default()), ..Trust::default() };
        let (direct, proxied) = Default::default();
        Ok(Self {
            shared: Arc::new(Shared {
                certificates,
                connect_timeout: options.connect_timeout,
                direct,
                proxied,
                trust: Arc::new(Mutex::new(trust)),
                keyring: Keyring::default(),
                transfers: Semaphore::new(options.transfers.max(1)),
                idle: options.idle_timeout,
                offline: options.offline,
            }),
        })
    }

    /// Trusts the origin of an address that the person who builds configured, and keeps the credentials in it. Returns
    /// the address without them.
    pub(super) fn configure(&self, mut url: Url) -> Url {
        let mut trust = locked(&self.shared.trust);
        let origin = Origin::of(&url);
        if !url.username().is_empty() || url.password().is_some() {
            let decode = |text: &str| percent_decoded(text);
            let password = decode(url.password().unwrap_or_default());
            trust.credentials.insert(origin.clone(), (decode(url.username()), password));
            let _ = url.set_username("");
            let _ = url.set_password(None);
        }
        trust.origins.insert(origin);
        url
    }

    /// The same for an index; the password of a user without one is that of the keyring.
    pub(super) fn configure_with_keyring(&self, mut url: Url) -> Url {
        if url.username().is_empty() || url.password().is_some() {
            return self.configure(url);
        }
        let user = percent_decoded(url.username());
        let _ = url.set_username("");
        let url = self.configure(url);
        locked(&self.shared.trust).logins.insert(Origin::of(&url), Login::new(&url, user));
        url
    }

    /// Keeps the credentials in an address that somebody else named than who builds, if it may be asked and nothing is known
    /// for its origin.
    pub(super) fn accept_credentials(&self, url: &Url) {
        if self.check(url).is_ok() && !locked(&self.shared.trust).credentials.contains_key(&Origin::of(url)) {
            self.configure(url.clone());
        }
    }

    /// Keeps an `Authorization` header for all addresses below `place`, which is spelled as [`address::place`] does.
    pub(super) fn authorize(&self, place: String, header: String) {
        locked(&self.shared.trust).authorizations.insert(place, header);
    }

    /// Whether nobody may be asked.
    pub(super) fn is_offline(&self) -> bool {
        self.shared.offline
    }

    /// Refuses to ask for `what` if nobody may be asked.
    pub(super) fn check_online(&self, what: &str) -> Result<(), PackageError> {
        if !self.shared.offline {
            return Ok(());
        }
        let problem = "it is not here, and --offline forbids to fetch it".to_owned();
        Err(PackageError::Fetch { what: what.to_owned(), problem, environment: true })
    }

    /// Refuses an address that must not be asked for.
    pub(super) fn check(&self, url: &Url) -> Result<(), PackageError> {
        address::check(url, &locked(&self.shared.trust).origins)
    }

    /// One place among the transfers that may run.
    pub(super) async fn transfer(&self) -> tokio::sync::SemaphorePermit<'_> {
        self.shared.transfers.acquire().await.expect("the semaphore is never closed")
    }

    /// Asks for `url`, from its byte `from` on, until it is answered. `what` is for messages.
    pub(super) async fn get(
        &self,
        what: &str,
        url: &Url,
        from: u64,
        accept: Option<&str>,
    ) -> Result<Response, PackageError> {
        self.check_online(what)?;
        let mut failed = 0;
        loop {
            let (error, asked) = match self.ask(what, url, from, accept).await {
                Ok(response) => return Ok(response),
                Err(outcome) => outcome,
            };
            failed += 1;
            let Some(asked) = asked.filter(|asked| failed < ATTEMPTS && *asked < Duration::from_mins(2)) else {
                return Err(error);
            };
            pause(failed, asked).await;
        }
    }

    /// One attempt. With the error comes how long to wait at least before the next, if there should be one.
    async fn ask(
        &self,
        what: &str,
        url: &Url,
        from: u64,
        accept: Option<&str>,
    ) -> Result<Response, (PackageError, Option<Duration>)> {
        self.check(url).map_err(|error| (error, None))?;
        let origin = Origin::of(url);
        let (mut credentials, authorization, login) = {
            let trust = locked(&self.shared.trust);
            let place = address::place(url);
            let below = trust.authorizations.iter().filter(|(known, _)| place.starts_with(known.as_str()));
            let authorization = below.max_by_key(|(known, _)| known.len()).map(|(_, header)| header.clone());
            let of_netrc = || trust.netrc.of(url.host_str().unwrap_or_default());
            let credentials = trust.credentials.get(&origin).cloned().or_else(of_netrc);
            (credentials, authorization, trust.logins.get(&origin).cloned())
        };
        if let (None, None, Some(login)) = (&credentials, &authorization, login) {
            let user = login.user.clone();
            credentials = Some((user, self.shared.keyring.password(login).await.unwrap_or_default()));
        }
        let client = self.shared.client(is_loopback(url)).map_err(|error| (error, None))?;
        let mut request = client.get(url.clone());
        if let Some(header) = authorization {
            request = request.header(header::AUTHORIZATION, header);
        } else if let Some((user, password)) = credentials {
            request = request.basic_auth(user, Some(password));
        }
        if let Some(accept) = accept {
            request = request.header(header::ACCEPT, accept);
        }
        if from > 0 {
            request = request.header(header::RANGE, format!("bytes={from}-"));
        }
        let fetch = |problem: String, environment| PackageError::Fetch {
            what: what.to_owned(),
            problem: format!("{problem} ({})", shown(url)),
            environment,
        };
        let answer = match tokio::time::timeout(self.shared.idle, request.send()).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) if error.is_redirect() => return Err((fetch(innermost(&error), false), None)),
            Ok(Err(error)) => return Err((fetch(innermost(&error), true), Some(Duration::ZERO))),
            Err(_) => return Err((fetch("the server is silent".to_owned(), true), Some(Duration::ZERO))),
        };
        let status = answer.status();
        if status.is_success() {
            return Ok(Response { inner: answer, idle: self.shared.idle, what: what.to_owned() });
        }
        let problem = match status.as_u16() {
            401 | 403 => format!(
                "the server answers {status}: give it credentials in netrc, in the index's address, in a keyring or in npm's configuration"
            ),
            _ => format!("the server answers {status}"),
        };
        let retry_after = answer.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let may_pass = matches!(status.as_u16(), 408 | 429 | 500..);
        let wait = may_pass.then(|| Duration::from_secs(retry_after.unwrap_or(0)));
        Err((fetch(problem, may_pass), wait))
    }

    /// A page of at most `limit` bytes, where it came from, and its content type.
    pub(super) async fn page(
        &self,
        what: &str,
        url: &Url,
        accept: &str,
        limit: usize,
    ) -> Result<(Bytes, Url, String), PackageError> {
        let _place = self.transfer().await;
        let mut response = self.get(what, url, 0, Some(accept)).await?;
        let kind = response.inner.headers().get(header::CONTENT_TYPE);
        let kind = kind.and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let from = response.inner.url().clone();
        let mut page = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if page.len() + chunk.len() > limit {
                let problem = format!("more than {limit} bytes ({})", shown(url));
                return Err(PackageError::Fetch { what: what.to_owned(), problem, environment: false });
            }
            page.extend_from_slice(&chunk);
        }
        Ok((page.into(), from, kind))
    }
}

impl Response {
    /// Whether the body is the rest that was asked for, and not everything.
    pub(super) fn is_rest_from(&self, from: u64) -> bool {
        let range = self.inner.headers().get(header::CONTENT_RANGE).and_then(|value| value.to_str().ok());
        self.inner.status() == StatusCode::PARTIAL_CONTENT
            && range.is_some_and(|range| range.starts_with(&format!("bytes {from}-")))
    }

    /// Bytes of the body, if the answer says.
    pub(super) fn length(&self) -> Option<u64> {
        self.inner.content_length()
    }

    /// The next bytes of the body.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, PackageError> {
        let fetch = |problem: String| PackageError::Fetch { what: self.what.clone(), problem, environment: true };
        match tokio::time::timeout(self.idle, self.inner.chunk()).await {
            Ok(chunk) => chunk.map_err(|error| fetch(innermost(&error))),
            Err(_) => Err(fetch("the server is silent".to_owned())),
        }
    }
}

/// Waits before another attempt: longer each time, at least as long as the server `asked`, and not all builds at once.
pub(super) async fn pause(failed: u32, asked: Duration) {
    let own = Duration::from_millis(250).saturating_mul(1 << failed.min(6)).mul_f64(1.0 - fastrand::f64() / 2.0);
    tokio::time::sleep(own.max(asked)).await;
}

fn locked(trust: &Mutex<Trust>) -> MutexGuard<'_, Trust> {
    trust.lock().unwrap_or_else(PoisonError::into_inner)
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes().iter().copied();
    while let Some(byte) = rest.next() {
        let digits =
            text.as_bytes().get(text.len() - rest.len()..).and_then(|rest| rest.get(..2)).filter(|_| byte == b'%');
        match digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()) {
            Some(decoded) => {
                bytes.push(decoded);
                rest.nth(1);
            }
            None => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
