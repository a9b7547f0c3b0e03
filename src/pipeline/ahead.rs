//! Pushing begins with the first layer, not after the last step.

use super::{Destination, Request, Target};
use crate::{
    exec::{Exec, SettledLayers},
    export::{Ahead, ImageOptions, Sent},
    image::DiffId,
    layer::Layers,
    registry::Client,
    solver::event::{Events, Step},
};
use flashbuild_frontend::{graph::Graph, reference::Reference};
use std::sync::{Arc, OnceLock};
use tokio::sync::mpsc::UnboundedReceiver;

/// Where layers go, and where they come from.
pub(super) struct Route {
    destinations: Vec<(ImageOptions, Vec<Reference>)>,
    settled: UnboundedReceiver<DiffId>,
}

/// What goes ahead of an image that is to be pushed.
pub(super) struct PushAhead {
    exec: Arc<Exec>,
    ahead: Ahead,
    /// Begins with the first byte that moves.
    step: Arc<OnceLock<Step>>,
}

/// Whom the build tells of layers, and where these go; nowhere, if nothing is pushed.
///
/// A layer that may still become others is sent at the end only.
pub(super) fn route(graph: &Graph, request: &Request, layers: &Layers) -> (Option<Route>, SettledLayers) {
    let is_push = |output: &&Destination| matches!(output.target, Target::Registry { .. });
    let names = |output: &Destination| output.names.clone().unwrap_or_else(|| request.tags.clone());
    let destinations: Vec<_> =
        request.outputs.iter().filter(is_push).map(|output| (output.image.clone(), names(output))).collect();
    if destinations.is_empty() {
        return (None, SettledLayers::untold());
    }
    let (division, layers) = (request.division.clone(), layers.clone());
    let (told, settled) = SettledLayers::of(graph, move |diff_id| division.may_divide(&layers, diff_id));
    (Some(Route { destinations, settled }), told)
}

impl Route {
    /// Begins to send.
    pub(super) fn start(self, client: &Client, exec: &Arc<Exec>, events: &Events) -> PushAhead {
        let step = Arc::new(OnceLock::new());
        let (events, shown) = (events.clone(), Arc::clone(&step));
        let progress = move |item: &str, done, total| {
            shown.get_or_init(|| events.step("push layers")).transfer(item, done, Some(total));
        };
        let sources = Arc::clone(exec);
        let is_base = move |diff_id: &DiffId| sources.sources.has(diff_id);
        let ahead = Ahead::start(client, &exec.layers, self.destinations, is_base, self.settled, Arc::new(progress));
        PushAhead { exec: Arc::clone(exec), ahead, step }
    }
}

impl PushAhead {
    /// Waits for what is on its way, when all steps are done.
    pub(super) async fn finish(self) -> Sent {
        self.exec.settled.close();
        let sent = self.ahead.finish().await;
        if let Some(step) = Arc::into_inner(self.step).and_then(OnceLock::into_inner) {
            step.ran();
        }
        sent
    }
}
