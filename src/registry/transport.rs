//! One request and its answer: connections, redirects, time limits, counting.
//!
//! - Redirects are followed at most [`MOST_REDIRECTS`] times, and only to where the registry may send us
//!   ([`host::check_target`]); those of requests with a body only where the method stays (307, 308). `Authorization`
//!   goes with a request only while it stays at the registry's own [`Origin`].
//! - Nothing limits how long a transfer takes as a whole: a layer may have any size. What is limited is silence.
//! - Proxies from the environment are used, but never for loopback.

use super::body::{Body, SourceError};
use super::error::{RegistryError, message_of, printable};
use super::host;
use super::place::Server;
use super::retry::parse_retry_after;
use super::traffic::Counters;
use super::{Options, body};
use crate::http::{Clients, Origin, Trust, innermost};
use bytes::{Bytes, BytesMut};
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Method, StatusCode, Url};
use std::error::Error as _;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Redirects that one request may take.
const MOST_REDIRECTS: usize = 5;
/// Bytes of an error's body that we read.
const LONGEST_ERROR: usize = 64 * 1024;
/// Bytes of an unfinished answer's body that are read so that its connection can serve the next request.
const LONGEST_DRAIN: usize = 16 * 1024;

/// A request, repeatable: its body is opened anew each time.
#[derive(Clone)]
pub(super) struct Request<'a> {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: Vec<(HeaderName, String)>,
    pub(super) body: Body<'a>,
}

impl Request<'_> {
    pub(super) fn new(method: Method, url: Url) -> Self {
        Self { method, url, headers: Vec::new(), body: Body::Empty }
    }

    pub(super) fn header(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// The HTTP clients for a server, and what all of them count.
pub(super) struct Transport {
    clients: Clients,
    /// Of every request that stays at the server.
    headers: HeaderMap,
    idle: Duration,
    pub(super) counters: Arc<Counters>,
}

impl Transport {
    /// For a server. Where it needs no authorities of its own, `clients` do.
    pub(super) fn new(
        options: &Options,
        server: &Server,
        clients: &Clients,
        counters: Arc<Counters>,
    ) -> Result<Self, RegistryError> {
        let failed = |problem: String| RegistryError::SetUp(format!("{}: {problem}", server.name));
        let clients = if server.trust == Trust::default() {
            clients.clone()
        } else {
            let mut trust = server.trust.clone();
            trust.authorities.extend_from_slice(&options.ca_certificates);
            Clients::with_trust(&trust, options.connect_timeout).map_err(failed)?
        };
        let mut headers = HeaderMap::new();
        for (name, value) in &server.headers {
            let malformed = || failed(format!("{name:?}: {value:?} is no header"));
            let mut value = HeaderValue::from_str(value).map_err(|_| malformed())?;
            value.set_sensitive(true);
            headers.append(name.parse::<HeaderName>().map_err(|_| malformed())?, value);
        }
        Ok(Self { clients, headers, idle: options.idle_timeout, counters })
    }

    /// Sends a request for the registry `name` at `registry`, and follows redirects.
    pub(super) async fn send(
        &self,
        name: &str,
        registry: &Url,
        request: &Request<'_>,
        authorization: Option<&HeaderValue>,
    ) -> Result<Response, RegistryError> {
        let mut url = request.url.clone();
        for _ in 0..=MOST_REDIRECTS {
            let is_own = Origin::of(&url) == Origin::of(registry);
            self.counters.request(&request.method);
            let headers = if is_own { self.headers.clone() } else { HeaderMap::new() };
            let inner = self.exchange(name, &url, request, headers, authorization.filter(|_| is_own)).await?;
            let response =
                Response { registry: name.to_owned(), is_own, inner, idle: self.idle, counters: self.counters.clone() };
            let keeps_method =
                matches!(request.method, Method::GET | Method::HEAD) || matches!(response.status().as_u16(), 307 | 308);
            if !keeps_method || !is_redirect(response.status()) {
                return Ok(response);
            }
            let target = response.location(&url)?;
            response.drain().await;
            url = target;
        }
        Err(RegistryError::Protocol { host: name.to_owned(), problem: "it redirects without an end".to_owned() })
    }

    /// Sends a request to a token service. It is not redirected: it may hold a password.
    pub(super) async fn send_for_token(
        &self,
        name: &str,
        request: &Request<'_>,
        authorization: Option<&HeaderValue>,
    ) -> Result<Response, RegistryError> {
        self.counters.token_request();
        let inner = self.exchange(name, &request.url, request, HeaderMap::new(), authorization).await?;
        Ok(Response {
            registry: name.to_owned(),
            is_own: false,
            inner,
            idle: self.idle,
            counters: self.counters.clone(),
        })
    }

    async fn exchange(
        &self,
        name: &str,
        url: &Url,
        request: &Request<'_>,
        headers: HeaderMap,
        authorization: Option<&HeaderValue>,
    ) -> Result<reqwest::Response, RegistryError> {
        let mut builder = self.clients.of(url).request(request.method.clone(), url.clone()).headers(headers);
        for (header, value) in &request.headers {
            builder = builder.header(header, value);
        }
        if let Some(authorization) = authorization {
            builder = builder.header(AUTHORIZATION, authorization);
        }
        match &request.body {
            Body::Empty if matches!(request.method, Method::POST | Method::PUT) => {
                builder = builder.header(CONTENT_LENGTH, 0);
            }
            Body::Empty => {}
            Body::Form(form) => {
                builder = builder.header(reqwest::header::CONTENT_TYPE, "application/x-www-form-urlencoded");
                builder = builder.body(form.clone());
            }
            Body::Document(bytes) => {
                self.counters.document_bytes_sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                builder = builder.body(bytes.clone());
            }
            Body::Blob { source, size, part, progress } => {
                let outgoing = body::Outgoing::open(source, *size, part, self.counters.clone()).await?;
                let sent = outgoing.sent();
                builder = builder.header(CONTENT_LENGTH, part.end - part.start).body(outgoing.into_body());
                return match body::watch(builder.send(), &sent, part, self.idle, *progress).await {
                    Some(answer) => answer.map_err(|error| failure(name, &error)),
                    None => Err(silence(name, self.idle)),
                };
            }
        }
        match tokio::time::timeout(self.idle, builder.send()).await {
            Ok(answer) => answer.map_err(|error| failure(name, &error)),
            Err(_) => Err(silence(name, self.idle)),
        }
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// An answer whose body is still to be read.
pub(super) struct Response {
    registry: String,
    /// Whether the registry itself answered, and not whom it redirected us to.
    pub(super) is_own: bool,
    inner: reqwest::Response,
    idle: Duration,
    counters: Arc<Counters>,
}

impl Response {
    pub(super) fn status(&self) -> StatusCode {
        self.inner.status()
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        self.inner.headers()
    }

    /// A header, if it is there once and is text.
    pub(super) fn header(&self, name: impl reqwest::header::AsHeaderName) -> Option<&str> {
        self.inner.headers().get(name)?.to_str().ok()
    }

    /// The number of bytes that the body will have, if the answer says.
    pub(super) fn content_length(&self) -> Option<u64> {
        self.header(CONTENT_LENGTH)?.parse().ok()
    }

    /// `Location`, relative to `base`, its query kept, if the registry may send us there.
    pub(super) fn location(&self, base: &Url) -> Result<Url, RegistryError> {
        let Some(location) = self.header(LOCATION) else {
            return Err(self.protocol(&format!("status {} without a Location", self.status().as_u16())));
        };
        let url = base.join(location).map_err(|error| self.protocol(&format!("a malformed Location: {error}")))?;
        host::check_target(base, &url).map_err(|why| self.protocol(&why))?;
        Ok(url)
    }

    /// The next bytes of the body.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, RegistryError> {
        let chunk = match tokio::time::timeout(self.idle, self.inner.chunk()).await {
            Ok(chunk) => chunk.map_err(|error| failure(&self.registry, &error))?,
            Err(_) => return Err(silence(&self.registry, self.idle)),
        };
        if let Some(chunk) = &chunk {
            self.counters.bytes_received.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        }
        Ok(chunk)
    }

    /// The whole body, or `None` if it has more than `limit` bytes. Reading stops there.
    pub(super) async fn read(&mut self, limit: usize) -> Result<Option<Bytes>, RegistryError> {
        let mut body = BytesMut::new();
        while let Some(chunk) = self.chunk().await? {
            if body.len() + chunk.len() > limit {
                return Ok(None);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Some(body.freeze()))
    }

    /// Reads a small rest that nobody wants, so that the connection can be used again.
    pub(super) async fn drain(mut self) {
        let _ = self.read(LONGEST_DRAIN).await;
    }

    /// What an answer that is none of the expected ones means. `reference` names what was asked for.
    pub(super) async fn into_error(mut self, reference: &str) -> RegistryError {
        let retry_after = self.header(RETRY_AFTER).and_then(|text| parse_retry_after(text, jiff::Timestamp::now()));
        let message = match self.read(LONGEST_ERROR).await {
            Ok(Some(body)) => message_of(&body),
            Ok(None) | Err(_) => String::new(),
        };
        let host = self.registry.clone();
        match self.status().as_u16() {
            401 => RegistryError::Unauthorized { host, message },
            403 => RegistryError::Denied { host, message },
            404 => RegistryError::NotFound { reference: reference.to_owned(), message },
            status @ (408 | 429 | 500..) => RegistryError::Unavailable { host, status, message, retry_after },
            status => RegistryError::Protocol {
                host,
                problem: match message.as_str() {
                    "" => format!("status {status} for {reference}"),
                    message => format!("status {status} for {reference} ({message})"),
                },
            },
        }
    }

    /// An error that says what the registry did wrong.
    pub(super) fn protocol(&self, problem: &str) -> RegistryError {
        RegistryError::Protocol { host: self.registry.clone(), problem: printable(problem) }
    }
}

fn silence(host: &str, idle: Duration) -> RegistryError {
    RegistryError::Unreachable { host: host.to_owned(), cause: format!("silent for {idle:?}") }
}

/// What kept a request from being answered.
fn failure(host: &str, error: &reqwest::Error) -> RegistryError {
    let host = host.to_owned();
    let mut cause: Option<&(dyn std::error::Error + 'static)> = error.source();
    while let Some(error) = cause {
        if let Some(SourceError { what, kind, message }) = error.downcast_ref() {
            return RegistryError::Source { what: what.clone(), cause: io::Error::new(*kind, message.clone()) };
        }
        if let Some(tls) = tls_error(error) {
            return RegistryError::Insecure { host, cause: tls };
        }
        cause = error.source();
    }
    RegistryError::Unreachable { host, cause: innermost(error) }
}

/// Why a connection is not secure. Trying again does not help.
fn tls_error(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let wrapped = error.downcast_ref::<io::Error>()?.get_ref()?;
    // An I/O error in an I/O error: `source` passes the inner one by.
    let Some(error) = wrapped.downcast_ref::<rustls::Error>() else { return tls_error(wrapped) };
    if let rustls::Error::InvalidCertificate(why) = error {
        return Some(format!("its certificate is not trusted: {why}"));
    }
    matches!(error, rustls::Error::InvalidMessage(_)).then(|| "it does not speak TLS".to_owned())
}
