//! What an image's documents are to be like, whatever is in its layers.

use crate::{
    image::{DOCKER_CONFIG, DOCKER_LAYER, DOCKER_LAYER_GZIP, DOCKER_MANIFEST, DOCKER_MANIFEST_LIST, MediaType},
    layer::{Algorithm, Compression},
};
use flashbuild_frontend::platform::Platform;
use std::collections::BTreeMap;

/// What an image's documents are to be like.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImageOptions {
    /// How layers are compressed.
    pub compression: Compression,
    /// Layers of base images, too. Else they stay the blobs that registries have.
    pub force_compression: bool,
    /// Docker's names of media types in place of OCI's.
    pub docker_types: bool,
    /// Remarks.
    pub annotations: Vec<Annotation>,
}

/// A remark, and where it goes (image-spec `annotations.md`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Annotation {
    /// Which document has it.
    pub level: AnnotationLevel,
    /// Only the image of this platform.
    pub platform: Option<Platform>,
    /// Its name.
    pub key: String,
    /// What it says.
    pub value: String,
}

/// Which document has an annotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnnotationLevel {
    /// The manifest of an image.
    Manifest,
    /// What the index says of a manifest.
    ManifestDescriptor,
    /// The index.
    Index,
    /// What a layout says of the index.
    IndexDescriptor,
}

impl ImageOptions {
    /// The annotations of a level, for a platform.
    pub(super) fn annotations(&self, level: AnnotationLevel, platform: Option<&Platform>) -> BTreeMap<String, String> {
        let applies = |annotation: &&Annotation| {
            annotation.level == level && annotation.platform.as_ref().is_none_or(|wanted| Some(wanted) == platform)
        };
        let pair = |annotation: &Annotation| (annotation.key.clone(), annotation.value.clone());
        self.annotations.iter().filter(applies).map(pair).collect()
    }

    pub(super) fn manifest_type(&self) -> MediaType {
        if self.docker_types { DOCKER_MANIFEST.into() } else { MediaType::ImageManifest }
    }

    pub(super) fn index_type(&self) -> MediaType {
        if self.docker_types { DOCKER_MANIFEST_LIST.into() } else { MediaType::ImageIndex }
    }

    pub(super) fn config_type(&self) -> MediaType {
        if self.docker_types { DOCKER_CONFIG.into() } else { MediaType::ImageConfig }
    }

    /// The type of a layer that came, or was made, as `media_type`: the bytes are the same. Docker has no name for zstd.
    pub(super) fn layer_type(&self, media_type: &str) -> MediaType {
        match (Algorithm::of_media_type(media_type), self.docker_types) {
            (None, _) => media_type.into(),
            (Some(Algorithm::Gzip), true) => DOCKER_LAYER_GZIP.into(),
            (Some(Algorithm::None), true) => DOCKER_LAYER.into(),
            (Some(known), _) => known.media_type().into(),
        }
    }
}
