//! What a user is told when it does not work: an exit code, and a message.

use crate::harness::{BUSYBOX, Workspace, native_platform};

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
    check(&format!("{BUSYBOX}FROM busybox\nRUN exit 7\n"), &[], 1, &["RUN exit 7"]);
}

#[test]
fn an_unknown_instruction_is_shown() {
    check("FROM scratch\nCOPPY a b\n", &[], 1, &["COPPY a b"]);
}

#[test]
fn a_missing_file_is_named() {
    check("FROM scratch\nCOPY nothing-like-it /\n", &[], 1, &["nothing-like-it"]);
}

#[test]
fn an_unknown_flag_is_wrong_usage() {
    check("FROM scratch\n", &["--no-such-flag"], 2, &["--no-such-flag"]);
}
