//! Every miss has a reason.

use crate::harness::{BUSYBOX, Run, Workspace, native_platform};
use flashbuild::solver::{Change, FileChange, Reason, event::Outcome};
use std::{fs, os::unix::fs::PermissionsExt as _};

const DOCKERFILE: &str = "
FROM busybox AS app
ARG VERSION=1
WORKDIR /app
COPY requirements.txt .
RUN sh -c 'cat requirements.txt > installed'
COPY . .
RUN --mount=type=secret,id=token echo $VERSION > version
";

fn workspace() -> Option<Workspace> {
    let work = Workspace::with_busybox(&[native_platform()], &format!("{BUSYBOX}{DOCKERFILE}"))?;
    work.file("requirements.txt", "flask\nrequests\nnumpy\n").file("main.py", "print(1)\n");
    work.file(".dockerignore", "Dockerfile\n.dockerignore\n");
    Some(work)
}

fn build(work: &Workspace, arguments: &[&str]) -> Run {
    work.build(&[&["-t", "app"], arguments].concat()).succeeds()
}

/// The reasons of the steps that ran, by the part of the name behind the number.
fn reasons(run: &Run) -> Vec<(String, Vec<Reason>)> {
    let title = |name: &str| name.split_once("] ").map_or(name, |(_, title)| title).to_owned();
    run.reasons().map(|(name, reasons)| (title(name), reasons.to_vec())).collect()
}

fn content(path: &str, lines: Option<usize>) -> Reason {
    Reason::File { path: path.to_owned(), change: FileChange::Content { lines } }
}

fn step(name: &str) -> Vec<Reason> {
    vec![Reason::Step { name: name.to_owned() }]
}

#[test]
fn a_first_build_has_nothing_to_compare_with() {
    let Some(work) = workspace() else { return };
    let first = build(&work, &[]);
    assert!(reasons(&first).len() >= 6);
    assert!(reasons(&first).iter().all(|(_, reasons)| *reasons == [Reason::New]), "{:?}", reasons(&first));
    assert!(!first.raw.contains("ran: "), "people are not told what they know: {}", first.raw);
    assert_eq!(reasons(&build(&work, &[])), []);
}

#[test]
fn a_changed_file_is_named_with_its_lines() {
    let Some(work) = workspace() else { return };
    build(&work, &[]);
    work.file("requirements.txt", "flask\nrequests==2\nnumpy==1\n");
    let run = build(&work, &[]);
    let told = reasons(&run);
    assert_eq!(told[0], ("COPY requirements.txt .".to_owned(), vec![content("requirements.txt", Some(2))]));
    assert_eq!(told[1].1, step("COPY requirements.txt ."));
    assert_eq!(told[1].0, "RUN sh -c 'cat requirements.txt > installed'");
    let notices: Vec<&str> = run.raw.lines().filter(|line| line.contains("\"notice\"")).collect();
    assert_eq!(notices.len(), 1, "only the first: {notices:?}");
    assert!(notices[0].contains("ran: requirements.txt changed (2 lines)"), "{notices:?}");
}

#[test]
fn changes_of_files_are_told_apart() {
    let Some(work) = workspace() else { return };
    let change = |change| vec![Reason::File { path: "main.py".to_owned(), change }];
    let copied = |work: &Workspace| {
        let run = build(work, &[]);
        let told = reasons(&run).into_iter().find(|(name, _)| name == "COPY . .");
        told.unwrap_or_else(|| panic!("{:?}", reasons(&run))).1
    };
    build(&work, &[]);
    let main = work.path("context/main.py");
    fs::set_permissions(&main, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(copied(&work), change(FileChange::Mode { before: 0o644, after: 0o755 }));
    work.file("lib.py", "");
    let added = Reason::File { path: "lib.py".to_owned(), change: FileChange::Added };
    assert_eq!(copied(&work), [added]);
    fs::rename(work.path("context/lib.py"), work.path("context/other.py")).unwrap();
    let renamed = FileChange::Renamed { from: "lib.py".to_owned() };
    assert_eq!(copied(&work), [Reason::File { path: "other.py".to_owned(), change: renamed }]);
    fs::remove_file(&main).unwrap();
    assert_eq!(copied(&work), change(FileChange::Removed));
}

#[test]
fn arguments_are_told_with_both_values_and_secrets_with_none() {
    let Some(work) = workspace() else { return };
    let secret = |value: &'static str| work.build(&["--secret", "id=token,env=TOKEN"]).variable("TOKEN", value);
    secret("one-hidden-value").succeeds();
    let run = secret("another-hidden-value").succeeds();
    assert_eq!(reasons(&run), [], "a secret is in no key");

    let run = build(&work, &["--build-arg", "VERSION=2"]);
    let changed = Reason::Argument {
        name: "VERSION".to_owned(),
        before: Some("1".to_owned()),
        after: Some("2".to_owned()),
        change: Change::Changed,
    };
    let told = reasons(&run);
    assert!(
        told.iter().all(|(_, reasons)| reasons.contains(&changed) || matches!(reasons[0], Reason::Step { .. })),
        "{told:?}"
    );
    assert!(told.iter().any(|(_, reasons)| *reasons == [changed.clone()]), "{told:?}");
    for entry in fs::read_dir(work.path("store")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = fs::read(&path).unwrap();
            assert!(!bytes.windows(12).any(|window| window == b"hidden-value"), "{}", path.display());
        }
    }
}

#[test]
fn an_edited_instruction_is_compared_with_what_stood_in_its_place() {
    let Some(work) = workspace() else { return };
    build(&work, &[]);
    let edited = DOCKERFILE.replace("> version", ">> version");
    work.file("Dockerfile", format!("{BUSYBOX}{edited}"));
    let told = reasons(&build(&work, &[]));
    assert_eq!(told.len(), 1, "{told:?}");
    let Reason::Argument { name, before, after, .. } = &told[0].1[0] else { panic!("{told:?}") };
    assert_eq!(name, "command");
    assert!(before.as_ref().unwrap().contains("> version") && after.as_ref().unwrap().contains(">> version"));
}

#[test]
fn stages_run_again_when_they_are_asked_to() {
    let dockerfile = format!(
        "{BUSYBOX}FROM busybox AS one\nCOPY main.py /\nRUN cat /proc/sys/kernel/random/uuid > /one\n\
                              FROM busybox AS two\nRUN cat /proc/sys/kernel/random/uuid > /two\n\
                              FROM busybox AS both\nCOPY --from=one /one /\nCOPY --from=two /two /\nRUN cat /one /two\n"
    );
    let Some(work) = Workspace::with_busybox(&[native_platform()], &dockerfile) else { return };
    work.file("main.py", "");
    build(&work, &[]);
    let run = build(&work, &["--no-cache-filter", "ONE"]);
    assert_eq!(run.outcomes("> /one"), [&Outcome::Ran]);
    assert!(run.outcomes("> /two").iter().all(|outcome| **outcome != Outcome::Ran));
    assert_eq!(run.outcomes("RUN cat"), [&Outcome::Ran], "it came out differently");
    assert!(run.outcomes("COPY main.py").iter().all(|outcome| **outcome != Outcome::Ran), "a copy is what it is");
    let asked: Vec<_> = reasons(&run).into_iter().filter(|(_, reasons)| *reasons == [Reason::Asked]).collect();
    assert_eq!(asked.len(), 1);
}

#[test]
fn on_request_every_step_that_runs_says_why() {
    let Some(work) = workspace() else { return };
    build(&work, &[]);
    work.file("requirements.txt", "flask\n");
    let run = build(&work, &["--explain"]);
    let told = reasons(&run).iter().map(|(_, reasons)| reasons.len()).sum::<usize>();
    assert_eq!(run.raw.matches("\"text\":\"ran: ").count(), told);
    assert!(told >= 3);
}
