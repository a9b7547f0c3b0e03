//! `flashbuild init`: a project that has no Dockerfile gets one that can be built.

use crate::harness::Workspace;
use std::fs;

#[test]
fn a_project_gets_a_dockerfile_once() {
    let work = Workspace::new("FROM scratch\n");
    fs::remove_file(work.path("context/Dockerfile")).unwrap();
    work.file("package.json", r#"{"scripts": {"start": "node index.js"}}"#).file("package-lock.json", "{}");
    let run = work.flashbuild("init", &[]).succeeds();
    assert!(run.stdout.contains("DEPS node --prefix=/app --omit=dev package-lock.json"), "{}", run.stdout);
    assert!(run.stdout.contains("- code is copied last"), "{}", run.stdout);
    assert!(work.read("context/.dockerignore").contains("\nnode_modules\n"));

    work.file("Dockerfile", "FROM scratch\n");
    let run = work.flashbuild("init", &[]).exits_with(1);
    assert!(run.stderr.contains("there is a Dockerfile and a .dockerignore already"), "{}", run.stderr);
    assert_eq!(work.read("context/Dockerfile"), "FROM scratch\n");
    work.flashbuild("init", &["--force", "."]).succeeds();
    assert!(work.read("context/Dockerfile").starts_with("FROM node:"));
}

#[test]
fn an_unknown_project_gets_an_explanation() {
    let work = Workspace::new("FROM scratch\n");
    let run = work.flashbuild("init", &[]).exits_with(1);
    assert!(run.stderr.contains("no project that is known here"), "{}", run.stderr);
}
