//! What could not be done on this machine and was left out: said once a layer, never a reason to stop.
//!
//! The contents table has the truth in each case; only the folder lacks it.

use super::toc::display;
use std::{collections::BTreeMap, fmt};

/// Something that a layer's folder lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// What it is.
    pub kind: NoticeKind,
    /// Path in the layer where it happened first.
    pub first: Vec<u8>,
    /// How often it happened.
    pub count: u64,
}

/// What a layer's folder may lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoticeKind {
    /// Files belong to another user than the layer says: this process may not give them away.
    Owner,
    /// A device was not made: this process may not make any.
    Device,
    /// An extended attribute was not set: the file system or this process's rights do not allow it.
    Attribute,
    /// Bookkeeping of AUFS (`.wh..wh.plnk` and its like) was skipped; it was never content.
    Aufs,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            NoticeKind::Owner => "files keep this user as their owner, because it may not give them away",
            NoticeKind::Device => "devices were left out, because this user may not make them",
            NoticeKind::Attribute => "extended attributes were left out, because they cannot be set here",
            NoticeKind::Aufs => "leftovers of AUFS were skipped",
        };
        write!(f, "{what} ({} of them, the first {})", self.count, display(&self.first))
    }
}

/// Notices being collected.
#[derive(Debug, Default)]
pub(super) struct Notices(BTreeMap<NoticeKind, (Vec<u8>, u64)>);

impl Notices {
    pub(super) fn add(&mut self, kind: NoticeKind, path: &[u8]) {
        self.0.entry(kind).or_insert_with(|| (path.to_vec(), 0)).1 += 1;
    }

    pub(super) fn merge(&mut self, other: Self) {
        for (kind, (first, count)) in other.0 {
            self.0.entry(kind).or_insert((first, 0)).1 += count;
        }
    }

    pub(super) fn into_vec(self) -> Vec<Notice> {
        self.0.into_iter().map(|(kind, (first, count))| Notice { kind, first, count }).collect()
    }
}
