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

use super::{
    Bundle, ExportError, Referrer, Sent,
    blob::{BlobPush, by_registry, reference},
};
use crate::{
    image::{BlobDigest, Descriptor, DocumentKind},
    registry::{BlobSource, Client, PushOutcome},
    store::Store,
};
use bytes::Bytes;
use flashbuild_frontend::reference::Reference;
use futures_util::{
    future::{join_all, try_join_all},
    stream::{FuturesUnordered, TryStreamExt as _},
};
use std::collections::BTreeMap;

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

impl PushReport {
    fn count(&mut self, outcome: PushOutcome) {
        match outcome {
            PushOutcome::Existed => self.existed += 1,
            PushOutcome::Mounted => self.mounted += 1,
            PushOutcome::Uploaded { bytes } => self.uploaded_bytes += bytes,
        }
    }
}

impl std::ops::Add for PushReport {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        self += other;
        self
    }
}

impl std::ops::AddAssign for PushReport {
    fn add_assign(&mut self, other: Self) {
        self.uploaded_bytes += other.uploaded_bytes;
        self.existed += other.existed;
        self.mounted += other.mounted;
        self.unchanged_tags += other.unchanged_tags;
    }
}

/// A blob, and its bytes if they are here.
type Blobs = BTreeMap<BlobDigest, (Descriptor, Option<BlobSource>)>;

/// Pushes an image under all of `names`, each tag last. A name without a tag and with a digest is pushed by digest.
/// Repositories are not asked for what was `sent` ahead to them.
///
/// A blob that is not in the store is no error as long as its registry has it or a repository that it was seen in
/// still does.
pub async fn push(
    client: &Client,
    store: &Store,
    bundle: &Bundle,
    names: &[Reference],
    sent: &Sent,
    progress: impl Fn(&str, u64, u64) + Send + Sync,
) -> Result<PushReport, ExportError> {
    let blobs = blobs(store, bundle)?;
    let names: Vec<&Reference> = names.iter().collect();
    let registries = by_registry(&names);
    let (blobs, progress) = (&blobs, &progress);
    let pushes = registries.iter().map(|repositories| async move {
        let (mut report, mut before) = (PushReport::default(), None);
        for names in repositories {
            let blob_push = BlobPush { client, store, name: names[0], progress };
            let repository = Repository { bundle, blobs, names, sent, blob_push };
            report += repository.push(before).await?;
            before = before.or(Some(names[0].path()));
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
    bundle: &'a Bundle,
    blobs: &'a Blobs,
    names: &'a [&'a Reference],
    sent: &'a Sent,
    blob_push: BlobPush<'a>,
}

impl Repository<'_> {
    fn client(&self) -> &Client {
        self.blob_push.client
    }

    /// `before` is a repository of the registry that has all blobs.
    async fn push(&self, before: Option<&str>) -> Result<PushReport, ExportError> {
        let digest = self.bundle.top.digest;
        let pinned = self.pinned(&digest)?;
        let asked = self.names.iter().copied().chain([&pinned]).map(|name| self.client().names(name, &digest));
        let mut there = try_join_all(asked).await?;
        let is_known = there.pop().unwrap_or_default();
        let missing: Vec<&Reference> =
            self.names.iter().zip(there).filter(|(_, there)| !there).map(|(name, _)| *name).collect();
        let mut report = PushReport { unchanged_tags: self.names.len() - missing.len(), ..PushReport::default() };
        if missing.is_empty() {
            return Ok(report + self.send_referrers(before).await?);
        }
        if !is_known {
            report += self.send(before, self.sent).await?;
            self.tag(&missing).await?;
        } else if self.tag(&missing).await.is_err() {
            // A registry may know a manifest whose blobs it has lost; it says so when the manifest comes again.
            report += self.send(before, &Sent::default()).await?;
            self.tag(&missing).await?;
        }
        let digests: Vec<BlobDigest> = self.blobs.keys().copied().collect();
        let BlobPush { store, name, .. } = self.blob_push;
        store.note_places(name.host(), name.path(), &digests)?;
        Ok(report + self.send_referrers(before).await?)
    }

    /// What speaks of the image and is not in it, unless the repository has it.
    async fn send_referrers(&self, before: Option<&str>) -> Result<PushReport, ExportError> {
        let mut report = PushReport::default();
        for Referrer { subject, bundle } in &self.bundle.referrers {
            let name = self.pinned(&bundle.top.digest)?;
            if self.client().has_referrer(&name, subject, &bundle.top.digest).await? {
                continue;
            }
            for (blob, source) in blobs(self.blob_push.store, bundle)?.values() {
                report.count(self.blob_push.send(blob, source.as_ref(), before).await?);
            }
            self.client().push_referrer(&name, subject, &bundle.top, bundle.bytes.clone()).await?;
        }
        Ok(report)
    }

    /// All that the tags lead to, apart from the blobs that were `sent`.
    async fn send(&self, before: Option<&str>, sent: &Sent) -> Result<PushReport, ExportError> {
        let (ahead, left): (Vec<_>, Vec<_>) =
            self.blobs.values().partition(|(descriptor, _)| sent.has(self.blob_push.name, &descriptor.digest));
        let pushes = left.into_iter().map(|(blob, source)| self.blob_push.send(blob, source.as_ref(), before));
        let mut pushes: FuturesUnordered<_> = pushes.collect();
        let mut report = PushReport { existed: ahead.len(), ..PushReport::default() };
        while let Some(outcome) = pushes.try_next().await? {
            report.count(outcome);
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
        let tags = names.iter().map(|name| self.client().push_manifest(name, &top.media_type, bytes.clone()));
        try_join_all(tags).await?;
        Ok(())
    }

    /// Writes a manifest or an index under its digest alone.
    async fn document(&self, document: &Descriptor, bytes: &Bytes) -> Result<(), ExportError> {
        let name = self.pinned(&document.digest)?;
        self.client().push_manifest(&name, &document.media_type, bytes.clone()).await?;
        Ok(())
    }

    fn pinned(&self, digest: &BlobDigest) -> Result<Reference, ExportError> {
        reference(&format!("{}/{}@{digest}", self.blob_push.name.host(), self.blob_push.name.path()))
    }
}

fn is_manifest(document: &Descriptor) -> bool {
    DocumentKind::of(&document.media_type) == Some(DocumentKind::Manifest)
}
