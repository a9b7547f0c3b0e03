//! What images are made of: digests, descriptors, platforms, documents. Types only, no I/O.
//!
//! | type | image-spec | Docker's equal |
//! |---|---|---|
//! | [`Descriptor`] | `descriptor.md`: media type, digest, size | the same fields |
//! | [`Manifest`] | `manifest.md`: one configuration and its layers | image manifest v2, schema 2 |
//! | [`Index`] | `image-index.md`: manifests, by platform | manifest list |
//! | [`Document`] | either of the two, told apart beyond doubt | |
//! | (`attestation`) | what is said about images, and how to tell it from them | |
//!
//! Whatever other tools put into a document survives a round trip. The bytes of a document are its identity: code
//! that passes a document on passes its bytes on, and never a second serialisation.

mod attestation;
mod descriptor;
mod digest;
mod document;
mod media_type;
mod select;

pub use attestation::{ATTESTATION_MANIFEST, PREDICATE_TYPE, STATEMENT, referrers_tag};
pub use descriptor::{Descriptor, DescriptorPlatform};
pub use digest::{BlobDigest, ContentDigest, DiffId, Digest, DigestError, Sha256};
pub use document::{Document, DocumentError, Index, Manifest};
pub use media_type::{
    DOCKER_CONFIG, DOCKER_LAYER, DOCKER_LAYER_GZIP, DOCKER_MANIFEST, DOCKER_MANIFEST_LIST, DocumentKind, MediaType,
    is_image_config,
};
pub use select::{candidates, runs_on};
