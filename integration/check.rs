//! `build --check` and `build --call`, and the warnings of a build.

use crate::harness::{Run, Workspace};

/// A file with a warning, and nothing to fetch.
const UNTIDY: &str = "FROM scratch as base\nCMD [\"/run\"]\n";

#[track_caller]
fn says(run: &Run, stdout: &str, stderr: &str) {
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), (stdout, stderr));
}

#[test]
fn a_check_shows_each_warning_in_the_file() {
    let work = Workspace::new(UNTIDY);
    let expected = "\
Check complete, 1 warning has been found!

WARNING: FromAsCasing - https://docs.docker.com/go/dockerfile/rule/from-as-casing/
'as' and 'FROM' keywords' casing do not match
Dockerfile:1
--------------------
   1 | >>> FROM scratch as base
   2 |     CMD [\"/run\"]
   3 |     \n--------------------
";
    says(&work.build(&["--check"]).exits_with(1), expected, "");
    says(&work.build(&["--call", "check,ignorestatus=true"]).exits_with(0), expected, "");
    let skip = ["--check", "--build-arg", "BUILDKIT_DOCKERFILE_CHECK=skip=FromAsCasing"];
    says(&work.build(&skip).exits_with(0), "Check complete, no warnings found.\n", "");
}

#[test]
fn a_check_for_programs_is_json_whatever_is_wrong() {
    let work = Workspace::new("FROM scratch as base\nCOPPY a /\n");
    let run = work.build(&["--call", "check,format=json"]).exits_with(1);
    let report: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(report["warnings"][0]["ruleName"], "FromAsCasing");
    assert_eq!(report["warnings"][0]["location"]["ranges"][0]["start"]["line"], 1);
    assert_eq!(report["buildError"]["message"], "unknown instruction `COPPY`");
    assert_eq!(report["sources"][0]["filename"], "Dockerfile");
    assert!(run.stderr.contains("help: did you mean `COPY`?"), "{}", run.stderr);
}

#[test]
fn a_check_tells_of_warnings_before_an_image_that_is_not_there() {
    let work = Workspace::new("FROM localhost:1/x as base\n");
    let run = work.build(&["--check"]).exits_with(3);
    assert!(run.stdout.contains("WARNING: FromAsCasing"), "{}", run.stdout);
    assert!(run.stderr.starts_with("error: cannot find image localhost:1/x:latest"), "{}", run.stderr);
}

#[test]
fn a_check_knows_what_the_context_leaves_out() {
    let work = Workspace::new("FROM scratch\nCOPY secret.txt /\n");
    std::fs::write(work.path("context/.dockerignore"), "secret.*\n").unwrap();
    let run = work.build(&["--check"]).exits_with(1);
    let expected = "Attempting to Copy file \"secret.txt\" that is excluded by .dockerignore\n";
    assert!(run.stdout.contains(expected), "{}", run.stdout);
}

#[test]
fn targets_and_outline_tell_what_there_is() {
    let dockerfile =
        "# VERSION of it\nARG VERSION=1\nFROM scratch AS first\n# last does it\nFROM scratch AS last\nARG VERSION\n";
    let work = Workspace::new(dockerfile);
    let targets = "TARGET         DESCRIPTION\nfirst          \nlast (default) does it\n";
    says(&work.build(&["--call", "targets"]).exits_with(0), targets, "");
    let outline = "\
TARGET:      last
DESCRIPTION: does it

BUILD ARG   VALUE   DESCRIPTION
VERSION     1       of it

";
    says(&work.build(&["--call", "outline"]).exits_with(0), outline, "");
}

#[test]
fn a_build_warns_and_builds() {
    let work = Workspace::new(UNTIDY);
    let run = work.build(&["--progress", "plain"]).succeeds();
    let expected = "\
1 warning found (--check shows it in the file):
 - FromAsCasing: 'as' and 'FROM' keywords' casing do not match (line 1)
";
    assert!(run.stderr.contains(expected), "{}", run.stderr);
}

#[test]
fn a_build_fails_if_the_file_wants_no_warnings() {
    let work = Workspace::new(&format!("# check=error=true\n{UNTIDY}"));
    let run = work.build(&[]).exits_with(1);
    let expected = "\
error: lint violation found for rules: FromAsCasing
 --> Dockerfile:1:9
  |
1 | # check=error=true
  |         ^^^^^^^^^^
  |
help: `error=true` makes warnings fail the build
";
    says(&run, "", expected);
}
