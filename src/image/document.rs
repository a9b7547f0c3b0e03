//! Manifests and indexes, and how to tell them apart.
//!
//! A registry says what a document is three times: in the `Content-Type` of its answer, in the document's own
//! `mediaType`, and in its shape. Two readers that trust different ones see two images under one digest
//! (CVE-2021-41190), so [`Document::parse`] accepts a document only if everything that is said agrees:
//!
//! | `Content-Type` | `mediaType` | `manifests` | `layers`, `config` | read as |
//! |---|---|---|---|---|
//! | any | any | yes | yes | refused |
//! | a document's | another one | | | refused |
//! | index | index or none | yes | no | index |
//! | manifest | manifest or none | no | yes | manifest |
//! | generic (`application/json`) | index, manifest | must fit | must fit | what `mediaType` says |
//! | generic | none | yes, no | no, yes | what its shape says |

use super::descriptor::null_default;
use super::{Descriptor, DocumentKind, MediaType};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One image: its configuration and its layers, lowest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// OCI allows its absence, Docker does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<MediaType>,
    /// The configuration.
    pub config: Descriptor,
    /// The layers.
    #[serde(default, deserialize_with = "null_default")]
    pub layers: Vec<Descriptor>,
    /// Remarks of whoever made the image.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Other fields (`subject`, `artifactType`).
    #[serde(flatten)]
    pub other: BTreeMap<String, serde_json::Value>,
}

/// Images by platform.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// OCI allows its absence, Docker does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<MediaType>,
    /// The images, or further indexes.
    #[serde(default, deserialize_with = "null_default")]
    pub manifests: Vec<Descriptor>,
    /// Remarks of whoever made the index.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Other fields (`subject`, `artifactType`).
    #[serde(flatten)]
    pub other: BTreeMap<String, serde_json::Value>,
}

/// What the name of an image leads to.
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::large_enum_variant)] // there are a handful of them, never a list
pub enum Document {
    /// One image.
    Manifest(Manifest),
    /// Images by platform.
    Index(Index),
}

/// Why bytes are neither a manifest nor an index.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// Not JSON, or a field is malformed.
    #[error("malformed document: {0}")]
    Json(#[from] serde_json::Error),
    /// It has the parts of both (CVE-2021-41190).
    #[error("it is an image manifest and an image index at once")]
    Ambiguous,
    /// Two statements about its type differ.
    #[error("it is served as {served}, but says that it is {stated}")]
    Contradiction {
        /// What the registry, or the descriptor that led here, said.
        served: String,
        /// What the document says.
        stated: String,
    },
    /// It is of a type that has not the parts found in it.
    #[error("it says that it is {0}, but has not the fields of one")]
    Shape(String),
    /// A type that is no image.
    #[error("{0} is not a type of image")]
    Unsupported(String),
    /// Docker's first format.
    #[error(
        "it is in Docker's schema 1 format, which holds no digests of layers; push the image again with a current tool"
    )]
    Schema1,
}

/// The fields by which documents are told apart, whatever is in them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    #[serde(default)]
    schema_version: u32,
    media_type: Option<MediaType>,
    manifests: Option<serde::de::IgnoredAny>,
    config: Option<serde::de::IgnoredAny>,
    layers: Option<serde::de::IgnoredAny>,
    fs_layers: Option<serde::de::IgnoredAny>,
}

impl Document {
    /// Reads a document that was served as `content_type` (`None`: the source does not know types).
    ///
    /// Returns the media type that holds for it, beside the document.
    pub fn parse(bytes: &[u8], content_type: Option<&str>) -> Result<(MediaType, Self), DocumentError> {
        let shape: Shape = serde_json::from_slice(bytes)?;
        if shape.schema_version == 1 || shape.fs_layers.is_some() {
            return Err(DocumentError::Schema1);
        }
        let is_index = shape.manifests.is_some();
        let is_manifest = shape.config.is_some() || shape.layers.is_some();
        if is_index && is_manifest {
            return Err(DocumentError::Ambiguous);
        }
        let served = content_type.map(essence).filter(|essence| !is_generic(essence));
        let media_type = match (served, shape.media_type) {
            (Some(served), Some(stated)) if served != stated.as_ref() => {
                return Err(DocumentError::Contradiction { served, stated: stated.to_string() });
            }
            (_, Some(stated)) => stated,
            (Some(served), None) => MediaType::from(served.as_str()),
            (None, None) if is_index => MediaType::ImageIndex,
            (None, None) => MediaType::ImageManifest,
        };
        match DocumentKind::of(&media_type) {
            Some(DocumentKind::Index) if is_index => Ok((media_type, Self::Index(serde_json::from_slice(bytes)?))),
            Some(DocumentKind::Manifest) if is_manifest => {
                Ok((media_type, Self::Manifest(serde_json::from_slice(bytes)?)))
            }
            Some(_) => Err(DocumentError::Shape(media_type.to_string())),
            None => Err(DocumentError::Unsupported(media_type.to_string())),
        }
    }
}

/// A content type without its parameters, in lower case (RFC 9110, 8.3.1).
fn essence(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Types that simple file servers give to any JSON.
fn is_generic(essence: &str) -> bool {
    matches!(essence, "" | "application/json" | "text/plain" | "application/octet-stream" | "binary/octet-stream")
}

#[cfg(test)]
mod tests {
    use super::{Document, DocumentKind};
    use crate::image::{DOCKER_MANIFEST, DOCKER_MANIFEST_LIST, Digest};

    const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
    const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

    fn read(content_type: Option<&str>, fields: &str) -> String {
        let digest = Digest::of(b"");
        let descriptor = format!(r#"{{"mediaType":"a/b","digest":"{digest}","size":0}}"#);
        let text = format!(r#"{{"schemaVersion":2,{}}}"#, fields.replace('D', &descriptor));
        match Document::parse(text.as_bytes(), content_type) {
            Ok((media_type, document)) => {
                let kind = match document {
                    Document::Manifest(_) => DocumentKind::Manifest,
                    Document::Index(_) => DocumentKind::Index,
                };
                assert_eq!(DocumentKind::of(&media_type), Some(kind));
                format!("{kind:?} {media_type}")
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn what_is_said_about_a_document_has_to_agree() {
        let manifest = r#""config":D,"layers":[D]"#;
        let index = r#""manifests":[D]"#;
        let typed = |media_type: &str, fields: &str| format!(r#""mediaType":"{media_type}",{fields}"#);
        let utf8 = format!("{OCI_MANIFEST}; charset=utf-8");
        for (content_type, fields, expected) in [
            (Some(OCI_MANIFEST), manifest.to_owned(), format!("Manifest {OCI_MANIFEST}")),
            (Some(&*utf8), manifest.to_owned(), format!("Manifest {OCI_MANIFEST}")),
            (Some("application/json"), typed(DOCKER_MANIFEST, manifest), format!("Manifest {DOCKER_MANIFEST}")),
            (Some(DOCKER_MANIFEST_LIST), typed(DOCKER_MANIFEST_LIST, index), format!("Index {DOCKER_MANIFEST_LIST}")),
            (None, index.to_owned(), format!("Index {OCI_INDEX}")),
            (None, manifest.to_owned(), format!("Manifest {OCI_MANIFEST}")),
            (
                Some(OCI_MANIFEST),
                format!("{manifest},{index}"),
                "it is an image manifest and an image index at once".to_owned(),
            ),
            (
                Some(OCI_INDEX),
                typed(OCI_MANIFEST, manifest),
                format!("it is served as {OCI_INDEX}, but says that it is {OCI_MANIFEST}"),
            ),
            (
                Some(OCI_INDEX),
                manifest.to_owned(),
                format!("it says that it is {OCI_INDEX}, but has not the fields of one"),
            ),
            (
                None,
                r#""other":1"#.to_owned(),
                format!("it says that it is {OCI_MANIFEST}, but has not the fields of one"),
            ),
            (Some("text/html"), manifest.to_owned(), "text/html is not a type of image".to_owned()),
        ] {
            assert_eq!(read(content_type, &fields), expected, "{content_type:?} {fields}");
        }
        assert!(read(None, r#""fsLayers":[]"#).contains("schema 1"));
    }

    #[test]
    fn deep_and_broken_json_is_an_error() {
        let deep = format!(r#"{{"schemaVersion":2,"manifests":[],"x":{}"#, "[".repeat(100_000));
        for text in ["", "[]", "{", "\u{0}", &deep] {
            assert!(Document::parse(text.as_bytes(), None).is_err());
        }
    }
}
