//! What apt said last, for builds that cannot ask it: without a network, or on a machine to which the answer was brought.
//!
//! An answer goes by what was asked and by the suites of the host, not by its mirrors: a colleague may have others. Where
//! packages are is not remembered, so an answer is good for packages that are here.

use super::{
    host_sources,
    resolve::{Deb, Request},
};
use crate::{
    packages::PackageError,
    store::{RecordKey, RecordKind, Store},
};
use std::{collections::BTreeSet, path::Path};

/// Changes whenever what is remembered does.
const VERSION: &str = "flashbuild-apt-answers-1";

/// What an answer depends on. `etc` is the host's configuration of apt.
pub(super) fn key(architecture: &str, request: &Request, etc: &Path) -> Result<RecordKey, PackageError> {
    let host = host_sources::read(etc)?;
    let suites = host.iter().flat_map(|entry| entry.suites.iter().map(|suite| (suite, &entry.components)));
    let suites: BTreeSet<_> = suites.collect();
    let facts = format!("{architecture} {request:?} {suites:?}");
    Ok(RecordKey(*blake3::Hasher::new_derive_key(VERSION).update(facts.as_bytes()).finalize().as_bytes()))
}

pub(super) fn recall(store: &Store, key: RecordKey) -> Result<Option<Vec<Deb>>, PackageError> {
    let value = store.records(&[key])?.remove(&key);
    Ok(value.and_then(|value| serde_json::from_slice(&value).ok()))
}

pub(super) fn remember(store: &Store, key: RecordKey, debs: &[Deb]) -> Result<(), PackageError> {
    let debs: Vec<Deb> = debs.iter().cloned().map(|deb| Deb { uri: None, ..deb }).collect();
    let value = serde_json::to_vec(&debs).expect("packages are plain data");
    Ok(store.put_record(key, RecordKind::Definition, &value, &[])?)
}
