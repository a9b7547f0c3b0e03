//! The step of a build that has dpkg configure packages.

use flashbuild_frontend::{
    graph::{NeededProgram, ScriptFile},
    package::{InstallStep, Package, PackageLayout, PackageOp},
};

/// Where the step finds its script and the notes; `/dev` is never part of a layer.
const SCRIPT: &str = "/dev/flashbuild/configure";
const NOTES: &str = "/dev/flashbuild/packages";

/// Names in the step's title; more are counted.
const NAMED: usize = 3;

/// Configures `packages`, of which those `asked` for are named to people.
pub(in crate::packages::apt) fn step(packages: Vec<Package>, asked: &[String]) -> InstallStep {
    let of_database = |package| Package { layout: PackageLayout::DebDatabase, ..package };
    let notes = PackageOp { packages: packages.into_iter().map(of_database).collect(), files: Vec::new() };
    InstallStep {
        summary: summary(asked, notes.packages.len()),
        args: vec!["/bin/sh".to_owned(), SCRIPT.to_owned()],
        env: environment(),
        cwd: "/".to_owned(),
        files: files(),
        shown: Some((NOTES.to_owned(), notes)),
        scratch: vec!["/tmp".to_owned(), "/var/tmp".to_owned()],
        needs: ["sh", "dpkg"].map(needed).into(),
    }
}

fn summary(asked: &[String], count: usize) -> String {
    let named = asked.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(" ");
    let more = if asked.len() > NAMED { "…" } else { "" };
    let packages = if count == 1 { "package" } else { "packages" };
    format!("--configure {named}{more}: scripts of {count} {packages}")
}

/// A stage's own variables are for its programs; what scripts of packages count on is always the same.
fn environment() -> Vec<String> {
    let time = PackageOp::TIME;
    [
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "DEBIAN_FRONTEND=noninteractive",
        "DEBCONF_NONINTERACTIVE_SEEN=true",
        "LC_ALL=C.UTF-8",
        // What would come out in another order each time.
        "PERL_HASH_SEED=0",
        "PYTHONHASHSEED=0",
        &format!("SOURCE_DATE_EPOCH={time}"),
    ]
    .map(str::to_owned)
    .into()
}

/// The script, and what keeps others from starting services (`invoke-rc.d(8)`; 101 is "not allowed").
fn files() -> Vec<ScriptFile> {
    let file =
        |path: &str, content: &str| ScriptFile { path: path.to_owned(), content: content.to_owned(), mode: 0o755 };
    vec![
        file(SCRIPT, include_str!("configure.sh")),
        file("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n"),
        file("/usr/sbin/start-stop-daemon", "#!/bin/sh\necho \"not started: $*\"\n"),
    ]
}

fn needed(name: &str) -> NeededProgram {
    NeededProgram {
        name: name.to_owned(),
        hint: "DEPS apt --configure needs a Debian system below it, or `FROM scratch`, which gets one; packages that \
               were unpacked by an earlier DEPS without --configure are none"
            .to_owned(),
    }
}
