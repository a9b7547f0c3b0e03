//! One file for a team: what builds used, in an archive that a newcomer starts from.
//!
//! It is an OCI layout in a tar in zstd, written and read in one pass:
//!
//! ```text
//! oci-layout, index.json       as every layout has them
//! blobs/sha256/<manifest>      names all blobs that follow, with their sizes
//! blobs/sha256/<config>        records, answers of indexes, names of base images      (document)
//! blobs/sha256/…               layers, artifacts of packages, documents of images, each once
//! ```
//!
//! Whoever imports a file by hand believes it, as with `docker load`; what is in it is checked to be what it says. A blob is
//! kept as soon as it came and has its digest, so an import that was interrupted goes on where it was, and one of what is
//! here adds nothing.

mod document;
mod export;
mod import;
mod note;

pub use export::export_team;
pub use import::import_team;
pub use note::BuildNote;

/// What a file holds, and what it brought.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TeamReport {
    /// Records of steps.
    pub records: usize,
    /// Layers.
    pub layers: usize,
    /// Artifacts of packages.
    pub artifacts: usize,
    /// Base images, by name.
    pub images: usize,
    /// Caches of steps.
    pub mounts: usize,
    /// Bytes of all blobs.
    pub bytes: u64,
    /// Bytes of those that were not here before.
    pub new_bytes: u64,
    /// Records that were left out because layers of theirs are not here.
    pub incomplete: usize,
}
