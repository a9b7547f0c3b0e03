//! What a build used, noted under its name so that it can be taken elsewhere later.

use crate::store::{RecordKey, Store, StoreError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What a build used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildNote {
    /// The definition keys of its steps.
    pub records: BTreeSet<RecordKey>,
    /// The keys of records that spare questions to indexes of packages.
    pub answers: BTreeSet<RecordKey>,
    /// The hashes of packages' artifacts, as locks write them.
    pub artifacts: BTreeSet<String>,
    /// Base images: their names, and the digests of manifests that these led to.
    pub images: BTreeSet<(String, String)>,
}

impl BuildNote {
    /// Notes it for each of `names`.
    pub fn put(&self, store: &Store, names: &[String]) -> Result<(), StoreError> {
        let note = serde_json::to_vec(self).expect("a note is plain data");
        names.iter().try_for_each(|name| store.put_build_note(name, &note))
    }

    /// Both.
    pub fn add(&mut self, other: Self) {
        self.records.extend(other.records);
        self.answers.extend(other.answers);
        self.artifacts.extend(other.artifacts);
        self.images.extend(other.images);
    }
}
