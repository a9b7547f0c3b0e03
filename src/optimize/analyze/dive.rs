//! The efficiency score of dive (wagoodman/dive, `dive/filetree/efficiency.go`), with its formula and its view of layers, so
//! that its thresholds keep their meaning.
//!
//! For every path: the sizes of all its versions, one a layer that has it, and the smallest of them. The score is the sum of
//! the smallest over the sum of all. Only leaves count: files, and folders that are empty in their layer. A hard link has no
//! size, like its entry in a tar. The deletion of a file is a version of no size; that of a folder has the size of all that
//! was in it.

use crate::layer::{Entry, EntryKind, View};
use std::collections::{HashMap, HashSet};

pub(super) fn efficiency(view: &View) -> f64 {
    // Of each path: the smallest version, and the sum of all.
    let mut paths: HashMap<&[u8], (u64, u64)> = HashMap::new();
    for (index, toc) in view.layers().iter().enumerate() {
        let folders: HashSet<&[u8]> = toc.entries().iter().filter_map(folder_of).collect();
        let mut below: Option<View> = None;
        for entry in toc.entries().iter().filter(|entry| !folders.contains(&entry.path[..])) {
            let size = match entry.kind {
                EntryKind::File { size, .. } => size,
                EntryKind::Whiteout => {
                    let below = below.get_or_insert_with(|| View::new(view.layers()[..index].to_vec()));
                    below.walk(&entry.path).map(|hit| size_of(hit.entry)).sum()
                }
                EntryKind::HardLink { .. }
                | EntryKind::Dir { .. }
                | EntryKind::Symlink { .. }
                | EntryKind::CharDevice { .. }
                | EntryKind::BlockDevice { .. }
                | EntryKind::Fifo => 0,
            };
            let (smallest, sum) = paths.entry(&entry.path).or_insert((size, 0));
            *smallest = (*smallest).min(size);
            *sum += size;
        }
    }
    let (smallest, all) = paths.values().fold((0, 0), |(smallest, all), path| (smallest + path.0, all + path.1));
    super::share(smallest, all)
}

fn size_of(entry: &Entry) -> u64 {
    if let EntryKind::File { size, .. } = entry.kind { size } else { 0 }
}

fn folder_of(entry: &Entry) -> Option<&[u8]> {
    let slash = entry.path.iter().rposition(|&byte| byte == b'/')?;
    Some(&entry.path[..slash])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimize::owner::testing::*;

    #[track_caller]
    fn check(layers: &[Vec<Node>], smallest: f64, all: f64) {
        let image = Image::of_layers(layers);
        assert!((efficiency(&image.view) - smallest / all).abs() < 1e-9, "{}", efficiency(&image.view));
    }

    #[test]
    fn versions_of_a_path_are_compared() {
        let gone = |path: &str| node(path, EntryKind::Whiteout);
        check(&[vec![file("a", "12")], vec![file("a", "1234")]], 2.0, 6.0);
        check(&[vec![file("a", "12"), file("b", "1")], vec![gone("a")]], 1.0, 3.0);
        // The folder's deletion weighs what was in it, under the folder's own path.
        check(&[vec![file("d/a", "12"), file("b", "1")], vec![gone("d")]], 5.0, 5.0);
        check(&[vec![]], 1.0, 1.0);
    }
}
