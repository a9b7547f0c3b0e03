//! What a changed line of the application costs: the layer that its sources are in, and every later layer that a `RUN`
//! made, because that runs again and comes out different.

use super::{LayerFacts, Subject};
use crate::{
    layer::EntryKind,
    optimize::{owner::Inventory, passes::hidden::is_visible},
};
use serde::Serialize;

/// What a changed line pushes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LineChange {
    /// Position of the layer with the application's files.
    pub layer: usize,
    /// Bytes of blobs that are pushed again.
    pub pushed: u64,
    /// How many layers those are.
    pub layers: usize,
}

/// The application is in the first layer that a `COPY` or `ADD` made and that has a file of no package. `None` if there is
/// no such layer.
pub(super) fn change(subject: &Subject<'_>, inventory: &Inventory, layers: &[LayerFacts]) -> Option<LineChange> {
    let is_copy = |layer: &LayerFacts| {
        let command = layer.command.trim_start_matches("/bin/sh -c #(nop) ").trim_start();
        command.starts_with("COPY") || command.starts_with("ADD")
    };
    let has_own = |index: usize| {
        subject.view.layers()[index].entries().iter().any(|entry| {
            matches!(entry.kind, EntryKind::File { .. })
                && inventory.owner_index(&entry.path).is_none()
                && is_visible(subject.view, index, &entry.path)
        })
    };
    let own = (subject.base..layers.len()).find(|&index| is_copy(&layers[index]) && has_own(index))?;
    let again: Vec<&LayerFacts> = layers[own..]
        .iter()
        .enumerate()
        .filter(|(index, layer)| *index == 0 || !is_copy(layer))
        .map(|(_, it)| it)
        .collect();
    let pushed = again.iter().map(|layer| layer.compressed).sum();
    Some(LineChange { layer: own, pushed, layers: again.len() })
}
