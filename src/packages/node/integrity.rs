//! Subresource integrity: how a lock says what a tarball must hash to (W3C, "Subresource Integrity", section 3).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flashbuild_frontend::package::ArtifactHash;

/// A hash of a whole file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Integrity {
    /// How it is computed; the strongest sorts last.
    pub(super) algorithm: Algorithm,
    /// The hash.
    pub(super) digest: Vec<u8>,
}

/// Hash functions that locks use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Algorithm {
    /// Entries that were written before 2017 have no other.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// What registries give out.
    Sha512,
}

impl Algorithm {
    /// Bytes of a hash.
    pub(super) fn size(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// As it is written: `sha512`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }
}

impl Integrity {
    /// The strongest of the hashes in `text`, `None` if there is none that is known.
    pub(super) fn parse(text: &str) -> Option<Self> {
        text.split_ascii_whitespace().filter_map(Self::parse_one).max_by_key(|integrity| integrity.algorithm)
    }

    /// The same as what an artifact is checked against; `None` for hashes that vouch for nothing any more.
    pub(super) fn artifact(&self) -> Option<ArtifactHash> {
        let digits = self.digest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        let hex: String = digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect();
        ArtifactHash::new(self.algorithm.name(), &hex).ok()
    }

    fn parse_one(text: &str) -> Option<Self> {
        let (name, rest) = text.split_once('-')?;
        let known = [Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha384, Algorithm::Sha512];
        let algorithm = known.into_iter().find(|algorithm| algorithm.name() == name)?;
        let digest = STANDARD.decode(rest.split('?').next()?).ok()?;
        (digest.len() == algorithm.size()).then_some(Self { algorithm, digest })
    }
}

/// As a lock has it.
impl std::fmt::Display for Integrity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.algorithm.name(), STANDARD.encode(&self.digest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strongest_hash_counts() {
        let sha1 = Integrity { algorithm: Algorithm::Sha1, digest: vec![1; 20] };
        let sha512 = Integrity { algorithm: Algorithm::Sha512, digest: vec![2; 64] };
        assert_eq!(Integrity::parse(&sha1.to_string()), Some(sha1.clone()));
        assert_eq!(Integrity::parse(&format!("{sha512}?x=y {sha1}")), Some(sha512));
    }

    #[test]
    fn what_is_no_hash_is_none() {
        for text in ["", "sha512-", "sha512-AAAA", "md5-rL0Y20zC+Fzt72VPzMSk2A==", "sha1", "sha512-\u{fc}"] {
            assert_eq!(Integrity::parse(text), None, "{text}");
        }
    }
}
