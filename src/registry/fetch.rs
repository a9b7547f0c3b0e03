//! A blob from a registry into the store.

use super::{Client, Progress, RegistryError};
use crate::{
    image::Descriptor,
    store::{BlobWriter, Store, StoreError},
};
use flashbuild_frontend::reference::Reference;
use std::{
    io::{self, Write as _},
    pin::Pin,
    task::{Context, Poll},
};
use tokio::io::AsyncWrite;

impl Client {
    /// Brings a blob of the repository of `reference` into the store, if it is not there.
    pub async fn fetch_to_store(
        &self,
        reference: &Reference,
        descriptor: &Descriptor,
        store: &Store,
        progress: Progress<'_>,
    ) -> Result<(), RegistryError> {
        let failed = |error: StoreError| RegistryError::Sink {
            what: format!("{}@{}", reference.familiar(), descriptor.digest),
            cause: if matches!(error, StoreError::NoSpace { .. }) {
                io::Error::new(io::ErrorKind::StorageFull, error)
            } else {
                io::Error::other(error)
            },
        };
        if store.blob_size(&descriptor.digest).map_err(failed)?.is_some() {
            return Ok(());
        }
        let mut sink = Sink(store.blob_writer().map_err(failed)?);
        self.fetch_blob(reference, descriptor, &mut sink, progress).await?;
        sink.0.finish(Some(&descriptor.digest)).map(drop).map_err(failed)
    }
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
