//! Layers on their way to registries while later steps still run.
//!
//! A layer that was made, or found, and is certain to be in the image is compressed and sent at once. What went ahead is
//! remembered ([`Sent`]), so that the push that follows the last step asks for it no more: it has the last layers to
//! send, and the documents. Nothing depends on this: what could not be sent ahead is left to that push, which says why.
//!
//! If a build fails, its registries have blobs that nothing points at; they collect such garbage. A build in which no
//! step has to run sends nothing ahead: its image is most likely there.

use super::{
    ImageOptions,
    assemble::{blob, describe},
    blob::{BlobPush, by_registry},
};
use crate::{
    image::{BlobDigest, Descriptor, DiffId, MediaType},
    layer::Layers,
    registry::{BlobSource, Client},
    store::Store,
};
use flashbuild_frontend::reference::Reference;
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{sync::mpsc::UnboundedReceiver, task::JoinSet};

/// Blobs that went ahead, by registry and repository.
#[derive(Debug, Default)]
pub struct Sent(HashSet<(String, String, BlobDigest)>);

impl Sent {
    /// Whether the repository of `name` got the blob.
    pub(super) fn has(&self, name: &Reference, digest: &BlobDigest) -> bool {
        self.0.contains(&(name.host().to_owned(), name.path().to_owned(), *digest))
    }
}

/// Told a blob's digest, and how many of its bytes have been sent of how many.
type Progress = Arc<dyn Fn(&str, u64, u64) + Send + Sync>;

/// What sends, until it is dropped or done.
pub struct Ahead {
    task: JoinSet<()>,
    shared: Arc<Shared>,
}

/// Who sends, and where to.
struct Shared {
    client: Client,
    store: Store,
    layers: Layers,
    progress: Progress,
    sent: Mutex<Sent>,
    /// Registries that refused: the push at the end says why.
    given_up: Mutex<HashSet<String>>,
}

impl Ahead {
    /// Sends the `settled` layers to the repositories of names, each as its options say. For layers of base images,
    /// `is_base` holds.
    pub fn start(
        client: &Client,
        layers: &Layers,
        destinations: Vec<(ImageOptions, Vec<Reference>)>,
        is_base: impl Fn(&DiffId) -> bool + Send + 'static,
        mut settled: UnboundedReceiver<DiffId>,
        progress: Progress,
    ) -> Self {
        let shared = Arc::new(Shared {
            client: client.clone(),
            store: layers.store().clone(),
            layers: layers.clone(),
            progress,
            sent: Mutex::default(),
            given_up: Mutex::default(),
        });
        let mut task = JoinSet::new();
        let sender = Arc::clone(&shared);
        task.spawn(async move {
            let mut seen = HashSet::from([DiffId::empty()]);
            let mut sends = JoinSet::new();
            while let Some(diff_id) = settled.recv().await {
                if !seen.insert(diff_id) {
                    continue;
                }
                for (options, names) in &destinations {
                    let keeps = !options.force_compression && is_base(&diff_id);
                    if let Some(blob) = sender.compressed(diff_id, options, keeps).await {
                        sends.spawn(Arc::clone(&sender).send(blob, names.clone()));
                    }
                }
            }
            while sends.join_next().await.is_some() {}
        });
        Self { task, shared }
    }

    /// Waits until all that was told is sent; the sender of the settled layers has to be gone.
    pub async fn finish(mut self) -> Sent {
        while self.task.join_next().await.is_some() {}
        std::mem::take(&mut *self.shared.sent.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Shared {
    /// The layer as a blob, one at a time: the steps have work for the other processors.
    async fn compressed(&self, diff_id: DiffId, options: &ImageOptions, keeps: bool) -> Option<Descriptor> {
        let (layers, compression) = (self.layers.clone(), options.compression);
        let made = tokio::task::spawn_blocking(move || blob(&layers, &diff_id, compression, keeps)).await;
        let made = made.ok()?.ok()?;
        let media_type: MediaType = options.layer_type(&made.media_type);
        Some(Descriptor { media_type, ..describe(&made) })
    }

    /// To all registries at once, and in each to one repository after the other, so that the second links what the
    /// first got.
    async fn send(self: Arc<Self>, blob: Descriptor, names: Vec<Reference>) {
        let source = self.store.blob_path(&blob.digest).ok().flatten().map(BlobSource::File);
        let (this, blob, source) = (&self, &blob, source.as_ref());
        let names: Vec<&Reference> = names.iter().collect();
        let registries = by_registry(&names);
        let sends = registries.iter().map(|repositories| async move {
            let mut before = None;
            for names in repositories {
                let name = names[0];
                if this.has_given_up(name) || !this.send_to(name, blob, source, before).await {
                    return;
                }
                before = before.or(Some(name.path()));
            }
        });
        futures_util::future::join_all(sends).await;
    }

    /// Whether the repository got the blob.
    async fn send_to(
        &self,
        name: &Reference,
        blob: &Descriptor,
        source: Option<&BlobSource>,
        before: Option<&str>,
    ) -> bool {
        let push = BlobPush { client: &self.client, store: &self.store, name, progress: &*self.progress };
        if push.send(blob, source, before).await.is_err() {
            self.given_up.lock().unwrap_or_else(PoisonError::into_inner).insert(name.host().to_owned());
            return false;
        }
        let place = (name.host().to_owned(), name.path().to_owned(), blob.digest);
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).0.insert(place)
    }

    fn has_given_up(&self, name: &Reference) -> bool {
        self.given_up.lock().unwrap_or_else(PoisonError::into_inner).contains(name.host())
    }
}
