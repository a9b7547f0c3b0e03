//! What was uploaded stays until it has a name.
//!
//! A lease keeps all that was used since it was taken. So the server always holds one that is between one and two
//! [`TERM`]s old: an upload has that long to become part of an image, and nothing is kept for ever.

use crate::store::{Lease, Store};
use std::{io, time::Duration};
use tokio::task::JoinHandle;

/// How long an upload may wait for its name.
const TERM: Duration = Duration::from_hours(2);

/// Ends the keeping of leases when it is dropped.
pub(super) struct Keeper(JoinHandle<()>);

impl Drop for Keeper {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Keeps leases of `store`.
pub(super) fn keep(store: Store) -> io::Result<Keeper> {
    let take = move || -> io::Result<Lease> { store.lease().map_err(io::Error::other) };
    let mut younger = take()?;
    Ok(Keeper(tokio::spawn(async move {
        let mut _older = None;
        loop {
            tokio::time::sleep(TERM).await;
            if let Ok(lease) = take() {
                _older = Some(std::mem::replace(&mut younger, lease));
            }
        }
    })))
}
