//! Secrets that servers are shown: for files and repositories that not everybody may have.
//!
//! They are found by name, as moby/buildkit finds them (Dockerfile reference, "ADD"; its sources `http` and `git`); of several,
//! the first counts:
//!
//! | for | secret | sent as |
//! |---|---|---|
//! | a file | `HTTP_AUTH_TOKEN_HOST` | a bearer token (RFC 6750) |
//! | a file | `HTTP_AUTH_HEADER_HOST` | it is |
//! | a repository | `GIT_AUTH_HEADER.HOST[:PORT]` | it is |
//! | a repository | `GIT_AUTH_TOKEN.HOST[:PORT]` | the password of the user `x-access-token` (RFC 7617) |
//! | a repository | `GIT_AUTH_HEADER`, then `GIT_AUTH_TOKEN` | the same, whatever the host |

use super::{SecretError, SecretValue, Secrets};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use std::{fmt, io};
use url::Url;

/// The value of the header `Authorization` (RFC 9110, section 11.6.2).
#[derive(Clone, PartialEq, Eq)]
pub struct Authorization(String);

/// How a secret becomes the value of the header.
#[derive(Debug, Clone, Copy)]
enum Form {
    /// It is the value.
    Header,
    /// A token by itself.
    Bearer,
    /// A token in place of a password.
    Password,
}

impl Authorization {
    /// The value, for the server that is meant to have it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    fn of(value: &SecretValue, form: Form) -> Result<Self, &'static str> {
        let text = str::from_utf8(value.expose()).map_err(|_| "it is not text")?.trim();
        if text.is_empty() || text.contains(char::is_control) {
            return Err("it is nothing that a header can hold");
        }
        Ok(Self(match form {
            Form::Header => text.to_owned(),
            Form::Bearer => format!("Bearer {text}"),
            Form::Password => format!("Basic {}", STANDARD.encode(format!("x-access-token:{text}"))),
        }))
    }
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an authorization")
    }
}

impl Secrets {
    /// What to show to the server of the file at `url`, if anything. May take long.
    pub fn for_file(&self, url: &str) -> Result<Option<Authorization>, SecretError> {
        let Some(url) = web(url) else { return Ok(None) };
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        self.first([
            (format!("HTTP_AUTH_TOKEN_{host}"), Form::Bearer),
            (format!("HTTP_AUTH_HEADER_{host}"), Form::Header),
        ])
    }

    /// What to show to the server of the repository `remote`, if anything. May take long.
    pub fn for_repository(&self, remote: &str) -> Result<Option<Authorization>, SecretError> {
        let Some(url) = web(remote) else { return Ok(None) };
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let host = format!("{}{port}", url.host_str().unwrap_or_default());
        self.first([
            (format!("GIT_AUTH_HEADER.{host}"), Form::Header),
            (format!("GIT_AUTH_TOKEN.{host}"), Form::Password),
            ("GIT_AUTH_HEADER".to_owned(), Form::Header),
            ("GIT_AUTH_TOKEN".to_owned(), Form::Password),
        ])
    }

    fn first<const N: usize>(&self, names: [(String, Form); N]) -> Result<Option<Authorization>, SecretError> {
        for (id, form) in names {
            if let Some(value) = self.get(&id)? {
                let authorization = Authorization::of(&value, form);
                return authorization.map(Some).map_err(|why| SecretError { id, error: io::Error::other(why) });
            }
        }
        Ok(None)
    }
}

/// The address, if it is one of the web: nobody else is shown anything.
fn web(address: &str) -> Option<Url> {
    Url::parse(address).ok().filter(|url| matches!(url.scheme(), "http" | "https"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::SecretSource;
    use std::collections::BTreeMap;

    fn secrets(given: &[(&str, &str)]) -> Secrets {
        let source = |value: &str| SecretSource::Command(format!("printf '{value}'"));
        Secrets::new(given.iter().map(|(id, value)| ((*id).to_owned(), source(value))).collect::<BTreeMap<_, _>>())
    }

    fn shown(found: Result<Option<Authorization>, SecretError>) -> Option<String> {
        found.unwrap().map(|authorization| authorization.expose().to_owned())
    }

    #[test]
    fn files_are_asked_for_with_the_secret_of_their_host() {
        let secrets = secrets(&[
            ("HTTP_AUTH_TOKEN_a.example", "t0"),
            ("HTTP_AUTH_HEADER_a.example", "Basic x"),
            ("HTTP_AUTH_HEADER_b.example", "Basic y\\n"),
            ("HTTP_AUTH_TOKEN_::1", "t1"),
            ("HTTP_AUTH_TOKEN", "all"),
        ]);
        for (url, expected) in [
            ("https://a.example/file", Some("Bearer t0")),
            ("https://a.example:8443/file", Some("Bearer t0")),
            ("http://b.example/file", Some("Basic y")),
            ("http://[::1]:80/file", Some("Bearer t1")),
            ("https://sub.a.example/file", None),
            ("ssh://a.example/file", None),
            ("no address", None),
        ] {
            assert_eq!(shown(secrets.for_file(url)).as_deref(), expected, "{url}");
        }
    }

    #[test]
    fn repositories_have_a_secret_of_their_host_or_one_for_all() {
        let own = [("GIT_AUTH_TOKEN.a.example", "t"), ("GIT_AUTH_HEADER.b.example:81", "H"), ("GIT_AUTH_TOKEN", "all")];
        let secrets = secrets(&own);
        let basic = |token: &str| Some(format!("Basic {}", STANDARD.encode(format!("x-access-token:{token}"))));
        assert_eq!(shown(secrets.for_repository("https://a.example/r.git")), basic("t"));
        assert_eq!(shown(secrets.for_repository("http://b.example:81/r.git")).as_deref(), Some("H"));
        assert_eq!(shown(secrets.for_repository("http://b.example/r.git")), basic("all"));
        assert_eq!(shown(secrets.for_repository("ssh://git@a.example/r.git")), None);
        assert_eq!(shown(secrets.for_repository("git@a.example:r.git")), None);
    }

    #[test]
    fn what_is_no_header_is_named_and_not_shown() {
        let secrets = secrets(&[("GIT_AUTH_HEADER", "a\\nb"), ("HTTP_AUTH_TOKEN_h", "")]);
        let expected = "cannot read the secret \"GIT_AUTH_HEADER\": it is nothing that a header can hold";
        assert_eq!(secrets.for_repository("https://h/r.git").unwrap_err().to_string(), expected);
        assert!(secrets.for_file("https://h/f").is_err());
        assert_eq!(format!("{:?}", Authorization("x".to_owned())), "an authorization");
    }
}
