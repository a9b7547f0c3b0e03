//! Layers that are made before the graph is known that has them.
//!
//! What one `DEPS` means is often known while another is still being found out. The layers of the first are begun then, and who
//! comes to make their nodes takes them from here. A layer that could not be made is made again by its node, which tells why.

use super::{Artifact, Packages};
use crate::{
    image::DiffId,
    layer::{Form, Layers},
    solver::event::Step,
};
use flashbuild_frontend::package::PackageOp;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{sync::Semaphore, task::JoinHandle};

/// Layers that were begun.
pub(super) struct Ahead {
    begun: Mutex<HashMap<PackageOp, Begun>>,
    /// How many are unpacked at once. As long as questions are open, answering them comes first.
    places: Arc<Semaphore>,
}

impl Default for Ahead {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self { begun: Mutex::default(), places: Arc::new(Semaphore::new((processors / 2).max(1))) }
    }
}

/// A layer on its way. It is given up if nobody waits for it any more.
struct Begun {
    epoch: Option<i64>,
    form: Form,
    layer: JoinHandle<Option<DiffId>>,
}

/// The step that layers are begun in: it has run when the last of them is done.
struct Together(Option<Step>);

impl Drop for Begun {
    fn drop(&mut self) {
        self.layer.abort();
    }
}

impl Drop for Together {
    fn drop(&mut self) {
        if let Some(step) = self.0.take() {
            step.ran();
        }
    }
}

impl Packages {
    /// Begins to make the layers of `ops`, each in its form, as part of `step`. None of their packages is made by a step.
    pub fn begin(&self, layers: &Layers, ops: Vec<(PackageOp, Form)>, epoch: Option<i64>, step: Step) {
        let together = Arc::new(Together(Some(step)));
        for (op, form) in ops {
            // Whoever makes a layer holds none of those that were begun: they end with the build.
            let packages = Self { ahead: Arc::default(), ..self.clone() };
            let (layers, together, places) = (layers.clone(), Arc::clone(&together), Arc::clone(&self.ahead.places));
            let work = op.clone();
            let layer = tokio::spawn(async move {
                let step = together.0.as_ref()?;
                let fetched = work.packages.iter().map(|package| packages.fetch(package, step));
                let blobs = futures_util::future::try_join_all(fetched).await.ok()?;
                let artifacts = blobs.into_iter().map(Artifact::Blob).collect();
                let _place = places.acquire().await.ok()?;
                let make = || {
                    let items = packages.unpack(&layers, &work, artifacts, epoch).ok()?;
                    layers.from_files(items, epoch, form).ok()
                };
                Some(tokio::task::block_in_place(make)?.diff_id)
            });
            let begun = Begun { epoch, form, layer };
            self.ahead.begun.lock().unwrap_or_else(PoisonError::into_inner).insert(op, begun);
        }
    }

    /// The layer of `op`, if it was begun and came out well.
    pub async fn begun(&self, op: &PackageOp, epoch: Option<i64>, form: Form) -> Option<DiffId> {
        // The graph is known now: nothing else is waited for.
        self.ahead.places.add_permits(1);
        let begun = self.ahead.begun.lock().unwrap_or_else(PoisonError::into_inner).remove(op);
        let mut begun = begun.filter(|begun| begun.epoch == epoch && begun.form == form)?;
        (&mut begun.layer).await.ok().flatten()
    }
}
