//! Where artifacts may be fetched from.
//!
//! A lock file is written by others, and names addresses. Those that lead into this machine or its network are refused
//! (a lock must not make a build ask a cloud's metadata service), unless the person who builds configured that very origin as
//! an index. `file:` never comes from a lock: folders are given with `--find-links`.

use super::PackageError;
use crate::http::{Origin, shown};
use std::{collections::BTreeSet, fmt, net::IpAddr, path::PathBuf};
use url::{Host, Url};

/// Where an artifact is.
#[derive(Clone, PartialEq, Eq)]
pub enum Address {
    /// At a server. Holds no credentials.
    Web(Url),
    /// In a folder that was given for this.
    File(PathBuf),
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Web(url) => f.write_str(&shown(url)),
            Self::File(path) => path.fmt(f),
        }
    }
}

/// `//host[:port]/path/`: an address as npm's configuration spells what credentials are for.
pub(super) fn place(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let path = url.path();
    format!("//{}{port}{path}{}", url.host_str().unwrap_or_default(), if path.ends_with('/') { "" } else { "/" })
}

/// Refuses what must not be asked for. `configured` are the origins that the person who builds named.
pub(super) fn check(url: &Url, configured: &BTreeSet<Origin>) -> Result<(), PackageError> {
    let refuse = |problem| Err(PackageError::Address { address: shown(url), problem });
    if !matches!(url.scheme(), "http" | "https") {
        return refuse("artifacts come from https: addresses; give a folder with --find-links");
    }
    if configured.contains(&Origin::of(url)) {
        return Ok(());
    }
    match url.host() {
        None => refuse("it names no host"),
        Some(Host::Domain(name)) if is_local_name(name) => {
            refuse("it leads to this machine; configure it as an index if that is meant")
        }
        Some(Host::Ipv4(ip)) if !is_public(ip.into()) => refuse("it leads into a private network"),
        Some(Host::Ipv6(ip)) if !is_public(ip.into()) => refuse("it leads into a private network"),
        Some(_) if url.scheme() == "http" => refuse("it is not encrypted; configure it as an index if that is meant"),
        Some(_) => Ok(()),
    }
}

fn is_local_name(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    name.eq_ignore_ascii_case("localhost") || name.to_ascii_lowercase().ends_with(".localhost") || !name.contains('.')
}

fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [first, second, ..] = ip.octets();
            let shared = first == 100 && (64..128).contains(&second);
            let reserved = first == 0 || first >= 224;
            !(ip.is_private() || ip.is_loopback() || ip.is_link_local() || shared || reserved)
        }
        IpAddr::V6(ip) => match ip.to_ipv4() {
            Some(ip) => is_public(ip.into()),
            None => !(ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local() || ip.is_multicast()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_address(text: &str, configured: &str, expected: Option<&str>) {
        let configured = configured.parse().ok().iter().map(Origin::of).collect();
        let refused = check(&text.parse().unwrap(), &configured).err().map(|error| error.to_string());
        match (expected, &refused) {
            (None, None) => {}
            (Some(part), Some(refused)) if refused.contains(part) => {}
            _ => panic!("{text}: {refused:?}"),
        }
    }

    #[test]
    fn locks_lead_to_public_servers_only() {
        for (address, problem) in [
            ("https://files.example.com/a.whl", None),
            ("https://93.184.216.34/a.whl", None),
            ("http://files.example.com/a.whl", Some("not encrypted")),
            ("file:///etc/passwd", Some("--find-links")),
            ("ftp://example.com/a", Some("https:")),
            ("http://169.254.169.254/latest/meta-data", Some("private network")),
            ("https://169.254.169.254/latest", Some("private network")),
            ("https://[fe80::1]/a", Some("private network")),
            ("https://[::ffff:10.0.0.1]/a", Some("private network")),
            ("https://127.1/a", Some("private network")),
            ("https://2130706433/a", Some("private network")),
            ("https://localhost/a", Some("this machine")),
            ("https://metadata/a", Some("this machine")),
        ] {
            check_address(address, "", problem);
        }
    }

    #[test]
    fn what_was_configured_is_asked() {
        check_address("http://localhost:8080/a", "http://localhost:8080/simple", None);
        check_address("http://localhost:8081/a", "http://localhost:8080/simple", Some("this machine"));
        check_address("https://10.0.0.1/a", "http://10.0.0.1/simple", Some("private network"));
    }

    #[test]
    fn credentials_are_not_shown() {
        let url: Url = "https://user:secret@example.com/a?token=secret#secret".parse().unwrap();
        assert_eq!(shown(&url), "https://example.com/a");
        assert_eq!(format!("{:?}", Address::Web(url)), "https://example.com/a");
    }
}
