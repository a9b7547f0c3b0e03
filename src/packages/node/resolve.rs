//! What names of packages mean now, by asking npm. No package's own code runs.

use crate::packages::PackageError;
use std::{path::Path, process::Stdio};
use tokio::process::Command;

/// Has npm write the `package-lock.json` of the `package.json` in `folder`. Addresses stay out of it: registries are the
/// business of whoever builds.
pub(in crate::packages) async fn write_lock(folder: &Path) -> Result<(), PackageError> {
    let failed = |problem: String| PackageError::Lock { file: "package.json".to_owned(), problem };
    let mut npm = Command::new("npm");
    npm.args(["install", "--package-lock-only", "--omit-lockfile-registry-resolved", "--ignore-scripts"]);
    npm.args(["--no-audit", "--no-fund", "--loglevel", "error"]);
    npm.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
    match npm.output().await {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(failed(format!("npm finds no versions for it:\n{}", said.trim())))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(failed("npm is not here to find out what its names mean".to_owned()))
        }
        Err(error) => Err(failed(format!("npm cannot be started: {error}"))),
    }
}
