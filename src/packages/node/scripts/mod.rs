//! Install scripts: what a package wants to be run once its files are there. None runs unless it is allowed by name.
//!
//! | `--allow-scripts=` | allows |
//! |---|---|
//! | `NAME` | the package, in whatever version the lock has |
//! | `NAME@VERSION` | only that version: a newer one is looked at by somebody first |
//! | `@project` | what the project says itself: `trustedDependencies` in `bun.lock`; `onlyBuiltDependencies` and `allowBuilds` in `pnpm-workspace.yaml`, or in `package.json` below `pnpm`. A `package-lock.json` has no such list |
//!
//! A name is the package's own, never that of an alias. No pattern is known, and nothing that means "all".
//!
//! Each allowed package is a step of its own, in the order of the lock: the image's own Node.js runs `lifecycle.js`,
//! which reads the package's `package.json` and runs what npm would run, with npm's environment. What a step changes is
//! one layer; `/tmp` is not part of it.
//!
//! | differs from npm | why |
//! |---|---|
//! | one after the other, in the order of the lock | the same result each time |
//! | the failure of an optional package's script is one of the build | it was allowed by name |
//! | packages inside of other packages' tarballs do not run theirs | they come ready |

mod allowed;
mod step;

use std::collections::BTreeSet;

pub(super) use allowed::{Allowed, Project};
pub(super) use step::step;

/// The notice about packages, each with its version, whose install scripts do not run; none if there are none.
pub(in crate::packages) fn not_run(packages: Vec<String>) -> Option<String> {
    let names: BTreeSet<&str> =
        packages.iter().map(|package| package.rsplit_once(' ').map_or(package.as_str(), |(name, _)| name)).collect();
    let names: Vec<&str> = names.into_iter().collect();
    (!packages.is_empty()).then(|| {
        format!(
            "install scripts are not run: {}; most packages bring along what they need, for others there is \
             --allow-scripts={}",
            packages.join(", "),
            names.join(",")
        )
    })
}
