//! `Image`: the layers of a manifest.

use super::{Exec, ExecError, Product};
use crate::{
    image::{Descriptor, DiffId},
    registry::Client,
    resolve::Source,
    solver::event::Step,
    store::BlobWriter,
};
use flashbuild_frontend::{graph::ImageOp, reference::Reference};
use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::io::AsyncWrite;

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
    let item: String = blob.digest.to_string().chars().take(19).collect();
    let total = Some(blob.size);
    let mut sink = Sink(exec.store.blob_writer()?);
    exec.sources.client.fetch_blob(reference, blob, &mut sink, &|done| step.transfer(&item, done, total)).await?;
    sink.0.finish(Some(&blob.digest))?;
    Ok(())
}

/// Writes what arrives straight to the store: a chunk is small, and the page cache takes it without waiting.
struct Sink(BlobWriter);

impl AsyncWrite for Sink {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(self.0.write(bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.0.flush())
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
