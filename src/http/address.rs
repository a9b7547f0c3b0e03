//! What an address says about where it leads. Judged as it is written: no name is looked up.

use reqwest::Url;
use std::net::IpAddr;

/// Scheme, host and port (RFC 6454).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin(String, String, Option<u16>);

impl Origin {
    /// Of an address.
    pub fn of(url: &Url) -> Self {
        Self(url.scheme().to_owned(), url.host_str().unwrap_or_default().to_owned(), url.port_or_known_default())
    }
}

/// Whether an address is on this machine.
pub fn is_loopback(url: &Url) -> bool {
    match ip(url) {
        Some(address) => address.is_loopback() || address.is_unspecified(),
        None => url.host_str().is_some_and(|host| host == "localhost" || host.ends_with(".localhost")),
    }
}

/// Whether an address is one at which clouds serve instance metadata.
pub fn is_link_local(url: &Url) -> bool {
    match ip(url) {
        Some(IpAddr::V4(address)) => address.is_link_local() || address.octets() == [100, 100, 100, 200],
        Some(IpAddr::V6(address)) => {
            address.is_unicast_link_local() || address.segments() == [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254]
        }
        None => url.host_str() == Some("metadata.google.internal"),
    }
}

/// An address for people: without credentials, and without its query, which may hold a signature that grants access.
pub fn shown(url: &Url) -> String {
    let mut url = url.clone();
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.as_str().to_owned()
}

/// The address in a URL; one of IPv4 that is written as IPv6 is one of IPv4.
fn ip(url: &Url) -> Option<IpAddr> {
    let host = url.host_str()?;
    let address: IpAddr = host.trim_start_matches('[').trim_end_matches(']').parse().ok()?;
    Some(address.to_canonical())
}
