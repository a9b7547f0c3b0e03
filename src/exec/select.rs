//! What a copy takes: its sources, found in the tables of a tree or in the listing of a context.
//!
//! | source | found | placed |
//! |---|---|---|
//! | a file, or a link to one | the file | under the name that was asked for, or as the destination |
//! | a folder | what is in it | without the folder itself |
//! | `--parents`, a pattern below a pivot | what it matches, and all below that | with the folders from the pivot on |
//!
//! Links on the way to a source are followed inside the tree; among what is copied they stay links. A pattern may match
//! nothing, a plain path must exist. What `--exclude` matches stays behind: its patterns are relative to the folder that
//! is copied, to the pivot, or are compared with the name of a single file. A folder that was left out is made after all
//! where something below it is not.

use super::ExecError;
use crate::layer::{Hit, LastLink, ResolveError, Resolved, View};
use flashbuild_frontend::{
    diagnostic::nearest,
    glob::{Glob, has_wildcards},
    graph::{CopyAction, CopySource},
    ignore::{IgnoreError, IgnoreRules},
};
use std::collections::BTreeSet;

/// Something to copy.
pub(super) struct Found<'a> {
    /// Its path below the destination. For a file that is a source itself, its name there: the one that was asked for, also if
    /// that is a link which leads to a file of another name.
    pub(super) relative: Vec<u8>,
    /// Whether it is a source itself, and no folder: then it can become the destination.
    pub(super) alone: bool,
    /// What it is.
    pub(super) hit: Hit<'a>,
    /// Whether it is a folder that only comes along for what is in it.
    pub(super) implied: bool,
}

/// All that a copy takes.
pub(super) struct Selection<'a> {
    /// Folders before what they hold, source by source.
    pub(super) found: Vec<Found<'a>>,
    /// Whether a source is a folder: then the destination is one, too, even if there is nothing to put into it.
    pub(super) has_folder: bool,
}

/// Finds what `copy` takes from `view`, which is called `place` towards people.
pub(super) fn select<'a>(view: &'a View, copy: &CopyAction, place: &'static str) -> Result<Selection<'a>, ExecError> {
    let mut selection = Selection { found: Vec::new(), has_folder: false };
    let exclude = rules(&copy.exclude)?;
    for source in &copy.sources {
        match source {
            CopySource::Flat(source) => {
                for path in expand(view, source)? {
                    let resolved = existing(view, &path, source, place)?;
                    match resolved.hit {
                        Some(hit) if !hit.entry.is_dir() => {
                            let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
                            if !exclude.matches(&String::from_utf8_lossy(name)) {
                                selection.found.push(Found {
                                    relative: name.to_vec(),
                                    alone: true,
                                    hit,
                                    implied: false,
                                });
                            }
                        }
                        _ => {
                            selection.has_folder = true;
                            below(view, &resolved.existing, |path| !exclude.matches(path), &mut selection.found);
                        }
                    }
                }
            }
            CopySource::WithParents { pivot, below: pattern } => {
                selection.has_folder = true;
                let include = rules(std::slice::from_ref(pattern))?;
                let wanted = |path: &str| (pattern == "." || include.matches(path)) && !exclude.matches(path);
                for path in expand(view, pivot)? {
                    let root = existing(view, &path, pivot, place)?;
                    if !has_wildcards(pivot) && !has_wildcards(pattern) {
                        let whole = [root.existing.as_slice(), b"/", pattern.as_bytes()].concat();
                        let shown = format!("{}/{pattern}", pivot.trim_end_matches('/'));
                        existing(view, &whole, &shown, place)?;
                    }
                    below(view, &root.existing, wanted, &mut selection.found);
                }
            }
        }
    }
    Ok(selection)
}

/// Adds what is below `root` and `wanted` by its path there, with the folders on the way.
fn below<'a>(view: &'a View, root: &[u8], wanted: impl Fn(&str) -> bool, found: &mut Vec<Found<'a>>) {
    let skip = if root.is_empty() { 0 } else { root.len() + 1 };
    let mut made: BTreeSet<&'a [u8]> = BTreeSet::new();
    for hit in view.walk(root).filter(|hit| hit.entry.path.len() > skip) {
        let path = &hit.entry.path[skip..];
        if !wanted(&String::from_utf8_lossy(path)) {
            continue;
        }
        for (end, _) in path.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
            let folder = &path[..end];
            if made.insert(folder)
                && let Some(hit) = view.lookup(&hit.entry.path[..skip + end])
            {
                found.push(Found { relative: folder.to_vec(), alone: false, hit, implied: true });
            }
        }
        if hit.entry.is_dir() {
            made.insert(path);
        }
        found.push(Found { relative: path.to_vec(), alone: false, hit, implied: false });
    }
}

/// The paths that a source means.
fn expand(view: &View, source: &str) -> Result<Vec<Vec<u8>>, ExecError> {
    if !has_wildcards(source) {
        return Ok(vec![source.as_bytes().to_vec()]);
    }
    let glob = Glob::for_copy(source).map_err(|error| ExecError::Path(error.to_string()))?;
    let paths = view.walk(b"").map(|hit| hit.entry.path.clone());
    Ok(paths.filter(|path| std::str::from_utf8(path).is_ok_and(|path| glob.matches(path))).collect())
}

pub(super) fn existing<'a>(
    view: &'a View,
    path: &[u8],
    source: &str,
    place: &'static str,
) -> Result<Resolved<'a>, ExecError> {
    match view.resolve(path.strip_prefix(b"/").unwrap_or(path), LastLink::Follow) {
        Ok(resolved) if resolved.missing.is_empty() => Ok(resolved),
        Ok(_) => Err(not_found(view, source, place)),
        Err(error @ (ResolveError::Links(_) | ResolveError::NotADirectory { .. })) => {
            Err(ExecError::Path(error.to_string()))
        }
    }
}

fn not_found(view: &View, source: &str, place: &'static str) -> ExecError {
    let path = source.trim_start_matches('/');
    let names: Vec<String> = view.walk(b"").take(10_000).map(|hit| hit.entry.display_path()).collect();
    let names = names.iter().map(|name| name.trim_start_matches('/'));
    let similar = nearest(path, names).map(ToOwned::to_owned);
    ExecError::NotFound { path: path.to_owned(), place, similar }
}

fn rules(patterns: &[String]) -> Result<IgnoreRules, ExecError> {
    IgnoreRules::new(patterns).map_err(|error: IgnoreError| ExecError::Path(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        image::ContentDigest,
        layer::{Entry, EntryKind, Toc},
    };
    use std::sync::Arc;

    /// `name/` is a folder, `name -> target` a link, `name` a file.
    fn view(specs: &[&str]) -> View {
        let entry = |spec: &&str| match (spec.strip_suffix('/'), spec.split_once(" -> ")) {
            (Some(folder), _) => Entry::new(folder, EntryKind::Dir { opaque: false }),
            (None, Some((link, target))) => Entry::new(link, EntryKind::Symlink { target: target.into() }),
            (None, None) => Entry::new(*spec, EntryKind::File { size: 0, digest: ContentDigest::of(b"") }),
        };
        View::new(vec![Arc::new(Toc::new(specs.iter().map(entry).collect()).unwrap())])
    }

    /// One case a block: the tree, then `take` with sources and excluded patterns, then what is found, one a line, `+`
    /// before what only comes along.
    #[test]
    fn cases() {
        let text = include_str!("../../testdata/copy/select.txt");
        let mut tree = View::default();
        let mut count = 0;
        for block in text.split("\n\n").map(str::trim).filter(|block| !block.starts_with('#')) {
            let mut lines = block.lines();
            let head = lines.next().unwrap();
            if let Some(specs) = head.strip_prefix("tree ") {
                tree = view(&specs.split(", ").collect::<Vec<_>>());
                continue;
            }
            let words: Vec<&str> = head.split(' ').collect();
            let of_kind = |kind: &str| -> Vec<String> {
                words.iter().filter_map(|word| word.strip_prefix(kind)).map(str::to_owned).collect()
            };
            let parents = of_kind("parents=").into_iter().map(|source| {
                let (pivot, below) = source.split_once("/./").unwrap();
                let pivot = if pivot.is_empty() { "/" } else { pivot };
                CopySource::WithParents { pivot: pivot.to_owned(), below: below.to_owned() }
            });
            let copy = CopyAction {
                from: 1,
                sources: of_kind("flat=").into_iter().map(CopySource::Flat).chain(parents).collect(),
                exclude: of_kind("exclude="),
                dest: "/".to_owned(),
                into_dir: true,
                owner: None,
                mode: None,
                unpack: false,
            };
            let found: Vec<String> = match select(&tree, &copy, "the tree") {
                Ok(selection) => selection
                    .found
                    .iter()
                    .map(|found| {
                        let mark = if found.implied { "+" } else { "" };
                        let path = String::from_utf8_lossy(&found.relative);
                        let own = found.hit.entry.display_path();
                        if found.alone { format!("{mark}{path} = {own}") } else { format!("{mark}{path}") }
                    })
                    .collect(),
                Err(error) => vec![format!("error: {error}")],
            };
            assert_eq!(found, lines.collect::<Vec<_>>(), "{head}");
            count += 1;
        }
        assert!(count >= 20, "{count} cases");
    }
}
