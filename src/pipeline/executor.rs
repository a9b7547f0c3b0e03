//! What the steps of a build run with.

use super::{BuildError, Request, begin::Begun};
use crate::{
    cache::Imported,
    exec::{EmulatedSteps, Exec, MountPoints, SettledLayers, Sources, StepGroups, StepNetworks},
    packages::Packages,
    registry::Client,
    resolve::Source,
    sandbox::{Helpers, Isolation},
    solver::event::Events,
    store::Store,
};
use flashbuild_frontend::graph::{Graph, Op};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

/// A build definition that became a graph.
pub(super) struct Lowered {
    pub(super) graph: Arc<Graph>,
    /// Where the layers of the images are that it names, by digest.
    pub(super) images: BTreeMap<String, Source>,
    pub(super) packages: Packages,
    /// What other caches have.
    pub(super) imported: Arc<Imported>,
}

/// Makes the executor of the graph.
pub(super) fn executor(
    store: &Store,
    client: &Client,
    request: &Request,
    begun: &Begun,
    lowered: Lowered,
    settled: SettledLayers,
    events: &Events,
) -> Result<Exec, BuildError> {
    let Lowered { graph, images, packages, imported } = lowered;
    let layers = begun.layers.clone();
    let sources = Sources::new(client.clone(), images, &layers, imported);
    let proxies = request.options.proxy_variables();
    let steps = graph.nodes().filter(|(_, node)| matches!(node.op, Op::Exec(_))).count();
    Ok(Exec {
        graph,
        sources: sources.map_err(|error| begun.source.failed(&error, None))?,
        layers,
        store: store.clone(),
        web: begun.web.clone(),
        downloads: Mutex::default(),
        commits: Mutex::default(),
        events: events.clone(),
        packages,
        contexts: begun.prepared.folders.clone(),
        compression: request.image.compression,
        divided: if request.cache_to.is_empty() { request.division.of_files() } else { None },
        contents: Mutex::default(),
        proxies: proxies.into_iter().map(|(name, value)| format!("{name}={value}")).collect(),
        options: request.steps.clone(),
        emulated: EmulatedSteps::default(),
        mount_points: MountPoints::default(),
        helpers: Helpers::new(request.steps.isolation, steps),
        groups: StepGroups::new(request.steps.group_limits.clone()),
        networks: match request.steps.isolation {
            Isolation::Namespaces => StepNetworks::find(),
            Isolation::Chroot => StepNetworks::of_host(),
        },
        grants: Arc::clone(&request.grants),
        single_id: request.single_id,
        listed: Mutex::default(),
        selected: Mutex::default(),
        settled,
    })
}
