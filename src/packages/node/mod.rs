//! Node.js: the packages of a lock, unpacked where the lock says, as `npm ci --ignore-scripts` would leave them; then
//! the install scripts of those that are allowed ([`scripts`]).
//!
//! ```text
//! package-lock.json --+
//! bun.lock -----------+--> Lock --select--> packages of one platform --layers--> tarballs, links between folders
//! pnpm-lock.yaml -----+
//! ```
//!
//! | differs from what npm writes | why |
//! |---|---|
//! | times | all are the same, so that a layer is the same for ever |
//! | programs of members of a workspace are linked, but not made executable | their files come with the project |
//! | an optional package is there whatever version of Node.js it asks for | the lock serves any version |
//! | set-id bits | no package needs them |

mod address;
mod bin;
mod bun_lock;
mod hidden_lock;
mod integrity;
mod layers;
mod lock;
mod npmrc;
mod package_lock;
mod plan;
mod pnpm_lock;
mod resolve;
mod roles;
mod scripts;
mod select;
mod tarball;
mod target;

pub(super) use plan::{is_lock, needs_below, plan};
pub(super) use resolve::write_lock;
pub(super) use scripts::not_run;

use super::PackageError;
use crate::layer::{Item, Layers};
use flashbuild_frontend::package::{Package, TarballLayout};
use std::fs::File;
use tarball::{Placed, TarballError};

/// The files of a tarball, and whether the package wants something to be run.
pub(super) fn unpack(
    layers: &Layers,
    package: &Package,
    layout: &TarballLayout,
    artifact: File,
    time: i64,
) -> Result<(Vec<Item>, bool), PackageError> {
    let aside = layers.clone().with_limits(tarball::LIMITS);
    let refused = |error: TarballError| match error {
        TarballError::Layer(error) if error.is_no_space() => PackageError::Layer(error),
        TarballError::Layer(_) | TarballError::Refused { .. } | TarballError::Manifest(_) => {
            PackageError::Artifact { name: format!("{} {}", package.name, package.version), problem: error.to_string() }
        }
    };
    let unpacked = aside.unpack_archive(artifact).map_err(|error| refused(error.into()))?;
    let Placed { items, has_install_script } = tarball::place(unpacked, layout, time).map_err(refused)?;
    Ok((items, has_install_script))
}
