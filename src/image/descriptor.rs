//! The pointer from one document to another, or to a blob.

use super::{BlobDigest, MediaType};
use flashbuild_frontend::platform::Platform;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a blob is, what it is called and how long it is (image-spec `descriptor.md`).
///
/// The digest is parsed, so a hostile one fails before a path or an address is made of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// Kind of bytes.
    pub media_type: MediaType,
    /// Name of the bytes.
    pub digest: BlobDigest,
    /// Number of bytes.
    pub size: u64,
    /// Machine that the image is for; in an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<DescriptorPlatform>,
    /// Remarks of whoever made the descriptor.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Other fields (`urls`, `data`, `artifactType`). `urls` is never followed: a blob comes from its registry.
    #[serde(flatten)]
    pub other: BTreeMap<String, serde_json::Value>,
}

impl Descriptor {
    /// The descriptor of `bytes`.
    pub fn of(media_type: MediaType, bytes: &[u8]) -> Self {
        Self::new(media_type, BlobDigest(super::Digest::of(bytes)), bytes.len() as u64)
    }

    /// A descriptor without optional fields.
    pub fn new(media_type: MediaType, digest: BlobDigest, size: u64) -> Self {
        Self { media_type, digest, size, platform: None, annotations: BTreeMap::new(), other: BTreeMap::new() }
    }

    /// The same, for `platform`.
    #[must_use]
    pub fn with_platform(self, platform: &Platform) -> Self {
        Self { platform: Some(platform.into()), ..self }
    }
}

/// The `platform` of a descriptor as it is written; [`DescriptorPlatform::normal`] compares.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DescriptorPlatform {
    /// Operating system, as Go names it.
    #[serde(default)]
    pub os: String,
    /// Architecture, as Go names it.
    #[serde(default)]
    pub architecture: String,
    /// Variant of the architecture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Other fields (`os.version`, `os.features`).
    #[serde(flatten)]
    pub other: BTreeMap<String, serde_json::Value>,
}

impl DescriptorPlatform {
    /// The platform in normal form.
    pub fn normal(&self) -> Platform {
        Platform::new(&self.os, &self.architecture, self.variant.as_deref())
    }
}

impl From<&Platform> for DescriptorPlatform {
    fn from(platform: &Platform) -> Self {
        Self {
            os: platform.os.clone(),
            architecture: platform.arch.clone(),
            variant: platform.variant.clone(),
            other: BTreeMap::new(),
        }
    }
}

/// Go writes `null` for a map that was never made.
pub(super) fn null_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::Descriptor;

    #[test]
    fn unknown_fields_survive() {
        let digest = super::super::Digest::of(b"").to_string();
        let text = format!(
            r#"{{"mediaType":"a/b","digest":"{digest}","size":0,"annotations":null,"urls":["https://x.example/"],
                "platform":{{"os":"windows","architecture":"amd64","os.version":"10"}}}}"#
        );
        let descriptor: Descriptor = serde_json::from_str(&text).unwrap();
        let again = serde_json::to_value(&descriptor).unwrap();
        assert_eq!(again["urls"][0], "https://x.example/");
        assert_eq!(again["platform"]["os.version"], "10");
        assert!(again.get("annotations").is_none());
    }

    #[test]
    fn hostile_digests_and_sizes_are_no_descriptors() {
        let good = super::super::Digest::of(b"").to_string();
        for (digest, size) in [
            ("sha256:../../x", "0"),
            (good.to_uppercase().as_str(), "0"),
            (&good[..70], "0"),
            ("sha999:00", "0"),
            (good.as_str(), "-1"),
            (good.as_str(), "1e40"),
        ] {
            let text = format!(r#"{{"mediaType":"a/b","digest":"{digest}","size":{size}}}"#);
            assert!(serde_json::from_str::<Descriptor>(&text).is_err(), "{text}");
        }
    }
}
