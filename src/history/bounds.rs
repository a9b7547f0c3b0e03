//! How much of the past is kept.

use super::{HistoryError, folder, read::running};
use crate::store::Store;
use std::{fs, path::Path};

/// How much of the past is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Builds, the new one included.
    pub builds: usize,
    /// Bytes of all of them. One build alone writes no more, either.
    pub bytes: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { builds: 50, bytes: 200_000_000 }
    }
}

impl Bounds {
    /// Removes the oldest builds until there is room for one more.
    pub(super) fn make_room(self, store: &Store) -> Result<(), HistoryError> {
        let all = folder(store);
        let entries = fs::read_dir(&all).map_err(|error| HistoryError::Disk { path: all.clone(), error })?;
        let mut ids: Vec<String> = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
        ids.sort_unstable_by(|a, b| b.cmp(a));
        let (mut count, mut bytes) = (1, 0);
        for id in ids {
            let path = all.join(&id);
            count += 1;
            bytes += size(&path);
            if (count > self.builds || bytes > self.bytes) && !running(store, &id)? {
                // What cannot be removed now is tried again by the next build.
                let _ = fs::remove_dir_all(&path);
                count -= 1;
            }
        }
        Ok(())
    }
}

/// The bytes of the files in a folder.
fn size(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).sum()
}
