//! To registries: blobs, then manifests by digest, then what the tags lead to.
//!
//! Names are grouped by repository: whatever number of tags a repository gets, its blobs are looked at once. What is
//! done for a repository ends at the first of these that is enough:
//!
//! 1. Its tags lead to the image already: nothing.
//! 2. It has the image under another tag: the tags.
//! 3. The blobs that it lacks, linked from another repository of the registry where that is possible, and then the tags.
//!
//! Registries are served at the same time, the repositories of one after each other, so that the second links what the
//! first got.

use super::{Bundle, ExportError};
use crate::{
    image::{BlobDigest, Descriptor, DocumentKind},
    registry::{BlobSource, Client, PushOutcome, RegistryError},
    store::{Place, Store},
};
use bytes::Bytes;
use flashbuild_frontend::reference::{Reference, ReferenceError};
use futures_util::{
    future::{join_all, try_join_all},
    stream::{FuturesUnordered, TryStreamExt as _},
};
use std::{collections::BTreeMap, path::PathBuf};

/// What a push cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PushReport {
    /// Bytes of blobs that were sent.
    pub uploaded_bytes: u64,
    /// Blobs that a repository had.
    pub existed: usize,
    /// Blobs that a registry linked from another repository.
    pub mounted: usize,
    /// Tags that led to the image already.
    pub unchanged_tags: usize,
}

impl std::ops::AddAssign for PushReport {
    fn add_assign(&mut self, other: Self) {
        self.uploaded_bytes += other.uploaded_bytes;
        self.existed += other.existed;
        self.mounted += other.mounted;
        self.unchanged_tags += other.unchanged_tags;
    }
}

/// Told a blob's digest, and how many of its bytes have been sent of how many.
type Progress<'a> = &'a (dyn Fn(&str, u64, u64) + Send + Sync);

/// A blob, and its bytes if they are here.
type Blobs = BTreeMap<BlobDigest, (Descriptor, Option<BlobSource>)>;

/// Pushes an image under all of `names`, each tag last. A name without a tag and with a digest is pushed by digest.
///
/// A blob that is not in the store is no error as long as its registry has it or a repository that it was seen in
/// still does.
pub async fn push(
    client: &Client,
    store: &Store,
    bundle: &Bundle,
    names: &[Reference],
    progress: impl Fn(&str, u64, u64) + Send + Sync,
) -> Result<PushReport, ExportError> {
    let blobs = blobs(store, bundle)?;
    let mut registries: Vec<(&str, Vec<Repository<'_>>)> = Vec::new();
    for name in names {
        let known = registries.iter().position(|(host, _)| *host == name.host());
        let known = known.unwrap_or_else(|| {
            registries.push((name.host(), Vec::new()));
            registries.len() - 1
        });
        let repositories = &mut registries[known].1;
        if let Some(repository) = repositories.iter_mut().find(|repository| repository.path() == name.path()) {
            repository.names.push(name);
        } else {
            let names = vec![name];
            repositories.push(Repository { client, store, bundle, blobs: &blobs, names, progress: &progress });
        }
    }
    let pushes = registries.iter().map(|(_, repositories)| async move {
        let (mut report, mut before) = (PushReport::default(), None);
        for repository in repositories {
            report += repository.push(before).await?;
            before = before.or(Some(repository.path()));
        }
        Ok::<_, ExportError>(report)
    });
    // A registry that is down does not keep the others from getting the image.
    let mut total = PushReport::default();
    for report in join_all(pushes).await {
        total += report?;
    }
    Ok(total)
}

fn blobs(store: &Store, bundle: &Bundle) -> Result<Blobs, ExportError> {
    let located = bundle.blobs.iter().map(|(digest, (descriptor, bytes))| {
        let source = match bytes {
            Some(bytes) => Some(BlobSource::Bytes(bytes.clone())),
            None => store.blob_path(digest)?.map(BlobSource::File),
        };
        Ok((*digest, (descriptor.clone(), source)))
    });
    located.collect()
}

/// A repository, and the names in it that the image gets.
struct Repository<'a> {
    client: &'a Client,
    store: &'a Store,
    bundle: &'a Bundle,
    blobs: &'a Blobs,
    names: Vec<&'a Reference>,
    progress: Progress<'a>,
}

impl Repository<'_> {
    fn path(&self) -> &str {
        self.names[0].path()
    }

    fn host(&self) -> &str {
        self.names[0].host()
    }

    /// `before` is a repository of the registry that has all blobs.
    async fn push(&self, before: Option<&str>) -> Result<PushReport, ExportError> {
        let digest = self.bundle.top.digest;
        let pinned = self.pinned(&digest)?;
        let asked = self.names.iter().copied().chain([&pinned]).map(|name| self.client.names(name, &digest));
        let mut there = try_join_all(asked).await?;
        let is_known = there.pop().unwrap_or_default();
        let missing: Vec<&Reference> =
            self.names.iter().zip(there).filter(|(_, there)| !there).map(|(name, _)| *name).collect();
        let mut report = PushReport { unchanged_tags: self.names.len() - missing.len(), ..PushReport::default() };
        if missing.is_empty() {
            return Ok(report);
        }
        // A registry may know a manifest whose blobs it has lost; it says so when the manifest comes again.
        if !is_known || self.tag(&missing).await.is_err() {
            report += self.send(before).await?;
            self.tag(&missing).await?;
        }
        let digests: Vec<BlobDigest> = self.blobs.keys().copied().collect();
        self.store.note_places(self.host(), self.path(), &digests)?;
        Ok(report)
    }

    /// All that the tags lead to.
    async fn send(&self, before: Option<&str>) -> Result<PushReport, ExportError> {
        let pushes = self.blobs.values().map(|(descriptor, source)| self.blob(descriptor, source.as_ref(), before));
        let mut pushes: FuturesUnordered<_> = pushes.collect();
        let mut report = PushReport::default();
        while let Some(outcome) = pushes.try_next().await? {
            match outcome {
                PushOutcome::Existed => report.existed += 1,
                PushOutcome::Mounted => report.mounted += 1,
                PushOutcome::Uploaded { bytes } => report.uploaded_bytes += bytes,
            }
        }
        drop(pushes);
        // An index has to come after what it points at.
        let (manifests, indexes): (Vec<_>, Vec<_>) =
            self.bundle.documents.iter().partition(|(document, _)| is_manifest(document));
        try_join_all(manifests.into_iter().map(|(document, bytes)| self.document(document, bytes))).await?;
        for (document, bytes) in indexes {
            self.document(document, bytes).await?;
        }
        Ok(report)
    }

    async fn tag(&self, names: &[&Reference]) -> Result<(), ExportError> {
        let Bundle { top, bytes, .. } = self.bundle;
        let tags = names.iter().map(|name| self.client.push_manifest(name, &top.media_type, bytes.clone()));
        try_join_all(tags).await?;
        Ok(())
    }

    async fn blob(
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
        let is_near = |place: &&Place| place.registry == self.host() && place.repository != self.path();
        let mount_from = before.or(elsewhere.iter().find(is_near).map(|place| place.repository.as_str()));
        // Only an upload opens the source: what the registry has or mounts need not be here.
        let nowhere = BlobSource::File(PathBuf::new());
        let push = |source| self.client.push_blob(self.names[0], descriptor, source, mount_from, &told);
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

    /// Writes a manifest or an index under its digest alone.
    async fn document(&self, document: &Descriptor, bytes: &Bytes) -> Result<(), ExportError> {
        let name = self.pinned(&document.digest)?;
        self.client.push_manifest(&name, &document.media_type, bytes.clone()).await?;
        Ok(())
    }

    fn pinned(&self, digest: &BlobDigest) -> Result<Reference, ExportError> {
        reference(&format!("{}/{}@{digest}", self.host(), self.path()))
    }
}

fn is_manifest(document: &Descriptor) -> bool {
    DocumentKind::of(&document.media_type) == Some(DocumentKind::Manifest)
}

fn reference(name: &str) -> Result<Reference, ExportError> {
    name.parse()
        .map_err(|error: ReferenceError| ExportError::Name { name: name.to_owned(), problem: error.to_string() })
}
