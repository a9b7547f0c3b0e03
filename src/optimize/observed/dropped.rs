//! What goes because nobody asked for it, told by package.

use crate::optimize::owner::Inventory;
use serde::Serialize;
use std::collections::BTreeMap;

/// What goes because nobody asked for it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Dropped {
    /// Packages, the largest first.
    pub packages: Vec<DroppedPackage>,
    /// Files of no package.
    pub unowned_files: u64,
    /// Their bytes.
    pub unowned_bytes: u64,
    /// Bytes that nobody asked for in layers that were left alone, because they are those of the base.
    pub base_bytes: u64,
}

/// A package that nobody asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DroppedPackage {
    /// Where it came from.
    pub ecosystem: &'static str,
    /// As its ecosystem spells it.
    pub name: String,
    /// Likewise.
    pub version: String,
    /// Files of it that go.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Collects what goes.
#[derive(Default)]
pub(in crate::optimize) struct Tally {
    packages: BTreeMap<usize, (u64, u64)>,
    dropped: Dropped,
}

impl Tally {
    /// A file that goes, of the package at this position of the inventory.
    pub(in crate::optimize) fn add(&mut self, package: Option<usize>, bytes: u64) {
        let (files, sum) = match package {
            Some(package) => {
                let (files, sum) = self.packages.entry(package).or_default();
                (files, sum)
            }
            None => (&mut self.dropped.unowned_files, &mut self.dropped.unowned_bytes),
        };
        *files += 1;
        *sum += bytes;
    }

    /// A file of the base that would.
    pub(in crate::optimize) fn add_of_base(&mut self, bytes: u64) {
        self.dropped.base_bytes += bytes;
    }

    pub(in crate::optimize) fn finish(self, inventory: &Inventory) -> Dropped {
        let named = |(index, (files, bytes)): (usize, (u64, u64))| {
            let package = &inventory.packages[index];
            DroppedPackage {
                ecosystem: package.ecosystem.name(),
                name: package.name.clone(),
                version: package.version.clone(),
                files,
                bytes,
            }
        };
        let mut packages: Vec<DroppedPackage> = self.packages.into_iter().map(named).collect();
        packages.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name)));
        Dropped { packages, ..self.dropped }
    }
}
