//! Who we are: the credentials that other tools have saved.
//!
//! Asked in this order; the first file that knows the registry answers:
//!
//! 1. `$REGISTRY_AUTH_FILE`
//! 2. `$DOCKER_CONFIG/config.json`, or `~/.docker/config.json`
//! 3. `$XDG_RUNTIME_DIR/containers/auth.json`
//! 4. `$XDG_CONFIG_HOME/containers/auth.json`, or `~/.config/containers/auth.json`
//!
//! In a file, the entry for the longest part of `host/path` counts (`containers-auth.json(5)`), in `credHelpers` before
//! `auths`; then Docker's old spelling of an entry as a URL; then `credsStore`. [`docker_credential`] decodes the
//! entry and talks to the helper programs; which entry it is, is decided here, because a helper may be slow and may ask
//! the user something.

use super::RegistryError;
use docker_credential::{CredentialRetrievalError, DockerCredential};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{env, fmt, fs, io};

/// What Docker calls its hub in its own files.
const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";
/// Spellings of Docker Hub.
const DOCKER_HUB_HOSTS: [&str; 3] = ["docker.io", "index.docker.io", "registry-1.docker.io"];

/// What proves who we are.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Credential {
    /// For Basic authentication, of the registry or of its token service.
    Password { user: String, password: String },
    /// An OAuth 2.0 refresh token, which only the token service takes.
    IdentityToken(String),
}

/// Never the secret.
impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Password { user, .. } => write!(f, "Password({user})"),
            Self::IdentityToken(_) => f.write_str("IdentityToken"),
        }
    }
}

/// The files in which the current user's tools save credentials, the first to ask first.
pub fn default_credential_files() -> Vec<PathBuf> {
    let variable = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = variable("HOME");
    let in_home = |path: &str| home.as_ref().map(|home| home.join(path));
    [
        variable("REGISTRY_AUTH_FILE"),
        variable("DOCKER_CONFIG").or_else(|| in_home(".docker")).map(|folder| folder.join("config.json")),
        variable("XDG_RUNTIME_DIR").map(|folder| folder.join("containers/auth.json")),
        variable("XDG_CONFIG_HOME").or_else(|| in_home(".config")).map(|folder| folder.join("containers/auth.json")),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The credential for the repository `path` of `host`. Reads files and may run a helper: it blocks.
pub(super) fn find(files: &[PathBuf], host: &str, path: &str) -> Result<Option<Credential>, RegistryError> {
    for file in files {
        let failed = |cause: String| RegistryError::Credentials { host: host.to_owned(), file: file.clone(), cause };
        let bytes = match fs::read(file) {
            Ok(bytes) => bytes,
            Err(error) if is_absent(&error) => continue,
            Err(error) => return Err(failed(error.to_string())),
        };
        let entries: Entries = serde_json::from_slice(&bytes).map_err(|error| failed(error.to_string()))?;
        let Some(key) = entries.key(host, path) else { continue };
        match docker_credential::get_credential_from_reader(bytes.as_slice(), &key) {
            Ok(DockerCredential::IdentityToken(token)) => return Ok(Some(Credential::IdentityToken(token))),
            Ok(DockerCredential::UsernamePassword(user, _)) if user.is_empty() => {}
            Ok(DockerCredential::UsernamePassword(user, password)) => {
                return Ok(Some(Credential::Password { user, password }));
            }
            Err(CredentialRetrievalError::NoCredentialConfigured) => {}
            Err(error) if knows_nothing(&error) => {}
            Err(error) => return Err(failed(explain(&error, file))),
        }
    }
    Ok(None)
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Helpers say on standard output that they hold nothing for a registry, and fail.
fn knows_nothing(error: &CredentialRetrievalError) -> bool {
    matches!(error, CredentialRetrievalError::HelperFailure { stdout, .. } if stdout.contains("credentials not found"))
}

fn explain(error: &CredentialRetrievalError, file: &Path) -> String {
    if *error == CredentialRetrievalError::HelperCommunicationError {
        return format!("a helper program that {} names cannot be run", file.display());
    }
    // The standard output of a helper may hold the secret.
    if let CredentialRetrievalError::HelperFailure { helper, stderr, .. } = error {
        return format!("{helper} failed: {}", super::error::printable(stderr.trim()));
    }
    error.to_string()
}

/// What a registry is called in the files.
pub(super) fn file_key(host: &str) -> &str {
    if DOCKER_HUB_HOSTS.contains(&host) { DOCKER_HUB_KEY } else { host }
}

/// The names in a configuration file, without the secrets.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
#[allow(clippy::zero_sized_map_values)] // a set would not read a JSON object
struct Entries {
    auths: BTreeMap<String, serde::de::IgnoredAny>,
    cred_helpers: BTreeMap<String, serde::de::IgnoredAny>,
    creds_store: Option<String>,
}

impl Entries {
    /// The name under which the file keeps the credential of a repository.
    fn key(&self, host: &str, path: &str) -> Option<String> {
        let is_hub = DOCKER_HUB_HOSTS.contains(&host);
        let hosts = if is_hub { DOCKER_HUB_HOSTS.to_vec() } else { vec![host] };
        for host in &hosts {
            for name in prefixes(host, path) {
                if self.cred_helpers.contains_key(&name) || self.auths.contains_key(&name) {
                    return Some(name);
                }
            }
        }
        let spelled = |key: &&String| hosts.contains(&host_of(key));
        let old = self.cred_helpers.keys().find(spelled).or_else(|| self.auths.keys().find(spelled));
        let stored = || {
            let store = self.creds_store.as_ref().filter(|store| !store.is_empty());
            store.map(|_| if is_hub { DOCKER_HUB_KEY.to_owned() } else { host.to_owned() })
        };
        old.cloned().or_else(stored)
    }
}

/// `host/a/b`, `host/a`, `host`.
fn prefixes(host: &str, path: &str) -> impl Iterator<Item = String> {
    let full = format!("{host}/{path}");
    let mut next = Some(full.len());
    std::iter::from_fn(move || {
        let end = next?;
        next = full[..end].rfind('/');
        Some(full[..end].to_owned())
    })
}

/// The host in Docker's old spelling of an entry: `https://host/v1/`.
fn host_of(key: &str) -> &str {
    let address = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://"));
    address.map_or("", |address| address.split('/').next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::{Credential, Entries, find};
    use base64::Engine as _;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn the_longest_entry_counts() {
        let entries: Entries = serde_json::from_str(
            r#"{"auths":{"r.example":{},"r.example/team":{},"r.example/team/app":{},"https://old.example/v2/":{},
                "https://index.docker.io/v1/":{}},"credHelpers":{"aws.example":"ecr"},"credsStore":"pass"}"#,
        )
        .unwrap();
        for (host, path, expected) in [
            ("r.example", "team/app", "r.example/team/app"),
            ("r.example", "team/application", "r.example/team"),
            ("r.example", "teams", "r.example"),
            ("old.example", "x", "https://old.example/v2/"),
            ("docker.io", "library/debian", "https://index.docker.io/v1/"),
            ("aws.example", "x", "aws.example"),
            ("new.example", "x", "new.example"),
        ] {
            assert_eq!(entries.key(host, path).as_deref(), Some(expected), "{host}/{path}");
        }
        let hub: Entries = serde_json::from_str(r#"{"credsStore":"pass"}"#).unwrap();
        assert_eq!(hub.key("docker.io", "x/y").as_deref(), Some("https://index.docker.io/v1/"));
        assert_eq!(Entries::default().key("r.example", "x"), None);
    }

    #[test]
    fn files_are_asked_in_order_and_may_be_absent() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("first.json"), folder.path().join("second.json"));
        let auth = base64::engine::general_purpose::STANDARD.encode("me:pass:word");
        fs::write(&first, r#"{"auths":{"other.example":{"auth":"eDp5"}}}"#).unwrap();
        fs::write(
            &second,
            format!(r#"{{"auths":{{"r.example":{{"auth":"{auth}"}},"t.example":{{"identitytoken":"T"}}}}}}"#),
        )
        .unwrap();
        let files = [folder.path().join("absent.json"), first.clone(), second];
        let password = Credential::Password { user: "me".to_owned(), password: "pass:word".to_owned() };
        assert_eq!(find(&files, "r.example", "a/b").unwrap(), Some(password.clone()));
        assert_eq!(find(&files, "t.example", "a").unwrap(), Some(Credential::IdentityToken("T".to_owned())));
        assert_eq!(find(&files, "unknown.example", "a").unwrap(), None);
        assert!(!format!("{password:?}").contains("pass"));

        fs::write(&first, "{").unwrap();
        let error = find(&files, "r.example", "a").unwrap_err().to_string();
        assert!(error.starts_with("cannot use the credentials for r.example in "), "{error}");
    }

    #[test]
    fn a_helper_that_cannot_run_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.json");
        fs::write(&file, r#"{"credHelpers":{"r.example":"flashbuild-test-absent"}}"#).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let error = find(&[file], "r.example", "a").unwrap_err().to_string();
        assert!(error.contains("cannot be run"), "{error}");
    }
}
