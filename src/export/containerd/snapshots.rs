//! Layers, unpacked one on the other. A snapshot is named for its layer and all below (image-spec `config.md`, "Layer
//! `ChainID`"), so that what any image has unpacked serves all.

use super::client::{Peer, described};
use crate::{
    export::BuiltImage,
    image::{DiffId, Digest},
};
use containerd_client::{
    services::v1::{
        ApplyRequest,
        diff_client::DiffClient,
        snapshots::{
            CommitSnapshotRequest, PrepareSnapshotRequest, RemoveSnapshotRequest, StatSnapshotRequest,
            snapshots_client::SnapshotsClient,
        },
    },
    tonic::{Code, Status},
};

/// Unpacks what is not; returns the name of the uppermost snapshot.
pub(super) async fn unpack(peer: &Peer, snapshotter: &str, image: &BuiltImage) -> Result<String, Status> {
    let mut snapshots = SnapshotsClient::new(peer.channel.clone());
    let mut below = String::new();
    let contents = image.layers.iter().map(|(diff_id, blob)| blob.content(diff_id));
    for (diff_id, layer) in contents.zip(image.layer_descriptors()) {
        let chain = chain(&below, &diff_id);
        let stat = StatSnapshotRequest { snapshotter: snapshotter.to_owned(), key: chain.clone() };
        match snapshots.stat(peer.ask(stat)?).await {
            Ok(_) => {
                below = chain;
                continue;
            }
            Err(status) if status.code() == Code::NotFound => {}
            Err(status) => return Err(status),
        }
        let key = format!("flashbuild-{:016x} {chain}", fastrand::u64(..));
        let prepare = PrepareSnapshotRequest {
            snapshotter: snapshotter.to_owned(),
            key: key.clone(),
            parent: below,
            ..PrepareSnapshotRequest::default()
        };
        let mounts = snapshots.prepare(peer.ask(prepare)?).await?.into_inner().mounts;
        let apply = ApplyRequest { diff: Some(described(&layer)), mounts, ..ApplyRequest::default() };
        let applied = DiffClient::new(peer.channel.clone()).apply(peer.ask(apply)?).await;
        let unpacked = applied.and_then(|answer| {
            let found = answer.into_inner().applied.unwrap_or_default().digest;
            let expected = diff_id.to_string();
            let wrong = || Status::internal(format!("{} was unpacked as {found}, not {expected}", layer.digest));
            if found == expected { Ok(()) } else { Err(wrong()) }
        });
        let committed = match unpacked {
            Ok(()) => {
                let commit = CommitSnapshotRequest {
                    snapshotter: snapshotter.to_owned(),
                    name: chain.clone(),
                    key: key.clone(),
                    ..CommitSnapshotRequest::default()
                };
                snapshots.commit(peer.ask(commit)?).await.map(drop)
            }
            Err(status) => Err(status),
        };
        if let Err(status) = committed {
            let remove = RemoveSnapshotRequest { snapshotter: snapshotter.to_owned(), key };
            // The lease takes it otherwise.
            let _ = snapshots.remove(peer.ask(remove)?).await;
            if status.code() != Code::AlreadyExists {
                return Err(status);
            }
        }
        below = chain;
    }
    Ok(below)
}

fn chain(below: &str, diff_id: &DiffId) -> String {
    if below.is_empty() { diff_id.to_string() } else { Digest::of(format!("{below} {diff_id}").as_bytes()).to_string() }
}
