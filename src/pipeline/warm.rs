//! Packages of lock files and of presets, fetched before a build needs them.

use super::{BuildError, error::ended};
use crate::{
    cache::BuildNote,
    packages::{self, ContextFiles, LOCK_FILE_NAME, Lock, Packages, Preset, TreeBelow},
    solver::event::Events,
    store::Store,
};
use flashbuild_frontend::{
    package::{DepsRequest, LockPlace, Package, Room},
    platform::Platform,
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Packages that are asked for at a time; the client of packages has its own limit of transfers.
const AT_ONCE: usize = 32;

/// Which packages.
#[derive(Debug, Clone)]
pub struct WarmRequest {
    /// Lock files.
    pub files: Vec<PathBuf>,
    /// Presets.
    pub presets: Vec<&'static Preset>,
    /// Where the locks of presets are, or are written, in a folder each; else what they mean is forgotten.
    pub locks: Option<PathBuf>,
    /// The platforms that they are for.
    pub platforms: Vec<Platform>,
    /// Flags, as a `DEPS` of the lock's ecosystem has them.
    pub flags: Vec<(String, String)>,
}

/// Fetches the artifacts of all packages that the lock files mean, and notes them under the files' names, so that an export
/// takes them along. Returns how many there are.
pub async fn warm(
    store: &Store,
    options: &packages::Options,
    request: &WarmRequest,
    events: &Events,
) -> Result<usize, BuildError> {
    let _lease = store.lease()?;
    let client = packages::Client::new(options)?;
    let mut count = 0;
    for file in &request.files {
        count += Warming { store, client: &client, request, events }.file(file, None).await?;
    }
    for preset in &request.presets {
        count += Warming { store, client: &client, request, events }.preset(preset).await?;
    }
    store.make_durable()?;
    Ok(count)
}

struct Warming<'a> {
    store: &'a Store,
    client: &'a packages::Client,
    request: &'a WarmRequest,
    events: &'a Events,
}

impl Warming<'_> {
    async fn preset(&self, preset: &Preset) -> Result<usize, BuildError> {
        let environment = |error: std::io::Error| BuildError::Environment(format!("preset {}: {error}", preset.name));
        let forgotten = tempfile::tempdir().map_err(environment)?;
        let folder =
            self.request.locks.as_ref().map_or_else(|| forgotten.path().to_owned(), |locks| locks.join(preset.name));
        std::fs::create_dir_all(&folder).map_err(environment)?;
        let step = self.events.step(format!("resolve preset {}", preset.name));
        let files = ended(step, preset.write(&folder).await.map_err(BuildError::from))?;
        let mut count = 0;
        for file in files {
            count += self.file(&file, Some(preset)).await?;
        }
        Ok(count)
    }

    /// Warms what a lock file means; what that of a `preset` means is locked, too.
    async fn file(&self, file: &Path, preset: Option<&Preset>) -> Result<usize, BuildError> {
        let Self { store, client, request, events } = self;
        let environment =
            |error: &dyn std::fmt::Display| BuildError::Environment(format!("{}: {error}", file.display()));
        let file = std::path::absolute(file).map_err(|error| environment(&error))?;
        let (Some(folder), Some(name)) = (file.parent(), file.file_name().and_then(|name| name.to_str())) else {
            return Err(BuildError::Input(format!("{}: not the name of a lock file", file.display())));
        };
        let shown =
            preset.map_or_else(|| file.display().to_string(), |preset| format!("{name} of preset {}", preset.name));
        let lock = folder.join(LOCK_FILE_NAME);
        let is_new = preset.is_some() && !lock.is_file();
        let lock = Arc::new(Lock::open(lock, is_new)?);
        let (store, client) = ((*store).clone(), (*client).clone());
        let packages = Packages::new(store, client, ContextFiles::new(folder), Arc::clone(&lock), false);
        let mut wanted: BTreeMap<String, Package> = BTreeMap::new();
        for platform in &request.platforms {
            let step = events.step(format!("resolve {shown} for {platform}"));
            let planned = async {
                let request = DepsRequest {
                    ecosystem: packages::ecosystem_of(name)?,
                    flags: request.flags.clone(),
                    arguments: vec![name.to_owned()],
                    platform: platform.clone(),
                    environment: Vec::new(),
                    base: None,
                    has_system: true,
                    system: Vec::new(),
                    below: None,
                    from: LockPlace::Context,
                    room: Room::default(),
                };
                Ok(packages.plan(&request, &TreeBelow::default()).await?)
            };
            let planned = planned.await;
            for note in planned.iter().flat_map(|(_, notes)| notes) {
                step.notice(note.clone());
            }
            let (plan, _) = ended(step, planned)?;
            let found = plan.layers.into_iter().flat_map(|layer| layer.packages);
            wanted.extend(found.map(|package| (package.artifact.to_string(), package)));
        }
        if is_new {
            lock.write()?;
        }
        let step = events.step(format!("fetch {} packages", wanted.len()));
        let fetched = wanted.values().map(|package| packages.fetch(package, &step));
        let fetched = stream::iter(fetched).buffer_unordered(AT_ONCE).try_for_each(|_| async { Ok(()) }).await;
        ended(step, fetched.map_err(BuildError::from))?;
        let note = BuildNote {
            artifacts: wanted.keys().cloned().collect(),
            answers: packages.answers(),
            ..BuildNote::default()
        };
        note.put(self.store, &[shown])?;
        Ok(wanted.len())
    }
}
