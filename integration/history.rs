//! Builds are remembered: what was asked, what ran and why, and all that steps wrote.

use crate::harness::{BUSYBOX, Workspace, native_platform};
use serde_json::Value;
use std::{thread, time::Duration};

const DOCKERFILE: &str = "
FROM busybox
COPY file /file
RUN echo \"the file says $(cat /file)\" && echo and more >&2
RUN --mount=type=secret,id=token seq 5000; cat /run/secrets/token
";

fn workspace() -> Option<Workspace> {
    let work = Workspace::with_busybox(&[native_platform()], &format!("{BUSYBOX}{DOCKERFILE}"))?;
    work.file("file", "hello\n");
    Some(work)
}

fn json(work: &Workspace, command: &str, arguments: &[&str]) -> Value {
    serde_json::from_str(&work.flashbuild(command, arguments).succeeds().stdout).unwrap()
}

fn build(work: &Workspace) {
    work.build(&["-t", "app", "--secret", "id=token,env=TOKEN", "--build-arg", "KEY=value-of-argument"])
        .variable("TOKEN", "value-of-secret")
        .succeeds();
}

#[test]
fn a_build_is_remembered_with_its_steps_and_all_they_wrote() {
    let Some(work) = workspace() else { return };
    build(&work);
    let shown = json(&work, "history", &["inspect", "--format", "json"]);
    assert_eq!((&shown["status"], &shown["asked"]["names"][0]), (&"done".into(), &"app:latest".into()));
    assert!(shown["digest"].as_str().unwrap().starts_with("sha256:"));
    let ran = |name: &str| {
        let steps = shown["steps"].as_array().unwrap();
        steps.iter().find(|step| step["name"].as_str().unwrap().contains(name)).unwrap().clone()
    };
    assert_eq!(ran("RUN echo")["end"]["outcome"], "ran");
    let log = work.flashbuild("history", &["logs", "RUN echo"]).succeeds().stdout;
    assert!(log.contains("the file says hello\n") && log.contains("and more\n"), "{log}");
    let log = work.flashbuild("history", &["logs", &ran("seq")["number"].to_string()]).succeeds().stdout;
    let numbers = (1..=5000).map(|number| number.to_string()).collect::<Vec<_>>().join("\n");
    assert_eq!(log, numbers + "\n***", "whole, but for the secret");
    let everything = work.flashbuild("history", &["export"]).succeeds().stdout;
    assert!(everything.contains("the file says hello"));
    assert!(!everything.contains("value-of-secret") && !everything.contains("value-of-argument"));
    work.flashbuild("history", &["logs", "RUN nothing"]).exits_with(1);
}

#[test]
fn the_last_build_is_explained_step_by_step() {
    let Some(work) = workspace() else { return };
    build(&work);
    work.file("file", "other\n");
    build(&work);
    let table = work.flashbuild("explain", &[]).succeeds().stdout;
    let of = |name: &str| {
        let line = table.lines().find(|line| line.contains(name)).unwrap_or_else(|| panic!("{table}"));
        line.split("   ").map(str::trim).filter(|cell| !cell.is_empty()).skip(1).collect::<Vec<_>>().join(": ")
    };
    assert_eq!(of("ADD busybox"), "cached: nothing changed");
    assert_eq!(of("COPY file"), "ran: file changed (1 line)");
    assert_eq!(of("RUN echo"), "ran: COPY file /file came out differently");
    let explained = json(&work, "explain", &["COPY file", "--json"]);
    assert_eq!(explained[0]["reasons"][0]["reason"], "file");
    assert_eq!(explained[0]["reasons"][0]["change"], "content");
}

#[test]
fn failed_and_killed_builds_are_remembered_too() {
    let Some(work) = workspace() else { return };
    work.file("Dockerfile", format!("{BUSYBOX}FROM busybox\nRUN echo before && sleep 60\n"));
    let mut killed = work.build(&["-t", "killed"]).spawn();
    let started = || {
        let log = work.flashbuild("history", &["logs", "RUN echo"]).run();
        log.stdout.contains("before")
    };
    while !started() {
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(json(&work, "history", &["inspect", "--format", "json"])["status"], "running");
    killed.kill().unwrap();
    killed.wait().unwrap();
    let shown = json(&work, "history", &["inspect", "--format", "json"]);
    assert_eq!((&shown["status"], &shown["asked"]["names"][0]), (&"killed".into(), &"killed:latest".into()));
    assert_eq!(work.flashbuild("history", &["logs", "RUN echo"]).succeeds().stdout, "before\n");

    work.file("Dockerfile", format!("{BUSYBOX}FROM busybox\nRUN echo broken && false\n"));
    work.build(&["-t", "failed"]).exits_with(1);
    let listed = json(&work, "history", &["ls", "--format", "json"]);
    let statuses: Vec<_> = listed.as_array().unwrap().iter().map(|build| build["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["failed", "killed"]);
    assert!(listed[0]["error"].as_str().unwrap().contains("RUN echo broken && false"));

    let id = listed[0]["id"].as_str().unwrap();
    work.flashbuild("history", &["rm", id]).succeeds();
    work.flashbuild("history", &["inspect", id]).exits_with(1);
    work.flashbuild("history", &["rm", "--all"]).succeeds();
    assert_eq!(json(&work, "history", &["ls", "--format", "json"]), Value::Array(Vec::new()));
}

#[test]
fn as_many_builds_are_remembered_as_is_configured() {
    let work = Workspace::new("FROM scratch\nCOPY file /\n");
    for number in 0..4 {
        work.file("file", number.to_string());
        let run = work.build(&[]).variable("FLASHBUILD_HISTORY_BUILDS", "2").succeeds();
        let listed = json(&work, "history", &["ls", "--format", "json"]);
        assert_eq!(listed.as_array().unwrap().len(), (number + 1).min(2));
        assert_eq!(listed[0]["id"], run.metadata()["flashbuild.build"], "the metadata file names it");
    }
}
