//! History: the last builds, with their steps, reasons, times and logs.
//!
//! ```text
//! <store>/history/<id>/      ids begin with the time, so their order is that of the builds
//!   build.json               what was asked                            written first, as a whole
//!   events.jsonl             steps that started, why, how they ended    one line each, as it happens
//!   <number>.log             all that a step wrote, from its first byte
//!   result.json              how it ended                               written last, as a whole
//! ```
//!
//! 1. A [`Recorder`] listens to the events of a build on their way to whoever shows them.
//! 2. [`builds`] and [`find`] read them back. A build without a result is running if somebody holds its lock; else it was
//!    killed, and what it did until then is there.
//! 3. Old builds go when new ones come ([`Bounds`]): by number, and by the bytes of all together.
//!
//! Recording never fails a build: if the disk is full, the build has worse problems than its history. What steps write
//! is struck of secrets before it becomes an event, so none is here.

mod bounds;
mod error;
mod event;
mod read;
mod record;

pub use bounds::Bounds;
pub use error::HistoryError;
pub use event::{Asked, Ended, StepEnd};
pub use read::{BuildRecord, Status, StepRecord, builds, find, log, remove, remove_all, write_archive};
pub use record::Recorder;

use crate::store::Store;
use std::path::PathBuf;

/// The folder of all builds.
fn folder(store: &Store) -> PathBuf {
    store.root().join("history")
}

/// The name of the lock that a build holds while it is recorded.
fn lock_name(id: &str) -> String {
    format!("history {id}")
}

#[cfg(test)]
mod tests;
