//! A statement of in-toto: what is said, and about which image.
//!
//! Source: `spec/v0.1.0` of in-toto/attestation, the version that moby/buildkit writes and that its readers expect.

use super::image_purl::image_purl;
use crate::{export::Statement, image::BlobDigest};
use flashbuild_frontend::{platform::Platform, reference::Reference};
use serde::Serialize;
use std::collections::BTreeMap;

/// The image that something is said about.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Of its manifest.
    pub digest: &'a BlobDigest,
    /// What it is called.
    pub names: &'a [Reference],
    /// The machine that it is for.
    pub platform: &'a Platform,
    /// When it was made, in seconds since 1970, as far as that is anybody's business.
    pub epoch: Option<i64>,
}

#[derive(Serialize)]
struct InToto<'a, P: ?Sized> {
    #[serde(rename = "_type")]
    kind: &'static str,
    #[serde(rename = "predicateType")]
    predicate_type: &'a str,
    subject: Vec<NamedDigest>,
    predicate: &'a P,
}

#[derive(Serialize)]
struct NamedDigest {
    name: String,
    digest: BTreeMap<&'static str, String>,
}

impl Subject<'_> {
    /// What is said, about this.
    pub(super) fn statement(
        &self,
        predicate_type: &str,
        predicate: &(impl Serialize + ?Sized),
    ) -> Result<Statement, serde_json::Error> {
        let mut names = self.purls();
        if names.is_empty() {
            names.push("_".to_owned());
        }
        let subject = names
            .into_iter()
            .map(|name| NamedDigest { name, digest: BTreeMap::from([("sha256", self.digest.hex())]) })
            .collect();
        let kind = "https://in-toto.io/Statement/v0.1";
        let bytes = serde_json::to_vec(&InToto { kind, predicate_type, subject, predicate })?;
        Ok(Statement { predicate_type: predicate_type.to_owned(), bytes })
    }

    /// A package URL for each name.
    pub(super) fn purls(&self) -> Vec<String> {
        self.names.iter().map(|name| image_purl(name, Some(self.platform))).collect()
    }

    /// The first name, for people.
    pub(super) fn title(&self) -> Option<String> {
        self.names.first().map(Reference::familiar)
    }

    /// The moment that documents have to have, which is the one that the image's configuration has.
    pub(super) fn created(&self) -> String {
        jiff::Timestamp::from_second(self.epoch.unwrap_or(0)).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::image::Digest;
    use std::sync::LazyLock;

    static DIGEST: LazyLock<BlobDigest> = LazyLock::new(|| BlobDigest(Digest::of(b"manifest")));
    static PLATFORM: LazyLock<Platform> = LazyLock::new(|| Platform::new("linux", "amd64", None));

    pub(in crate::attest) fn subject() -> Subject<'static> {
        Subject { digest: &DIGEST, names: &[], platform: &PLATFORM, epoch: Some(1_700_000_000) }
    }

    #[test]
    fn a_statement_names_its_subject_as_buildkit_does() {
        let read = |names: &[Reference]| {
            let made = Subject { names, ..subject() }.statement("https://example.org/x", "said").unwrap();
            String::from_utf8(made.bytes).unwrap()
        };
        let digest = format!(r#""digest":{{"sha256":"{}"}}"#, DIGEST.hex());
        let begin = r#"{"_type":"https://in-toto.io/Statement/v0.1","predicateType":"https://example.org/x","#;
        assert_eq!(read(&[]), format!(r#"{begin}"subject":[{{"name":"_",{digest}}}],"predicate":"said"}}"#));
        let named = read(&["app:1".parse().unwrap()]);
        assert!(named.contains(r#"{"name":"pkg:docker/app@1?platform=linux%2Famd64","#), "{named}");
    }
}
