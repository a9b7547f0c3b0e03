//! Proving who we are to one registry.
//!
//! A registry is asked without credentials first. Its 401 says how it wants to be asked ([`Challenge`]), and from then
//! on every request carries the answer:
//!
//! - `Basic` (RFC 7617): user name and password.
//! - `Bearer` (RFC 6750, distribution's token specification): a token for the scopes of the request, fetched from the
//!   service that the registry names, with `GET` and the password if there is one, or with `POST` and the identity
//!   token (an OAuth 2.0 refresh token). Without credentials the service is asked all the same: public images need an
//!   anonymous token.
//!
//! Tokens are kept by their scopes until shortly before they end, and one request fetches them for all that wait. A
//! 401 in the middle of things throws the token away, once; a second 401 is the answer.

use super::body::Body;
use super::challenge::Challenge;
use super::credentials::{self, Credential};
use super::error::{RegistryError, printable};
use super::host;
use super::transport::{Request, Transport};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Method, Url};
use serde::Deserialize;
use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What we call ourselves at token services.
const CLIENT_ID: &str = "flashbuild";
/// How long a token lives that does not say so (distribution's token specification, "Token Response Fields").
const DEFAULT_LIFETIME: u64 = 60;
/// How long before its end a token is no longer used: it has to last for the way to the registry.
const LONGEST_SKEW: Duration = Duration::from_secs(30);
/// Bytes of a token answer that we read.
const LONGEST_ANSWER: usize = 1024 * 1024;

/// What a request is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Access {
    /// The repository whose credentials count.
    repository: String,
    scopes: BTreeSet<String>,
}

impl Access {
    pub(super) fn pull(repository: &str) -> Self {
        Self { repository: repository.to_owned(), scopes: BTreeSet::from([format!("repository:{repository}:pull")]) }
    }

    /// To the registry itself, and to nothing in it.
    pub(super) fn to_registry() -> Self {
        Self { repository: String::new(), scopes: BTreeSet::new() }
    }

    pub(super) fn push(repository: &str) -> Self {
        let scope = format!("repository:{repository}:pull,push");
        Self { repository: repository.to_owned(), scopes: BTreeSet::from([scope]) }
    }

    /// The same, and reading `source`.
    pub(super) fn and_pull(mut self, source: &str) -> Self {
        self.scopes.insert(format!("repository:{source}:pull"));
        self
    }

    /// Adds what the registry says we need and we did not think of.
    fn with_asked(&self, asked: Option<&str>) -> BTreeSet<String> {
        let resource = |scope: &str| scope.rsplit_once(':').map(|(resource, _)| resource.to_owned());
        let mut scopes = self.scopes.clone();
        for scope in asked.unwrap_or_default().split_whitespace() {
            if !self.scopes.iter().any(|own| resource(own) == resource(scope)) {
                scopes.insert(scope.to_owned());
            }
        }
        scopes
    }
}

/// A token and when to stop using it.
struct Token {
    header: HeaderValue,
    usable_until: Instant,
}

/// One per set of scopes. The lock is held while the token is fetched, so that one fetch serves all who wait.
type TokenSlot = Arc<tokio::sync::Mutex<Option<Token>>>;

/// What is known about how one registry wants to be asked.
pub(super) struct Authorizer {
    name: String,
    registry: Url,
    files: Arc<[PathBuf]>,
    challenge: Mutex<Option<Challenge>>,
    tokens: Mutex<HashMap<BTreeSet<String>, TokenSlot>>,
    /// By repository: a helper program is not asked twice.
    credentials: tokio::sync::Mutex<HashMap<String, Option<Credential>>>,
}

impl Authorizer {
    pub(super) fn new(name: &str, registry: &Url, files: Arc<[PathBuf]>) -> Self {
        Self {
            name: name.to_owned(),
            registry: registry.clone(),
            files,
            challenge: Mutex::default(),
            tokens: Mutex::default(),
            credentials: tokio::sync::Mutex::default(),
        }
    }

    /// The `Authorization` of a request, as far as the registry has said that it wants one.
    pub(super) async fn authorization(
        &self,
        transport: &Transport,
        access: &Access,
    ) -> Result<Option<HeaderValue>, RegistryError> {
        let challenge = self.challenge.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match challenge {
            Some(challenge) => self.answer(transport, access, &challenge, None).await,
            None => Ok(None),
        }
    }

    /// The `Authorization` to try after a 401 with `headers` to a request that carried `rejected`. `None`: there is
    /// nothing else to try.
    pub(super) async fn renew(
        &self,
        transport: &Transport,
        access: &Access,
        headers: &HeaderMap,
        rejected: Option<&HeaderValue>,
    ) -> Result<Option<HeaderValue>, RegistryError> {
        let Some(challenge) = Challenge::find(headers) else { return Ok(None) };
        *self.challenge.lock().unwrap_or_else(PoisonError::into_inner) = Some(challenge.clone());
        let answer = self.answer(transport, access, &challenge, rejected).await?;
        Ok(answer.filter(|answer| Some(answer) != rejected))
    }

    async fn answer(
        &self,
        transport: &Transport,
        access: &Access,
        challenge: &Challenge,
        rejected: Option<&HeaderValue>,
    ) -> Result<Option<HeaderValue>, RegistryError> {
        let credential = self.credential(&access.repository).await?;
        let (realm, service, scope) = match challenge {
            Challenge::Basic => {
                return Ok(match credential {
                    Some(Credential::Password { user, password }) => Some(basic(&user, &password)),
                    // An identity token is for token services only.
                    Some(Credential::IdentityToken(_)) | None => None,
                });
            }
            Challenge::Bearer { realm, service, scope } => (realm, service, scope),
        };
        let scopes = access.with_asked(scope.as_deref());
        let slot =
            self.tokens.lock().unwrap_or_else(PoisonError::into_inner).entry(scopes.clone()).or_default().clone();
        let mut slot = slot.lock().await;
        if let Some(token) = &*slot
            && Some(&token.header) != rejected
            && token.usable_until > Instant::now()
        {
            return Ok(Some(token.header.clone()));
        }
        *slot = None;
        let token = self.fetch(transport, realm, service.as_deref(), &scopes, credential).await?;
        let header = token.header.clone();
        *slot = Some(token);
        Ok(Some(header))
    }

    async fn credential(&self, repository: &str) -> Result<Option<Credential>, RegistryError> {
        let mut known = self.credentials.lock().await;
        if let Some(credential) = known.get(repository) {
            return Ok(credential.clone());
        }
        let (files, name, path) = (self.files.clone(), self.name.clone(), repository.to_owned());
        let search = tokio::task::spawn_blocking(move || credentials::find(&files, &name, &path));
        let found = search.await.map_err(|error| RegistryError::SetUp(error.to_string()))??;
        known.insert(repository.to_owned(), found.clone());
        Ok(found)
    }

    async fn fetch(
        &self,
        transport: &Transport,
        realm: &str,
        service: Option<&str>,
        scopes: &BTreeSet<String>,
        credential: Option<Credential>,
    ) -> Result<Token, RegistryError> {
        let protocol = |problem: &str| RegistryError::Protocol { host: self.name.clone(), problem: printable(problem) };
        let url = Url::parse(realm).map_err(|error| protocol(&format!("its token service has no address: {error}")))?;
        host::check_realm(&self.registry, &url).map_err(|why| protocol(&why))?;
        let asked = Instant::now();
        let (request, authorization) = match credential {
            Some(Credential::IdentityToken(token)) => (by_identity_token(url, service, scopes, &token), None),
            Some(Credential::Password { user, password }) => {
                (by_password(url, service, scopes, Some(&user)), Some(basic(&user, &password)))
            }
            None => (by_password(url, service, scopes, None), None),
        };
        let mut response = transport.send_for_token(&self.name, &request, authorization.as_ref()).await?;
        if !response.status().is_success() {
            let what = format!("the token service of {}", self.name);
            return Err(response.into_error(&what).await);
        }
        let body = response.read(LONGEST_ANSWER).await?.ok_or_else(|| protocol("its token service says too much"))?;
        let answer: TokenAnswer =
            serde_json::from_slice(&body).map_err(|error| protocol(&format!("its token is unreadable: {error}")))?;
        answer.into_token(asked).ok_or_else(|| protocol("its token service sends no token"))
    }
}

/// The answer of a token service; `access_token` is OAuth 2.0's name for `token`.
#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

impl TokenAnswer {
    /// The lifetime counts from when we asked, by our clock alone: `issued_at` is of another clock.
    fn into_token(self, asked: Instant) -> Option<Token> {
        let text = [self.token, self.access_token].into_iter().flatten().find(|token| !token.is_empty())?;
        let mut header = HeaderValue::from_str(&format!("Bearer {text}")).ok()?;
        header.set_sensitive(true);
        let lifetime = Duration::from_secs(self.expires_in.unwrap_or(DEFAULT_LIFETIME).min(365 * 24 * 3600));
        let skew = LONGEST_SKEW.min(lifetime / 4);
        Some(Token { header, usable_until: asked + lifetime.saturating_sub(skew) })
    }
}

fn by_password(mut url: Url, service: Option<&str>, scopes: &BTreeSet<String>, user: Option<&str>) -> Request<'static> {
    {
        let mut query = url.query_pairs_mut();
        query.extend_pairs(service.map(|service| ("service", service)));
        query.extend_pairs(scopes.iter().map(|scope| ("scope", scope)));
        if let Some(user) = user {
            query.append_pair("account", user).append_pair("client_id", CLIENT_ID);
        }
    }
    Request::new(Method::GET, url)
}

fn by_identity_token(url: Url, service: Option<&str>, scopes: &BTreeSet<String>, token: &str) -> Request<'static> {
    // A URL's query and a form have the same encoding.
    let mut form = url.clone();
    form.set_query(None);
    form.query_pairs_mut()
        .append_pair("grant_type", "refresh_token")
        .append_pair("refresh_token", token)
        .append_pair("client_id", CLIENT_ID)
        .append_pair("scope", &scopes.iter().map(String::as_str).collect::<Vec<_>>().join(" "))
        .extend_pairs(service.map(|service| ("service", service)));
    let body = Body::Form(form.query().unwrap_or_default().to_owned());
    Request { body, ..Request::new(Method::POST, url) }
}

fn basic(user: &str, password: &str) -> HeaderValue {
    let text = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
    let mut header = HeaderValue::try_from(text).unwrap_or_else(|_| unreachable!("base64 is always a header value"));
    header.set_sensitive(true);
    header
}
