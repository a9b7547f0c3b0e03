//! From a graph to images at their destinations: solve, assemble, export.

use super::{
    BuildError, Built, Request, ahead::OnTheWay, build_file::BuildFile, caches::Caches, error::ended, outcome,
    results::Results,
};
use crate::{
    exec::{Exec, Product},
    registry::Client,
    solver::{self, Solved, event::Events},
    store::Store,
};
use std::sync::Arc;

/// A build whose graph is known. It may take several attempts, as caches do not always keep what they promise.
#[derive(Clone, Copy)]
pub(super) struct Attempt<'a> {
    pub(super) store: &'a Store,
    pub(super) client: &'a Client,
    pub(super) request: &'a Request,
    pub(super) source: &'a BuildFile,
    pub(super) exec: &'a Arc<Exec>,
    pub(super) events: &'a Events,
}

impl Attempt<'_> {
    /// Builds. Layers that went `ahead` are not sent again.
    pub(super) async fn run(&self, ahead: &mut Option<OnTheWay>) -> Result<Built, BuildError> {
        let Solved { roots, steps, keys } = self.solve().await?;
        let steps = outcome::report(&self.exec.graph, &steps, &self.exec.emulated);
        let (sent, caches_ahead) = match ahead.take() {
            Some(ahead) => ahead.pushed().await,
            None => Default::default(),
        };
        let caches = Caches { attempt: *self };
        let used = caches.used(&keys).map_err(|error| self.source.failed(&error, None))?;

        let step = self.events.step("export layers");
        let assembled = async {
            let results = Results::of(self, &roots, &used, &step).await?;
            let image = results.save()?;
            Ok::<_, BuildError>((results, image))
        };
        let assembled = assembled.await;
        let (results, image) = ended(step, assembled)?;
        results.deliver(&image, &sent).await?;

        caches.export(&used, caches_ahead).await?;
        caches.note(&keys, &image.descriptor.digest)?;
        self.exec.keep_imported().map_err(|error| self.source.failed(&error, None))?;
        Ok(Built { image, steps, provenance: results.into_provenance() })
    }

    async fn solve(&self) -> Result<Solved<Product>, BuildError> {
        let Self { request, source, exec, events, .. } = self;
        let options = solver::Options {
            jobs: request.jobs,
            most_jobs: request.most_jobs,
            project: source.folder.join(&source.name).display().to_string(),
            explains: request.explains,
        };
        let solved = solver::solve(&exec.graph, exec, events, &options).await.map_err(|failed| {
            let span = failed.node.and_then(|node| exec.graph.node(node).span);
            source.failed(&failed.error, span)
        })?;
        if let Some(cost) = exec.emulated.summary() {
            events.notice(cost);
        }
        if let Some(notice) = exec.packages.scripts_not_run() {
            events.notice(notice);
        }
        Ok(solved)
    }
}
