//! What a file says beside its blobs.

use crate::{cache::CacheDocument, image::Descriptor, store::RecordKey};
use serde::{Deserialize, Serialize};

/// The media type of the configuration of a file's manifest.
pub(super) const CONFIG_TYPE: &str = "application/vnd.flashbuild.team.config.v1+json";
/// The media type of the artifacts of packages.
pub(super) const ARTIFACT_TYPE: &str = "application/vnd.flashbuild.artifact.v1";

/// What a file says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TeamDocument {
    /// Records and layers, as every cache has them.
    #[serde(flatten)]
    pub(super) cache: CacheDocument,
    /// What indexes of packages answered.
    pub(super) answers: Vec<Answer>,
    /// What names of images mean.
    pub(super) images: Vec<NamedImage>,
}

/// What an index of packages answered.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Answer {
    pub(super) key: RecordKey,
    /// As it is recorded: text.
    pub(super) value: String,
}

/// What a name of an image means.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct NamedImage {
    pub(super) name: String,
    /// An index of `manifests`, or the only one of them.
    pub(super) top: Descriptor,
    pub(super) manifests: Vec<Descriptor>,
}
