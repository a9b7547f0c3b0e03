//! The same Dockerfiles built by buildah and by us hold the same.
//!
//! Each case is a file under `testdata/differential/`, built on busybox with one context. What may differ is written in
//! `differences.txt` there, with the reason; a difference that is written there and did not show is an error too.

use crate::harness::{BUSYBOX, Registry, Workspace, is_root, native_platform, peer, skip};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

/// In place of a case: a difference that any case may show.
const EVERYWHERE: &str = "*";

#[test]
fn buildah_builds_the_same() {
    if !is_root() {
        return skip("buildah's chroot isolation needs root");
    }
    let (Some(work), Some(_)) = (Workspace::with_busybox(&[native_platform()], ""), peer("buildah")) else { return };
    let Some(registry) = Registry::start() else { return };
    write_context(&work);
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/differential");
    let known = known_differences(&fs::read_to_string(cases.join("differences.txt")).unwrap());
    let mut seen = BTreeSet::new();
    let mut failures = String::new();
    for case in case_files(&cases) {
        let name = case.file_stem().unwrap().to_str().unwrap();
        let text = fs::read_to_string(&case).unwrap();
        let first_stage = text.to_lowercase().find("from ").unwrap();
        let (before, stages) = text.split_at(first_stage);
        work.file("Dockerfile", format!("{before}{BUSYBOX}{stages}"));
        let (ours, theirs) = (registry.name(&format!("ours/{name}:1")), registry.name(&format!("theirs/{name}:1")));
        let built = work.build(&["-t", &ours, "--push"]).exits_with_one_of(&[0, 1]);
        if built.code != Some(0) {
            writeln!(failures, "{name} {}", built.stderr).unwrap();
            continue;
        }
        if let Err(error) = buildah(&work, &theirs) {
            writeln!(failures, "{name} {error}").unwrap();
            continue;
        }
        let arguments = ["--semantic", "--format", "json", "--insecure-registry", "localhost", &theirs, &ours];
        let run = work.flashbuild("diff", &arguments).store("looking").exits_with_one_of(&[0, 1]);
        for difference in differences(&serde_json::from_str(&run.stdout).unwrap()) {
            let key = difference.split(' ').next().unwrap();
            let explained = [name, EVERYWHERE].map(|case| (case.to_owned(), key.to_owned()));
            match explained.into_iter().find(|explained| known.contains(explained)) {
                Some(explained) => _ = seen.insert(explained),
                None => writeln!(failures, "{name} {difference}").unwrap(),
            }
        }
    }
    for (name, key) in known.difference(&seen) {
        writeln!(failures, "{name} {key}: said to differ, but does not").unwrap();
    }
    assert!(failures.is_empty(), "buildah's image -> ours:\n{failures}");
}

/// Builds the workspace's Dockerfile with buildah and pushes it.
fn buildah(work: &Workspace, name: &str) -> Result<(), String> {
    let run = |arguments: &[&str]| {
        let mut command = Command::new("buildah");
        command.arg("--root").arg(work.path("buildah")).arg("--runroot").arg(work.path("buildah-run"));
        let output = command.args(arguments).current_dir(work.path("context")).output().unwrap();
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    };
    run(&["build", "--quiet", "--isolation", "chroot", "--layers", "--identity-label=false", "-t", name, "."])?;
    run(&["push", "--quiet", "--tls-verify=false", name])
}

/// One line a difference: a key without spaces, and what differs.
fn differences(report: &Value) -> Vec<String> {
    let fields = report["config"].as_array().unwrap().iter();
    let fields = fields.map(|field| format!("{} {} -> {}", text(&field["field"]), field["before"], field["after"]));
    let files = report["files"].as_array().unwrap().iter();
    let files = files.map(|file| format!("{} {} {}", text(&file["path"]), text(&file["change"]), file["fields"]));
    fields.chain(files).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().replace(' ', "\u{a0}")
}

/// Lines of `CASE KEY REASON`; other lines start with `#`.
fn known_differences(text: &str) -> BTreeSet<(String, String)> {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let known = lines.map(|line| {
        let mut words = line.splitn(3, ' ');
        let (case, key, reason) = (words.next(), words.next(), words.next());
        assert!(reason.is_some_and(|reason| !reason.trim().is_empty()), "a difference without a reason: {line}");
        (case.unwrap().to_owned(), key.unwrap().to_owned())
    });
    known.collect()
}

fn case_files(folder: &Path) -> BTreeSet<std::path::PathBuf> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "Dockerfile")).collect()
}

/// The files that the cases copy.
fn write_context(work: &Workspace) {
    for (name, content) in [
        ("files/a", "a\n"),
        ("files/b", "b\n"),
        ("files/c.txt", "c\n"),
        ("files/d.txt", "d\n"),
        ("files/with space", "space\n"),
        ("files/run.sh", "#!/bin/sh\necho run\n"),
        ("files/deep/er/file", "deep\n"),
        ("links/target", "target\n"),
        ("ignored/kept", "kept\n"),
        ("ignored/secret.key", "secret\n"),
        ("ignored/secret.keep", "kept all the same\n"),
        (".dockerignore", "# not for images\nignored/secret*\n!ignored/secret.keep\n"),
    ] {
        work.file(name, content);
    }
    let context = work.path("context");
    fs::set_permissions(context.join("files/run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(context.join("empty")).unwrap();
    symlink("target", context.join("links/relative")).unwrap();
    symlink("/nowhere", context.join("links/dangling")).unwrap();
    let archive = |option: &str, name: &str| {
        let mut tar = Command::new("tar");
        let done = tar.args([option, name, "--numeric-owner", "--owner=5", "--group=6", "files"]);
        assert!(done.current_dir(&context).status().unwrap().success());
    };
    archive("-cf", "archive.tar");
    archive("-czf", "archive.tar.gz");
    archive("-cJf", "archive.tar.xz");
}
