//! The configuration: files, variables over them, flags over all.

use crate::harness::Workspace;
use serde_json::Value;
use std::fs;

const FILE: &str = "home/.config/flashbuild/config.toml";

fn configured(dockerfile: &str, text: &str) -> Workspace {
    let work = Workspace::new(dockerfile);
    fs::create_dir_all(work.path(FILE).parent().unwrap()).unwrap();
    fs::write(work.path(FILE), text).unwrap();
    work
}

#[test]
fn every_value_is_shown_with_where_it_came_from() {
    let work = configured("", "jobs = 3\nprogress = \"plain\"\n");
    let run = work.flashbuild("config", &["--format", "json"]).variable("FLASHBUILD_PROGRESS", "quiet").succeeds();
    let shown: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(shown["jobs"]["value"], "3");
    assert_eq!(shown["jobs"]["origin"], format!("{}:1", work.path(FILE).display()));
    assert_eq!(
        (&shown["progress"]["value"], &shown["progress"]["origin"]),
        (&"quiet".into(), &"FLASHBUILD_PROGRESS".into())
    );
    assert_eq!(shown["root"]["origin"], "FLASHBUILD_ROOT");
    assert_eq!(shown["gc.enabled"]["origin"], "default");
}

#[test]
fn the_platforms_of_the_file_are_built_unless_others_are_typed() {
    let work = configured("FROM scratch\nCOPY Dockerfile /\n", "platforms = [\"linux/arm64\", \"linux/s390x\"]\n");
    let run = work.build(&[]).succeeds();
    assert_eq!(run.metadata()["containerimage.descriptor"]["mediaType"], "application/vnd.oci.image.index.v1+json");
    let run = work.build(&["--platform", "linux/arm64"]).succeeds();
    assert_eq!(run.metadata()["containerimage.descriptor"]["platform"]["architecture"], "arm64");
}

#[test]
fn the_store_is_where_the_file_says() {
    let work = configured("FROM scratch\nCOPY Dockerfile /\n", "root = \"../../elsewhere\"\n");
    work.build(&[]).variable("FLASHBUILD_ROOT", "").succeeds();
    assert!(work.path("home/elsewhere/version").exists() && !work.path("store").exists());
}

#[test]
fn what_nobody_knows_is_refused_with_its_line() {
    let work = configured("FROM scratch\n", "# ours\njbos = 3\n");
    for command in ["build", "config", "images"] {
        let run = work.flashbuild(command, &[]).variable("FLASHBUILD_ROOT", "").exits_with(2);
        let expected =
            format!("error: {}:2: there is no key \"jbos\": did you mean \"jobs\"?\n", work.path(FILE).display());
        assert_eq!(run.stderr, expected, "{command}");
    }
}
