//! Content and images.

use super::{Containerd, snapshots::unpack};
use crate::{
    export::{BuiltImage, BuiltIndex, ExportError},
    image::{Descriptor, runs_on},
    store::Store,
};
use bytes::Bytes;
use containerd_client::{
    services::v1::{
        CreateImageRequest, CreateRequest, DeleteRequest, Image, Info, InfoRequest, UpdateImageRequest,
        UpdateRequest as UpdateContentRequest, WriteAction, WriteContentRequest, content_client::ContentClient,
        images_client::ImagesClient, leases_client::LeasesClient,
    },
    tonic::{Code, Request, Status, metadata::AsciiMetadataValue, transport::Channel},
    types,
};
use flashbuild_frontend::platform::Platform;
use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
};
use tokio::{fs::File, io::AsyncReadExt as _, sync::mpsc};

/// Bytes of a message; containerd takes 16 MiB.
const PIECE: usize = 1 << 20;
/// How long a lease holds that nobody gave back.
const LEASE_HOURS: i64 = 24;

/// Makes an image known to containerd under `names`.
pub async fn send_to_containerd(
    containerd: &Containerd,
    store: &Store,
    built: &BuiltIndex,
    names: &[String],
) -> Result<(), ExportError> {
    let failed = |why: &dyn std::fmt::Display| {
        ExportError::Engine(format!("containerd at {}: {why}", containerd.address.display()))
    };
    let channel = containerd_client::connect(&containerd.address).await.map_err(|error| failed(&error))?;
    let mut peer = Peer { channel, namespace: containerd.namespace.clone(), lease: String::new() };
    peer.begin().await.map_err(|status| failed(&status.message()))?;
    let sent = send(&peer, containerd, store, built, names).await;
    peer.end().await;
    sent.map_err(|status| failed(&status.message()))
}

/// Where requests go, and under which lease.
pub(super) struct Peer {
    pub(super) channel: Channel,
    namespace: String,
    lease: String,
}

impl Peer {
    /// A request in the namespace and under the lease.
    pub(super) fn ask<T>(&self, message: T) -> Result<Request<T>, Status> {
        let value = |text: &str| {
            AsciiMetadataValue::try_from(text).map_err(|_| Status::invalid_argument(format!("{text:?} is no name")))
        };
        let mut request = Request::new(message);
        request.metadata_mut().insert("containerd-namespace", value(&self.namespace)?);
        if !self.lease.is_empty() {
            request.metadata_mut().insert("containerd-lease", value(&self.lease)?);
        }
        Ok(request)
    }

    async fn begin(&mut self) -> Result<(), Status> {
        let end = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(LEASE_HOURS);
        let labels = HashMap::from([("containerd.io/gc.expire".to_owned(), end.to_string())]);
        let id = format!("flashbuild-{}-{:016x}", std::process::id(), fastrand::u64(..));
        let request = self.ask(CreateRequest { id: id.clone(), labels })?;
        LeasesClient::new(self.channel.clone()).create(request).await?;
        self.lease = id;
        Ok(())
    }

    /// What is not pointed at may go.
    async fn end(&mut self) {
        let id = std::mem::take(&mut self.lease);
        if let Ok(request) = self.ask(DeleteRequest { id, sync: false }) {
            // It expires by itself.
            let _ = LeasesClient::new(self.channel.clone()).delete(request).await;
        }
    }
}

/// The bytes of content.
enum Source {
    Bytes(Bytes),
    File(PathBuf),
}

async fn send(
    peer: &Peer,
    containerd: &Containerd,
    store: &Store,
    built: &BuiltIndex,
    names: &[String],
) -> Result<(), Status> {
    for image in &built.images {
        send_image(peer, containerd, store, image).await?;
    }
    if built.is_index {
        let manifests = built.images.iter().map(|image| &image.manifest);
        let labels = manifests.enumerate().map(|(number, manifest)| refers(&format!("m.{number}"), manifest));
        put(peer, &built.descriptor, labels.collect(), Source::Bytes(built.bytes.clone().into())).await?;
    }
    for name in names {
        let target = Some(described(&built.descriptor));
        let image = Image { name: name.clone(), target, ..Image::default() };
        let mut images = ImagesClient::new(peer.channel.clone());
        let create = peer.ask(CreateImageRequest { image: Some(image.clone()), ..CreateImageRequest::default() })?;
        match images.create(create).await {
            Err(status) if status.code() == Code::AlreadyExists => {
                let update = UpdateImageRequest { image: Some(image), ..UpdateImageRequest::default() };
                images.update(peer.ask(update)?).await?;
            }
            other => drop(other?),
        }
    }
    Ok(())
}

/// Blobs, then what points at them.
async fn send_image(peer: &Peer, containerd: &Containerd, store: &Store, image: &BuiltImage) -> Result<(), Status> {
    let layers = image.layer_descriptors();
    for layer in &layers {
        let path = store.blob_path(&layer.digest).map_err(|error| Status::internal(error.to_string()))?;
        let path = path.ok_or_else(|| Status::internal(format!("{} is not here", layer.digest)))?;
        put(peer, layer, BTreeMap::new(), Source::File(path)).await?;
    }
    let config = Source::Bytes(image.config_bytes.clone().into());
    put(peer, &image.config, BTreeMap::new(), config).await?;
    let mut labels: BTreeMap<String, String> =
        layers.iter().enumerate().map(|(number, layer)| refers(&format!("l.{number}"), layer)).collect();
    labels.extend([refers("config", &image.config)]);
    put(peer, &image.manifest, labels, Source::Bytes(image.manifest_bytes.clone().into())).await?;
    if containerd.unpack && runs_on(&image.platform, &Platform::host()) {
        let top = unpack(peer, &containerd.snapshotter, image).await?;
        let label = format!("containerd.io/gc.ref.snapshot.{}", containerd.snapshotter);
        note(peer, &image.config, BTreeMap::from([(label, top)])).await?;
    }
    Ok(())
}

/// The label that keeps what it points at.
fn refers(what: &str, to: &Descriptor) -> (String, String) {
    (format!("containerd.io/gc.ref.content.{what}"), to.digest.to_string())
}

/// A descriptor in containerd's words.
pub(super) fn described(descriptor: &Descriptor) -> types::Descriptor {
    types::Descriptor {
        media_type: descriptor.media_type.to_string(),
        digest: descriptor.digest.to_string(),
        size: i64::try_from(descriptor.size).unwrap_or(i64::MAX),
        annotations: descriptor.annotations.clone().into_iter().collect(),
    }
}

/// Content with its labels, sent if it is not there.
async fn put(
    peer: &Peer,
    descriptor: &Descriptor,
    labels: BTreeMap<String, String>,
    source: Source,
) -> Result<(), Status> {
    let mut content = ContentClient::new(peer.channel.clone());
    let digest = descriptor.digest.to_string();
    match content.info(peer.ask(InfoRequest { digest: digest.clone() })?).await {
        Ok(_) => return note(peer, descriptor, labels).await,
        Err(status) if status.code() == Code::NotFound => {}
        Err(status) => return Err(status),
    }
    let (sender, receiver) = mpsc::channel(4);
    let first = WriteContentRequest {
        action: WriteAction::Write.into(),
        r#ref: format!("flashbuild-{}-{:016x}", descriptor.digest.hex(), fastrand::u64(..)),
        total: i64::try_from(descriptor.size).unwrap_or(i64::MAX),
        expected: digest,
        ..WriteContentRequest::default()
    };
    let labels: HashMap<String, String> = labels.into_iter().collect();
    let feeding = tokio::spawn(feed(source, first, labels.clone(), sender));
    let requests =
        futures_util::stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver)));
    let written = async {
        let mut answers = content.write(peer.ask(Box::pin(requests))?).await?.into_inner();
        while answers.message().await?.is_some() {}
        Ok::<_, Status>(())
    };
    let written = written.await;
    match feeding.await {
        Ok(Ok(())) | Err(_) => {}
        Ok(Err(error)) => return Err(Status::internal(format!("{}: {error}", descriptor.digest))),
    }
    match written {
        // Somebody else was faster.
        Err(status) if status.code() == Code::AlreadyExists => {
            note(peer, descriptor, labels.into_iter().collect()).await
        }
        result => result,
    }
}

/// The messages that write content: its bytes, and at last the wish to keep it.
async fn feed(
    source: Source,
    first: WriteContentRequest,
    labels: HashMap<String, String>,
    sender: mpsc::Sender<WriteContentRequest>,
) -> std::io::Result<()> {
    let mut offset = 0;
    // Who does not listen any more has an error to tell.
    match source {
        Source::Bytes(bytes) => {
            offset += bytes.len();
            let _ = sender.send(WriteContentRequest { data: bytes.to_vec(), ..first.clone() }).await;
        }
        Source::File(path) => {
            let mut file = File::open(path).await?;
            loop {
                let mut data = Vec::with_capacity(PIECE);
                if (&mut file).take(PIECE as u64).read_to_end(&mut data).await? == 0 {
                    break;
                }
                let at = i64::try_from(offset).unwrap_or(i64::MAX);
                offset += data.len();
                if sender.send(WriteContentRequest { data, offset: at, ..first.clone() }).await.is_err() {
                    return Ok(());
                }
            }
        }
    }
    let offset = i64::try_from(offset).unwrap_or(i64::MAX);
    let commit = WriteContentRequest { action: WriteAction::Commit.into(), offset, labels, ..first };
    let _ = sender.send(commit).await;
    Ok(())
}

/// Sets labels of content that is there.
async fn note(peer: &Peer, descriptor: &Descriptor, labels: BTreeMap<String, String>) -> Result<(), Status> {
    if labels.is_empty() {
        return Ok(());
    }
    let paths = labels.keys().map(|label| format!("labels.{label}")).collect();
    let labels = labels.into_iter().collect();
    let info = Info { digest: descriptor.digest.to_string(), labels, ..Info::default() };
    let request = UpdateContentRequest { info: Some(info), update_mask: Some(prost_types::FieldMask { paths }) };
    ContentClient::new(peer.channel.clone()).update(peer.ask(request)?).await?;
    Ok(())
}
