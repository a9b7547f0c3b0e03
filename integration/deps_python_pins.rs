//! Requirements without hashes: found out once by a real resolver, remembered, and written down on request.

use crate::{
    deps_python::{DOCKERFILE, Project, layers},
    harness::{Invocation, Run, skip},
};
use std::{
    env,
    path::{Path, PathBuf},
};

/// A `PATH` with uv first, or without any uv.
fn path(with_uv: bool) -> Option<String> {
    let uv = Path::new(env!("CARGO_TARGET_TMPDIR")).join("uv/bin");
    let path = env::var_os("PATH").unwrap_or_default();
    let others = env::split_paths(&path).filter(|folder| !folder.join("uv").exists());
    let first: Option<PathBuf> = with_uv.then(|| uv.clone());
    if with_uv && !uv.join("uv").exists() {
        skip("uv is not installed");
        return None;
    }
    Some(env::join_paths(first.into_iter().chain(others)).unwrap().into_string().unwrap())
}

/// `pure` in two versions, and requirements that leave the choice open.
fn project() -> Project {
    let mut project = Project::new(DOCKERFILE);
    project.wheel("pure", "1.0", "py3-none-any").wheel("pure", "1.1", "py3-none-any");
    project.work.file("requirements.txt", "pure>=1\n");
    project
}

fn offline<'a>(invocation: Invocation<'a>, path: &str) -> Invocation<'a> {
    invocation.variable("PATH", path).variable("PIP_NO_INDEX", "1")
}

fn made(run: &Run) -> Vec<String> {
    layers(run).0
}

fn check_remembered(path: &str, by: &str) {
    let mut project = project();
    let first = offline(project.work.build(&[]), path).succeeds();
    assert_eq!(made(&first), ["pure 1.1"]);
    assert!(first.raw.contains(&format!("{by} says that they mean: pure 1.1.")), "{}", first.raw);

    project.wheel("pure", "1.2", "py3-none-any").work.file("requirements.txt", "pure>=1\n");
    let again = offline(project.work.build(&[]), path).succeeds();
    assert_eq!(layers(&again), (vec![], vec!["pure 1.1".to_owned()]));
    assert!(!again.raw.contains("says that they mean"), "{}", again.raw);
    assert_eq!(made(&offline(project.work.build(&["--pull"]), path).succeeds()), ["pure 1.2"]);
}

#[test]
fn what_uv_says_is_remembered() {
    let Some(path) = path(true) else { return };
    check_remembered(&path, "uv");
}

#[test]
fn without_uv_pip_is_asked() {
    let path = path(false).unwrap();
    let pip = std::process::Command::new("python3").args(["-m", "pip", "install", "--dry-run", "--help"]).output();
    if !pip.is_ok_and(|output| output.status.success()) {
        skip("pip is not installed, or older than its reports");
        return;
    }
    check_remembered(&path, "pip");
}

#[test]
fn a_written_lock_is_obeyed_and_serves_all_platforms() {
    let Some(path) = path(true) else { return };
    let mut project = project();
    project.wheel("native", "1.0", "cp311-cp311-manylinux_2_17_x86_64").wheel(
        "native",
        "1.0",
        "cp311-cp311-manylinux_2_17_aarch64",
    );
    project.work.file("requirements.txt", "pure<1.1\nnative\n");
    let both = ["--platform", "linux/amd64,linux/arm64"];
    let locked = offline(project.work.flashbuild("lock", &[&both[..], &["."]].concat()), &path).succeeds();
    assert!(locked.stdout.contains("flashbuild.lock: 4 packages"), "{}", locked.stdout);

    // A new store, and nobody to ask.
    let build = |store| project.work.build(&both).store(store).variable("PIP_NO_INDEX", "1").variable("PATH", "/");
    assert_eq!(made(&build("other").succeeds()), ["native 1.0", "native 1.0", "pure 1.0"]);

    // What is asked for now is something else.
    project.work.file("requirements.txt", "pure\nnative\n");
    let refused = build("another").exits_with(1);
    assert!(refused.stderr.contains("neither uv nor pip is here"), "{}", refused.stderr);
    let changed = offline(project.work.build(&both), &path).succeeds();
    assert!(made(&changed).contains(&"pure 1.1".to_owned()));
    assert!(changed.raw.contains("run `flashbuild lock`"), "{}", changed.raw);
}
