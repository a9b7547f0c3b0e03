//! Choices that were made before: with the same lock, target and indexes, an index need not be asked again.
//!
//! A lock vouches for each artifact by its hash, so what was chosen stays right; an index could only add files that the lock
//! does not know. Choices from folders are not remembered: looking into a folder costs nothing, and it may be gone.

use super::{choose::Chosen, config::Sources, lock::Locked};
use crate::{
    packages::{Address, PackageError},
    store::{RecordKey, RecordKind, Store},
};
use flashbuild_frontend::package::{ArtifactHash, DepsRequest};
use serde::{Deserialize, Serialize};
use url::Url;

/// Changes whenever the way to choose does.
const VERSION: &str = "flashbuild-python-choice-2";

#[derive(Serialize, Deserialize)]
struct Remembered {
    name: String,
    version: String,
    requested: bool,
    hash: ArtifactHash,
    urls: Vec<Url>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sdist: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
}

/// What a choice depends on.
pub(super) fn key(request: &DepsRequest, locked: &[Locked], sources: &Sources) -> RecordKey {
    let facts = format!("{request:?} {locked:?} {:?}", sources.without_credentials());
    RecordKey(*blake3::Hasher::new_derive_key(VERSION).update(facts.as_bytes()).finalize().as_bytes())
}

/// The choice that was made for `key`.
pub(super) fn recall(store: &Store, key: RecordKey) -> Result<Option<Vec<Chosen>>, PackageError> {
    let Some(value) = store.records(&[key])?.remove(&key) else { return Ok(None) };
    let Ok(remembered) = serde_json::from_slice::<Vec<Remembered>>(&value) else { return Ok(None) };
    let chosen = remembered.into_iter().map(|Remembered { name, version, requested, hash, urls, sdist, size }| {
        let addresses = urls.into_iter().map(Address::Web).collect();
        Chosen { name, version, requested, hash, addresses, sdist, size }
    });
    Ok(Some(chosen.collect()))
}

/// Remembers a choice, unless a folder had a part in it.
pub(super) fn remember(store: &Store, key: RecordKey, chosen: &[Chosen]) -> Result<(), PackageError> {
    let mut remembered = Vec::with_capacity(chosen.len());
    for Chosen { name, version, requested, hash, addresses, sdist, size } in chosen {
        let mut urls = Vec::with_capacity(addresses.len());
        for address in addresses {
            match address {
                Address::Web(url) => urls.push(url.clone()),
                Address::File(_) => return Ok(()),
            }
        }
        let (name, version, sdist) = (name.clone(), version.clone(), sdist.clone());
        let (requested, hash, size) = (*requested, hash.clone(), *size);
        remembered.push(Remembered { name, version, requested, hash, urls, sdist, size });
    }
    let value = serde_json::to_vec(&remembered).expect("names and addresses are plain data");
    Ok(store.put_record(key, RecordKind::Definition, &value, &[])?)
}
