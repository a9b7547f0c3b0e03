//! An image becomes another image that does the same: divided into other layers ([`split`](mod@split)), or without what
//! nobody needs ([`slim`](mod@slim)).
//!
//! 1. A rewrite works layer by layer on contents tables. What it does not change stays the layer that it was, blob and all.
//! 2. A layer that changes is packed anew from the files of the old one: read once, in pieces, so that memory does not depend
//!    on sizes.
//! 3. The merged tree of the result is compared with that of the image before, with our own [`diff`], times
//!    and hard links included. What differs has to be what was asked for, or there is no result.

mod remake;
pub mod slim;
pub mod split;

use super::diff::{self, Change, FileChange, Rules, Side};
use crate::{
    image::DiffId,
    layer::{Compression, LayerError, Layers, View},
};
use flashbuild_frontend::config::{History, ImageConfig};

/// An image that is rewritten: one platform.
#[derive(Clone, Copy)]
pub struct Image<'a> {
    /// Its configuration.
    pub config: &'a ImageConfig,
    /// Its layers, lowest first.
    pub diff_ids: &'a [DiffId],
    /// They as one tree.
    pub view: &'a View,
    /// Where they are, and new ones will be.
    pub layers: &'a Layers,
    /// How many of them, from the lowest, are left as they are: those that other images share.
    pub base: usize,
    /// How new layers are compressed.
    pub compression: Compression,
}

/// What became of an image.
#[derive(Debug, Clone)]
pub struct Rewritten {
    /// Its configuration, the history that of the new layers; but for `rootfs`, which follows from the layers.
    pub config: ImageConfig,
    /// Its layers, lowest first.
    pub diff_ids: Vec<DiffId>,
}

/// Why an image was not rewritten.
#[derive(Debug, thiserror::Error)]
pub enum RewriteError {
    /// A layer could not be read or made.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// The result is not what it has to be.
    #[error(
        "the rewritten image is not what it should be, so there is none: {count} paths differ, the first is {first}"
    )]
    Differs {
        /// How many paths.
        count: usize,
        /// The first, and how.
        first: String,
    },
}

/// What takes the place of a layer.
struct Replacement {
    /// The layers, lowest first, and what the history says of each; nothing if the layer is gone.
    layers: Vec<(DiffId, Option<String>)>,
}

/// Puts replacements in the places of layers of an image. `replacements` has one for each layer that changes.
fn replace(config: &ImageConfig, layers: &[DiffId], mut replacements: Vec<Option<Replacement>>) -> Rewritten {
    let mut config = config.clone();
    let made = config.history.iter().filter(|entry| !entry.empty_layer).count();
    // A history that is shorter than the layers lacks its oldest entries.
    let unknown = layers.len().saturating_sub(made);
    let mut history = Vec::with_capacity(config.history.len());
    let mut diff_ids: Vec<DiffId> = Vec::new();
    let mut position = 0;
    let mut take = |position: usize, entry: Option<History>, history: &mut Vec<History>| {
        let placed = match replacements[position].take() {
            None => vec![(layers[position], None)],
            Some(replacement) => replacement.layers,
        };
        let count = placed.len();
        if let Some(entry) = entry {
            if count == 0 {
                history.push(History { empty_layer: true, ..entry.clone() });
            }
            for (_, text) in &placed {
                let created_by = text.clone().or_else(|| entry.created_by.clone());
                history.push(History { created_by, ..entry.clone() });
            }
        }
        diff_ids.extend(placed.into_iter().map(|(diff_id, _)| diff_id));
    };
    while position < unknown {
        take(position, None, &mut history);
        position += 1;
    }
    for entry in std::mem::take(&mut config.history) {
        if entry.empty_layer || position >= layers.len() {
            history.push(entry);
        } else {
            take(position, Some(entry), &mut history);
            position += 1;
        }
    }
    config.history = history;
    Rewritten { config, diff_ids }
}

/// Refuses a result whose merged tree differs from the image's in what is not `allowed`.
fn check(image: &Image<'_>, rewritten: &Rewritten, allowed: impl Fn(&FileChange) -> bool) -> Result<(), RewriteError> {
    let view = image.layers.view(&rewritten.diff_ids)?;
    let side = |files| Side { config: image.config, files };
    let report = diff::compare(side(image.view), side(&view), Rules { semantic: false, times: true });
    let wrong: Vec<&FileChange> = report.files.iter().filter(|file| !allowed(file)).collect();
    match wrong.first() {
        None => Ok(()),
        Some(first) => {
            let how = match &first.change {
                Change::Added => "is new".to_owned(),
                Change::Removed => "is gone".to_owned(),
                Change::Changed(fields) => {
                    let names: Vec<&str> = fields.iter().map(|field| field.field.as_str()).collect();
                    format!("differs in {}", names.join(", "))
                }
            };
            Err(RewriteError::Differs { count: wrong.len(), first: format!("{}, which {how}", first.path) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimize::owner::testing::{self, file};

    #[test]
    fn history_follows_the_layers() {
        let layers = ["a", "b", "c"].map(|name| vec![file(name, name)]);
        let image = testing::Image::of_layers(&layers);
        let entry = |text: &str, empty_layer| History {
            created: None,
            created_by: Some(text.to_owned()),
            author: None,
            comment: None,
            empty_layer,
        };
        // The lowest layer has no entry.
        let history = vec![entry("ENV", true), entry("RUN b", false), entry("RUN c", false), entry("CMD", true)];
        let config = ImageConfig { history, ..ImageConfig::default() };
        let subject = image.subject(&config);
        let ids = &image.diff_ids;
        let split = Replacement { layers: vec![(ids[2], Some("part".to_owned())), (ids[1], None)] };
        let done = replace(
            subject.config,
            subject.diff_ids,
            vec![None, Some(split), Some(Replacement { layers: Vec::new() })],
        );
        assert_eq!(done.diff_ids, [ids[0], ids[2], ids[1]]);
        let told: Vec<_> =
            done.config.history.iter().map(|it| (it.created_by.as_deref().unwrap(), it.empty_layer)).collect();
        assert_eq!(told, [("ENV", true), ("part", false), ("RUN b", false), ("RUN c", true), ("CMD", true)]);
    }

    #[test]
    fn a_tree_that_differs_is_refused() {
        let image = testing::Image::of_layers(&[vec![file("a", "1")], vec![file("b", "2"), file("c", "3")]]);
        let config = ImageConfig::default();
        let rewritten = Rewritten { config: config.clone(), diff_ids: vec![image.diff_ids[0]] };
        let error = check(&image.subject(&config), &rewritten, |_| false).unwrap_err().to_string();
        assert!(error.ends_with("2 paths differ, the first is /b, which is gone"), "{error}");
        check(&image.subject(&config), &rewritten, |file| file.change == Change::Removed).unwrap();
    }
}
