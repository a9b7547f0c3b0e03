//! What CI services run, and what they read of it.

use crate::harness::{Registry, Workspace, native_platform};
use std::fs;
use std::path::Path;
use std::process::Command;

/// A script of the examples, with the binary in its path and nothing of this machine's own configuration.
fn example(work: &Workspace, script: &str) -> Command {
    let binary = Path::new(env!("CARGO_BIN_EXE_flashbuild")).parent().unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/ci").join(script));
    command.env_clear().env("PATH", format!("{}:{path}", binary.display())).env("HOME", work.path("home"));
    command.env("FLASHBUILD_ROOT", work.path("store")).current_dir(work.path("context"));
    command
}

#[track_caller]
fn succeeds(command: &mut Command) -> String {
    let output = command.output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {said}");
    said
}

fn platforms(registry: &Registry, repository: &str, tag: &str) -> Vec<String> {
    let index = registry.manifest(repository, tag);
    let entries = index["manifests"].as_array().expect("an index");
    entries.iter().map(|entry| entry["platform"]["architecture"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_script_of_the_examples_pushes_an_index() {
    let (work, Some(registry)) = (Workspace::new(""), Registry::start()) else { return };
    succeeds(example(&work, "build").arg(registry.name("app:1")));
    assert_eq!(platforms(&registry, "app", "1"), ["amd64", "arm64"]);
    assert!(work.path("context/flashbuild.json").exists());
}

#[test]
fn the_action_pushes_an_index_and_says_its_digest() {
    let (work, Some(registry)) = (Workspace::new(""), Registry::start()) else { return };
    let output = work.path("home/output");
    fs::write(&output, "before=1\n").unwrap();
    let app = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/ci/app");
    let said = succeeds(
        example(&work, "github/build")
            .env("CONTEXT", app)
            .env("PLATFORMS", "linux/amd64,linux/arm64")
            .env("TAGS", format!("{}\n{}\n", registry.name("app:1"), registry.name("app:2")))
            .env("PUSH", "true")
            .env("ARGS", "--label\nx=a b\n")
            .env("GITHUB_ACTIONS", "true")
            .env("GITHUB_OUTPUT", &output),
    );
    for tag in ["1", "2"] {
        assert_eq!(platforms(&registry, "app", tag), ["amd64", "arm64"]);
    }
    let text = fs::read_to_string(&output).unwrap();
    let digest = text.lines().find_map(|line| line.strip_prefix("digest=")).expect("an output");
    assert!(text.starts_with("before=1\n"), "{text}");
    assert_eq!(registry.manifest("app", digest), registry.manifest("app", "1"));
    let groups = said.lines().filter(|line| line.starts_with("::group::")).count();
    assert_eq!(said.lines().filter(|line| *line == "::endgroup::").count(), groups);
    assert!(groups > 0, "{said}");
}

#[test]
fn an_error_is_noted_at_its_line_and_a_step_commands_nothing() {
    let dockerfile = "FROM scratch AS busybox\nARG TARGETARCH\nADD busybox-$TARGETARCH.tar /\nENV PATH=/bin\nFROM busybox\n\
                      RUN echo '::add-mask::x' && echo '##[error]y' && echo ' ::set-env name=a::b' && false\n";
    let Some(work) = Workspace::with_busybox(&[native_platform()], dockerfile) else { return };
    let run = work.flashbuild("lock", &["--progress", "plain"]).variable("GITHUB_ACTIONS", "true").run();
    assert_eq!(run.code, Some(0), "{run:?}");
    let mut build = Command::new(env!("CARGO_BIN_EXE_flashbuild"));
    build.args(["build", "--progress", "plain", "."]).current_dir(work.path("context")).env("GITHUB_ACTIONS", "true");
    build.env("FLASHBUILD_ROOT", work.path("store")).env("HOME", work.path("home"));
    let output = build.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let commands: Vec<&str> = said.lines().filter(|line| line.trim_start().starts_with("::")).collect();
    let own = |line: &&&str| ["::group::", "::endgroup::", "::error "].iter().any(|start| line.starts_with(start));
    assert_eq!(commands.iter().filter(own).count(), commands.len(), "{commands:?}");
    assert!(commands.iter().any(|line| line.starts_with("::error file=Dockerfile,line=6,col=1::")), "{said}");
    assert!(!said.contains("##[error]"), "{said}");
}
