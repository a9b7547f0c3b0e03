//! Caches besides the store: read before the first key is looked up, written when the image is where it should be.

use super::BuildError;
use crate::{
    cache::{self, Backend, ExportOptions, Imported, Place, Used},
    exec::{Exec, ExecError},
    image::DiffId,
    layer::Layers,
    progress::ByteSize,
    registry::Client,
    solver::{
        Executor as _, Key,
        event::{Events, Step},
    },
    store::{RecordKey, Store},
};
use flashbuild_frontend::{
    config::ImageConfig,
    graph::{Graph, NodeId, Op},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// A cache to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheExport {
    /// Where, and what it is like there.
    pub to: CacheTo,
    /// Whether the build is done without it.
    pub ignore_error: bool,
}

/// Where a cache goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CacheTo {
    /// Into the image.
    Inline,
    /// Into a place of its own.
    Place {
        /// Which.
        place: Place,
        /// What it is like there.
        options: ExportOptions,
    },
}

/// Reads the caches that a build looks into.
pub(super) async fn import(
    from: &[Place],
    store: &Store,
    client: &Client,
    layers: &Layers,
    events: &Events,
) -> Imported {
    let mut caches: Vec<Arc<dyn Backend>> = Vec::new();
    for place in from {
        match place.open(client) {
            Ok(cache) => caches.push(cache),
            Err(error) => events.notice(format!("a cache is not used: {error}")),
        }
    }
    Imported::load(&caches, store, layers, events).await
}

/// The caches that a build writes.
pub(super) struct Caches<'a> {
    pub(super) exec: &'a Exec,
    pub(super) client: &'a Client,
    pub(super) events: &'a Events,
    pub(super) exports: &'a [CacheExport],
}

impl Caches<'_> {
    /// The steps of the build that have a record, whether they ran or not; none if nobody wants them.
    pub(super) fn used(&self, keys: &BTreeMap<NodeId, Key>) -> Result<Vec<Used>, ExecError> {
        if self.exports.is_empty() {
            return Ok(Vec::new());
        }
        let in_images = in_images(&self.exec.graph);
        let found = self.exec.find_definitions(&keys.values().copied().collect::<Vec<_>>())?;
        let names: Vec<RecordKey> = keys.values().map(|key| RecordKey(key.0)).collect();
        let contents = self.exec.store.record_contents(&names)?;
        let hits = self.exec.sources.imported().hits();
        let used = |(node, key): (&NodeId, &Key)| {
            let definition = RecordKey(key.0);
            let content = contents.get(&definition).copied();
            Some(Used {
                definition,
                content: content.or_else(|| hits.get(&definition)?.content),
                layers: found.get(key)?.layers().to_vec(),
                in_image: in_images.contains(node),
            })
        };
        Ok(keys.iter().filter_map(used).collect())
    }

    /// Puts records into the image, if that is asked for.
    pub(super) fn inline(&self, config: &mut ImageConfig, layers: &[DiffId], used: &[Used]) {
        if self.exports.iter().any(|export| export.to == CacheTo::Inline) {
            cache::inline(config, layers, used);
        }
    }

    /// Writes the caches that have a place of their own.
    pub(super) async fn export(&self, used: &[Used]) -> Result<(), BuildError> {
        for export in self.exports {
            let CacheTo::Place { place, options } = &export.to else { continue };
            let opened = place.open(self.client).map_err(|error| BuildError::Environment(error.to_string()))?;
            let step = self.events.step(format!("export cache to {}", opened.origin()));
            match self.export_to(&*opened, options, used, &step).await {
                Ok(()) => step.ran(),
                Err(error) => {
                    let text = format!("the cache was not exported: {error}");
                    step.failed(text.clone());
                    if !export.ignore_error {
                        return Err(BuildError::Environment(text));
                    }
                }
            }
        }
        Ok(())
    }

    async fn export_to(
        &self,
        place: &dyn Backend,
        options: &ExportOptions,
        used: &[Used],
        step: &Step,
    ) -> Result<(), cache::CacheError> {
        let Exec { layers, sources, .. } = self.exec;
        let is_base = |diff_id: &DiffId| sources.has(diff_id);
        let report = cache::export(place, options, used, (layers, sources.imported()), is_base, step).await?;
        let (records, layers, bytes) = (report.records, report.layers, ByteSize(report.bytes));
        step.notice(format!("{records} records of {layers} layers; {bytes} were new"));
        Ok(())
    }
}

/// The nodes whose layers are among those of a result.
fn in_images(graph: &Graph) -> BTreeSet<NodeId> {
    let mut found = BTreeSet::new();
    let mut waiting: Vec<NodeId> = graph.outputs.iter().map(|output| output.root).collect();
    while let Some(id) = waiting.pop() {
        if !found.insert(id) {
            continue;
        }
        let node = graph.node(id);
        match node.op {
            Op::Exec(_) | Op::File(_) => waiting.extend(node.inputs.first()),
            Op::Merge => waiting.extend(&node.inputs),
            Op::Image(_) | Op::Local(_) | Op::Http(_) | Op::Git(_) | Op::Package(_) => {}
        }
    }
    found
}
