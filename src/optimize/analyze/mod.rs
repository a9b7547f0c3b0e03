//! What is in an image: its layers, its packages, and what it carries in vain.
//!
//! 1. [`Analysis::of`] reads the tables of all layers, and of the files only databases of packages, programs' notes about
//!    themselves, and what may be a secret.
//! 2. It is shown as a table, as JSON ([`Analysis`] itself), or as a page ([`html::page`]).
//! 3. [`Condition`]s decide whether an image passes (`--fail-if`).
//!
//! Bytes are those of files' content, not of archives: `layer_bytes` of all layers, `bytes` of what a container sees. A file
//! with several names counts once.

mod base;
mod blocks;
mod condition;
mod dive;
mod files;
pub mod html;
mod layers;
mod line;
mod secrets;
mod waste;

pub use base::BaseAdvice;
pub use blocks::Block;
pub use condition::{Condition, Metric};
pub use files::{FileFilter, FileNode, Files, Mark, WasteFilter};
pub use layers::LayerFacts;
pub use line::LineChange;
pub use secrets::Secret;
pub(super) use waste::is_code;
pub use waste::{Waste, WastedFile};

use super::{
    owner::{Distribution, ImageTree, Inventory, Package},
    passes::Trust,
};
use crate::{
    image::DiffId,
    layer::{LayerError, Layers, View},
};
use flashbuild_frontend::config::ImageConfig;
use serde::Serialize;

/// The image to look into.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// Its name, for people.
    pub name: &'a str,
    /// Its configuration.
    pub config: &'a ImageConfig,
    /// Its layers, lowest first.
    pub diff_ids: &'a [DiffId],
    /// Bytes of the blob of each, as its manifest has them.
    pub compressed: &'a [u64],
    /// The layers as one tree.
    pub view: &'a View,
    /// Where they are.
    pub layers: &'a Layers,
    /// How many of them, from the lowest, came with the image that it was built on.
    pub base: usize,
}

/// What was found.
#[derive(Debug, Serialize)]
pub struct Analysis {
    /// The image's name.
    pub name: String,
    /// The machine that it is for.
    pub platform: String,
    /// Bytes of the files that a container sees.
    pub bytes: u64,
    /// How many those are.
    pub files: u64,
    /// Bytes of the files of all layers.
    pub layer_bytes: u64,
    /// Bytes that a registry has of it.
    pub compressed: u64,
    /// Bytes that are carried in vain, provably.
    pub wasted: u64,
    /// The score of dive, from 0 to 1: what the smallest version of each path takes, of what all versions take.
    pub efficiency: f64,
    /// Our own, from 0 to 1: what is not provably wasted, of all layers' bytes. Unlike dive's, it sees caches and equal files,
    /// and counts a deleted file by its size.
    pub score: f64,
    /// The layers, lowest first.
    pub layers: Vec<LayerFacts>,
    /// What a changed line of the application pushes, if it can be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<LineChange>,
    /// How much of the image below is used, if it is made of Debian packages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<BaseAdvice>,
    /// What the image was made from, if it says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distribution: Option<Distribution>,
    /// What package managers know of.
    pub packages: Vec<Package>,
    /// Bytes of files that no package owns.
    pub unowned: u64,
    /// What could go, the largest first.
    pub waste: Vec<Waste>,
    /// What may be a secret.
    pub secrets: Vec<Secret>,
    /// The files by folder.
    pub by_path: Block,
    /// The files by package.
    pub by_package: Block,
    /// What could not be read, a sentence each.
    pub notes: Vec<String>,
}

impl Analysis {
    /// Looks into an image.
    pub fn of(subject: Subject<'_>) -> Result<Self, LayerError> {
        let tree = ImageTree::new(subject.view, subject.layers, subject.diff_ids);
        let inventory = Inventory::of(&tree)?;
        let waste = waste::find(&subject, &tree, &inventory)?;
        let layers = layers::facts(&subject);
        let layer_bytes = layers.iter().map(|layer| layer.bytes).sum();
        let wasted = waste.iter().filter(|it| it.trust == Some(Trust::Proven)).map(|it| it.bytes).sum();
        let by_path = blocks::by_path(subject.view);
        let by_package = blocks::by_package(subject.view, &inventory);
        let owned: u64 = inventory.packages.iter().map(|package| package.bytes).sum();
        Ok(Self {
            name: subject.name.to_owned(),
            platform: subject.config.platform().to_string(),
            bytes: by_path.bytes,
            files: subject.view.walk(b"").filter(|hit| hit.file().is_some()).count() as u64,
            layer_bytes,
            compressed: subject.compressed.iter().sum(),
            wasted,
            efficiency: dive::efficiency(subject.view),
            score: share(layer_bytes.saturating_sub(wasted), layer_bytes),
            base: base::advice(&subject, &tree, &inventory)?,
            line: line::change(&subject, &inventory, &layers),
            layers,
            unowned: by_path.bytes.saturating_sub(owned),
            waste,
            secrets: secrets::find(&subject, &inventory)?,
            by_path,
            by_package,
            distribution: inventory.distribution,
            packages: inventory.packages,
            notes: inventory.notes,
        })
    }
}

/// A part of a whole, 1 of nothing.
#[expect(clippy::cast_precision_loss, reason = "a score is rounded anyway")]
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 1.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        layer::EntryKind,
        optimize::owner::testing::{Image, Node, file, node},
    };
    use flashbuild_frontend::config::History;

    /// Looks into an image of these layers, each with the instruction that made it.
    pub(in crate::optimize) fn analysis(layers: &[(&str, Vec<Node>)]) -> Analysis {
        let image = Image::of_layers(&layers.iter().map(|(_, nodes)| nodes.clone()).collect::<Vec<_>>());
        let mut config = ImageConfig::default();
        let history = |(command, _): &(&str, Vec<Node>)| History {
            created: None,
            created_by: Some((*command).to_owned()),
            author: None,
            comment: None,
            empty_layer: false,
        };
        config.history = layers.iter().map(history).collect();
        let compressed = vec![100; layers.len()];
        let subject = Subject {
            name: "test",
            config: &config,
            diff_ids: &image.diff_ids,
            compressed: &compressed,
            view: &image.view,
            layers: &image.layers,
            base: 1,
        };
        Analysis::of(subject).unwrap()
    }

    #[test]
    fn figures_add_up() {
        let found = analysis(&[
            ("base", vec![file("etc/os-release", "ID=debian\n"), file("old", "12345")]),
            ("RUN apt-get update", vec![file("var/lib/apt/lists/x", "123"), node("old", EntryKind::Whiteout)]),
            ("COPY . /app", vec![file("app/main.py", "print()"), file("app/copy.py", "print()")]),
        ]);
        assert_eq!((found.layer_bytes, found.bytes, found.wasted), (32, 27, 8));
        assert_eq!((found.by_path.bytes, found.by_package.bytes), (27, 27));
        assert!((found.score - 24.0 / 32.0).abs() < 1e-9, "{}", found.score);
        // dive: of `old` the smallest version is its deletion.
        assert!((found.efficiency - 27.0 / 32.0).abs() < 1e-9, "{}", found.efficiency);
        let waste: Vec<_> = found.waste.iter().map(|it| (it.kind, it.bytes, it.files)).collect();
        assert_eq!(waste, [("duplicates", 7, 1), ("deleted", 5, 1), ("caches", 3, 1)]);
        assert_eq!(found.line.unwrap().layer, 2);
        assert_eq!(found.layers[0].hidden, 5);
    }
}
