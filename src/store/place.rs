//! Where else blobs are: repositories that we pulled them from or pushed them to.
//!
//! A push asks a registry to link what another of its repositories has, and a blob that was never pulled is pulled from
//! where it was seen. A place is a hint: whoever uses it has to manage without.

use super::{
    Store, StoreError,
    freshness::{before, is_old, now},
};
use crate::image::BlobDigest;
use rusqlite::{OptionalExtension, params};
use std::time::Duration;

/// How long a place is worth asking for.
const MEMORY: Duration = Duration::from_hours(24 * 90);

/// A repository of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The registry, as names of images spell it.
    pub registry: String,
    /// The repository.
    pub repository: String,
}

impl Store {
    /// Notes that a repository has these blobs.
    pub fn note_places(&self, registry: &str, repository: &str, digests: &[BlobDigest]) -> Result<(), StoreError> {
        let unknown: Vec<&BlobDigest> = self.index().read(|index| {
            let mut query = index
                .prepare_cached("SELECT seen FROM places WHERE digest = ?1 AND registry = ?2 AND repository = ?3")?;
            let mut unknown = Vec::new();
            for digest in digests {
                let seen = query.query_row(params![digest, registry, repository], |row| row.get(0)).optional()?;
                if seen.is_none_or(is_old) {
                    unknown.push(digest);
                }
            }
            Ok(unknown)
        })?;
        if unknown.is_empty() {
            return Ok(());
        }
        self.index().write(|index| {
            let mut put = index.prepare_cached("INSERT OR REPLACE INTO places VALUES (?1, ?2, ?3, ?4)")?;
            for digest in unknown {
                put.execute(params![digest, registry, repository, now()])?;
            }
            index.prepare_cached("DELETE FROM places WHERE seen < ?1")?.execute([before(now(), MEMORY)])?;
            Ok(())
        })
    }

    /// The repositories that have the blob, as far as we know, the one seen last first.
    pub fn places(&self, digest: &BlobDigest) -> Result<Vec<Place>, StoreError> {
        self.index().read(|index| {
            let mut query = index.prepare_cached(
                "SELECT registry, repository FROM places WHERE digest = ?1 ORDER BY seen DESC, registry, repository",
            )?;
            let rows = query.query_map([digest], |row| Ok(Place { registry: row.get(0)?, repository: row.get(1)? }))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Digest;

    #[test]
    fn places_are_remembered_by_blob() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path()).unwrap();
        let [a, b] = [b"a", b"b"].map(|bytes| BlobDigest(Digest::of(bytes)));
        store.note_places("r.example", "app", &[a, b]).unwrap();
        store.note_places("r.example", "base", &[a]).unwrap();
        let queries = store.stats().index_queries;
        store.note_places("r.example", "base", &[a]).unwrap();
        assert_eq!(store.stats().index_queries, queries + 1, "what is known is not written again");
        let repositories = |digest| -> Vec<_> {
            let mut found: Vec<_> = store.places(digest).unwrap().into_iter().map(|place| place.repository).collect();
            found.sort();
            found
        };
        assert_eq!(repositories(&a), ["app", "base"]);
        assert_eq!(repositories(&b), ["app"]);
    }
}
