//! What a user is told when it does not work: an exit code, and a message.

use crate::harness::{BUSYBOX, Registry, Workspace, native_platform};

/// Builds and expects an exit code and a message that says all of `parts`.
#[track_caller]
fn check(dockerfile: &str, arguments: &[&str], code: i32, parts: &[&str]) {
    let Some(work) = Workspace::with_busybox(&[native_platform()], dockerfile) else { return };
    let run = work.build(arguments).exits_with(code);
    assert_eq!(run.stdout, "", "errors do not go to standard output");
    for part in parts {
        assert!(run.stderr.contains(part), "{part:?} is missing in:\n{}", run.stderr);
    }
}

#[test]
fn a_step_that_fails_fails_the_build() {
    let text = "error: process \"/bin/sh -c exit 7\" did not complete: exit code 7";
    check(&format!("{BUSYBOX}FROM busybox\nRUN exit 7\n"), &[], 1, &[text, "RUN exit 7\n  | ^^^^^^^^^^"]);
}

#[test]
fn a_program_that_is_not_there_fails_the_build() {
    let text = "\
error: exec: \"/bin/sh\": no such file in the image
 --> Dockerfile:3:1
  |
3 | RUN true
  | ^^^^^^^^
  |
help: a RUN that is a line needs a shell: ";
    check("FROM scratch\nCOPY Dockerfile /\nRUN true\n", &[], 1, &[text]);
    let absent = ["error: exec: \"/nowhere\": no such file in the image", "help: install or copy it in a step before"];
    check(&format!("{BUSYBOX}FROM busybox\nRUN [\"/nowhere\"]\n"), &[], 1, &absent);
}

#[test]
fn what_is_not_there_is_no_fault_of_the_machine() {
    let work = Workspace::new("FROM scratch\n");
    let archive = work.path("archive.tar");
    for (command, arguments) in [
        ("inspect", &["nosuch"][..]),
        ("rmi", &["nosuch"]),
        ("tag", &["nosuch", "other"]),
        ("push", &["nosuch", "localhost:1/other"]),
        ("save", &["nosuch", "-o", archive.to_str().unwrap()]),
    ] {
        let run = work.flashbuild(command, arguments).exits_with(1);
        assert!(run.stderr.contains("no image nosuch:latest in the local store"), "{command}: {}", run.stderr);
    }
    for command in ["init", "build"] {
        let run = work.flashbuild(command, &["/nonexistent"]).exits_with(1);
        assert!(run.stderr.contains("/nonexistent is not a folder"), "{command}: {}", run.stderr);
    }
}

#[test]
fn an_image_of_another_platform_is_told_to_be_here_for_that() {
    let work = Workspace::new("FROM scratch\nCOPY Dockerfile /\n");
    let name = "localhost:1/app";
    work.build(&["--platform", "linux/arm64", "-t", name]).succeeds();
    let run = work.flashbuild("diff", &[name, name, "--platform", "linux/s390x"]).exits_with(3);
    assert!(run.stderr.contains("the local store has it for linux/arm64 only"), "{}", run.stderr);
    work.build(&["--platform", "linux/arm64,linux/amd64", "-t", name]).succeeds();
    let run = work.flashbuild("split", &[name, "-t", "new", "--platform", "linux/s390x"]).exits_with(3);
    assert!(run.stderr.contains("the local store has it for linux/arm64, linux/amd64 only"), "{}", run.stderr);
}

#[test]
fn what_cannot_be_read_failed_and_was_not_cancelled() {
    let work = Workspace::new("FROM scratch\nCOPPY a b\n");
    work.file("some.txt", "of no package manager");
    let lock = work.path("context/some.txt");
    for (command, arguments) in [
        ("build", &["/nonexistent"][..]),
        ("build", &["-f", "nofile"]),
        ("build", &[]),
        ("slim", &["localhost:1/nosuch", "-t", "new"]),
        ("cache", &["warm", "/nonexistent/requirements.txt"]),
        ("cache", &["warm", lock.to_str().unwrap()]),
    ] {
        let run = work.flashbuild(command, arguments).exits_with_one_of(&[1, 3]);
        let told = run.raw.to_lowercase();
        assert!(!told.contains("cancelled") && told.contains("failed"), "{command} {arguments:?}: {}", run.raw);
    }
}

#[test]
fn an_unknown_instruction_is_shown_with_the_nearest_one() {
    let text = "\
error: unknown instruction `COPPY`
 --> Dockerfile:2:1
  |
2 | COPPY a b
  | ^^^^^
  |
help: did you mean `COPY`?";
    check("FROM scratch\nCOPPY a b\n", &[], 1, &[text]);
}

#[test]
fn a_missing_file_is_named() {
    let text = "\
error: \"nothing-like-it\" not found in the build context
 --> Dockerfile:2:1
  |
2 | COPY nothing-like-it /
  | ^^^^^^^^^^^^^^^^^^^^^^";
    check("FROM scratch\nCOPY nothing-like-it /\n", &[], 1, &[text]);
}

#[test]
fn an_unknown_stage_is_taken_for_an_image_and_shown_with_the_nearest_stage() {
    let dockerfile = "FROM scratch AS build\nFROM scratch\nCOPY --from=bild /a /\n";
    let work = Workspace::new(dockerfile);
    // Where there is no way to the registry, it is the environment's fault.
    let run = work.build(&["--platform", "linux/amd64"]).exits_with_one_of(&[1, 3]);
    assert!(run.stderr.contains("error: cannot find image bild:latest for linux/amd64: "), "{}", run.stderr);
    let text = "
 --> Dockerfile:3:13
  |
3 | COPY --from=bild /a /
  |             ^^^^
  |
help: did you mean the stage `build`?";
    assert!(run.stderr.contains(text), "{}", run.stderr);
}

#[test]
fn a_stage_number_that_is_not_there_is_an_error() {
    let text = "\
error: there is no stage 5
 --> Dockerfile:3:13
  |
3 | COPY --from=5 /a /
  |             ^
  |
help: stages are counted from 0, and this file has 2";
    check("FROM scratch\nFROM scratch\nCOPY --from=5 /a /\n", &[], 1, &[text]);
}

#[test]
fn a_full_disk_is_the_environments_fault() {
    let Some(work) = Workspace::with_busybox(&[native_platform()], "FROM scratch\nCOPY large /\n") else { return };
    let mut generator = fastrand::Rng::with_seed(1);
    work.file("large", std::iter::repeat_with(|| generator.u8(..)).take(12 << 20).collect::<Vec<u8>>());
    let small = work.path("small");
    std::fs::create_dir(&small).unwrap();
    // A tmpfs in a mount namespace of its own: it goes with the process.
    let script = format!("mount -t tmpfs -o size=8m tmpfs {} && exec \"$@\"", small.display());
    let run = work.build(&[]).store("small").through(&["unshare", "-rm", "sh", "-c", &script, "sh"]).exits_with(3);
    let text = format!(
        "\
error: no space left on the device of {}: free some (`flashbuild cache prune` removes what is not in use)
 --> Dockerfile:2:1
  |
2 | COPY large /
  | ^^^^^^^^^^^^",
        small.display()
    );
    assert!(run.stderr.contains(&text), "{}", run.stderr);
}

#[test]
fn an_unknown_target_is_shown_with_the_nearest_stage() {
    let text = "\
error: the target stage `bild` is not in this file
 --> Dockerfile:1:1
  |
1 | FROM scratch AS build
  | ^^^^^^^^^^^^^^^^^^^^^ without a target, this stage is built
  |
help: did you mean `build`?";
    check("FROM scratch AS build\n", &["--target", "bild"], 1, &[text]);
}

#[test]
fn a_registry_that_is_not_there_is_the_environments_fault() {
    let text = "\
error: cannot find image localhost:1/x:latest for linux/amd64: cannot reach registry localhost:1: connection refused
 --> Dockerfile:1:6
  |
1 | FROM localhost:1/x
  |      ^^^^^^^^^^^^^";
    check("FROM localhost:1/x\n", &["--platform", "linux/amd64"], 3, &[text]);
}

#[test]
fn an_unknown_image_is_shown_with_its_registry() {
    let Some(registry) = Registry::start() else { return };
    let dockerfile = format!("FROM {}\n", registry.name("nothing:1"));
    let text = format!("error: cannot find image {} for linux/amd64: ", registry.name("nothing:1"));
    check(&dockerfile, &["--platform", "linux/amd64"], 1, &[&text, &format!("1 | {dockerfile}")]);
}

#[test]
fn a_context_without_a_dockerfile_says_what_to_do() {
    let Some(work) = Workspace::with_busybox(&[native_platform()], "") else { return };
    std::fs::remove_file(work.path("context/Dockerfile")).unwrap();
    let run = work.build(&[]).exits_with(1);
    let text = "error: no Dockerfile in .: write one, or name it with --file\n";
    assert!(run.stderr.ends_with(text), "{}", run.stderr);
}

#[test]
fn files_whose_case_is_another_are_named() {
    let work = Workspace::new("FROM scratch\nCOPY Readme.md /\n");
    work.file("README.md", "").file("Dockerfile.dev", "FROM scratch\n");
    let text =
        "error: \"Readme.md\" not found in the build context; did you mean \"README.md\"?\n --> Dockerfile:2:1\n";
    let run = work.build(&[]).exits_with(1);
    assert!(run.stderr.contains(text), "{}", run.stderr);

    let named = work.path("context/DOCKERFILE.dev").display().to_string();
    let run = work.build(&["--file", &named]).exits_with(1);
    assert_eq!(run.stderr, format!("error: there is no file {named}; did you mean \"Dockerfile.dev\"?\n"));

    std::fs::remove_file(work.path("context/Dockerfile")).unwrap();
    let no_file = "error: no Dockerfile in .: write one, or name it with --file; did you mean";
    let run = work.build(&[]).exits_with(1);
    assert!(run.stderr.ends_with(&format!("{no_file} \"Dockerfile.dev\"?\n")), "{}", run.stderr);
    work.file("dockerfile", "FROM scratch\n");
    work.build(&[]).succeeds();
    std::fs::remove_file(work.path("context/dockerfile")).unwrap();
    work.file("DockerFile", "FROM scratch\n");
    let run = work.build(&[]).exits_with(1);
    assert!(run.stderr.ends_with(&format!("{no_file} \"DockerFile\"?\n")), "{}", run.stderr);
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let dockerfile = "FROM localhost:1/gone AS base\nCOPPY a /\nCOPY --chmod=888 a $HOME\nFROM scratch\nEXPOSE http\n";
    let work = Workspace::new(&format!("{dockerfile}COPY --from=base /a /\n"));
    let run = work.build(&["--platform", "linux/amd64"]).exits_with(1);
    let messages: Vec<&str> = run.stderr.lines().filter(|line| line.starts_with("error")).collect();
    // Of the step with a variable that the image may have, nothing can be told.
    assert_eq!(messages, ["error: unknown instruction `COPPY`", "error: `http` is no port"]);

    let readable = dockerfile.replace("COPPY", "COPY").replace("$HOME", "/") + "COPY --from=localhost:1/lost /a /\n";
    work.file("Dockerfile", readable + "COPY --from=base /a /\n");
    let run = work.build(&["--platform", "linux/amd64"]).exits_with(1);
    let messages: Vec<&str> = run.stderr.lines().filter(|line| line.starts_with("error")).collect();
    let unreachable = "cannot reach registry localhost:1: connection refused";
    let expected = [
        &format!("error: cannot find image localhost:1/gone:latest for linux/amd64: {unreachable}"),
        "error: `888` is no mode",
        "error: `http` is no port",
        &format!("error: cannot find image localhost:1/lost:latest for linux/amd64: {unreachable}"),
    ];
    assert_eq!(messages, expected);
    let run = work.build(&["--platform", "linux/amd64", "--call", "check,format=json"]).exits_with(1);
    let report: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let errors = report["buildErrors"].as_array().unwrap();
    let codes: Vec<&str> = errors.iter().map(|error| error["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["image-not-found", "invalid-mode", "invalid-port", "image-not-found"]);
    assert_eq!(errors[1]["location"]["ranges"][0]["start"]["line"], 3);
    assert_eq!(report["buildError"]["message"], errors[0]["message"]);
}

#[test]
fn an_unknown_flag_is_wrong_usage() {
    check("FROM scratch\n", &["--no-such-flag"], 2, &["--no-such-flag"]);
}
