//! Images compared, and the store looked after.

use crate::harness::{BUSYBOX, Workspace, native_platform};

/// Builds `dockerfile` under a name, in a workspace that has busybox.
fn build(work: &Workspace, name: &str, dockerfile: &str) {
    work.file("Dockerfile", dockerfile);
    work.build(&["-t", name]).succeeds();
}

#[test]
fn equal_images_are_equal_however_they_are_divided_into_layers() {
    let Some(work) = Workspace::with_busybox(&[native_platform()], "") else { return };
    build(&work, "one", &format!("{BUSYBOX}FROM busybox\nRUN echo a > /a && echo b > /b\n"));
    build(&work, "two", &format!("{BUSYBOX}FROM busybox\nRUN echo a > /a && echo x > /x\nRUN rm /x; echo b > /b\n"));
    let run = work.flashbuild("diff", &["--semantic", "one", "two"]).succeeds();
    assert!(run.stdout.starts_with("the images hold the same: "), "{}", run.stdout);
}

#[test]
fn what_differs_is_named() {
    let work = Workspace::new("");
    work.file("app", "1");
    build(&work, "one", "FROM scratch\nCOPY app /app\nCOPY app /gone\nENV A=1\n");
    work.file("app", "2");
    build(&work, "two", "FROM scratch\nCOPY --chmod=755 --chown=1:2 app /app\nCOPY app /new\nENV A=2\n");
    let run = work.flashbuild("diff", &["--semantic", "one", "two"]).exits_with(1);
    let lines: Vec<&str> = run.stdout.lines().collect();
    assert_eq!(lines.len(), 5, "{}", run.stdout);
    assert!(lines[0].starts_with("~ config.Env: ") && lines[0].contains("A=1") && lines[0].contains("A=2"));
    assert!(lines[1].starts_with("~ /app   mode: 0644 -> 0755; owner: 0:0 -> 1:2; content: "), "{}", lines[1]);
    assert_eq!(&lines[2..4], ["- /gone", "+ /new"]);
    assert!(lines[4].starts_with("the images differ: 3 files, 1 field of the configuration (not compared: "));

    let json = work.flashbuild("diff", &["--format", "json", "one", "two"]).exits_with(1).stdout;
    let report: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(report["files"][1], serde_json::json!({ "path": "/gone", "change": "removed" }));
}

#[test]
fn pruning_keeps_what_images_need_and_frees_the_rest() {
    let Some(work) =
        Workspace::with_busybox(&[native_platform()], &format!("{BUSYBOX}FROM busybox\nRUN echo 1 > /a\n"))
    else {
        return;
    };
    work.build(&["-t", "kept"]).succeeds();
    let bytes = || -> u64 {
        let json = work.flashbuild("cache", &["du", "--format", "json"]).succeeds().stdout;
        let usage: serde_json::Value = serde_json::from_str(&json).unwrap();
        ["blob", "image", "layer"].map(|kind| usage["kinds"][kind]["bytes"].as_u64().unwrap()).iter().sum()
    };
    let before = bytes();
    // What made a named image makes it again.
    let run = work.flashbuild("cache", &["prune"]).succeeds();
    assert_eq!((run.stdout.trim(), bytes()), ("removed nothing", before));
    let run = work.flashbuild("cache", &["prune", "--all"]).succeeds();
    assert!(run.stdout.starts_with("removed "), "{}", run.stdout);
    assert!(bytes() < before);
    // The image is whole, and the next build works.
    let out = format!("type=local,dest={}", work.path("out").display());
    work.build(&["-o", &out]).succeeds();
    assert_eq!(work.read("out/a"), "1\n");
}
