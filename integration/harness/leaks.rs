//! Where something is that should be nowhere.

use std::fs;
use std::path::Path;

/// Files below `path` that hold any of `values`.
pub(crate) fn files_with(path: &Path, values: &[Vec<u8>]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        if metadata.is_dir() {
            found.extend(files_with(&path, values));
        } else if metadata.is_file() {
            let bytes = fs::read(&path).unwrap_or_default();
            if values.iter().any(|value| bytes.windows(value.len()).any(|window| window == value)) {
                found.push(path.display().to_string());
            }
        }
    }
    found
}
