//! Debug symbols that are inside of programs.

use super::{Action, Pass, Trust};

pub(super) const PASS: Pass = Pass {
    name: "debug-sections",
    title: "debug symbols inside of programs",
    safe: "only debuggers and profilers read these sections; what is loaded stays as it is, and so does the build id. Tools \
           that compare programs with checksums of packages will see the difference",
    trust: Trust::Profile,
    action: Action::Strip,
};
