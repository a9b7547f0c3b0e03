//! A step that need not run does not run, and says why.

use crate::harness::{BUSYBOX, Run, Workspace, native_platform, peer};
use flashbuild::solver::event::{Hit, Outcome};
use std::{fs, thread, time::Duration};

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
fn a_build_in_which_nothing_changed_starts_no_process_and_reads_no_layer() {
    let (Some(work), Some(_)) = (workspace(), peer("strace")) else { return };
    let trace = work.path("trace");
    // One log a thread, so that no call is split over two lines.
    let calls = "trace=execve,clone,clone3,fork,vfork,open,openat,openat2";
    let traced = ["strace", "-ff", "-y", "-e", calls, "-o", trace.to_str().unwrap(), "--"];
    let count = || {
        work.build(&["-t", "app"]).through(&traced).succeeds();
        let logs: Vec<_> = fs::read_dir(work.path("")).unwrap().map(|entry| entry.unwrap().path()).collect();
        let logs = logs.iter().filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("trace."));
        let mut counted = Calls::default();
        for log in logs {
            counted.add(&fs::read_to_string(log).unwrap());
            fs::remove_file(log).unwrap();
        }
        counted
    };
    let (first, second) = (count(), count());
    assert!(first.processes > 1 && first.layers > 0, "the count sees what there is to see: {first:?}");
    assert_eq!(second, Calls { processes: 1, layers: 0 }, "one process: flashbuild itself");
}

/// What a build asked of the system.
#[derive(Debug, Default, PartialEq, Eq)]
struct Calls {
    /// Programs started and processes made.
    processes: usize,
    /// Files and folders opened in or below the store's unpacked layers, and compressed ones.
    layers: usize,
}

impl Calls {
    fn add(&mut self, log: &str) {
        for line in log.lines() {
            let starts = line.starts_with("execve(") || line.contains("fork(");
            let clones = line.starts_with("clone") && !line.contains("CLONE_THREAD");
            self.processes += usize::from(starts || clones);
            let opened = line.starts_with("open").then(|| line.rsplit_once("= ")).flatten();
            self.layers += usize::from(opened.is_some_and(|(_, file)| is_layer(file)));
        }
    }
}

/// Whether an opened file, as strace shows it, belongs to a layer: `12</…/store/layers/…>`. A blob of the store is
/// one if it starts as gzip does; manifests and configurations are JSON.
fn is_layer(file: &str) -> bool {
    let path = file.split_once('<').map_or("", |(_, path)| path.trim_end_matches('>'));
    let is_gzip = || fs::read(path).is_ok_and(|bytes| bytes.starts_with(&[0x1f, 0x8b]));
    path.contains("/store/layers/") || (path.contains("/store/blobs/") && is_gzip())
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

/// Keys are made of what files held at the start; what a step would copy later may be something else.
#[test]
fn a_file_that_changes_while_a_build_runs_is_noticed_and_never_a_stale_hit() {
    let dockerfile = format!("{BUSYBOX}FROM busybox\nRUN echo started && sleep 1\nCOPY input /input\nRUN cat /input\n");
    let Some(work) = Workspace::with_busybox(&[native_platform()], &dockerfile) else { return };
    work.file("input", "first\n");
    let run = thread::scope(|scope| {
        let building = scope.spawn(|| work.build(&[]).exits_with(1));
        while !work.flashbuild("history", &["logs", "RUN echo"]).run().stdout.contains("started") {
            thread::sleep(Duration::from_millis(10));
        }
        work.file("input", "other\n");
        building.join().unwrap()
    });
    assert!(run.stderr.contains("input") && run.stderr.contains("changed"), "{}", run.stderr);
    for content in ["first\n", "other\n"] {
        work.file("input", content);
        let out = format!("type=local,dest={}", work.path("out").display());
        work.build(&["-o", &out]).succeeds();
        assert_eq!(work.read("out/input"), content);
    }
}

#[test]
fn no_cache_runs_everything() {
    let Some(work) = workspace() else { return };
    build(&work);
    let run = work.build(&["-t", "app", "--no-cache"]).succeeds();
    assert_eq!(run.outcomes("RUN"), [&Outcome::Ran, &Outcome::Ran]);
}
