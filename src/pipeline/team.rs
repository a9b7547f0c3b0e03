//! What builds used, to one file and from it.

use super::{BuildError, Dest};
use crate::{
    cache::{self, BuildNote, CacheError, MountIds, TeamReport},
    layer::{Layers, OverlayXattrs},
    store::Store,
};
use flashbuild_frontend::reference::Reference;
use std::{
    fs::File,
    io::{self, BufReader},
    path::Path,
    time::SystemTime,
};

/// Which builds.
#[derive(Debug, Clone, Default)]
pub struct TeamSelection {
    /// The last ones of these images; all, if there are none.
    pub images: Vec<Reference>,
    /// Those since then.
    pub since: Option<SystemTime>,
    /// The caches of steps that go along.
    pub mounts: MountIds,
}

/// Writes what the last builds used.
pub fn export_team(store: &Store, selection: &TeamSelection, dest: &Dest) -> Result<TeamReport, BuildError> {
    let _lease = store.lease()?;
    let mut wanted: Vec<String> = selection.images.iter().map(ToString::to_string).collect();
    let all = wanted.is_empty();
    let mut note = BuildNote::default();
    let mut builds = 0;
    for row in store.build_notes()? {
        let is_wanted = all || wanted.contains(&row.name);
        if !is_wanted || selection.since.is_some_and(|since| row.made < since) {
            continue;
        }
        wanted.retain(|name| *name != row.name);
        builds += 1;
        note.add(serde_json::from_slice(&row.note).unwrap_or_default());
    }
    if let Some(unknown) = wanted.first() {
        return Err(BuildError::Environment(format!("no build of {unknown} is known here: build it, and export then")));
    }
    if builds == 0 {
        return Err(BuildError::Environment("no build that could be exported is known here".to_owned()));
    }
    let layers = Layers::new(store.clone(), OverlayXattrs::of_this_process());
    let mut report = None;
    dest.write(|writer| {
        report = Some(cache::export_team(&layers, &note, &selection.mounts, writer)?);
        Ok::<_, BuildError>(())
    })?;
    Ok(report.unwrap_or_default())
}

/// Reads such a file, or standard input.
pub fn import_team(store: &Store, file: Option<&Path>) -> Result<TeamReport, BuildError> {
    let _lease = store.lease()?;
    let layers = Layers::new(store.clone(), OverlayXattrs::of_this_process());
    let imported = match file {
        None => cache::import_team(&layers, io::stdin().lock()),
        Some(path) => {
            let opened = File::open(path);
            let file = opened.map_err(|error| BuildError::Environment(format!("{}: {error}", path.display())))?;
            cache::import_team(&layers, BufReader::new(file))
        }
    };
    store.make_durable()?;
    Ok(imported?)
}

impl From<CacheError> for BuildError {
    fn from(error: CacheError) -> Self {
        Self::Environment(error.to_string())
    }
}
