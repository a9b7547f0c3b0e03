//! What a request is given, made ready: folders, a Dockerfile, and what they mean for lowering.

use super::{BuildError, Request, build_file::BuildFile};
use crate::{
    context::{Prepared, Tools},
    http::Web,
    layer::{Layers, OverlayXattrs},
    registry::Client,
    solver::event::{Events, Work},
    store::Store,
};

/// A build that can begin.
pub(super) struct Begun {
    pub(super) layers: Layers,
    pub(super) web: Web,
    pub(super) prepared: Prepared,
    /// The Dockerfile.
    pub(super) source: BuildFile,
}

/// Fetches contexts, finds the Dockerfile, and tells lowering about them.
pub(super) async fn begin(
    store: &Store,
    client: &Client,
    request: &mut Request,
    events: &Events,
) -> Result<Begun, BuildError> {
    let layers = Layers::new(store.clone(), OverlayXattrs::of_this_process());
    let audience = events.clone();
    let layers = layers.telling(move |layer| {
        audience.worked(Work::Compression, format!("{} {}", layer.encoding, layer.diff_id), layer.began);
    });
    let web = Web::new(store.clone(), client.ca_certificates())
        .map_err(|error| BuildError::Environment(error.to_string()))?
        .offline(client.is_offline());
    let tools = Tools { store, layers: &layers, web: &web, secrets: &request.grants.secrets, events };
    let prepared = request.given.prepare(tools).await?;
    request.options.ignore.clone_from(&prepared.ignore);
    request.options.contexts.clone_from(&prepared.named);
    request.options.context_epoch = prepared.epoch;
    let source = BuildFile {
        name: prepared.name.clone(),
        text: prepared.text.clone(),
        folder: prepared.folder.clone(),
        ignore: prepared.ignore.clone(),
        fetched: prepared.fetched.clone(),
    };
    Ok(Begun { layers, web, prepared, source })
}
