//! Keeps a store within its bounds while somebody writes to it.
//!
//! The bytes of blobs and layers are looked at twice a second, which costs a query; cache mounts and apt's folders have
//! to be walked, so they are looked at once in an hour, or in half a minute of a long build. What others are using stays:
//! if a build needs more than the store may hold, it gets it.

use super::{
    GcPolicy, Store,
    collect::Occasion,
    freshness::{before, moment, now},
};
use std::{
    fs::{self, File},
    sync::mpsc::{RecvTimeoutError, Sender, channel},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// How often the bytes that are known are looked at.
const INTERVAL: Duration = Duration::from_millis(500);

/// How often the rest is, by any process; its file in the store says when it was.
const FULL: Duration = Duration::from_hours(1);
const STAMP: &str = "collected";

/// How often the rest is during one long build.
const FULL_AGAIN: Duration = Duration::from_secs(30);

/// Keeps a store within its bounds until it is dropped.
#[derive(Debug)]
pub struct Keeper {
    store: Store,
    policy: GcPolicy,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Store {
    /// Keeps the store within `policy` until the keeper is dropped. Drop it after the lease of what it watched.
    pub fn keep_within(&self, policy: &GcPolicy) -> Keeper {
        let (stop, stopped) = channel();
        let (store, rules) = (self.clone(), policy.clone());
        let thread = thread::spawn(move || {
            let mut full = Instant::now();
            loop {
                let is_long = full.elapsed() >= FULL_AGAIN;
                if is_long {
                    full = Instant::now();
                }
                store.keep(&rules, is_long || store.is_due());
                if !matches!(stopped.recv_timeout(INTERVAL), Err(RecvTimeoutError::Timeout)) {
                    return;
                }
            }
        });
        Keeper { store: self.clone(), policy: policy.clone(), stop: Some(stop), thread: Some(thread) }
    }

    /// Collects if there is too much. What fails is tried again soon, and the build that writes will hear of a full disk
    /// itself.
    fn keep(&self, policy: &GcPolicy, in_full: bool) {
        if in_full || self.is_crowded(policy).unwrap_or(false) {
            let _ = self.collect(policy, Occasion::Automatic);
            let _ = File::create(self.root().join(STAMP));
        }
    }

    /// Whether nobody has looked at all of the store for long.
    fn is_due(&self) -> bool {
        let looked = fs::metadata(self.root().join(STAMP)).and_then(|metadata| metadata.modified());
        looked.map_or(true, |looked| moment(looked) < before(now(), FULL))
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // If it panicked, it has said so.
            let _ = thread.join();
        }
        self.store.keep(&self.policy, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::GcRule;

    #[test]
    fn a_store_that_is_written_to_stays_within_its_bounds() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let own = store.disk_usage().unwrap().total();
        let limit = own + 20_000_000;
        let rule = GcRule { max_used: Some(limit), ..GcRule::default() };
        let policy = GcPolicy::of(rule);
        let mut most = 0;
        for number in 0..80_u32 {
            // What a build after the other would write: nobody needs the last one's any more.
            let keeper = store.keep_within(&policy);
            let lease = store.lease().unwrap();
            store.put_blob(&number.to_le_bytes().repeat(250_000)).unwrap();
            most = most.max(store.disk_usage().unwrap().total());
            drop(lease);
            drop(keeper);
        }
        assert!(most <= limit, "{most} of {limit}");
        assert!(store.disk_usage().unwrap().total() <= limit);
    }

    #[test]
    fn what_a_build_uses_stays_however_much_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let lease = store.lease().unwrap();
        let blob = store.put_blob(&vec![7; 1 << 20]).unwrap();
        let policy = GcPolicy::of(GcRule { max_used: Some(1), all: true, ..GcRule::default() });
        drop(store.keep_within(&policy));
        assert!(store.blob_path(&blob).unwrap().is_some());
        drop(lease);
        drop(store.keep_within(&policy));
        assert!(store.blob_path(&blob).unwrap().is_none());
    }
}
