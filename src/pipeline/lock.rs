//! `flashbuild lock`: what a Dockerfile's names of packages mean now, written down.

use super::{BuildError, Request, begin::Begun, inputs, packages, read};
use crate::{
    packages::{LOCK_FILE_NAME, Lock},
    registry::Client,
    solver::event::Events,
    store::Store,
};
use std::{path::PathBuf, sync::Arc};

/// Asks anew, and writes the lock beside the Dockerfile; returns where, and how many packages it holds. Without anything
/// to lock, nothing is written.
pub async fn lock(
    store: &Store,
    client: &Client,
    mut request: Request,
    events: &Events,
) -> Result<Option<(PathBuf, usize)>, BuildError> {
    let (begun, dockerfile) = read(store, client, &mut request, events).await?;
    let Begun { prepared, source, .. } = &begun;
    let lock = Arc::new(Lock::open(source.folder.join(LOCK_FILE_NAME), true)?);
    let packages = packages(store, client, &request, prepared, Arc::clone(&lock))?;
    let asking = inputs::Asking { store, client, packages: Some(&packages), request: &request, begun: &begun, events };
    let resolved = asking.resolve(&dockerfile).await;
    resolved.map_err(|unknown| unknown.into_error(&dockerfile, &request.options, source))?;
    Ok(lock.write()?)
}
