//! What was done: the nodes of the graph, and the lines that they come from.

use super::Redactor;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use flashbuild_frontend::{
    diagnostic::LineIndex,
    graph::{Graph, NodeId},
};
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// One node.
#[derive(Serialize)]
pub(super) struct Step {
    id: String,
    name: String,
    /// The operation, as the graph has it.
    op: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    inputs: Vec<String>,
}

/// The Dockerfile, and where each step stands in it (`buildkit_metadata.source`).
#[derive(Serialize)]
pub(super) struct Source {
    locations: BTreeMap<String, Locations>,
    infos: [Info; 1],
}

#[derive(Serialize)]
struct Locations {
    locations: [Location; 1],
}

#[derive(Serialize)]
struct Location {
    ranges: [Range; 1],
}

#[derive(Serialize)]
struct Range {
    start: Line,
    end: Line,
}

#[derive(Serialize)]
struct Line {
    line: usize,
}

#[derive(Serialize)]
struct Info {
    filename: String,
    language: &'static str,
    /// In base64.
    data: String,
}

/// The steps, inputs before their users.
pub(super) fn of(graph: &Graph, nodes: &BTreeSet<NodeId>, redactor: &Redactor) -> Vec<Step> {
    let ids = ids(nodes);
    let step = |id: &NodeId| {
        let node = graph.node(*id);
        Step {
            id: ids[id].clone(),
            name: redactor.text(&node.name),
            op: redactor.value(serde_json::to_value(&node.op).expect("an operation is plain data")),
            platform: node.platform.as_ref().map(ToString::to_string),
            inputs: node.inputs.iter().map(|input| format!("{}:0", ids[input])).collect(),
        }
    };
    nodes.iter().map(step).collect()
}

impl Source {
    /// The source of a file of this name and text.
    pub(super) fn of(graph: &Graph, nodes: &BTreeSet<NodeId>, (name, text): (&str, &str), redactor: &Redactor) -> Self {
        let lines = LineIndex::new(text);
        let locations = ids(nodes).into_iter().filter_map(|(id, step)| {
            let covered = lines.covered(graph.node(id).span?);
            let range = Range { start: Line { line: *covered.start() }, end: Line { line: *covered.end() } };
            Some((step, Locations { locations: [Location { ranges: [range] }] }))
        });
        let data = STANDARD.encode(redactor.text(text));
        Self {
            locations: locations.collect(),
            infos: [Info { filename: name.to_owned(), language: "Dockerfile", data }],
        }
    }
}

/// What the nodes are called: by their order.
fn ids(nodes: &BTreeSet<NodeId>) -> BTreeMap<NodeId, String> {
    nodes.iter().enumerate().map(|(index, id)| (*id, format!("step{index}"))).collect()
}
