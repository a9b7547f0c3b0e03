//! Leases: what a build may be using stays.
//!
//! A lease is a locked file that says when it was taken. A collection of garbage removes nothing that was used since
//! the earliest living lease was taken. A build renews what it gets (see `freshness`): a thousand records are one
//! transaction, and once.
//!
//! It holds because the two meet in the index: a lease is taken inside a write transaction, and a collection looks for
//! leases inside the one in which it removes rows. Either it sees the lease, or what the build then reads of the index
//! is what the collection left.

use super::{
    FileLock, Store, StoreError,
    error::At,
    freshness::{Moment, now},
    scratch::unique_name,
};
use std::{fs, sync::atomic::Ordering};

const PREFIX: &str = "lease-";

/// A build's hold on everything that it gets from the store, until this is dropped or the process dies. Take it before
/// the first look-up.
#[derive(Debug)]
pub struct Lease {
    _lock: FileLock,
}

impl Store {
    /// Takes a lease.
    pub fn lease(&self) -> Result<Lease, StoreError> {
        self.index().write(|_alone| {
            let taken = now();
            let name = format!("{PREFIX}{taken}-{}", unique_name());
            let lock = FileLock::acquire(&self.root().join("locks").join(name))?;
            // It is not taken back: who renews more than has to be does no harm.
            self.shared.leased_since.fetch_max(taken, Ordering::AcqRel);
            Ok(Lease { _lock: lock })
        })
    }

    /// What was used last at or after this moment may be in use; the end of time if there is no lease. Holds for as
    /// long as the write transaction in which it was asked.
    pub(super) fn in_use_since(&self) -> Result<Moment, StoreError> {
        let folder = self.root().join("locks");
        let mut earliest = Moment::MAX;
        for entry in fs::read_dir(&folder).at(&folder)? {
            let entry = entry.at(&folder)?;
            let name = entry.file_name();
            let Some(taken) = name.to_str().and_then(taken_at) else { continue };
            if FileLock::try_acquire(&entry.path())?.is_none() {
                earliest = earliest.min(taken);
            }
        }
        Ok(earliest)
    }
}

fn taken_at(name: &str) -> Option<Moment> {
    name.strip_prefix(PREFIX)?.split('-').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_living_lease_counts() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        assert_eq!(store.in_use_since().unwrap(), Moment::MAX);
        let start = now();
        let first = store.lease().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(5));
        let later = now();
        let second = store.lease().unwrap();
        assert!((start..later).contains(&store.in_use_since().unwrap()));
        drop(first);
        assert!(store.in_use_since().unwrap() >= later);
        drop(second);
        assert_eq!(store.in_use_since().unwrap(), Moment::MAX);
    }
}
