//! Pushing, and exporting to caches, begins with the first layer, not after the last step.

use super::{CacheTo, Destination, Request, Target};
use crate::{
    cache::{self, Backend, CacheError, ExportOptions, Mode, PutAhead},
    exec::{Exec, SettledLayers},
    export::{Ahead, ImageOptions, Sent},
    image::DiffId,
    layer::{Compression, Layers},
    registry::Client,
    solver::event::{Events, Step},
};
use flashbuild_frontend::{graph::Graph, reference::Reference};
use std::sync::{Arc, OnceLock};
use tokio::sync::mpsc::UnboundedReceiver;

/// Where layers go, and where they come from.
#[derive(Default)]
pub(super) struct Route {
    push: Option<PushRoute>,
    /// One for each `--cache-to`; nothing for one that has no place of its own.
    caches: Vec<Option<CacheRoute>>,
    /// How layers of the image are compressed.
    compression: Compression,
}

struct PushRoute {
    destinations: Vec<(ImageOptions, Vec<Reference>)>,
    settled: UnboundedReceiver<DiffId>,
}

struct CacheRoute {
    place: cache::Place,
    options: ExportOptions,
    settled: UnboundedReceiver<DiffId>,
}

/// What is on its way.
pub(super) struct OnTheWay {
    exec: Arc<Exec>,
    push: Option<PushAhead>,
    caches: CachesAhead,
}

struct PushAhead {
    ahead: Ahead,
    shown: Shown,
}

/// The caches that are written, as `--cache-to` names them; nothing for one that has no place of its own.
#[derive(Default)]
pub(super) struct CachesAhead(pub(super) Vec<Option<CacheAhead>>);

/// A cache that is open, or why it is not, and what is on its way there.
pub(super) struct CacheAhead {
    pub(super) opened: Result<Arc<dyn Backend>, CacheError>,
    putting: Option<(PutAhead, Shown)>,
}

/// Where layers of this build go while it runs, all of which `settled` tells.
///
/// A layer that may still become others is pushed at the end only; a cache holds it as it is.
pub(super) fn route(graph: &Graph, request: &Request, layers: &Layers, settled: &SettledLayers) -> Route {
    let is_push = |output: &&Destination| matches!(output.target, Target::Registry { .. });
    let names = |output: &Destination| output.names.clone().unwrap_or_else(|| request.tags.clone());
    let destinations: Vec<_> =
        request.outputs.iter().filter(is_push).map(|output| (output.image.clone(), names(output))).collect();
    let compression = match destinations.first() {
        Some((image, _)) => image.compression,
        None => request.image.compression,
    };
    let push = (!destinations.is_empty()).then(|| {
        let (division, layers) = (request.division.clone(), layers.clone());
        let settled = settled.of_results(graph, move |diff_id| division.may_divide(&layers, diff_id));
        PushRoute { destinations, settled }
    });
    let caches = request.cache_to.iter().map(|export| {
        let CacheTo::Place { place, options } = &export.to else { return None };
        let settled = match options.mode {
            Mode::Min => settled.of_results(graph, |_| false),
            Mode::Max => settled.of_steps(),
        };
        Some(CacheRoute { place: place.clone(), options: options.clone(), settled })
    });
    Route { push, caches: caches.collect(), compression }
}

impl Route {
    /// Begins to send.
    pub(super) fn start(self, client: &Client, exec: &Arc<Exec>, events: &Events) -> OnTheWay {
        let is_base = || {
            let exec = Arc::clone(exec);
            move |diff_id: &DiffId| exec.sources.has(diff_id)
        };
        let push = self.push.map(|PushRoute { destinations, settled }| {
            let shown = Shown::new(events, "push layers".to_owned());
            let ahead = Ahead::start(client, &exec.layers, destinations, is_base(), settled, shown.progress());
            PushAhead { ahead, shown }
        });
        let cache = |route: CacheRoute| {
            let opened = route.place.open(client);
            let putting = opened.as_ref().ok().map(|cache| {
                let shown = Shown::new(events, format!("send layers to the cache {}", cache.origin()));
                let cache = (Arc::clone(cache), &route.options);
                let putting =
                    PutAhead::start(cache, self.compression, &exec.layers, is_base(), route.settled, shown.progress());
                (putting, shown)
            });
            CacheAhead { opened, putting }
        };
        let caches = self.caches.into_iter().map(|route| route.map(cache)).collect();
        OnTheWay { exec: Arc::clone(exec), push, caches: CachesAhead(caches) }
    }
}

impl OnTheWay {
    /// Waits for what is on its way to registries, when all steps are done. What goes to caches goes on.
    pub(super) async fn pushed(self) -> (Sent, CachesAhead) {
        self.exec.settled.close();
        let sent = match self.push {
            Some(PushAhead { ahead, shown }) => {
                let sent = ahead.finish().await;
                shown.end();
                sent
            }
            None => Sent::default(),
        };
        (sent, self.caches)
    }
}

impl CacheAhead {
    /// Opens a cache to which nothing went so far.
    pub(super) fn open(place: &cache::Place, client: &Client) -> Self {
        Self { opened: place.open(client), putting: None }
    }

    /// Waits for what is on its way.
    pub(super) async fn finish(&mut self) -> cache::Ahead {
        let Some((putting, shown)) = self.putting.take() else { return cache::Ahead::default() };
        let ahead = putting.finish().await;
        shown.end();
        ahead
    }
}

/// Told a blob's digest, and how many of its bytes have moved of how many.
type Progress = Arc<dyn Fn(&str, u64, u64) + Send + Sync>;

/// A step that begins with the first byte that moves.
struct Shown {
    name: String,
    events: Events,
    step: Arc<OnceLock<Step>>,
}

impl Shown {
    fn new(events: &Events, name: String) -> Self {
        Self { name, events: events.clone(), step: Arc::default() }
    }

    fn progress(&self) -> Progress {
        let (name, events, step) = (self.name.clone(), self.events.clone(), Arc::clone(&self.step));
        Arc::new(move |item: &str, done, total| {
            step.get_or_init(|| events.step(name.clone())).transfer(item, done, Some(total));
        })
    }

    /// Ends it, if it began; all that tells of progress has to be gone.
    fn end(self) {
        if let Some(step) = Arc::into_inner(self.step).and_then(OnceLock::into_inner) {
            step.ran();
        }
    }
}
