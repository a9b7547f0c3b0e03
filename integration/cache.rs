//! A step that need not run does not run, and says why.

use crate::harness::{BUSYBOX, Run, Workspace, native_platform};
use flashbuild::solver::event::{Hit, Outcome};

const BY_DEFINITION: &Outcome = &Outcome::Cached(Hit::Definition);
const BY_CONTENT: &Outcome = &Outcome::Cached(Hit::Content);

const DOCKERFILE: &str = "
FROM busybox AS summary
COPY input /input
RUN head -n 1 /input > /summary

FROM busybox
COPY --from=summary /summary /summary
RUN cat /summary > /result
";

fn workspace() -> Option<Workspace> {
    let work = Workspace::with_busybox(&[native_platform()], &format!("{BUSYBOX}{DOCKERFILE}"))?;
    work.file("input", "title\nfirst\n");
    Some(work)
}

fn build(work: &Workspace) -> Run {
    work.build(&["-t", "app"]).succeeds()
}

#[test]
fn a_build_in_which_nothing_changed_does_nothing() {
    let Some(work) = workspace() else { return };
    let first = build(&work);
    let second = build(&work);
    assert_eq!(first.digest(), second.digest());
    assert!(second.vertices().count() > 0);
    for (name, outcome) in second.vertices() {
        assert_eq!(outcome, BY_DEFINITION, "{name}");
    }
}

#[test]
fn a_file_written_again_with_the_same_content_is_no_change() {
    let Some(work) = workspace() else { return };
    build(&work);
    work.file("input", "title\nfirst\n");
    assert_eq!(build(&work).outcomes("RUN"), [BY_DEFINITION, BY_DEFINITION]);
}

#[test]
fn a_file_that_no_step_takes_is_no_change() {
    let Some(work) = workspace() else { return };
    build(&work);
    work.file("unrelated", "new\n");
    assert_eq!(build(&work).outcomes("RUN"), [BY_DEFINITION, BY_DEFINITION]);
}

#[test]
fn a_step_whose_inputs_came_out_the_same_does_not_run() {
    let Some(work) = workspace() else { return };
    build(&work);
    work.file("input", "title\nsecond\n");
    let run = build(&work);
    assert_eq!(run.outcomes("RUN head"), [&Outcome::Ran]);
    assert_eq!(run.outcomes("COPY --from=summary"), [BY_CONTENT]);
    assert_eq!(run.outcomes("RUN cat"), [BY_CONTENT]);
}

#[test]
fn a_step_whose_inputs_changed_runs() {
    let Some(work) = workspace() else { return };
    build(&work);
    work.file("input", "another title\nfirst\n");
    let run = build(&work);
    assert_eq!(run.outcomes("RUN head"), [&Outcome::Ran]);
    assert_eq!(run.outcomes("RUN cat"), [&Outcome::Ran]);
}

#[test]
fn no_cache_runs_everything() {
    let Some(work) = workspace() else { return };
    build(&work);
    let run = work.build(&["-t", "app", "--no-cache"]).succeeds();
    assert_eq!(run.outcomes("RUN"), [&Outcome::Ran, &Outcome::Ran]);
}
