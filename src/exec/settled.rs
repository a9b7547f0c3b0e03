//! Layers that are certain to be in an image, told while other steps still run.

use crate::image::DiffId;
use flashbuild_frontend::graph::{Graph, NodeId, Op};
use std::{
    collections::{BTreeSet, HashSet},
    sync::{Mutex, PoisonError},
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Whom to tell.
pub struct SettledLayers {
    /// The nodes whose trees are at the bottom of an output's.
    nodes: BTreeSet<NodeId>,
    /// Those of them that add a layer of their own, which may still become others.
    steps: BTreeSet<NodeId>,
    may_divide: Box<dyn Fn(&DiffId) -> bool + Send + Sync>,
    held: Mutex<HashSet<DiffId>>,
    listener: Mutex<Option<UnboundedSender<DiffId>>>,
}

impl SettledLayers {
    /// Nobody listens.
    pub fn untold() -> Self {
        Self {
            nodes: BTreeSet::new(),
            steps: BTreeSet::new(),
            may_divide: Box::new(|_| false),
            held: Mutex::default(),
            listener: Mutex::new(None),
        }
    }

    /// The layers of the outputs of `graph`, in the order in which they come to be; a layer may come more than once.
    ///
    /// A layer that a step made and for which `may_divide` holds is not told: it may be in no output after all.
    pub fn of(
        graph: &Graph,
        may_divide: impl Fn(&DiffId) -> bool + Send + Sync + 'static,
    ) -> (Self, UnboundedReceiver<DiffId>) {
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
        let (sender, receiver) = unbounded_channel();
        let (may_divide, held) = (Box::new(may_divide), Mutex::default());
        (Self { nodes, steps, may_divide, held, listener: Mutex::new(Some(sender)) }, receiver)
    }

    /// Says that these are the layers of `id`.
    pub(super) fn tell(&self, id: NodeId, layers: &[DiffId]) {
        let listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(listener) = listener.as_ref().filter(|_| self.nodes.contains(&id)) {
            let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(own) = layers.last().filter(|own| self.steps.contains(&id) && (self.may_divide)(own)) {
                held.insert(*own);
            }
            // What is below was told of before, so it is known which of it is held.
            for layer in layers.iter().filter(|layer| !held.contains(layer)) {
                // Who does not listen any more has said why elsewhere.
                let _ = listener.send(*layer);
            }
        }
    }

    /// Says that there will be no others.
    pub fn close(&self) {
        self.listener.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}
