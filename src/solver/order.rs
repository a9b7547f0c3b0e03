//! Which vertex first: the one with the longest path to an image still before it.

use flashbuild_frontend::graph::{Graph, NodeId, Op};
use petgraph::{Direction, algo::toposort, graphmap::DiGraphMap};
use std::collections::{BTreeMap, BTreeSet};

/// How much a vertex holds up, in parts of a typical step: its own work and that of the longest chain of vertices that
/// wait for it, within what is `left` to do.
pub(super) fn urgency(graph: &Graph, left: &BTreeSet<NodeId>) -> BTreeMap<NodeId, u64> {
    let mut waits_for: DiGraphMap<NodeId, ()> = DiGraphMap::with_capacity(left.len(), left.len());
    for &id in left {
        waits_for.add_node(id);
        for &input in graph.node(id).inputs.iter().filter(|input| left.contains(input)) {
            waits_for.add_edge(input, id, ());
        }
    }
    let order = toposort(&waits_for, None).expect("inputs are added before their users, so there are no circles");
    let mut urgency = BTreeMap::new();
    for id in order.into_iter().rev() {
        let behind = waits_for.neighbors_directed(id, Direction::Outgoing).map(|user| urgency[&user]).max();
        urgency.insert(id, weight(&graph.node(id).op) + behind.unwrap_or(0));
    }
    urgency
}

/// What an operation typically costs. Only the order of magnitude matters.
fn weight(op: &Op) -> u64 {
    match op {
        Op::Exec(_) => 100,
        Op::Image(_) | Op::Http(_) | Op::Git(_) | Op::Package(_) => 30,
        Op::File(_) => 3,
        Op::Local(_) | Op::Merge => 1,
    }
}
