//! Where a tarball is asked for.
//!
//! What comes is checked against the lock's hash, so it does not matter who gives it; and no address of a lock is asked
//! that leads into a private network, unless the user configured a registry there (`packages/address.rs`).
//!
//! | the lock says | asked |
//! |---|---|
//! | no address | the configured registry |
//! | an address of the form that registries use | the configured registry, then that address |
//! | another address | that address |

use super::{
    lock::{Package, Source, is_package_name},
    npmrc::Registries,
};
use url::Url;

/// Why a package cannot be asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum AddressError {
    /// Nobody said where packages are.
    #[error(
        "no package registry is configured, and the lock has no addresses: set `registry` in ~/.npmrc, or \
         NPM_CONFIG_REGISTRY"
    )]
    NoRegistry,
    /// An address that is none.
    #[error("the lock has {package} come from {url:?}, which is no address")]
    Malformed {
        /// Which package.
        package: String,
        /// As written.
        url: String,
    },
    /// A name or version that makes no address.
    #[error("{name:?} in version {version:?} is no package of a registry")]
    Name {
        /// As the lock has it.
        name: String,
        /// As the lock has it.
        version: String,
    },
}

/// Addresses that may have the package's tarball, the first the best; those that the lock has are still to be checked.
pub(super) fn addresses(package: &Package, registries: &Registries) -> Result<Vec<Url>, AddressError> {
    let Source::Tarball { url, .. } = &package.source else { return Ok(Vec::new()) };
    let Some(written) = url else {
        let registry = registries.of(&package.name).ok_or(AddressError::NoRegistry)?;
        return Ok(vec![at_registry(registry, package)?]);
    };
    let own = Url::parse(written)
        .map_err(|_| AddressError::Malformed { package: package.name.clone(), url: written.clone() })?;
    let Some(registry) = registries.of(&package.name).filter(|_| has_registry_form(written, package)) else {
        return Ok(vec![own]);
    };
    let mut found = vec![at_registry(registry, package)?];
    if own != found[0] {
        found.push(own);
    }
    Ok(found)
}

/// `REGISTRY/NAME/-/NAME-VERSION.tgz`, a scope being part of the first name only.
fn at_registry(registry: &Url, package: &Package) -> Result<Url, AddressError> {
    let Package { name, version, .. } = package;
    let is_version = !version.is_empty()
        && version.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'+' | b'_'));
    let malformed = || AddressError::Name { name: name.clone(), version: version.clone() };
    if !is_version || !is_package_name(name) {
        return Err(malformed());
    }
    registry.join(&registry_path(name, version)).map_err(|_| malformed())
}

fn registry_path(name: &str, version: &str) -> String {
    let base = name.rsplit('/').next().unwrap_or(name);
    // A name may hold a colon or the like; behind `./` it is never taken for a scheme.
    format!("./{name}/-/{base}-{version}.tgz")
}

fn has_registry_form(url: &str, package: &Package) -> bool {
    let path = registry_path(&package.name, &package.version);
    let url = url.split(['?', '#']).next().unwrap_or(url);
    url.replace("%2f", "/").replace("%2F", "/").ends_with(&path[1..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packages::node::package_lock;
    use std::collections::BTreeMap;

    fn package(path: &str, version: &str, url: Option<&str>) -> Package {
        let resolved = url.map(|url| format!(r#", "resolved": "{url}""#)).unwrap_or_default();
        let entry = format!(r#""{path}": {{"version": "{version}"{resolved}}}"#);
        let lock = package_lock::read(&format!(r#"{{"lockfileVersion": 3, "packages": {{{entry}}}}}"#)).unwrap();
        lock.packages[0].clone()
    }

    fn configured(registry: Option<&str>) -> Registries {
        let variables = registry.map(|registry| ("npm_config_registry".to_owned(), registry.to_owned()));
        Registries::load(&[], None, &variables.into_iter().collect::<BTreeMap<_, _>>()).unwrap()
    }

    #[track_caller]
    fn check(registry: Option<&str>, package: &Package, expected: Result<&[&str], &str>) {
        let found = addresses(package, &configured(registry));
        let found = found.map(|urls| urls.into_iter().map(String::from).collect::<Vec<_>>());
        match expected {
            Ok(expected) => assert_eq!(found.unwrap(), expected),
            Err(expected) => assert!(found.as_ref().unwrap_err().to_string().contains(expected), "{found:?}"),
        }
    }

    #[test]
    fn a_registry_is_asked_first() {
        let mirror = Some("http://127.0.0.1:4873/npm");
        let plain = package("node_modules/a", "1.0.0-rc.1+x", None);
        check(mirror, &plain, Ok(&["http://127.0.0.1:4873/npm/a/-/a-1.0.0-rc.1+x.tgz"]));
        let scoped = "https://npm.test/@s/a/-/a-1.0.0.tgz";
        let both = ["http://127.0.0.1:4873/npm/@s/a/-/a-1.0.0.tgz", scoped];
        check(mirror, &package("node_modules/@s/a", "1.0.0", Some(scoped)), Ok(&both));
        check(None, &package("node_modules/@s/a", "1.0.0", Some(scoped)), Ok(&[scoped]));
        check(mirror, &package("node_modules/a", "1.0.0", Some("https://x.test/a.tgz")), Ok(&["https://x.test/a.tgz"]));
        check(None, &plain, Err("no package registry is configured"));
    }

    #[test]
    fn names_cannot_lead_elsewhere() {
        for version in ["", "../../x", "1/2", "1?x", "1#x"] {
            check(
                Some("https://npm.test"),
                &package("node_modules/a", version, None),
                Err("is no package of a registry"),
            );
        }
    }
}
