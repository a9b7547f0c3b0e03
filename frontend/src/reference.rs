//! Names of images: `[host[:port]/]path[:tag][@digest]`.
//!
//! The grammar is that of the distribution project's `reference` package, the short forms are Docker's:
//!
//! | written | means |
//! |---|---|
//! | `debian` | `docker.io/library/debian:latest` |
//! | `me/app:1` | `docker.io/me/app:1` |
//! | `localhost/app`, `host.example/app`, `host:5000/app` | that host: the first word is `localhost`, has a dot, a colon or a capital |
//! | `index.docker.io/me/app` | `docker.io/me/app:latest` |
//! | `app@sha256:…` | the digest alone: no tag is added |
//!
//! Digests are stricter than the grammar: only algorithms that images are really named by, in lower case, at full length.

use std::{fmt, str::FromStr};

/// The host that a name without a host means.
pub const DEFAULT_HOST: &str = "docker.io";
/// The tag that a name without tag and digest means.
pub const DEFAULT_TAG: &str = "latest";

const LEGACY_DEFAULT_HOST: &str = "index.docker.io";
const OFFICIAL_PREFIX: &str = "library/";
const LONGEST_PATH: usize = 255;
const LONGEST_TAG: usize = 128;

/// A valid image name in normal form.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    host: String,
    path: String,
    tag: Option<String>,
    digest: Option<String>,
}

/// Why a text names no image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// Nothing is there.
    #[error("an image name cannot be empty")]
    Empty,
    /// 64 hexadecimal digits look like the id of an image.
    #[error("{0:?} is an image id: an image has to be named")]
    Id(String),
    /// The path has a capital letter.
    #[error("{0:?} has upper-case letters: the name of an image is lower case")]
    UpperCase(String),
    /// The part before the first slash is no host.
    #[error("{0:?} is not a host: expected a domain name or an address, and maybe a port")]
    Host(String),
    /// A part of the path is malformed.
    #[error(
        "{0:?} is not a valid part of an image name: letters and digits, joined by one '.', one or two '_', or '-'"
    )]
    Component(String),
    /// The path is longer than registries allow.
    #[error("the name of an image has at most {LONGEST_PATH} characters, this one has {0}")]
    TooLong(usize),
    /// The tag is malformed.
    #[error(
        "{0:?} is not a valid tag: up to {LONGEST_TAG} letters, digits, '_', '.' and '-', not starting with '.' or '-'"
    )]
    Tag(String),
    /// The digest is malformed.
    #[error(transparent)]
    Digest(#[from] DigestError),
}

/// Why a text is no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// There is no `algorithm:` in front.
    #[error("{0:?} is not a digest: expected sha256: and 64 hexadecimal digits")]
    Form(String),
    /// The algorithm is none that we can check.
    #[error("{0:?} is not a digest algorithm of images: expected sha256 or sha512")]
    Algorithm(String),
    /// Too few or too many digits.
    #[error("a {algorithm} digest has {expected} hexadecimal digits, this one has {found}")]
    Length {
        /// The algorithm.
        algorithm: String,
        /// Digits that its digests have.
        expected: usize,
        /// Digits that the text has.
        found: usize,
    },
    /// A character other than `0-9a-f`.
    #[error("{0:?} is no lower-case hexadecimal digit, as a digest needs")]
    Digit(char),
}

impl Reference {
    /// The registry, with its port if it was written: `docker.io`, `localhost:5000`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The repository in the registry: `library/debian`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The tag.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, algorithm included.
    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    /// The shortest spelling that means the same: `debian:bookworm`.
    pub fn familiar(&self) -> String {
        let mut name = match self.host.as_str() {
            DEFAULT_HOST => match self.path.strip_prefix(OFFICIAL_PREFIX) {
                Some(word) if !word.contains('/') => word.to_owned(),
                Some(_) | None => self.path.clone(),
            },
            host => format!("{host}/{}", self.path),
        };
        self.push_tag_and_digest(&mut name);
        name
    }

    /// The tag `tag` of the same repository. The digest goes: it names what the old tag meant.
    pub fn with_tag(&self, tag: &str) -> Result<Self, ReferenceError> {
        check_tag(tag)?;
        Ok(Self { tag: Some(tag.to_owned()), digest: None, ..self.clone() })
    }

    /// The same name, pinned to `digest`. The tag stays, for people.
    pub fn with_digest(&self, digest: &str) -> Result<Self, ReferenceError> {
        check_digest(digest)?;
        Ok(Self { digest: Some(digest.to_owned()), ..self.clone() })
    }

    fn push_tag_and_digest(&self, name: &mut String) {
        for (mark, part) in [(':', &self.tag), ('@', &self.digest)] {
            if let Some(part) = part {
                name.push(mark);
                name.push_str(part);
            }
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut name = format!("{}/{}", self.host, self.path);
        self.push_tag_and_digest(&mut name);
        f.write_str(&name)
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if text.is_empty() {
            return Err(ReferenceError::Empty);
        }
        if text.len() == 64 && text.bytes().all(is_lower_hex) {
            return Err(ReferenceError::Id(text.to_owned()));
        }
        let (host, rest) = split_host(text);
        let (rest, digest) = split_at_mark(rest, '@');
        let (path, tag) = split_at_mark(rest, ':');
        if path.chars().any(char::is_uppercase) {
            return Err(ReferenceError::UpperCase(path.to_owned()));
        }
        check_host(host)?;
        let path = if host == DEFAULT_HOST && !path.contains('/') {
            format!("{OFFICIAL_PREFIX}{path}")
        } else {
            path.to_owned()
        };
        check_path(&path)?;
        tag.map_or(Ok(()), check_tag)?;
        digest.map_or(Ok(()), check_digest)?;
        let tag = match (tag, digest) {
            (None, None) => Some(DEFAULT_TAG),
            (tag, _) => tag,
        };
        Ok(Self { host: host.to_owned(), path, tag: tag.map(str::to_owned), digest: digest.map(str::to_owned) })
    }
}

/// Whether `digest` is an algorithm and as many lower-case hexadecimal digits as its digests have.
pub fn check_digest(digest: &str) -> Result<(), DigestError> {
    let Some((algorithm, digits)) = digest.split_once(':') else {
        return Err(DigestError::Form(digest.to_owned()));
    };
    let expected = match algorithm {
        "sha256" => 64,
        "sha512" => 128,
        other => return Err(DigestError::Algorithm(other.to_owned())),
    };
    if let Some(stranger) = digits.chars().find(|c| !c.is_ascii() || !is_lower_hex(*c as u8)) {
        return Err(DigestError::Digit(stranger));
    }
    if digits.len() != expected {
        return Err(DigestError::Length { algorithm: algorithm.to_owned(), expected, found: digits.len() });
    }
    Ok(())
}

/// A first word counts as a host only if it cannot be meant as a user of the default host.
fn split_host(text: &str) -> (&str, &str) {
    match text.split_once('/') {
        Some((LEGACY_DEFAULT_HOST, rest)) => (DEFAULT_HOST, rest),
        Some((word, rest))
            if word == "localhost" || word.contains(['.', ':']) || word.chars().any(char::is_uppercase) =>
        {
            (word, rest)
        }
        Some(_) | None => (DEFAULT_HOST, text),
    }
}

fn split_at_mark(text: &str, mark: char) -> (&str, Option<&str>) {
    match text.split_once(mark) {
        Some((before, after)) => (before, Some(after)),
        None => (text, None),
    }
}

fn is_lower_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

fn check_host(host: &str) -> Result<(), ReferenceError> {
    let (name, port) = match host.rfind(']') {
        Some(end) => host.split_at(end + 1),
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    let port_fits = match port.strip_prefix(':') {
        Some(digits) => !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()),
        None => port.is_empty(),
    };
    let address = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let name_fits = match address {
        Some(address) => {
            let fits = |c: char| c.is_ascii_hexdigit() || c == ':';
            !address.is_empty() && address.chars().all(fits)
        }
        None => name.split('.').all(|label| {
            let fits = |c: char| c.is_ascii_alphanumeric() || c == '-';
            !label.is_empty() && !label.starts_with('-') && !label.ends_with('-') && label.chars().all(fits)
        }),
    };
    if port_fits && name_fits { Ok(()) } else { Err(ReferenceError::Host(host.to_owned())) }
}

fn check_path(path: &str) -> Result<(), ReferenceError> {
    if path.len() > LONGEST_PATH {
        return Err(ReferenceError::TooLong(path.len()));
    }
    match path.split('/').find(|component| !is_component(component)) {
        Some(component) => Err(ReferenceError::Component(component.to_owned())),
        None => Ok(()),
    }
}

/// Words of `a-z0-9`, joined by `.`, `_`, `__` or any number of `-`.
fn is_component(component: &str) -> bool {
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let ends_in_words = component.starts_with(is_word) && component.ends_with(is_word);
    let joined_well = component
        .split(is_word)
        .all(|joint| matches!(joint, "" | "." | "_" | "__") || joint.bytes().all(|b| b == b'-'));
    ends_in_words && joined_well
}

fn check_tag(tag: &str) -> Result<(), ReferenceError> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let fits = |c: char| is_word(c) || matches!(c, '.' | '-');
    if tag.starts_with(is_word) && tag.len() <= LONGEST_TAG && tag.chars().all(fits) {
        Ok(())
    } else {
        Err(ReferenceError::Tag(tag.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn spellings_meet_in_one_normal_form() {
        for (text, full, familiar) in [
            ("debian", "docker.io/library/debian:latest", "debian:latest"),
            ("me/app:1", "docker.io/me/app:1", "me/app:1"),
            ("docker.io/debian", "docker.io/library/debian:latest", "debian:latest"),
            ("docker.io/library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest"),
            ("index.docker.io/me/app", "docker.io/me/app:latest", "me/app:latest"),
            ("localhost/app", "localhost/app:latest", "localhost/app:latest"),
            ("localhost:5000", "docker.io/library/localhost:5000", "localhost:5000"),
            ("localhost:5000/a/b:x", "localhost:5000/a/b:x", "localhost:5000/a/b:x"),
            ("Host/app", "Host/app:latest", "Host/app:latest"),
            ("[::1]:5000/app", "[::1]:5000/app:latest", "[::1]:5000/app:latest"),
            ("a.b-c__d---e", "docker.io/library/a.b-c__d---e:latest", "a.b-c__d---e:latest"),
        ] {
            let reference: Reference = text.parse().unwrap();
            assert_eq!(reference.to_string(), full, "{text}");
            assert_eq!(reference.familiar(), familiar, "{text}");
            assert_eq!(reference.familiar().parse(), Ok(reference), "{text}");
        }
    }

    #[test]
    fn a_digest_needs_no_tag() {
        let pinned: Reference = format!("debian@sha256:{HEX}").parse().unwrap();
        assert_eq!(pinned.tag(), None);
        let both: Reference = format!("debian:12@sha256:{HEX}").parse().unwrap();
        assert_eq!((both.tag(), both.digest()), (Some("12"), Some(&*format!("sha256:{HEX}"))));
        assert_eq!(both.with_tag("13").unwrap().to_string(), "docker.io/library/debian:13");
    }

    #[test]
    fn errors_say_what_is_wrong() {
        for (text, expected) in [
            ("", "an image name cannot be empty"),
            ("Debian", "\"Debian\" has upper-case letters: the name of an image is lower case"),
            ("a/Ünder", "\"a/Ünder\" has upper-case letters: the name of an image is lower case"),
            (HEX, "is an image id: an image has to be named"),
            ("-a.b/c", "\"-a.b\" is not a host: expected a domain name or an address, and maybe a port"),
            ("a.b:x/c", "\"a.b:x\" is not a host"),
            ("[::1/c", "\"[::1\" is not a host"),
            ("a//b", "\"\" is not a valid part of an image name"),
            ("a___b", "\"a___b\" is not a valid part"),
            ("a..b", "\"a..b\" is not a valid part"),
            ("a b", "\"a b\" is not a valid part"),
            ("debian:", "\"\" is not a valid tag"),
            ("debian:.x", "\".x\" is not a valid tag"),
            ("debian@sha1:00", "\"sha1\" is not a digest algorithm of images: expected sha256 or sha512"),
            ("debian@sha256:00", "a sha256 digest has 64 hexadecimal digits, this one has 2"),
            ("debian@sha256:AA", "'A' is no lower-case hexadecimal digit, as a digest needs"),
            ("debian@x", "\"x\" is not a digest: expected sha256: and 64 hexadecimal digits"),
        ] {
            let error = text.parse::<Reference>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
        let long = "a".repeat(300);
        assert_eq!(long.parse::<Reference>(), Err(ReferenceError::TooLong(308)));
    }
}
