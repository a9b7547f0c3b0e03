//! Media types: what kind of bytes a descriptor points at.
//!
//! OCI's own have variants in [`MediaType`] (image-spec `media-types.md`). Docker's image manifest v2 schema 2 is the
//! same documents under other names, which registries and engines still use; those are `MediaType::Other`.

pub use oci_spec::image::MediaType;

/// Docker's name for an image manifest.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker's name for an image index.
pub const DOCKER_MANIFEST_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// Docker's name for an image configuration.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// Docker's name for an uncompressed layer.
pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
/// Docker's name for a layer compressed with gzip.
pub const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

/// The two documents that a registry keeps under the name of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DocumentKind {
    /// One image.
    Manifest,
    /// Images by platform.
    Index,
}

impl DocumentKind {
    /// Media types of documents, in the order in which we would like to be served.
    pub const ACCEPTED: [&str; 4] = [
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        DOCKER_MANIFEST_LIST,
        DOCKER_MANIFEST,
    ];

    /// The document that a media type names, if it names one.
    pub fn of(media_type: &MediaType) -> Option<Self> {
        match media_type.as_ref() {
            "application/vnd.oci.image.index.v1+json" | DOCKER_MANIFEST_LIST => Some(Self::Index),
            "application/vnd.oci.image.manifest.v1+json" | DOCKER_MANIFEST => Some(Self::Manifest),
            _ => None,
        }
    }

    /// OCI's media type of the document.
    pub fn media_type(self) -> MediaType {
        match self {
            Self::Manifest => MediaType::ImageManifest,
            Self::Index => MediaType::ImageIndex,
        }
    }
}

/// Whether a manifest's `config` of this type is the configuration of an image, and not of a chart, a signature or
/// another artifact (image-spec `manifest.md`, "Guidelines for Artifact Usage").
pub fn is_image_config(media_type: &MediaType) -> bool {
    matches!(media_type.as_ref(), "application/vnd.oci.image.config.v1+json" | DOCKER_CONFIG)
}
