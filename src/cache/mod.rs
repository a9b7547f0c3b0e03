//! Caches that builds share: where records come from and where they go, besides the store.
//!
//! A cache is an OCI manifest: its configuration is a [`CacheDocument`], which says what steps came to, and its layers
//! are the layers that it speaks of. So a registry keeps a cache as it keeps an image, and a folder is an OCI layout.
//!
//! 1. [`Imported::load`] reads the documents of all caches that a build names, and nothing else of them.
//! 2. The build looks its keys up in the store first, and then in what was imported ([`Imported::definition`],
//!    [`Imported::content`]).
//! 3. A layer is fetched when somebody needs its bytes ([`Imported::fetch`]). What goes to a registry that has it is never
//!    fetched.
//! 4. Layers go to the caches that are written while later steps still run ([`PutAhead`]); [`export()`] adds what is missing
//!    then, and replaces the manifest.
//!
//! | cache | its place | file |
//! |---|---|---|
//! | `local` | a folder, as OCI layout | `local` |
//! | `registry` | a tag of a repository | `registry` |
//! | `inline` | the configuration of the image itself | `inline` |
//! | `s3` | objects of a bucket | `s3` |
//! | `gha` | entries of GitHub's cache service | `gha` |
//!
//! Caches of steps (`RUN --mount=type=cache`) travel along if both sides ask for them: `mounts`, `chunks`.
//!
//! A cache of many builds can also be one file, for people to hand around: `team`.
//!
//! # What is believed
//!
//! Whoever can write to a cache decides what the builds that read it come to: a record cannot be checked without running
//! its step. So who may write is the question, and the rest is made sure here:
//!
//! - Reading a cache never writes to it.
//! - Nothing is used by its name. A document is used if it has the digest that its manifest says, a layer if its blob has
//!   its digest *and* what it holds is the layer that the record speaks of. What does not fit is refused, said, and the
//!   step runs.
//! - What came from a cache, or rests on it, is marked with its origin in the store, and found only by builds that name
//!   that origin. A build that reads an untrusted cache leaves nothing to builds that do not.
//! - Documents have limits, and refer to their own layers only.

mod ahead;
mod chunks;
mod document;
mod error;
mod export;
mod gha;
mod import;
mod inline;
mod local;
mod mounts;
mod objects;
mod place;
mod registry;
mod s3;
mod team;

pub use ahead::{Ahead, PutAhead};
pub use document::{CacheDocument, CachedLayer, CachedRecord};
pub use error::CacheError;
pub use export::{ExportOptions, ExportReport, Mode, Used, export};
pub use gha::{GhaPlace, GhaToken};
pub use import::{Found, Imported};
pub use inline::inline;
pub use mounts::{CachedMount, MountIds};
pub use place::{Backend, CacheSource, Place, Published};
pub use s3::{S3Credentials, S3Place, profile_region};
pub use team::{BuildNote, TeamReport, export_team, import_team};
