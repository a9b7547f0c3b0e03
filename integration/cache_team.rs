//! One file for a team: what builds used, taken to a store that has nothing and no network.

use crate::{
    deps_python::{sha256, wheel},
    harness::{BUSYBOX, Invocation, Registry, Run, Web, Workspace, is_root, native_platform},
};
use flashbuild::solver::event::Outcome;
use std::fs;

/// A command without a network, if this user may take it away.
fn offline(invocation: Invocation<'_>) -> Invocation<'_> {
    if is_root() { invocation.through(&["unshare", "--net", "--"]) } else { invocation }
}

#[track_caller]
fn nothing_ran(run: &Run) {
    assert!(run.vertices().count() > 0);
    for (name, outcome) in run.vertices() {
        assert!(matches!(outcome, Outcome::Cached(_)), "{name}: {outcome:?}");
    }
}

/// A project of packages, which an index of the test's own has.
struct Packages {
    work: Workspace,
    index: Web,
}

impl Packages {
    fn new() -> Self {
        let bytes = wheel("pure", "1.0", "42");
        let index = Web::start();
        let file = "pure-1.0-py3-none-any.whl";
        let page = format!(
            r#"{{"files": [{{"filename": "{file}", "url": "/files/{file}", "hashes": {{"sha256": "{}"}}}}]}}"#,
            sha256(&bytes)
        );
        let json = [("Content-Type", "application/vnd.pypi.simple.v1+json")];
        let lock = format!("pure==1.0 --hash=sha256:{}\n", sha256(&bytes));
        index.file("/simple/pure/", &json, page).file(&format!("/files/{file}"), &[], bytes);
        let work =
            Workspace::new("FROM scratch\nDEPS python --python=3.11 --target=/app requirements.txt\nCOPY main.py /\n");
        work.file("requirements.txt", lock).file("main.py", "import pure\n");
        Self { work, index }
    }

    fn build(&self, store: &'static str) -> Invocation<'_> {
        self.work.build(&["-t", "packages"]).store(store).variable("PIP_INDEX_URL", self.index.url("/simple"))
    }
}

#[test]
fn a_newcomer_builds_two_projects_from_one_file_without_a_network() {
    let base =
        Workspace::with_busybox(&[native_platform()], &format!("{BUSYBOX}FROM busybox\nRUN seq 1 5000 > /base\n"));
    let (Some(base), Some(registry)) = (base, Registry::start()) else { return };
    let name = registry.name("base:1");
    base.build(&["-t", &name, "--push"]).succeeds();
    let steps = Workspace::new(
        "ARG BASE\nFROM $BASE AS tool\nRUN head -n 10 /base > /ten\nFROM $BASE\nCOPY --from=tool /ten /ten\nRUN cat /ten > /copy\n",
    );
    let argument = format!("BASE={name}");
    let build = |store| steps.build(&["-t", "steps", "--build-arg", &argument]).store(store);
    let packages = Packages::new();
    // Both in one store, which is that of the first workspace.
    let shared = steps.path("store").display().to_string();
    let team = steps.path("team.tar.zst").display().to_string();
    let first = build("store").succeeds();
    let second = packages.build("unused").variable("FLASHBUILD_ROOT", &shared).succeeds();
    let said = steps.flashbuild("cache", &["export", &team]).succeeds().stdout;
    assert!(said.contains("1 packages, 1 base images"), "{said}");

    let elsewhere = steps.path("new").display().to_string();
    let import = || steps.flashbuild("cache", &["import", &team, "--root", &elsewhere]).succeeds().stdout;
    let said = import();
    assert!(said.contains(", 0B were here"), "{said}");
    let usage = || steps.flashbuild("cache", &["du", "--format", "json", "--root", &elsewhere]).succeeds().stdout;
    let count = |usage: &str| {
        let usage: serde_json::Value = serde_json::from_str(usage).unwrap();
        let kinds = usage["kinds"].as_object().unwrap().iter();
        let counts = kinds.map(|(kind, usage)| (kind.clone(), usage["count"].as_u64())).collect::<Vec<_>>();
        assert!(counts.iter().any(|(_, count)| *count > Some(3)), "{counts:?}");
        counts
    };
    let before = count(&usage());
    assert!(import().contains(": 0B were new"));
    assert_eq!(count(&usage()), before, "importing twice adds nothing");

    drop(registry);
    let asked = packages.index.requests().len();
    let run = offline(build("new")).succeeds();
    nothing_ran(&run);
    assert_eq!(run.digest(), first.digest());
    let run = offline(packages.build("unused").variable("FLASHBUILD_ROOT", &elsewhere)).succeeds();
    nothing_ran(&run);
    assert_eq!(run.digest(), second.digest());
    assert_eq!(packages.index.requests().len(), asked);
}

#[test]
fn packages_are_fetched_before_a_build_needs_them() {
    let packages = Packages::new();
    let warm = |lock: &str| {
        let arguments = ["warm", "--python", "3.11", "--platform", "linux/amd64,linux/arm64", lock];
        packages.work.flashbuild("cache", &arguments).variable("PIP_INDEX_URL", packages.index.url("/simple"))
    };
    assert_eq!(warm("requirements.txt").succeeds().stdout, "1 packages are here\n");
    let file = "/files/pure-1.0-py3-none-any.whl";
    assert_eq!(packages.index.statuses(file), [200]);
    packages.index.answer(file, 500, &[], "");
    packages.build("store").succeeds();
    assert_eq!(packages.index.statuses(file), [200]);
    let team = packages.work.path("team").display().to_string();
    let said = packages.work.flashbuild("cache", &["export", &team]).succeeds().stdout;
    assert!(said.contains("1 packages"), "{said}");
    let refused = warm("Cargo.lock").exits_with(1);
    assert!(refused.stderr.contains("DEPS python reads uv.lock"), "{}", refused.stderr);
}

/// `requirements.txt` names a hash only, so that the index has to say which file that is.
#[test]
fn what_was_fetched_ahead_serves_without_a_network() {
    let packages = Packages::new();
    let index = || packages.index.url("/simple");
    let warm = ["warm", "--python", "3.11", "requirements.txt"];
    packages.work.flashbuild("cache", &warm).variable("PIP_INDEX_URL", index()).succeeds();
    let asked = packages.index.requests().len();
    let build = |store| {
        let build = packages.work.build(&["-t", "packages", "--offline"]).store(store);
        offline(build.variable("PIP_INDEX_URL", index()))
    };
    build("store").succeeds();
    let refused = build("empty").exits_with(3);
    assert!(refused.stderr.contains("--offline forbids to fetch it"), "{}", refused.stderr);
    // So it does for others, from a file.
    let team = packages.work.path("team").display().to_string();
    packages.work.flashbuild("cache", &["export", &team, "--for", "packages"]).succeeds();
    packages.work.flashbuild("cache", &["import", &team]).store("imported").succeeds();
    packages.work.file("main.py", "import pure, sys\n");
    build("imported").succeeds();
    assert_eq!(packages.index.requests().len(), asked);
}

/// What the programs of a preset are asked, by programs in their place that answer with what the index has.
#[test]
fn a_preset_is_names_that_are_pinned_once() {
    let packages = Packages::new();
    let work = &packages.work;
    let pinned = std::fs::read_to_string(work.path("context/requirements.txt")).unwrap();
    let tools = work.path("tools");
    fs::create_dir(&tools).unwrap();
    let program = |name: &str, script: &str| {
        fs::write(tools.join(name), format!("#!/bin/sh\necho {name} >> {}\n{script}", tools.join("asked").display()))
            .unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(tools.join(name), mode).unwrap();
    };
    let names = tools.join("names");
    program("uv", &format!("cat requirements.txt > {}\necho '{}'\n", names.display(), pinned.trim()));
    program(
        "npm",
        "grep -q fastify package.json && echo '{\"lockfileVersion\": 3, \"packages\": {\"\": {}}}' > package-lock.json\n",
    );
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
    let locks = work.path("locks").display().to_string();
    let warm = |store| {
        let arguments =
            ["warm", "--preset", "web", "--python", "3.11", "--platform", "linux/amd64,linux/arm64", "--locks"];
        let run = work.flashbuild("cache", &[&arguments[..], &[&locks]].concat()).store(store);
        run.variable("PATH", &path).variable("PIP_INDEX_URL", packages.index.url("/simple")).succeeds().stdout
    };
    assert_eq!(warm("store"), "1 packages are here\n");
    let asked = fs::read_to_string(&names).unwrap();
    assert!(
        asked.lines().any(|name| name == "fastapi") && asked.lines().any(|name| name == "uvicorn[standard]"),
        "{asked}"
    );
    // Whoever has the locks gets the same, and nobody is asked what names mean.
    fs::remove_file(tools.join("asked")).unwrap();
    assert_eq!(warm("other"), "1 packages are here\n");
    assert!(!tools.join("asked").exists());
    let locked = fs::read_to_string(work.path("locks/web/flashbuild.lock")).unwrap();
    assert_eq!(locked.matches("\"version\": \"1.0\"").count(), 2, "{locked}");
    let unknown = work.flashbuild("cache", &["warm", "--preset", "games"]).exits_with(2);
    assert!(unknown.stderr.contains("the presets are ml, torch, web"), "{}", unknown.stderr);
}

#[test]
fn a_file_may_hold_what_one_image_needs() {
    let Some(work) =
        Workspace::with_busybox(&[native_platform()], &format!("{BUSYBOX}FROM busybox\nRUN echo 1 > /a\n"))
    else {
        return;
    };
    work.build(&["-t", "one"]).succeeds();
    work.file("Dockerfile", format!("{BUSYBOX}FROM busybox\nRUN echo 2 > /b\nRUN echo 3 > /c\n"));
    work.build(&["-t", "two"]).succeeds();
    let team = work.path("team").display().to_string();
    let export = |flags: &[&str]| work.flashbuild("cache", &[&["export", &team], flags].concat());
    let records = |flags: &[&str]| export(flags).succeeds().stdout.split(' ').next().unwrap().to_owned();
    assert_eq!(
        (records(&["--for", "one"]), records(&["--for", "two"]), records(&[])),
        ("2".into(), "3".into(), "4".into())
    );
    assert_eq!(records(&["--since", "1h"]), "4");
    let refused = export(&["--for", "three"]).exits_with(3);
    assert!(refused.stderr.contains("no build of docker.io/library/three:latest is known here"), "{}", refused.stderr);
}

#[test]
fn an_interrupted_import_goes_on_and_a_damaged_file_is_refused() {
    let Some(work) =
        Workspace::with_busybox(&[native_platform()], &format!("{BUSYBOX}FROM busybox\nRUN echo 1 > /a\n"))
    else {
        return;
    };
    let first = work.build(&["-t", "app"]).succeeds();
    let team = work.path("team");
    work.flashbuild("cache", &["export", team.to_str().unwrap()]).succeeds();
    let whole = fs::read(&team).unwrap();
    let tar = zstd::decode_all(&whole[..]).unwrap();
    let import = |store: &'static str, tar: &[u8]| {
        fs::write(work.path("changed"), zstd::encode_all(tar, 1).unwrap()).unwrap();
        work.flashbuild("cache", &["import", work.path("changed").to_str().unwrap()]).store(store)
    };

    // All but the end of the last of two layers, behind which come 1024 zeros: the first one came.
    let cut = import("cut", &tar[..tar.len() - 1_700]).exits_with(3);
    assert!(cut.stderr.contains("not all of one") || cut.stderr.contains("what came is kept"), "{}", cut.stderr);
    let rest = work.flashbuild("cache", &["import", "-"]).stdin(whole).store("cut").succeeds();
    assert!(!rest.stdout.contains(", 0B were here"), "{}", rest.stdout);
    let run = work.build(&["-t", "app"]).store("cut").succeeds();
    nothing_ran(&run);
    assert_eq!(run.digest(), first.digest());

    let mut damaged = tar.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    let refused = import("damaged", &damaged).exits_with(3);
    assert!(refused.stderr.contains("is damaged; nothing of it was used"), "{}", refused.stderr);
    assert!(import("other", b"no archive").exits_with(3).stderr.contains("no archive"));
}
