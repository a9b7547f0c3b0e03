//! A wheel to the files of a layer.

use crate::{layer::Item, packages::PackageError};
use flashbuild_frontend::package::{Package, WheelLayout};
use std::fs::File;

/// The files of a wheel where `layout` puts them.
pub(super) fn unpack(
    package: &Package,
    layout: &WheelLayout,
    artifact: File,
    time: i64,
) -> Result<Vec<Item>, PackageError> {
    let _ = (package, layout, artifact, time);
    Err(PackageError::NotYet("python"))
}
