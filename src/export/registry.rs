//! To a registry: blobs, then manifests by digest, then what the tag leads to.

use super::{BuiltIndex, ExportError, assemble::describe};
use crate::{
    image::{BlobDigest, Descriptor},
    registry::{BlobSource, Client, PushOutcome, RegistryError},
    store::Store,
};
use bytes::Bytes;
use flashbuild_frontend::reference::{Reference, ReferenceError};
use futures_util::stream::{FuturesUnordered, TryStreamExt as _};
use std::{
    collections::{BTreeMap, btree_map::Entry},
    path::PathBuf,
};

/// What a push cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PushReport {
    /// Bytes of blobs that were sent.
    pub uploaded_bytes: u64,
    /// Blobs that the repository had.
    pub existed: usize,
    /// Blobs that the registry linked from another repository.
    pub mounted: usize,
}

/// Pushes `built` to the repository of `reference`, and gives it its tag last.
///
/// `mount_from` says in which repositories of the same registry blobs are, as far as we know. `progress` is told a
/// blob's digest, and how many bytes of how many have been sent. A blob that is not in the store is no error as long as
/// the registry has it.
pub async fn push(
    client: &Client,
    store: &Store,
    built: &BuiltIndex,
    reference: &Reference,
    mount_from: &BTreeMap<BlobDigest, String>,
    progress: impl Fn(&str, u64, u64) + Send + Sync,
) -> Result<PushReport, ExportError> {
    let mut blobs: BTreeMap<BlobDigest, (Descriptor, Option<BlobSource>)> = BTreeMap::new();
    for image in &built.images {
        let config = BlobSource::Bytes(Bytes::from(image.config_bytes.clone()));
        blobs.insert(image.config.digest, (image.config.clone(), Some(config)));
        for (_, blob) in &image.layers {
            if let Entry::Vacant(new) = blobs.entry(blob.digest) {
                let source = store.blob_path(&blob.digest)?.map(BlobSource::File);
                new.insert((describe(blob), source));
            }
        }
    }
    let destination = Destination { client, reference, mount_from, progress: &progress };
    let mut pushes: FuturesUnordered<_> =
        blobs.values().map(|(descriptor, source)| destination.blob(descriptor, source.as_ref())).collect();
    let mut report = PushReport::default();
    while let Some(outcome) = pushes.try_next().await? {
        match outcome {
            PushOutcome::Existed => report.existed += 1,
            PushOutcome::Mounted => report.mounted += 1,
            PushOutcome::Uploaded { bytes } => report.uploaded_bytes += bytes,
        }
    }
    drop(pushes);
    if built.is_index {
        let manifests: FuturesUnordered<_> =
            built.images.iter().map(|image| destination.manifest(&image.manifest, &image.manifest_bytes)).collect();
        manifests.try_collect::<()>().await?;
    }
    client.push_manifest(reference, &built.descriptor.media_type, Bytes::from(built.bytes.clone())).await?;
    Ok(report)
}

/// Where a push goes.
struct Destination<'a> {
    client: &'a Client,
    reference: &'a Reference,
    mount_from: &'a BTreeMap<BlobDigest, String>,
    progress: &'a (dyn Fn(&str, u64, u64) + Send + Sync),
}

impl Destination<'_> {
    async fn blob(&self, descriptor: &Descriptor, source: Option<&BlobSource>) -> Result<PushOutcome, ExportError> {
        let item = descriptor.digest.to_string();
        let told = |done| (self.progress)(&item, done, descriptor.size);
        let mount_from = self.mount_from.get(&descriptor.digest).map(String::as_str);
        // Only an upload opens the source: what the registry has or mounts need not be here.
        let nowhere = BlobSource::File(PathBuf::new());
        let pushed = self.client.push_blob(self.reference, descriptor, source.unwrap_or(&nowhere), mount_from, &told);
        match pushed.await {
            Err(error) if source.is_none() && matches!(error, RegistryError::Source { .. }) => {
                Err(ExportError::BlobAbsent(descriptor.digest))
            }
            result => Ok(result?),
        }
    }

    /// Writes a manifest under its digest alone.
    async fn manifest(&self, manifest: &Descriptor, bytes: &[u8]) -> Result<(), ExportError> {
        let name = format!("{}/{}@{}", self.reference.host(), self.reference.path(), manifest.digest);
        let reference = name
            .parse::<Reference>()
            .map_err(|error: ReferenceError| ExportError::Name { name: name.clone(), problem: error.to_string() })?;
        self.client.push_manifest(&reference, &manifest.media_type, Bytes::copy_from_slice(bytes)).await?;
        Ok(())
    }
}
