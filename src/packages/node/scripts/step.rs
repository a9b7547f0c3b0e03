//! The step of a build that runs the scripts of one package.

use crate::packages::node::lock::Package;
use flashbuild_frontend::{
    graph::{NeededProgram, ScriptFile},
    package::InstallStep,
};

/// Where the image's Node.js finds what it runs; `/dev` is never part of a layer.
const SCRIPT: &str = "/dev/flashbuild/lifecycle.js";
/// Where engines look for programs when an image does not say.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Runs the scripts of `package` of the project in the absolute folder `prefix`; `path` is the stage's `PATH`.
pub(in crate::packages::node) fn step(package: &Package, prefix: &str, path: Option<&str>) -> InstallStep {
    let Package { name, version, .. } = package;
    let project = if prefix.is_empty() { "/" } else { prefix };
    InstallStep {
        summary: format!("{name} {version}: install scripts"),
        args: ["node", SCRIPT, name, version, project].map(str::to_owned).into(),
        env: vec![format!("PATH={}", path.unwrap_or(PATH))],
        cwd: format!("{prefix}/{}", package.path),
        files: vec![ScriptFile {
            path: SCRIPT.to_owned(),
            content: include_str!("lifecycle.js").to_owned(),
            mode: 0o644,
        }],
        shown: None,
        scratch: vec!["/tmp".to_owned()],
        needs: vec![needed("node", "nodejs"), needed("sh", "dash")],
    }
}

fn needed(name: &str, debian: &str) -> NeededProgram {
    NeededProgram {
        name: name.to_owned(),
        hint: format!(
            "install scripts run with the image's own Node.js and shell; begin with an image that has them, put \
             `DEPS apt {debian}` before, or leave --allow-scripts out and copy what the scripts make from another stage"
        ),
    }
}
