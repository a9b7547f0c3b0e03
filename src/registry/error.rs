//! What can go wrong between us and a registry, in words for the person who waits for the image.

use crate::image::{BlobDigest, DocumentError};
use flashbuild_frontend::platform::Platform;
use std::{io, path::PathBuf, time::Duration};

/// Why an image could not be read from, or written to, a registry.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The registry has no such manifest or blob.
    #[error("{reference} not found: check the name and the tag{}", said(.message))]
    NotFound {
        /// What was asked for.
        reference: String,
        /// The registry's own words.
        message: String,
    },
    /// The image exists, but not for the platform.
    #[error("{reference} has no image for {wanted}; it has {}", list(.available))]
    NoSuchPlatform {
        /// The image.
        reference: String,
        /// The platform asked for.
        wanted: Platform,
        /// Platforms that it has.
        available: Vec<Platform>,
    },
    /// Nobody, or nobody known, asked for something that is not public.
    #[error(
        "registry {host} refused access{}: log in with `flashbuild login {host}`, or check that the name is right: \
         registries hide what may not be seen",
        said(.message)
    )]
    Unauthorized {
        /// The registry.
        host: String,
        /// The registry's own words.
        message: String,
    },
    /// The account is known, and may not.
    #[error("registry {host} denied the request{}: check that the account may do this", said(.message))]
    Denied {
        /// The registry.
        host: String,
        /// The registry's own words.
        message: String,
    },
    /// The credentials are there, but cannot be used.
    #[error("cannot use the credentials for {host} in {}: {cause}", .file.display())]
    Credentials {
        /// The registry.
        host: String,
        /// The configuration file.
        file: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// No connection, or it broke.
    #[error("cannot reach registry {host}: {cause}")]
    Unreachable {
        /// The registry.
        host: String,
        /// The innermost cause.
        cause: String,
    },
    /// The registry cannot prove who it is.
    #[error(
        "no secure connection to registry {host}: {cause}; name its authority with --ca-certificates, or list the host \
         as insecure if it is meant to speak plain HTTP"
    )]
    Insecure {
        /// The registry.
        host: String,
        /// What the TLS handshake failed at.
        cause: String,
    },
    /// The registry is there, but cannot answer now (429, 5xx).
    #[error("registry {host} is {}{}: try again later", busy(*.status), said(.message))]
    Unavailable {
        /// The registry.
        host: String,
        /// The status of its answer.
        status: u16,
        /// The registry's own words.
        message: String,
        /// How long it asked us to wait.
        retry_after: Option<Duration>,
    },
    /// The bytes are not the ones that were named.
    #[error("{reference} is damaged: expected {expected}, got {actual}; nothing of it was used")]
    DigestMismatch {
        /// What was read.
        reference: String,
        /// The digest that names it.
        expected: BlobDigest,
        /// The digest of what came.
        actual: BlobDigest,
    },
    /// There are more or fewer bytes than its descriptor says.
    #[error("{reference} is damaged: its descriptor says {expected} bytes, the registry sent {actual}")]
    SizeMismatch {
        /// What was read.
        reference: String,
        /// Bytes that were promised.
        expected: u64,
        /// Bytes that came, or that the answer announced.
        actual: u64,
    },
    /// A document is larger than any sensible one.
    #[error("the {what} of {reference} is larger than {limit} bytes, the most that is accepted")]
    TooLarge {
        /// Manifest or configuration.
        what: &'static str,
        /// The image.
        reference: String,
        /// The limit, in bytes.
        limit: u64,
    },
    /// It is neither a manifest nor an index.
    #[error("{reference} cannot be read as an image: {cause}")]
    Document {
        /// What was read.
        reference: String,
        /// What is wrong with it.
        cause: DocumentError,
    },
    /// A manifest and what belongs to it contradict each other.
    #[error("{reference} is not a usable image: {problem}")]
    Image {
        /// The image.
        reference: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The registry does what the distribution specification does not allow, or what is not safe to follow.
    #[error("unexpected answer of registry {host}: {problem}")]
    Protocol {
        /// The registry.
        host: String,
        /// What it did.
        problem: String,
    },
    /// What is to be pushed cannot be read.
    #[error("cannot read {what} for the push: {cause}")]
    Source {
        /// The blob.
        what: String,
        /// Why.
        cause: io::Error,
    },
    /// What was pulled cannot be written.
    #[error("cannot store {what}: {cause}")]
    Sink {
        /// The blob.
        what: String,
        /// Why.
        cause: io::Error,
    },
    /// The registry, and those that were asked before it, have no answer.
    #[error("{last}; its mirrors, asked before, have no answer either: {mirrors}")]
    Mirrored {
        /// What the registry itself says.
        last: Box<RegistryError>,
        /// What each of the others says.
        mirrors: String,
    },
    /// The machine's configuration forbids it.
    #[error("{reference} is blocked by {}: choose another image, or change that file", .file.display())]
    Blocked {
        /// The image.
        reference: String,
        /// The file that blocks it.
        file: PathBuf,
    },
    /// Nobody may be asked.
    #[error("registry {host} is not asked, because of --offline: {problem}")]
    Offline {
        /// The registry.
        host: String,
        /// What lacks.
        problem: String,
    },
    /// The client cannot be set up.
    #[error("cannot set up the registry client: {0}")]
    SetUp(String),
}

impl RegistryError {
    /// Whether the same request may succeed a moment later.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Unavailable { .. })
    }

    /// Whether the machine, its configuration or the network is at fault, and not what was asked for.
    pub fn is_environment(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Unavailable { .. }
            | Self::Credentials { .. }
            | Self::Blocked { .. }
            | Self::Offline { .. }
            | Self::Source { .. }
            | Self::Sink { .. }
            | Self::SetUp(_) => true,
            Self::Mirrored { last, .. } => last.is_environment(),
            Self::NotFound { .. }
            | Self::NoSuchPlatform { .. }
            | Self::Unauthorized { .. }
            | Self::Denied { .. }
            | Self::Insecure { .. }
            | Self::DigestMismatch { .. }
            | Self::SizeMismatch { .. }
            | Self::TooLarge { .. }
            | Self::Document { .. }
            | Self::Image { .. }
            | Self::Protocol { .. } => false,
        }
    }

    /// How long the registry asked us to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        if let Self::Unavailable { retry_after, .. } = self { *retry_after } else { None }
    }
}

fn said(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(" ({message})") }
}

fn list(platforms: &[Platform]) -> String {
    if platforms.is_empty() {
        return "none that can be named".to_owned();
    }
    platforms.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn busy(status: u16) -> String {
    match status {
        429 => "limiting our requests".to_owned(),
        status => format!("out of order, status {status}"),
    }
}

/// The registry's own words in the body of an error (distribution-spec, "Error Codes"), on one line and harmless on a
/// terminal. Empty if it has none.
pub(super) fn message_of(body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Errors {
        errors: Vec<ErrorEntry>,
    }
    #[derive(serde::Deserialize)]
    struct ErrorEntry {
        #[serde(default)]
        code: String,
        #[serde(default)]
        message: String,
    }
    let Ok(Errors { errors }) = serde_json::from_slice(body) else { return String::new() };
    let words = |entry: ErrorEntry| match (entry.code.as_str(), entry.message.as_str()) {
        (code, "") => code.to_owned(),
        ("", message) => message.to_owned(),
        (code, message) => format!("{code}: {message}"),
    };
    let text = errors.into_iter().map(words).filter(|words| !words.is_empty()).collect::<Vec<_>>().join("; ");
    printable(&text)
}

/// At most 500 characters, none of which a terminal obeys.
pub(super) fn printable(text: &str) -> String {
    // Bidirectional controls reorder what is printed around them.
    let harmless = |c: char| {
        !c.is_control() && !matches!(c, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if harmless(c) { c } else { ' ' }).take(500).collect()
}

#[cfg(test)]
mod tests {
    use super::{RegistryError, message_of};

    #[test]
    fn the_registrys_words_are_shown_and_cannot_move_the_cursor() {
        for (body, expected) in [
            (r#"{"errors":[{"code":"DENIED","message":"no\u001b[2J"}]}"#, "DENIED: no [2J"),
            (r#"{"errors":[{"code":"A"},{"message":"b\nc"},{}]}"#, "A; b c"),
            ("<html>502</html>", ""),
            (r#"{"errors":null}"#, ""),
        ] {
            assert_eq!(message_of(body.as_bytes()), expected, "{body}");
        }
    }

    #[test]
    fn the_texts_say_what_to_do() {
        let (host, reference) = ("r.example".to_owned(), "r.example/app:1".to_owned());
        for (error, expected) in [
            (
                RegistryError::NotFound { reference: reference.clone(), message: String::new() },
                "r.example/app:1 not found: check the name and the tag",
            ),
            (
                RegistryError::Unauthorized { host: host.clone(), message: "UNAUTHORIZED: who?".to_owned() },
                "registry r.example refused access (UNAUTHORIZED: who?): log in with `flashbuild login r.example`, or \
                 check that the name is right: registries hide what may not be seen",
            ),
            (
                RegistryError::Unavailable { host, status: 429, message: String::new(), retry_after: None },
                "registry r.example is limiting our requests: try again later",
            ),
            (
                RegistryError::NoSuchPlatform {
                    reference,
                    wanted: "linux/s390x".parse().unwrap(),
                    available: vec!["linux/amd64".parse().unwrap(), "linux/arm64".parse().unwrap()],
                },
                "r.example/app:1 has no image for linux/s390x; it has linux/amd64, linux/arm64",
            ),
        ] {
            assert_eq!(error.to_string(), expected);
        }
    }
}
