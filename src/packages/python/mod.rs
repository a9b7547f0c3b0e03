//! Python: wheels.

use super::PackageError;
use crate::layer::Item;
use flashbuild_frontend::package::{Package, WheelLayout};
use std::fs::File;

mod wheel;

/// The files of a wheel.
pub(super) fn unpack(
    package: &Package,
    layout: &WheelLayout,
    artifact: File,
    time: i64,
) -> Result<Vec<Item>, PackageError> {
    wheel::unpack(package, layout, artifact, time)
}
