//! One blob to one repository.

use super::ExportError;
use crate::{
    image::Descriptor,
    registry::{BlobSource, Client, PushOutcome, RegistryError},
    store::{Place, Store},
};
use flashbuild_frontend::reference::{Reference, ReferenceError};
use std::path::PathBuf;

/// Told a blob's digest, and how many of its bytes have been sent of how many.
pub(super) type Progress<'a> = &'a (dyn Fn(&str, u64, u64) + Send + Sync);

/// Sends blobs to the repository of `name`.
pub(super) struct BlobPush<'a> {
    pub(super) client: &'a Client,
    pub(super) store: &'a Store,
    pub(super) name: &'a Reference,
    pub(super) progress: Progress<'a>,
}

impl BlobPush<'_> {
    /// Makes sure that the repository has a blob, whose bytes are at `source` if they are here. `before` is a repository
    /// of the same registry that has it.
    pub(super) async fn send(
        &self,
        descriptor: &Descriptor,
        source: Option<&BlobSource>,
        before: Option<&str>,
    ) -> Result<PushOutcome, ExportError> {
        let item = descriptor.digest.to_string();
        let told = |done| (self.progress)(&item, done, descriptor.size);
        let elsewhere = match before {
            Some(_) => Vec::new(),
            None => self.store.places(&descriptor.digest)?,
        };
        let is_near = |place: &&Place| place.registry == self.name.host() && place.repository != self.name.path();
        let mount_from = before.or(elsewhere.iter().find(is_near).map(|place| place.repository.as_str()));
        // Only an upload opens the source: what the registry has or mounts need not be here.
        let nowhere = BlobSource::File(PathBuf::new());
        let push = |source| self.client.push_blob(self.name, descriptor, source, mount_from, &told);
        match push(source.unwrap_or(&nowhere)).await.map_err(|error| (error, source)) {
            Err((RegistryError::Source { .. }, None)) => {
                let file = self.pull(descriptor).await?;
                Ok(push(&BlobSource::File(file)).await?)
            }
            result => Ok(result.map_err(|(error, _)| error)?),
        }
    }

    /// Brings a blob here that nobody wanted so far.
    async fn pull(&self, descriptor: &Descriptor) -> Result<PathBuf, ExportError> {
        let digest = descriptor.digest;
        let mut why = ExportError::BlobAbsent(digest);
        for place in self.store.places(&digest)? {
            let name = reference(&format!("{}/{}@{digest}", place.registry, place.repository))?;
            match self.client.fetch_to_store(&name, descriptor, self.store, &|_| ()).await {
                Ok(()) => return self.store.blob_path(&digest)?.ok_or(ExportError::BlobAbsent(digest)),
                Err(error) => why = error.into(),
            }
        }
        Err(why)
    }
}

/// Names by registry, and there by repository: whatever number of tags a repository gets, its blobs are sent once.
pub(super) fn by_registry<'a>(names: &[&'a Reference]) -> Vec<Vec<Vec<&'a Reference>>> {
    let mut registries: Vec<Vec<Vec<&Reference>>> = Vec::new();
    for name in names {
        let known = registries.iter().position(|repositories| repositories[0][0].host() == name.host());
        let known = known.unwrap_or_else(|| {
            registries.push(Vec::new());
            registries.len() - 1
        });
        let repositories = &mut registries[known];
        match repositories.iter_mut().find(|names| names[0].path() == name.path()) {
            Some(names) => names.push(name),
            None => repositories.push(vec![name]),
        }
    }
    registries
}

/// A name that is made of parts of others.
pub(super) fn reference(name: &str) -> Result<Reference, ExportError> {
    name.parse()
        .map_err(|error: ReferenceError| ExportError::Name { name: name.to_owned(), problem: error.to_string() })
}
