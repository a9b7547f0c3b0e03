//! What packages depend on besides their own files: lock files elsewhere (`DEPS --from`), in a context, in an image or in a
//! stage, which is built first, and the tree that they are put on.
//!
//! Which packages there are decides what the graph is, so that a stage with a lock cannot be a node of it like others: its own
//! part of the graph is solved beforehand. In the build that follows, its steps are found in the store.

use super::{
    caches, entitlements,
    executor::{self, Lowered},
    inputs::{Asking, Unanswered},
};
use crate::{
    context::Prepared,
    exec::{Exec, ExecError, Need, SettledLayers, Sources},
    image::DiffId,
    packages::{ContextFiles, PackageError, Packages, TreeBelow},
    resolve::Source,
    solver::{self, Solved},
};
use flashbuild_frontend::{
    graph::{Graph, Op},
    package::LockPlace,
};
use std::{collections::BTreeMap, sync::Arc};

/// What it takes to find a lock file.
pub(super) struct Place<'a> {
    pub(super) asking: Asking<'a>,
    pub(super) packages: &'a Packages,
    /// The images that are known so far, by the digest of their manifests.
    pub(super) images: &'a BTreeMap<String, Source>,
}

impl Place<'_> {
    /// The packages of locks at `from`. For one in a stage, `stage` is what makes its tree.
    pub(super) async fn reading(&self, from: &LockPlace, stage: Option<&Arc<Graph>>) -> Result<Packages, Unanswered> {
        let prepared = &self.asking.begun.prepared;
        Ok(match (from, stage) {
            (LockPlace::Context, _) => self.packages.clone(),
            (LockPlace::Named(name), _) => {
                let folder = prepared.folders.get(name).ok_or_else(|| ExecError::NoContext(name.clone()))?;
                self.packages.reading(ContextFiles::named(&folder.path))
            }
            (LockPlace::Image(digest), _) => {
                let source = self.images.get(digest).ok_or(ExecError::Internal("an image was not resolved"))?;
                let diff_ids: Vec<DiffId> = source.layers.iter().map(|(diff_id, _)| *diff_id).collect();
                let layers = &self.asking.begun.layers;
                let images = BTreeMap::from([(digest.clone(), source.clone())]);
                let sources = Sources::new(self.asking.client.clone(), images, layers, Arc::default())?;
                sources.bring(layers, &diff_ids, Need::Files, None).await?;
                self.of_tree(diff_ids)
            }
            (LockPlace::Stage(..), Some(graph)) => {
                let (exec, diff_ids) = self.build(graph).await?;
                exec.sources.bring(&self.asking.begun.layers, &diff_ids, Need::Files, None).await?;
                self.of_tree(diff_ids)
            }
            (LockPlace::Stage(..), None) => {
                return Err(ExecError::Internal("a lock in a stage comes with its graph").into());
            }
        })
    }

    /// The tree that `graph` makes, with the files that packages depend on.
    pub(super) async fn below(&self, graph: &Arc<Graph>) -> Result<TreeBelow, Unanswered> {
        let layers = &self.asking.begun.layers;
        let (exec, diff_ids) = self.build(graph).await?;
        exec.sources.bring(layers, &diff_ids, Need::Tables, None).await?;
        let view = tokio::task::block_in_place(|| layers.view(&diff_ids)).map_err(PackageError::from)?;
        let read: Vec<DiffId> = Packages::reads_below(&view).into_iter().map(|layer| diff_ids[layer]).collect();
        exec.sources.bring(layers, &read, Need::Files, None).await?;
        Ok(TreeBelow::of_files(layers.clone(), diff_ids)?)
    }

    fn of_tree(&self, diff_ids: Vec<DiffId>) -> Packages {
        let begun = self.asking.begun;
        let root = &begun.prepared.folders[Prepared::MAIN].path;
        self.packages.reading(ContextFiles::of_tree(root, begun.layers.clone(), diff_ids))
    }

    /// Builds the output of `graph`: its layers, and who can bring them.
    async fn build(&self, graph: &Arc<Graph>) -> Result<(Arc<Exec>, Vec<DiffId>), Unanswered> {
        let Asking { store, client, request, begun, events, .. } = self.asking;
        let refused = |text: String| Unanswered::Stage(text);
        entitlements::check(graph, &request.allow).map_err(|errors| refused(begun.source.show(&errors)))?;
        // What only has to be unpacked needs no other cache.
        let runs = graph.nodes().any(|(_, node)| matches!(node.op, Op::Exec(_)));
        let caches = if runs { request.cache_from.as_slice() } else { &[] };
        let lowered = Lowered {
            graph: Arc::clone(graph),
            images: self.images.clone(),
            packages: self.packages.clone(),
            imported: Arc::new(caches::import(caches, store, client, &begun.layers, events).await),
        };
        let exec = executor::executor(store, client, request, begun, lowered, SettledLayers::default(), events)
            .map_err(|error| refused(error.to_string()))?;
        let exec = Arc::new(exec);
        let options = solver::Options {
            jobs: request.jobs,
            most_jobs: request.most_jobs,
            project: begun.source.folder.join(&begun.source.name).display().to_string(),
            explains: request.explains,
        };
        let Solved { roots, .. } = loop {
            let refused = exec.sources.imported().refused();
            match solver::solve(graph, &exec, events, &options).await {
                // What a cache promised and did not keep is left out of the next attempt.
                Err(_) if exec.sources.imported().refused() > refused => {}
                solved => break solved.map_err(|failed| failed.error)?,
            }
        };
        let diff_ids = roots.first().map(|root| root.layers().to_vec()).unwrap_or_default();
        Ok((exec, diff_ids))
    }
}
