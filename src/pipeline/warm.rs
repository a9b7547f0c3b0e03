//! Packages of lock files, fetched before a build needs them.

use super::BuildError;
use crate::{
    cache::BuildNote,
    layer::View,
    packages::{self, ContextFiles, LOCK_FILE_NAME, Lock, Packages},
    solver::event::Events,
    store::Store,
};
use flashbuild_frontend::{
    package::{DepsRequest, LockPlace, Package},
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
        count += warm_one(store, &client, file, request, events).await?;
    }
    store.make_durable()?;
    Ok(count)
}

async fn warm_one(
    store: &Store,
    client: &packages::Client,
    file: &Path,
    request: &WarmRequest,
    events: &Events,
) -> Result<usize, BuildError> {
    let environment = |error: &dyn std::fmt::Display| BuildError::Environment(format!("{}: {error}", file.display()));
    let file = std::path::absolute(file).map_err(|error| environment(&error))?;
    let (Some(folder), Some(name)) = (file.parent(), file.file_name().and_then(|name| name.to_str())) else {
        return Err(environment(&"not the name of a lock file"));
    };
    let lock = Lock::open(folder.join(LOCK_FILE_NAME), false)?;
    let packages = Packages::new(store.clone(), client.clone(), ContextFiles::new(folder), Arc::new(lock), false);
    let mut wanted: BTreeMap<String, Package> = BTreeMap::new();
    for platform in &request.platforms {
        let step = events.step(format!("resolve {} for {platform}", file.display()));
        let request = DepsRequest {
            ecosystem: packages::ecosystem_of(name)?,
            flags: request.flags.clone(),
            arguments: vec![name.to_owned()],
            platform: platform.clone(),
            environment: Vec::new(),
            base: None,
            has_system: true,
            system: Vec::new(),
            from: LockPlace::Context,
        };
        let (plan, notes) = packages.plan(&request, &View::default()).await?;
        for note in notes {
            step.notice(note);
        }
        let found = plan.layers.into_iter().flat_map(|layer| layer.packages);
        wanted.extend(found.map(|package| (package.artifact.to_string(), package)));
        step.ran();
    }
    let step = events.step(format!("fetch {} packages", wanted.len()));
    let fetched = wanted.values().map(|package| packages.fetch(package, &step));
    let fetched = stream::iter(fetched).buffer_unordered(AT_ONCE).try_for_each(|_| async { Ok(()) }).await;
    if let Err(error) = fetched {
        step.failed(error.to_string());
        return Err(error.into());
    }
    step.ran();
    let note =
        BuildNote { artifacts: wanted.keys().cloned().collect(), answers: packages.answers(), ..BuildNote::default() };
    note.put(store, &[file.display().to_string()])?;
    Ok(wanted.len())
}
