//! Slimming: an image without what the chosen [passes](crate::optimize::passes) find that it does not need.
//!
//! | file | step |
//! |---|---|
//! | `plan` | finds out what goes, and tells what that saves; nothing is made |
//! | `kept` | what of a layer is kept follows from that |
//! | this | makes the layers, and compares the result with the image before |
//!
//! What was removed or changed can become a layer of its own: with it on top, the image is whole again.

mod kept;
mod plan;

#[cfg(test)]
mod tests;

pub use crate::optimize::strip::Gpu;
pub use plan::plan;

use super::{Image, Replacement, RewriteError, Rewritten, check, remake, remake::Kept, replace};
use crate::{
    image::DiffId,
    layer::{Content, Entry, EntryKind, Form, Item, LayerError},
    optimize::{
        diff::{Change, FileChange},
        observed::Dropped,
        passes::Pass,
        strip::{self, Half, HalfOfFile},
    },
};
use remake::Bytes;
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

/// What is to go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Passes that are done.
    pub passes: Vec<&'static Pass>,
    /// GPUs that the image is for; without any, code for all of them stays.
    pub gpus: Vec<Gpu>,
}

/// What a pass saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Saving {
    /// The pass.
    pub pass: &'static Pass,
    /// Bytes of files, gone or turned to zeros.
    pub bytes: u64,
    /// Files.
    pub files: u64,
}

/// An image that is slim, or would be.
#[derive(Debug, Clone)]
pub struct Slimmed {
    /// What each pass saved, in the order in which they were done.
    pub savings: Vec<Saving>,
    /// Paths that a container no longer sees, sorted.
    pub removed: Vec<Vec<u8>>,
    /// What nobody asked for, if that was observed.
    pub dropped: Option<Dropped>,
    /// What was left alone though a pass asks for it, and why, a sentence each.
    pub notes: Vec<String>,
    /// Files with other bytes than before, by layer and path; of programs that lost their debug sections, where debuggers look
    /// for those.
    changed: BTreeMap<(usize, Vec<u8>), Option<Vec<u8>>>,
    /// Files that became links to others, and links to those, with the positions of their layers.
    relinked: BTreeMap<Vec<u8>, usize>,
    /// Positions of the layers that have their files.
    layers_of_removed: HashMap<Vec<u8>, usize>,
    tables: Vec<Option<Vec<Kept>>>,
}

impl Slimmed {
    /// Bytes that all passes saved.
    pub fn bytes(&self) -> u64 {
        self.savings.iter().map(|saving| saving.bytes).sum()
    }

    /// Whether nothing can go.
    pub fn is_unchanged(&self) -> bool {
        self.tables.iter().all(Option::is_none)
    }

    /// Makes the image.
    pub fn make(&self, image: &Image<'_>) -> Result<Rewritten, RewriteError> {
        let mut replacements = Vec::with_capacity(self.tables.len());
        for (kept, old) in self.tables.iter().zip(image.diff_ids) {
            let Some(kept) = kept else {
                replacements.push(None);
                continue;
            };
            let _contents = image.layers.contents(old)?;
            let made = remake::layer(image.layers, old, kept.clone(), image.compression)?;
            let layers = if made == DiffId::empty() { Vec::new() } else { vec![(made, None)] };
            replacements.push(Some(Replacement { layers }));
        }
        let rewritten = replace(image.config, image.diff_ids, replacements);
        let removed: BTreeSet<String> =
            self.removed.iter().map(|path| format!("/{}", String::from_utf8_lossy(path))).collect();
        let text = |path: &Vec<u8>| format!("/{}", String::from_utf8_lossy(path));
        let changed: BTreeSet<String> = self.changed.keys().map(|(_, path)| text(path)).collect();
        check(image, &rewritten, |file| is_asked_for(file, &removed, &changed))?;
        Ok(rewritten)
    }

    /// A layer of what was removed: the slim image with it on top is the image that was there before.
    pub fn dropped(&self, image: &Image<'_>) -> Result<DiffId, RewriteError> {
        let mut items: BTreeMap<Vec<u8>, Item> = BTreeMap::new();
        let changed = self.changed.keys().map(|(layer, path)| (path, *layer));
        let removed = self.removed.iter().map(|path| (path, self.layers_of_removed[path]));
        let relinked = self.relinked.iter().map(|(path, layer)| (path, *layer));
        let all: BTreeMap<&Vec<u8>, usize> = removed.chain(changed).chain(relinked).collect();
        for (&path, &layer) in &all {
            let Some(hit) = image.view.lookup(path).filter(|hit| hit.layer == layer) else { continue };
            // A link to a file that is kept, or in another layer, becomes a file of its own.
            let kept = match (&hit.entry.kind, hit.file()) {
                (EntryKind::HardLink { target }, Some((size, digest))) if all.get(target) != Some(&layer) => {
                    let entry = Entry { kind: EntryKind::File { size, digest }, ..hit.entry.clone() };
                    Kept { entry, bytes: Bytes::Of(target.clone()) }
                }
                _ => Kept::from(hit.entry.clone()),
            };
            items.insert(path.clone(), remake::item(image.layers, &image.diff_ids[layer], kept));
            let mut folder = remake::parent(path);
            while !folder.is_empty() && !items.contains_key(folder) {
                if let Some(hit) = image.view.lookup(folder) {
                    let entry = Entry { kind: EntryKind::Dir { opaque: false }, ..hit.entry.clone() };
                    items.insert(folder.to_vec(), Item::new(entry));
                }
                folder = remake::parent(folder);
            }
        }
        let form = Form::Blob(image.compression);
        Ok(image.layers.from_files(items.into_values().collect(), None, form)?.diff_id)
    }

    /// A layer of the debug sections that were taken out of programs, where debuggers look for them. `None` if there are
    /// none.
    pub fn debug_files(&self, image: &Image<'_>) -> Result<Option<DiffId>, RewriteError> {
        let mut items: BTreeMap<&[u8], Item> = BTreeMap::new();
        for ((layer, path), debug_path) in &self.changed {
            let Some(debug_path) = debug_path else { continue };
            let layer = image.diff_ids[*layer];
            let half = HalfOfFile { layers: image.layers.clone(), layer, path: path.clone(), half: Half::Debug };
            let (size, digest) = strip::measure(&half)
                .map_err(|error| LayerError::Io { path: String::from_utf8_lossy(path).into_owned().into(), error })?;
            let mut entry = Entry::new(debug_path.clone(), EntryKind::File { size, digest });
            entry.mode = 0o644;
            items.insert(debug_path, Item::file(entry, Content::Stream(Arc::new(half))));
        }
        if items.is_empty() {
            return Ok(None);
        }
        let form = Form::Blob(image.compression);
        Ok(Some(image.layers.from_files(items.into_values().collect(), None, form)?.diff_id))
    }
}

/// Whether a difference is what the passes are for.
fn is_asked_for(file: &FileChange, removed: &BTreeSet<String>, changed: &BTreeSet<String>) -> bool {
    let is_changed = changed.contains(&file.path);
    let may_change = |field: &str| field == "hard link to" || is_changed && matches!(field, "size" | "content");
    match &file.change {
        Change::Removed => removed.contains(&file.path),
        Change::Changed(fields) => fields.iter().all(|field| may_change(&field.field)),
        Change::Added => false,
    }
}
