//! Registries as places: addresses, which of them may speak plain HTTP, and where they may send us.
//!
//! Docker Hub is called `docker.io` and lives at `registry-1.docker.io`. Loopback, and hosts that the user lists as
//! insecure, are spoken to over plain HTTP as by Docker; all others over HTTPS.
//!
//! A registry can name other places: where a blob lies, where an upload goes on, who issues tokens. What it names is
//! followed within these rules, so that a registry cannot use us to reach what only we can reach, nor to learn what was
//! meant for another:
//!
//! | rule | why |
//! |---|---|
//! | only `http` and `https` | `file:` reads this machine |
//! | never from `https` to `http` | anybody on the way would see and change it |
//! | never to a link-local address | clouds hand out a machine's credentials there |
//! | to loopback only from loopback | services of this machine trust who is on it |
//! | credentials only to the same `Origin` | scheme, host and port (RFC 6454); CVE-2020-15157 |
//!
//! Addresses are judged as they are written. A name that resolves to a forbidden address is not caught here; over
//! HTTPS such a server would have to prove that the name is its own.

use crate::http::{is_link_local, is_loopback};
use reqwest::Url;

/// What the default registry is called in names of images.
const DOCKER_HUB: &str = "docker.io";
/// Where the default registry answers.
const DOCKER_HUB_ADDRESS: &str = "registry-1.docker.io";

/// The root of a registry's API, or why `host` is none.
pub(super) fn base_url(host: &str, insecure: &[String]) -> Result<Url, String> {
    let address = if host == DOCKER_HUB { DOCKER_HUB_ADDRESS } else { host };
    let secure = format!("https://{address}/");
    let mut url = Url::parse(&secure).map_err(|error| error.to_string())?;
    // Anything but a host and a port would move the path or the credentials of every later request.
    if url.path() != "/" || !url.username().is_empty() || url.query().is_some() || url.fragment().is_some() {
        return Err("it is not a host".to_owned());
    }
    if is_loopback(&url) || insecure.iter().any(|listed| listed == host) {
        url = Url::parse(&format!("http://{address}/")).map_err(|error| error.to_string())?;
    }
    Ok(url)
}

/// Where `registry`, met at `from`, sends us: allowed, or why not.
pub(super) fn check_target(from: &Url, to: &Url) -> Result<(), String> {
    let refuse = |why: &str| Err(format!("it sends us to {}, {why}", shown(to)));
    match (from.scheme(), to.scheme()) {
        (_, "https") | ("http", "http") => {}
        ("https", "http") => {
            return refuse(
                "which is not encrypted (a proxy in front of the registry has to pass X-Forwarded-Proto on)",
            );
        }
        _ => return refuse("which is neither http nor https"),
    }
    if is_link_local(to) {
        return refuse("a link-local address");
    }
    if is_loopback(to) && !is_loopback(from) {
        return refuse("an address of this machine");
    }
    Ok(())
}

/// Who issues tokens for the registry at `registry`: allowed, or why not.
///
/// A registry over HTTPS may name any HTTPS service: Docker Hub's is on another host. One over plain HTTP may name the
/// same host over plain HTTP, too, whatever the port.
pub(super) fn check_realm(registry: &Url, realm: &Url) -> Result<(), String> {
    check_target(registry, realm)?;
    if realm.scheme() == "http" && realm.host_str() != registry.host_str() {
        return Err(format!("it wants the password to be sent to {}, which is not encrypted", shown(realm)));
    }
    Ok(())
}

/// An address without its query, which may hold a signature that grants access.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    super::error::printable(url.as_str())
}

#[cfg(test)]
mod tests {
    use super::{base_url, check_realm, check_target};
    use reqwest::Url;

    #[test]
    fn loopback_and_listed_hosts_speak_plain_http() {
        let insecure = ["registry.lan:5000".to_owned()];
        for (host, expected) in [
            ("docker.io", "https://registry-1.docker.io/"),
            ("quay.example", "https://quay.example/"),
            ("localhost:5000", "http://localhost:5000/"),
            ("127.0.0.9:80", "http://127.0.0.9/"),
            ("[::1]:5000", "http://[::1]:5000/"),
            ("registry.lan:5000", "http://registry.lan:5000/"),
            ("registry.lan", "https://registry.lan/"),
        ] {
            assert_eq!(base_url(host, &insecure).unwrap().as_str(), expected);
        }
        for host in ["a/b", "user@host", "host?x", "", "host#x"] {
            assert!(base_url(host, &[]).is_err(), "{host}");
        }
    }

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn a_registry_sends_us_only_where_it_may() {
        for (from, to, allowed) in [
            ("https://r.example/", "https://cdn.example/blob?signature=x", true),
            ("https://r.example/", "http://r.example/", false),
            ("https://r.example/", "file:///etc/passwd", false),
            ("http://localhost:5000/", "file:///etc/passwd", false),
            ("https://r.example/", "https://169.254.169.254/latest", false),
            ("http://localhost:5000/", "http://169.254.169.254/latest", false),
            ("http://localhost:5000/", "http://[::ffff:169.254.169.254]/latest", false),
            ("http://localhost:5000/", "http://[fe80::1]/", false),
            ("https://r.example/", "https://127.0.0.1:8080/", false),
            ("https://r.example/", "https://0.0.0.0/", false),
            ("http://localhost:5000/", "http://127.0.0.1:6000/", true),
        ] {
            assert_eq!(check_target(&url(from), &url(to)).is_ok(), allowed, "{from} {to}");
        }
    }

    #[test]
    fn a_realm_gets_passwords_over_https_or_from_its_own_host() {
        for (registry, realm, allowed) in [
            ("https://registry-1.docker.io/", "https://auth.docker.io/token", true),
            ("http://localhost:5000/", "http://localhost:5001/token", true),
            ("http://localhost:5000/", "http://other.example/token", false),
            ("http://registry.lan/", "http://169.254.169.254/", false),
            ("https://r.example/", "http://r.example/token", false),
            ("http://localhost:5000/", "file:///etc/passwd", false),
        ] {
            assert_eq!(check_realm(&url(registry), &url(realm)).is_ok(), allowed, "{registry} {realm}");
        }
    }

    #[test]
    fn refusals_do_not_show_signatures() {
        let error =
            check_target(&url("https://r.example/"), &url("http://cdn.example/b?signature=secret")).unwrap_err();
        assert_eq!(
            error,
            "it sends us to http://cdn.example/b, which is not encrypted \
             (a proxy in front of the registry has to pass X-Forwarded-Proto on)"
        );
    }
}
