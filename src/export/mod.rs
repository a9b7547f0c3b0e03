//! Images on their way out.
//!
//! 1. [`assemble()`] makes the documents: a configuration and a manifest for each platform, and an index if there are
//!    several. What comes out is a value.
//!    What is said of the images comes with them ([`Attestations`]).
//! 2. As a [`Bundle`], it or any image of the store goes to its destinations:
//!
//! | destination | by | blobs that are not here |
//! |---|---|---|
//! | the local store, by name | [`Bundle::save`] | stay where they are |
//! | a layout of OCI or Docker, as archive or folder | [`write_archive`], [`write_folder`] | an error |
//! | a container engine | such an archive, by [`load`] | an error |
//! | containerd, for one of its namespaces | [`send_to_containerd`] (feature `containerd`) | an error |
//! | a registry | [`push`] | fine if the registry has or can mount them, else an error |
//! | plain files, as folder or tar | [`write_tree`], [`write_tarball`] | pulled layers have to be here |
//!
//! 3. Layers that are certain to be in an image go to registries while later steps still run ([`Ahead`]).
//!
//! Equal layers and configurations give equal bytes: no clock and no order of threads is in them.

mod ahead;
mod assemble;
mod attestation;
mod blob;
mod bundle;
mod containerd;
mod engine;
mod error;
mod local;
mod oci;
mod options;
mod registry;
mod tarball;

#[cfg(test)]
mod tests;

pub use ahead::{Ahead, Sent};
pub use assemble::assemble;
pub use attestation::{AttestationForm, Attestations, BuiltAttestation, Referrer, Statement, forget_referrers, refer};
pub use bundle::Bundle;
pub use containerd::{Containerd, send_to_containerd};
pub use engine::{engine_socket, load};
pub use error::ExportError;
pub use local::{HardLinks, write_tree};
pub use oci::{Layout, write_archive, write_folder};
pub use options::{Annotation, AnnotationLevel, ImageOptions};
pub use registry::{PushReport, push};
pub use tarball::write_tarball;

use crate::{
    image::{Descriptor, DiffId},
    store::LayerBlob,
};
use flashbuild_frontend::platform::Platform;

/// An image of one platform.
#[derive(Debug, Clone)]
pub struct BuiltImage {
    /// Machine that it is for.
    pub platform: Platform,
    /// Its manifest, with the platform.
    pub manifest: Descriptor,
    /// The manifest as it is stored and transferred.
    pub manifest_bytes: Vec<u8>,
    /// Its configuration.
    pub config: Descriptor,
    /// The configuration as it is stored and transferred.
    pub config_bytes: Vec<u8>,
    /// Its layers, lowest first, none of them empty.
    pub layers: Vec<(DiffId, LayerBlob)>,
}

#[cfg(feature = "containerd")]
impl BuiltImage {
    /// What describes its layers, lowest first.
    fn layer_descriptors(&self) -> Vec<Descriptor> {
        self.layers.iter().map(|(_, blob)| assemble::describe(blob)).collect()
    }
}

/// What a build results in: images by platform, or the only one.
#[derive(Debug, Clone)]
pub struct BuiltIndex {
    /// The images, in the order in which they were asked for.
    pub images: Vec<BuiltImage>,
    /// What is said of them.
    pub attestations: Vec<BuiltAttestation>,
    /// What the image's name leads to: the index, or the manifest of the only image.
    pub descriptor: Descriptor,
    /// The bytes of that.
    pub bytes: Vec<u8>,
    /// Whether it is an index.
    pub is_index: bool,
}
