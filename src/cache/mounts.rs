//! Caches of steps (`RUN --mount=type=cache`) that travel with a cache of builds.
//!
//! Each is a canonical tar, cut into chunks by its content: of one that changed a little, little is sent. It is fetched when a
//! step mounts a cache that the store does not have yet, and only if who reads the cache asked for it by its id: what steps
//! then find in it is believed by all that mount it, in all builds of the store.

use super::{
    CacheError,
    chunks::{Chunk, Chunker, Chunks},
};
use crate::{
    image::{BlobDigest, DiffId},
    layer::Layers,
    store::{CacheIdentity, CacheUse, StoreError},
};
use serde::{Deserialize, Serialize};
use std::{collections::HashSet, fs, path::Path};

/// A cache of steps, as it was exported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CachedMount {
    /// Which.
    pub identity: CacheIdentity,
    /// The digest of its tar.
    pub(super) content: DiffId,
    /// The tar in pieces.
    pub(super) chunks: Vec<Chunk>,
}

/// Which caches of steps, by their ids.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MountIds(pub Vec<String>);

impl MountIds {
    /// Whether this is one of them; `*` is all.
    pub(super) fn contains(&self, identity: &CacheIdentity) -> bool {
        self.0.iter().any(|id| id == "*" || *id == identity.id)
    }
}

/// Packs those caches of the store that are wanted and that no step uses now; the chunks that are not `known` are in the
/// store then. Also returns the ids of those that were in use.
pub(super) fn pack(
    layers: &Layers,
    wanted: &MountIds,
    known: &HashSet<BlobDigest>,
) -> Result<(Vec<CachedMount>, Vec<String>), CacheError> {
    let (mut packed, mut in_use, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
    if wanted.0.is_empty() {
        return Ok((packed, in_use));
    }
    let store = layers.store();
    for row in store.cache_mount_rows()? {
        let identity = row.identity;
        // A step that was alone in one may have had a second folder; the first is the one that is used most.
        if !wanted.contains(&identity) || !seen.insert(serde_json::to_string(&identity).unwrap_or_default()) {
            continue;
        }
        let taken = store.try_cache_mount(&identity, CacheUse::Alone, |_| Ok::<_, StoreError>(()))?;
        let Some(mount) = taken else {
            in_use.push(identity.id);
            continue;
        };
        let mut chunker = Chunker::new(store, known);
        let content = layers.pack_folder(&mount.data(), &mut chunker)?;
        let unwritten = |error| CacheError::Io { path: mount.data(), error };
        packed.push(CachedMount { identity, content, chunks: chunker.finish().map_err(unwritten)? });
    }
    Ok((packed, in_use))
}

/// Fills the empty folder `data` with what `mount` holds, whose chunks are in the store. If it is not what it should be, the
/// folder is empty again.
pub(super) fn unpack(layers: &Layers, mount: &CachedMount, data: &Path) -> Result<(), CacheError> {
    let unpacked = layers.unpack_folder(data, Chunks::new(layers.store(), &mount.chunks));
    let problem = match unpacked {
        Ok(content) if content == mount.content => return Ok(()),
        Ok(content) => CacheError::unusable("a cache of steps", format!("expected {}, got {content}", mount.content)),
        Err(error) => error.into(),
    };
    let emptied = fs::remove_dir_all(data).and_then(|()| fs::create_dir(data));
    emptied.map_err(|error| CacheError::Io { path: data.to_owned(), error })?;
    Err(problem)
}
