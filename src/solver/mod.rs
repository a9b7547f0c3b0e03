//! Graph to results: keys, records, single flight, events. Knows nothing of tar, processes or registries.

pub mod event;
