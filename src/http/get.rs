//! One `GET`: redirects, statuses, silence.

use super::{
    address::{Origin, shown},
    clients::{Clients, innermost},
    error::HttpError,
    redirect,
};
use crate::secrets::Authorization;
use bytes::Bytes;
use reqwest::{
    Url,
    header::{ACCEPT_ENCODING, AUTHORIZATION, AsHeaderName, HeaderName, HeaderValue, LOCATION},
};
use std::time::Duration;

/// Redirects that one download may take: as many as Go's client follows.
const MOST_REDIRECTS: usize = 10;

/// A file on its way, or the news that it did not change.
pub(super) struct Answer {
    inner: reqwest::Response,
    url: String,
    idle: Duration,
}

/// Asks for `url` with more `headers`; its own server is shown the `authorization`, those it redirects to are not.
pub(super) async fn get(
    clients: &Clients,
    idle: Duration,
    url: &Url,
    headers: &[(HeaderName, String)],
    authorization: Option<&Authorization>,
    has_checksum: bool,
) -> Result<Answer, HttpError> {
    let asked = shown(url);
    let own = Origin::of(url);
    let mut url = url.clone();
    if authorization.is_some() {
        // Of a password in the address and a secret, the secret counts.
        let _ = url.set_username("");
        let _ = url.set_password(None);
    }
    for _ in 0..=MOST_REDIRECTS {
        // Bytes as they lie there: a server that packs them on the way would make another file of them.
        let mut request = clients.of(&url).get(url.clone()).header(ACCEPT_ENCODING, "identity");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        if let Some(authorization) = authorization.filter(|_| Origin::of(&url) == own) {
            let mut value = HeaderValue::from_str(authorization.expose())
                .map_err(|error| HttpError::Address { url: asked.clone(), problem: error.to_string() })?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        let unreachable = |cause: String| HttpError::Unreachable { url: asked.clone(), cause };
        let inner = match tokio::time::timeout(idle, request.send()).await {
            Ok(answer) => answer.map_err(|error| unreachable(innermost(&error)))?,
            Err(_) => return Err(unreachable(format!("the server was silent for {idle:?}"))),
        };
        let answer = Answer { inner, url: asked.clone(), idle };
        match answer.inner.status().as_u16() {
            200..=299 | 304 => return Ok(answer),
            301 | 302 | 303 | 307 | 308 => {
                let location = answer.header(LOCATION).unwrap_or_default();
                let to = redirect::follow(&url, location, has_checksum);
                url = to.map_err(|problem| HttpError::Redirect { url: asked.clone(), problem })?;
            }
            status @ (404 | 410) => return Err(HttpError::NotFound { url: asked, status }),
            status @ (401 | 403) => return Err(HttpError::Refused { url: asked, status }),
            status => return Err(HttpError::Status { url: asked, status }),
        }
    }
    Err(HttpError::Redirect { url: asked, problem: format!("it redirects more than {MOST_REDIRECTS} times") })
}

impl Answer {
    /// Whether the server says that what we have is what it has.
    pub(super) fn is_unchanged(&self) -> bool {
        self.inner.status().as_u16() == 304
    }

    /// A header, if it is there and is text.
    pub(super) fn header(&self, name: impl AsHeaderName) -> Option<&str> {
        self.inner.headers().get(name)?.to_str().ok()
    }

    /// Bytes of the file, if the server says.
    pub(super) fn length(&self) -> Option<u64> {
        self.inner.content_length()
    }

    /// The next bytes.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, HttpError> {
        let unreachable = |cause: String| HttpError::Unreachable { url: self.url.clone(), cause };
        match tokio::time::timeout(self.idle, self.inner.chunk()).await {
            Ok(chunk) => chunk.map_err(|error| unreachable(innermost(&error))),
            Err(_) => Err(unreachable(format!("the server was silent for {:?}", self.idle))),
        }
    }
}
