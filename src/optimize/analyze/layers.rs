//! The layers, one by one.

use super::Subject;
use crate::{image::DiffId, layer::EntryKind, optimize::passes::hidden::hidden};
use serde::Serialize;

/// A layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LayerFacts {
    /// Its name.
    pub diff_id: DiffId,
    /// The instruction that made it; empty if the image does not say.
    pub command: String,
    /// Whether it came with the image that this one was built on.
    pub base: bool,
    /// Bytes of its files.
    pub bytes: u64,
    /// How many those are.
    pub files: u64,
    /// Bytes of its blob.
    pub compressed: u64,
    /// Bytes of its files that later layers replace or delete.
    pub hidden: u64,
}

pub(super) fn facts(subject: &Subject<'_>) -> Vec<LayerFacts> {
    let mut hidden_bytes = vec![0; subject.diff_ids.len()];
    for file in hidden(subject.view) {
        hidden_bytes[file.layer] += file.bytes;
    }
    let commands = commands(subject);
    let layers = subject.view.layers().iter().enumerate();
    layers
        .map(|(index, toc)| LayerFacts {
            diff_id: subject.diff_ids[index],
            command: commands[index].clone(),
            base: index < subject.base,
            bytes: toc.content_size(),
            files: toc.entries().iter().filter(|entry| matches!(entry.kind, EntryKind::File { .. })).count() as u64,
            compressed: subject.compressed.get(index).copied().unwrap_or_default(),
            hidden: hidden_bytes[index],
        })
        .collect()
}

/// The instruction of each layer. A history that is shorter than the layers lacks its oldest entries.
fn commands(subject: &Subject<'_>) -> Vec<String> {
    let made: Vec<&str> = (subject.config.history.iter().filter(|entry| !entry.empty_layer))
        .map(|entry| entry.created_by.as_deref().unwrap_or_default())
        .collect();
    let count = subject.diff_ids.len();
    let unknown = count.saturating_sub(made.len());
    (0..count).map(|index| index.checked_sub(unknown).map_or("", |index| made[index]).trim().to_owned()).collect()
}
