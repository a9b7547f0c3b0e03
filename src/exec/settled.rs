//! Layers that are certain to be in an image, or in a cache, told while other steps still run.

use crate::image::DiffId;
use flashbuild_frontend::graph::{Graph, NodeId, Op};
use std::{
    collections::{BTreeSet, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Whom to tell; by itself, nobody.
#[derive(Default)]
pub struct SettledLayers {
    listeners: Mutex<Vec<Listener>>,
}

/// Who wants to know, and of what.
struct Listener {
    sender: UnboundedSender<DiffId>,
    /// Layers of results only; else those of all steps.
    results: Option<Results>,
}

/// What results are made of.
struct Results {
    /// The nodes whose trees are at the bottom of an output's.
    nodes: BTreeSet<NodeId>,
    /// Those of them that add a layer of their own, which may still become others.
    steps: BTreeSet<NodeId>,
    may_divide: Box<dyn Fn(&DiffId) -> bool + Send + Sync>,
    held: HashSet<DiffId>,
}

impl SettledLayers {
    /// The layers of the outputs of `graph`, in the order in which they come to be; a layer may come more than once.
    ///
    /// A layer that a step made and for which `may_divide` holds is not told: it may be in no output after all.
    pub fn of_results(
        &self,
        graph: &Graph,
        may_divide: impl Fn(&DiffId) -> bool + Send + Sync + 'static,
    ) -> UnboundedReceiver<DiffId> {
        self.listen(Some(Results::of(graph, Box::new(may_divide))))
    }

    /// The layers of all steps, in the order in which they come to be; a layer may come more than once.
    pub fn of_steps(&self) -> UnboundedReceiver<DiffId> {
        self.listen(None)
    }

    fn listen(&self, results: Option<Results>) -> UnboundedReceiver<DiffId> {
        let (sender, receiver) = unbounded_channel();
        self.listeners().push(Listener { sender, results });
        receiver
    }

    /// Says that these are the layers of `id`.
    pub(super) fn tell(&self, id: NodeId, layers: &[DiffId]) {
        for listener in self.listeners().iter_mut() {
            for layer in
                layers.iter().filter(|layer| listener.results.as_mut().is_none_or(|of| of.has(id, layers, layer)))
            {
                // Who does not listen any more has said why elsewhere.
                let _ = listener.sender.send(*layer);
            }
        }
    }

    /// Says that there will be no others.
    pub fn close(&self) {
        self.listeners().clear();
    }

    fn listeners(&self) -> MutexGuard<'_, Vec<Listener>> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Results {
    fn of(graph: &Graph, may_divide: Box<dyn Fn(&DiffId) -> bool + Send + Sync>) -> Self {
        let mut nodes = BTreeSet::new();
        let mut steps = BTreeSet::new();
        let mut waiting: Vec<NodeId> = graph.outputs.iter().map(|output| output.root).collect();
        while let Some(id) = waiting.pop() {
            if !nodes.insert(id) {
                continue;
            }
            let node = graph.node(id);
            match node.op {
                Op::Merge => waiting.extend(&node.inputs),
                // What they add lies on their first input; the others are copied from, or mounted.
                Op::Exec(_) | Op::File(_) => {
                    steps.insert(id);
                    waiting.extend(node.inputs.first());
                }
                Op::Image(_) | Op::Local(_) | Op::Http(_) | Op::Git(_) | Op::Package(_) => {}
            }
        }
        Self { nodes, steps, may_divide, held: HashSet::new() }
    }

    /// Whether `layer`, of the `layers` of `id`, is certain to be in a result.
    fn has(&mut self, id: NodeId, layers: &[DiffId], layer: &DiffId) -> bool {
        if !self.nodes.contains(&id) {
            return false;
        }
        if let Some(own) = layers.last().filter(|own| self.steps.contains(&id) && (self.may_divide)(own)) {
            self.held.insert(*own);
        }
        // What is below was told of before, so it is known which of it is held.
        !self.held.contains(layer)
    }
}
