//! `Image`: the layers of a manifest.

use super::{Exec, ExecError, Product};
use crate::{
    image::{Descriptor, DiffId},
    registry::Client,
    resolve::Source,
    solver::event::Step,
};
use flashbuild_frontend::{graph::ImageOp, reference::Reference};
use std::{collections::BTreeMap, sync::Arc};
use tokio::io::AsyncWriteExt as _;

/// Where the images of a build come from, by the digest of their manifest.
pub struct Sources {
    /// How registries are asked.
    pub client: Client,
    /// What was resolved.
    pub images: BTreeMap<String, Source>,
}

/// Brings what is missing of an image's layers into the store.
pub(super) async fn pull(exec: &Exec, op: &ImageOp, step: &Step) -> Result<Product, ExecError> {
    let source = exec.sources.images.get(&op.digest).ok_or(ExecError::Internal("an image was not resolved"))?;
    let mut below: Vec<DiffId> = Vec::new();
    let missing = source.layers.iter().filter(|(_, blob)| matches!(exec.store.blob_path(&blob.digest), Ok(None)));
    futures_util::future::try_join_all(missing.map(|(_, blob)| fetch(exec, &source.reference, blob, step))).await?;
    for (diff_id, blob) in &source.layers {
        exec.layers.pulled(diff_id, &below, &blob.digest, blob.size, blob.media_type.as_ref())?;
        below.push(*diff_id);
    }
    // The tables are what later steps ask; making them checks each layer against its diff ID.
    tokio::task::block_in_place(|| exec.layers.view(&below))?;
    Ok(Product::Tree(Arc::new(below)))
}

async fn fetch(exec: &Exec, reference: &Reference, blob: &Descriptor, step: &Step) -> Result<(), ExecError> {
    let mut sink = Vec::new();
    let item: String = blob.digest.to_string().chars().take(19).collect();
    let total = Some(blob.size);
    exec.sources.client.fetch_blob(reference, blob, &mut sink, &|done| step.transfer(&item, done, total)).await?;
    sink.flush().await.ok();
    tokio::task::block_in_place(|| {
        let mut writer = exec.store.blob_writer()?;
        std::io::Write::write_all(&mut writer, &sink)
            .map_err(|error| crate::store::StoreError::at(exec.store.root(), error))?;
        writer.finish(Some(&blob.digest))
    })?;
    Ok(())
}
