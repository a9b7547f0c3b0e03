//! `DEPS apt`: Debian packages as layers, without dpkg and, unless asked for, without scripts, for any architecture.
//!
//! 1. Flags and the host's own configuration say where packages come from (`sources`).
//! 2. `resolve` asks the host's `apt-get`, in a private root, which packages a request means for an architecture: exact
//!    versions, addresses, SHA-256 from signed indexes (`root`). What is `installed` below is installed there too, so
//!    that only what is missing comes; a package that is too old is `replaced`.
//! 3. Whoever runs the build fetches the files, by their hashes.
//! 4. [`mod@unpack`] reads a file (`ar`), puts its content at its place in a merged `/usr`, notes the package for scanners
//!    (`var/lib/dpkg/status.d/`), and adds what its scripts would have made where that matters (`scripts`).
//! 5. What packages come to together, and with those below, is the last layer ([`settled`]): the [`loader`]'s table, and the
//!    [`choices`] among alternatives.
//! 6. With `--configure`, a step of the build runs the scripts after all ([`mod@configure`]), and makes these itself.
//!
//! Nothing that a package says is believed before its hash was right, and little of it after: names are checked,
//! archives are read as hostile ones are.

mod alternatives;
mod ar;
mod architecture;
mod base;
mod ca_certificates;
mod choices;
mod configure;
mod error;
mod host_sources;
mod installed;
mod loader;
mod memory;
mod merged_usr;
mod paragraph;
mod plan;
mod replaced;
mod resolve;
mod root;
mod scripts;
mod settled;
mod sources;
mod subject_hash;
mod tree;
mod unpack;
mod version;

pub(super) use configure::{database, status};
pub use error::AptError;
pub(super) use installed::reads_below;
pub(crate) use paragraph::Paragraph;
pub(super) use plan::plan;
pub(super) use settled::{libraries_in, settings_in, settle};
pub(super) use unpack::{said, unpack};
