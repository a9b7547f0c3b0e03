//! Where packages come from: npm's own configuration, read where it lies (npm documentation, "npmrc", "registry").
//!
//! The later wins: the user's file, the project's file, the environment. A file's lines are `key = value`, and `${NAME}`
//! in them stands for a variable of the environment. The project's file came with the source, maybe from a stranger, who
//! could have any variable sent to a registry of his; so in that file only variables meant for this (`NPM_…` and
//! `NODE_AUTH_TOKEN`) are replaced.
//!
//! Credentials belong to an address and all below it (`//host/path/:_authToken`), and go nowhere else. They are in no
//! layer, key or message.

use crate::packages::Client;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};
use url::Url;

/// Registries and what opens them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Registries {
    default: Option<Url>,
    scopes: BTreeMap<String, Url>,
    credentials: BTreeMap<String, Credential>,
}

/// What is sent along to an address: the value of an `Authorization` header.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Credential(String);

/// Never the secret itself.
impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(…)")
    }
}

/// Why a configuration is not understood.
#[derive(Debug, thiserror::Error)]
pub(super) enum NpmrcError {
    /// A registry's address is none.
    #[error("the npm setting {key} is no http or https address: {value:?}")]
    Address {
        /// Which setting.
        key: String,
        /// Its value.
        value: String,
    },
    /// A file could not be read.
    #[error("{}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
}

/// Settings by key, as files and variables spell them.
#[derive(Debug, Default)]
struct Settings(BTreeMap<String, String>);

/// Who wrote a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Author {
    User,
    Project,
}

/// Looks up a variable of the environment.
type Variable<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Registries {
    /// What the user's files, the text of the project's file, if there is one, and the variables say. `npm_config_…`
    /// variables count in any case of their letters.
    pub(super) fn load(
        user_files: &[PathBuf],
        project: Option<&str>,
        environment: &BTreeMap<String, String>,
    ) -> Result<Self, NpmrcError> {
        let variable = |name: &str| environment.get(name).cloned();
        let mut settings = Settings::default();
        for path in user_files {
            match std::fs::read_to_string(path) {
                Ok(text) => settings.read(&text, Author::User, &variable),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(NpmrcError::Read { path: path.clone(), error }),
            }
        }
        if let Some(text) = project {
            settings.read(text, Author::Project, &variable);
        }
        for (name, value) in environment {
            let prefix = name.get(..11).filter(|prefix| prefix.eq_ignore_ascii_case("npm_config_"));
            if prefix.is_some() && !value.is_empty() {
                settings.set(&name[11..], value.clone());
            }
        }
        settings.registries()
    }

    /// The files that hold the settings of the machine and the user, the former first.
    pub(super) fn user_files(environment: &BTreeMap<String, String>) -> Vec<PathBuf> {
        let named = |name: &str| {
            let found = environment.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.map(|(_, path)| PathBuf::from(path)).filter(|path| !path.as_os_str().is_empty())
        };
        let global = named("npm_config_globalconfig").unwrap_or_else(|| "/etc/npmrc".into());
        let home = environment.get("HOME").map(|home| Path::new(home).join(".npmrc"));
        std::iter::once(global).chain(named("npm_config_userconfig").or(home)).collect()
    }

    /// Makes `url` the registry of all packages whose scope has none of its own, unless there is one.
    #[must_use]
    pub(super) fn or_default(mut self, url: Option<Url>) -> Self {
        self.default = self.default.or(url.map(with_slash));
        self
    }

    /// Whether there is a registry for packages without a scope of their own.
    pub(super) fn has_default(&self) -> bool {
        self.default.is_some()
    }

    /// The registry that has the package `name`.
    pub(super) fn of(&self, name: &str) -> Option<&Url> {
        let scope = name.split_once('/').map(|(scope, _)| scope).filter(|scope| scope.starts_with('@'));
        scope.and_then(|scope| self.scopes.get(scope)).or(self.default.as_ref())
    }

    /// Trusts the registries, and gives the client what opens them.
    pub(super) fn configure(&self, client: &Client) {
        for url in self.default.iter().chain(self.scopes.values()) {
            client.configure(url.clone());
        }
        for (place, credential) in &self.credentials {
            client.authorize(place.clone(), credential.0.clone());
        }
    }
}

/// The address as a folder, so that names can be joined to it.
fn with_slash(mut url: Url) -> Url {
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    url
}

impl Settings {
    fn read(&mut self, text: &str, author: Author, variable: Variable<'_>) {
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with([';', '#', '[']) {
                continue;
            }
            let Some((key, value)) = line.split_once('=') else { continue };
            let value = unquoted(value.trim());
            let may_see = |name: &str| author == Author::User || name.starts_with("NPM_") || name == "NODE_AUTH_TOKEN";
            let seen = |name: &str| variable(name).filter(|_| may_see(name));
            self.set(&replaced(key.trim(), &seen), replaced(value, &seen));
        }
    }

    /// Keys that are no addresses are the same in any case, with `-` or `_`.
    fn set(&mut self, key: &str, value: String) {
        let is_address = key.starts_with("//") || key.starts_with('@');
        let key = if is_address { key.to_owned() } else { key.to_lowercase().replace('_', "-") };
        self.0.insert(key, value);
    }

    fn registries(&self) -> Result<Registries, NpmrcError> {
        let mut found = Registries::default();
        for (key, value) in &self.0 {
            let address = || {
                let url =
                    Url::parse(value).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
                url.map(with_slash).ok_or_else(|| NpmrcError::Address { key: key.clone(), value: value.clone() })
            };
            if key == "registry" {
                found.default = Some(address()?);
            } else if let Some(scope) = key.strip_suffix(":registry") {
                found.scopes.insert(scope.to_owned(), address()?);
            }
        }
        let places = self.0.keys().filter(|key| key.starts_with("//")).filter_map(|key| Some(key.rsplit_once(':')?.0));
        for place in places {
            if let Some(credential) = self.credential(place) {
                let slash = if place.ends_with('/') { "" } else { "/" };
                found.credentials.insert(format!("{place}{slash}"), credential);
            }
        }
        Ok(found)
    }

    fn credential(&self, place: &str) -> Option<Credential> {
        let get = |name: &str| self.0.get(&format!("{place}:{name}")).filter(|value| !value.is_empty());
        if let Some(token) = get("_authToken") {
            return Some(Credential(format!("Bearer {token}")));
        }
        if let Some(pair) = get("_auth") {
            return Some(Credential(format!("Basic {pair}")));
        }
        let password = STANDARD.decode(get("_password")?).ok()?;
        let pair = [get("username")?.as_bytes(), b":", &password].concat();
        Some(Credential(format!("Basic {}", STANDARD.encode(pair))))
    }
}

fn unquoted(value: &str) -> &str {
    let inside = |quote: char| value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    inside('"').or_else(|| inside('\'')).unwrap_or(value)
}

/// `${NAME}` replaced; what is not known stays as it is, or is nothing where it is spelled `${NAME?}`.
fn replaced(text: &str, variable: Variable<'_>) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let Some(length) = rest[start..].find('}') else { break };
        let name = &rest[start + 2..start + length];
        result += &rest[..start];
        match variable(name.trim_end_matches('?')) {
            Some(value) => result += &value,
            None if name.ends_with('?') => {}
            None => result += &rest[start..=start + length],
        }
        rest = &rest[start + length + 1..];
    }
    result + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(user: &str, project: &str, environment: &[(&str, &str)]) -> Result<Registries, NpmrcError> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("npmrc");
        std::fs::write(&file, user).unwrap();
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Registries::load(&[folder.path().join("absent"), file], Some(project), &environment)
    }

    #[test]
    fn the_later_setting_wins() {
        let user = "; comment\nregistry = https://user.test/npm\n@corp:registry=\"https://corp.test/\"\n";
        let found = load(user, "", &[]).unwrap();
        assert_eq!(found.of("a").unwrap().as_str(), "https://user.test/npm/");
        assert_eq!(found.of("@corp/a").unwrap().as_str(), "https://corp.test/");
        assert_eq!(found.of("@other/a").unwrap().as_str(), "https://user.test/npm/");
        let found = load(user, "registry=https://project.test", &[]).unwrap();
        assert_eq!(found.of("a").unwrap().as_str(), "https://project.test/");
        let found = load(user, "registry=https://project.test", &[("NPM_CONFIG_REGISTRY", "http://env.test")]).unwrap();
        assert_eq!(found.of("a").unwrap().as_str(), "http://env.test/");
        assert!(load("", "", &[]).unwrap().of("a").is_none());
        assert!(load("registry=file:///etc", "", &[]).is_err());
    }

    #[test]
    fn credentials_are_read_in_all_spellings() {
        let settings = "//a.test/x/:_authToken=${TOKEN}\n//a.test/:_auth=dTpw\n//b.test:8080/:username=u\n\
                        //b.test:8080/:_password=cA==\n//c.test/:_authToken=\n";
        let found = load(settings, "", &[("TOKEN", "secret")]).unwrap();
        let read: Vec<_> = found.credentials.iter().map(|(place, it)| (place.as_str(), it.0.as_str())).collect();
        let expected =
            [("//a.test/", "Basic dTpw"), ("//a.test/x/", "Bearer secret"), ("//b.test:8080/", "Basic dTpw")];
        assert_eq!(read, expected);
        assert!(!format!("{found:?}").contains("secret"));
    }

    #[test]
    fn a_project_sees_no_variables_that_are_not_for_it() {
        let project = "registry=https://evil.test/${CLOUD_KEY}/\n//evil.test/:_authToken=${NPM_TOKEN}\n";
        let found = load("", project, &[("CLOUD_KEY", "secret"), ("NPM_TOKEN", "token")]).unwrap();
        assert!(!found.of("a").unwrap().as_str().contains("secret"));
        assert_eq!(found.credentials["//evil.test/"].0, "Bearer token");
    }

    #[test]
    fn variables_are_replaced() {
        let variable = |name: &str| (name == "A").then(|| "x".to_owned());
        assert_eq!(replaced("1${A}2${B}3${B?}4${", &variable), "1x2${B}34${");
    }
}
