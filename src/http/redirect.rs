//! Where a server may send us.
//!
//! | rule | why |
//! |---|---|
//! | only `http` and `https` | `file:` reads this machine |
//! | from `https` to `http` only where a checksum says what has to come | anybody on the way would see and change it |
//! | never to a link-local address | clouds hand out a machine's credentials there |
//! | to loopback only from loopback | services of this machine trust who is on it |
//! | credentials only to the same origin | they were meant for that one |

use super::address::{Origin, is_link_local, is_loopback, shown};
use reqwest::Url;

/// Where `from` sends us with the header `Location: location`, or why we do not go there.
pub(super) fn follow(from: &Url, location: &str, has_checksum: bool) -> Result<Url, String> {
    let mut to = from.join(location).map_err(|error| format!("it redirects to no address: {error}"))?;
    let refuse = |why: &str| Err(format!("it redirects to {}, {why}", shown(&to)));
    match (from.scheme(), to.scheme()) {
        (_, "https") | ("http", "http") => {}
        ("https", "http") if has_checksum => {}
        ("https", "http") => return refuse("which is not encrypted: add --checksum if that is all right"),
        _ => return refuse("which is neither http nor https"),
    }
    if is_link_local(&to) {
        return refuse("a link-local address");
    }
    if is_loopback(&to) && !is_loopback(from) {
        return refuse("an address of this machine");
    }
    let own = Origin::of(&to) == Origin::of(from);
    if !own {
        let _ = to.set_username("");
        let _ = to.set_password(None);
    } else if to.username().is_empty() {
        let _ = to.set_username(from.username());
        let _ = to.set_password(from.password());
    }
    Ok(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_sends_us_only_where_it_may() {
        for (from, location, expected) in [
            ("https://a.example/x?q", "/y", Ok("https://a.example/y")),
            ("https://a.example/x/", "../y", Ok("https://a.example/y")),
            ("https://u:p@a.example/x", "/y", Ok("https://u:p@a.example/y")),
            ("https://u:p@a.example/x", "https://a.example/y", Ok("https://u:p@a.example/y")),
            ("https://u:p@a.example/x", "https://b.example/y", Ok("https://b.example/y")),
            ("https://u:p@a.example/x", "https://a.example:444/y", Ok("https://a.example:444/y")),
            ("https://u:p@a.example/x", "https://u:p@b.example/y", Ok("https://b.example/y")),
            ("http://a.example/", "https://b.example/", Ok("https://b.example/")),
            (
                "https://a.example/",
                "http://a.example/",
                Err("it redirects to http://a.example/, which is not encrypted: add --checksum if that is all right"),
            ),
            (
                "https://a.example/",
                "file:///etc/passwd",
                Err("it redirects to file:///etc/passwd, which is neither http nor https"),
            ),
            (
                "http://a.example/",
                "http://169.254.169.254/latest?token=x",
                Err("it redirects to http://169.254.169.254/latest, a link-local address"),
            ),
            ("http://a.example/", "http://[::1]/", Err("it redirects to http://[::1]/, an address of this machine")),
            ("http://localhost:1/", "http://127.0.0.1:2/", Ok("http://127.0.0.1:2/")),
        ] {
            let found = follow(&Url::parse(from).unwrap(), location, false).map(|url| url.to_string());
            assert_eq!(found, expected.map(str::to_owned).map_err(str::to_owned), "{from} {location}");
        }
        let url = Url::parse("https://a.example/").unwrap();
        assert!(follow(&url, "http://a.example/", true).is_ok());
    }
}
