//! An image that exists, opened to look into it.

use super::BuildError;
use crate::{
    exec::{Need, Sources},
    image::{Descriptor, DiffId},
    layer::{Layers, OverlayXattrs, View},
    registry::Client,
    resolve,
    store::Store,
};
use flashbuild_frontend::{config::ImageConfig, platform::Platform, reference::Reference};
use std::{collections::BTreeMap, sync::Arc};

/// One image of one platform. Of its layers, what is in them is at hand, and whatever else was asked for.
pub struct OpenImage {
    /// Its configuration.
    pub config: ImageConfig,
    /// Its layers, lowest first.
    pub layers: Vec<DiffId>,
    /// All of them as one tree.
    pub files: View,
    /// The blobs of its layers, as its manifest has them.
    pub blobs: Vec<Descriptor>,
    /// Where its layers are.
    pub store: Layers,
}

/// Opens the image of a name: the local store's, else its registry's. What is `need`ed of its layers is fetched.
pub async fn open(
    store: &Store,
    client: &Client,
    reference: &Reference,
    platform: &Platform,
    need: Need,
) -> Result<OpenImage, BuildError> {
    let pinned = resolve::resolve(store, client, reference, platform, false).await.map_err(|error| {
        BuildError::Environment(format!("cannot find image {} for {platform}: {error}", reference.familiar()))
    })?;
    let layers = Layers::new(store.clone(), OverlayXattrs::of_this_process());
    let digest = pinned.image.digest;
    let diff_ids: Vec<DiffId> = pinned.source.layers.iter().map(|(diff_id, _)| *diff_id).collect();
    let blobs = pinned.source.layers.iter().map(|(_, blob)| blob.clone()).collect();
    let broken = |error: &dyn std::fmt::Display| {
        BuildError::Environment(format!("cannot read image {}: {error}", reference.familiar()))
    };
    let sources = Sources::new(client.clone(), BTreeMap::from([(digest, pinned.source)]), &layers, Arc::default())
        .map_err(|error| broken(&error))?;
    sources.bring(&layers, &diff_ids, need.max(Need::Tables), None).await.map_err(|error| broken(&error))?;
    let files = tokio::task::block_in_place(|| layers.view(&diff_ids)).map_err(|error| broken(&error))?;
    Ok(OpenImage { config: pinned.image.config, layers: diff_ids, files, blobs, store: layers })
}
