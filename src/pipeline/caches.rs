//! Caches besides the store: read before the first key is looked up, written when the image is where it should be.

use super::{
    BuildError,
    ahead::{CacheAhead, CachesAhead},
    attempt::Attempt,
};
use crate::{
    cache::{self, Ahead, Backend, BuildNote, CacheSource, ExportOptions, Imported, MountIds, Place, Used},
    exec::{Exec, ExecError},
    image::{BlobDigest, DiffId},
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
    from: &[CacheSource],
    store: &Store,
    client: &Client,
    layers: &Layers,
    events: &Events,
) -> Imported {
    let mut caches: Vec<(Arc<dyn Backend>, MountIds)> = Vec::new();
    for source in from {
        match source.place.open(client) {
            Ok(cache) => caches.push((cache, source.mounts.clone())),
            Err(error) => events.notice(format!("a cache is not used: {error}")),
        }
    }
    Imported::load(&caches, store, layers, events).await
}

/// The caches that a build writes.
pub(super) struct Caches<'a> {
    pub(super) attempt: Attempt<'a>,
}

/// Puts records into an image, if one of `exports` asks for that.
pub(super) fn inline(exports: &[CacheExport], config: &mut ImageConfig, layers: &[DiffId], used: &[Used]) {
    if exports.iter().any(|export| export.to == CacheTo::Inline) {
        cache::inline(config, layers, used);
    }
}

impl Caches<'_> {
    /// The steps of the build that have a record, whether they ran or not; none if nobody wants them.
    pub(super) fn used(&self, keys: &BTreeMap<NodeId, Key>) -> Result<Vec<Used>, ExecError> {
        let Attempt { exec, request, .. } = self.attempt;
        if request.cache_to.is_empty() {
            return Ok(Vec::new());
        }
        let in_images = in_images(&exec.graph);
        let found = exec.find_definitions(&keys.values().copied().collect::<Vec<_>>())?;
        let names: Vec<RecordKey> = keys.values().map(|key| RecordKey(key.0)).collect();
        let contents = exec.store.record_contents(&names)?;
        let hits = exec.sources.imported().hits();
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

    /// Notes what the build used under all names of its image; under its digest if it has none.
    pub(super) fn note(&self, keys: &BTreeMap<NodeId, Key>, digest: &BlobDigest) -> Result<(), BuildError> {
        let Exec { graph, sources, packages, store, .. } = &**self.attempt.exec;
        let mut note = BuildNote {
            records: keys.values().map(|key| RecordKey(key.0)).collect(),
            answers: packages.answers(),
            ..BuildNote::default()
        };
        for id in keys.keys() {
            if let Op::Package(op) = &graph.node(*id).op {
                note.artifacts.extend(op.packages.iter().map(|package| package.artifact.to_string()));
            }
        }
        let images = sources.images().iter();
        note.images.extend(images.map(|(digest, source)| (source.reference.to_string(), digest.clone())));
        let mut names: Vec<String> = self.attempt.request.tags.iter().map(ToString::to_string).collect();
        if names.is_empty() {
            names.push(format!("untagged {digest}"));
        }
        Ok(note.put(store, &names)?)
    }

    /// Writes the caches that have a place of their own, but for what went there already.
    pub(super) async fn export(&self, used: &[Used], ahead: CachesAhead) -> Result<(), BuildError> {
        let Attempt { client, request, events, .. } = self.attempt;
        let mut ahead = ahead.0.into_iter();
        for export in &request.cache_to {
            let ahead = ahead.next().flatten();
            let CacheTo::Place { place, options } = &export.to else { continue };
            let mut cache = ahead.unwrap_or_else(|| CacheAhead::open(place, client));
            let gone = cache.finish().await;
            let exported = match cache.opened {
                Ok(cache) => {
                    let step = events.step(format!("export cache to {}", cache.origin()));
                    let exported = self.export_to(&*cache, options, used, &gone, &step).await;
                    let exported = exported.map_err(|error| format!("the cache was not exported: {error}"));
                    match &exported {
                        Ok(()) => step.ran(),
                        Err(text) => step.failed(text.clone()),
                    }
                    exported
                }
                Err(error) => {
                    events.step("export cache").failed(error.to_string());
                    Err(error.to_string())
                }
            };
            match exported {
                Err(text) if !export.ignore_error => return Err(BuildError::Environment(text)),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    async fn export_to(
        &self,
        place: &dyn Backend,
        options: &ExportOptions,
        used: &[Used],
        gone: &Ahead,
        step: &Step,
    ) -> Result<(), cache::CacheError> {
        let Exec { layers, sources, .. } = &**self.attempt.exec;
        let is_base = |diff_id: &DiffId| sources.has(diff_id);
        let report = cache::export(place, options, used, (layers, sources.imported()), gone, is_base, step).await?;
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
