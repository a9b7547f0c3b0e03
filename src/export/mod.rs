//! Images on their way out.
//!
//! 1. [`assemble()`] makes the documents: a configuration and a manifest for each platform, and an index if there are
//!    several. What comes out is a value; every destination takes the same one.
//! 2. Then, by destination:
//!
//! | destination | by | blobs that are not here |
//! |---|---|---|
//! | the local store, by name | [`save`] | stay where they are |
//! | an OCI layout, as archive or folder | [`write_archive`], [`write_folder`] | an error |
//! | a registry | [`push`] | fine if the registry has or can mount them, else an error |
//! | plain files | [`write_tree`] | pulled layers have to be here |
//!
//! Equal layers and configurations give equal bytes: no clock and no order of threads is in them.

mod assemble;
mod error;
mod local;
mod oci;
mod registry;

#[cfg(test)]
mod tests;

pub use assemble::assemble;
pub use error::ExportError;
pub use local::write_tree;
pub use oci::{write_archive, write_folder};
pub use registry::{PushReport, push};

use crate::{
    image::{BlobDigest, Descriptor, DiffId},
    store::{LayerBlob, Store},
};
use flashbuild_frontend::platform::Platform;
use std::collections::BTreeMap;

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

/// What a build results in: images by platform, or the only one.
#[derive(Debug, Clone)]
pub struct BuiltIndex {
    /// The images, in the order in which they were asked for.
    pub images: Vec<BuiltImage>,
    /// What the image's name leads to: the index, or the manifest of the only image.
    pub descriptor: Descriptor,
    /// The bytes of that.
    pub bytes: Vec<u8>,
    /// Whether it is an index.
    pub is_index: bool,
}

/// Where the bytes of a blob are.
#[derive(Clone, Copy)]
enum Bytes<'a> {
    Memory(&'a [u8]),
    Store,
}

impl BuiltIndex {
    /// The documents, each once: configurations, manifests, the index.
    fn documents(&self) -> BTreeMap<BlobDigest, (u64, Bytes<'_>)> {
        let of = |descriptor: &Descriptor, bytes| (descriptor.digest, (descriptor.size, Bytes::Memory(bytes)));
        let images = self.images.iter();
        let documents = images
            .flat_map(|image| [of(&image.config, &image.config_bytes), of(&image.manifest, &image.manifest_bytes)]);
        documents.chain([of(&self.descriptor, &self.bytes)]).collect()
    }

    /// All blobs, each once, whatever number of platforms has them; sorted by digest.
    fn blobs(&self) -> BTreeMap<BlobDigest, (u64, Bytes<'_>)> {
        let layers = self.images.iter().flat_map(|image| &image.layers);
        let mut blobs: BTreeMap<_, _> = layers.map(|(_, blob)| (blob.digest, (blob.size, Bytes::Store))).collect();
        blobs.extend(self.documents());
        blobs
    }
}

/// Keeps the documents of `built` in the store, and gives it `names` there.
pub fn save(store: &Store, built: &BuiltIndex, names: &[String]) -> Result<(), ExportError> {
    for (_, bytes) in built.documents().into_values() {
        if let Bytes::Memory(bytes) = bytes {
            store.put_blob(bytes)?;
        }
    }
    let descriptor = serde_json::to_string(&built.descriptor)?;
    names.iter().try_for_each(|name| Ok(store.put_image(name, &descriptor)?))
}
