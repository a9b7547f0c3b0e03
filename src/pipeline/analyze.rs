//! What is in an image.

use super::{BuildError, OpenImage};
use crate::{
    image::DiffId,
    optimize::analyze::{Analysis, Files, Subject},
    store::Store,
};
use flashbuild_frontend::reference::Reference;

/// Looks into an image that was opened with its files.
pub fn analyze(store: &Store, name: &Reference, image: &OpenImage) -> Result<Analysis, BuildError> {
    let compressed: Vec<u64> = image.blobs.iter().map(|blob| blob.size).collect();
    let name = name.familiar();
    let subject = subject(&name, image, &compressed, base_of(store, &image.layers)?);
    Analysis::of(subject).map_err(|error| BuildError::Environment(error.to_string()))
}

/// The files of such an image, to be looked through.
pub fn files(image: &OpenImage) -> Result<Files, BuildError> {
    Files::of(&subject("", image, &[], 0)).map_err(|error| BuildError::Environment(error.to_string()))
}

fn subject<'a>(name: &'a str, image: &'a OpenImage, compressed: &'a [u64], base: usize) -> Subject<'a> {
    Subject {
        name,
        config: &image.config,
        diff_ids: &image.layers,
        compressed,
        view: &image.files,
        layers: &image.store,
        base,
    }
}

/// How many of these layers came with the image that this one was built on: as many as the largest image of the store that it
/// begins with. If there is none, the lowest layer.
pub(super) fn base_of(store: &Store, layers: &[DiffId]) -> Result<usize, BuildError> {
    let mut base = layers.len().saturating_sub(1).min(1);
    for row in store.images()? {
        let Ok(reference) = row.name.parse::<Reference>() else { continue };
        // An image that cannot be read is no base.
        let Ok(Some(image)) = super::inspect(store, &reference) else { continue };
        for image in image.images {
            let known = &image.config.rootfs.diff_ids;
            let begins = known.len() < layers.len() && known.iter().zip(layers).all(|(a, b)| *a == b.to_string());
            if begins {
                base = base.max(known.len());
            }
        }
    }
    Ok(base)
}
