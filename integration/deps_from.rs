//! `DEPS --from`: locks that are not in the build context.

use crate::{
    deps_python::{layers, sha256, wheel},
    harness::{BUSYBOX, Workspace, native_platform},
};
use flashbuild::solver::event::Outcome;

const WHEEL: &str = "pure-1.0-py3-none-any.whl";

/// A workspace with a wheel in the context, and the lock that names it.
fn project(dockerfile: &str) -> Option<(Workspace, String)> {
    let work = Workspace::with_busybox(&[native_platform()], dockerfile)?;
    let bytes = wheel("pure", "1.0", "42");
    let lock = format!("pure==1.0 --hash=sha256:{}\n", sha256(&bytes));
    work.file(&format!("wheels/{WHEEL}"), bytes);
    Some((work, lock))
}

fn deps(from: &str, file: &str) -> String {
    format!("DEPS python --python=/usr/bin/python3.11 --find-links=wheels --from={from} {file}\n")
}

const MODULE: &str = "out/opt/venv/lib/python3.11/site-packages/pure.py";

#[test]
fn a_lock_may_be_made_by_a_stage() {
    let dockerfile = format!(
        "{BUSYBOX}COPY in.txt /\nRUN mkdir /locks && cat in.txt >/locks/requirements.txt && ln -s /locks /latest\n\
         FROM scratch\nDEPS node --from=0 /latest/package-lock.json\n{}",
        deps("0", "latest/requirements.txt")
    );
    let npm = r#"{"lockfileVersion": 3, "packages": {"": {"name": "a"}}}"#;
    let dockerfile = dockerfile.replacen(
        "RUN mkdir",
        &format!("RUN mkdir /locks && echo '{npm}' >/locks/package-lock.json\nRUN mkdir -p"),
        1,
    );
    let Some((work, lock)) = project(&dockerfile) else { return };
    work.file("in.txt", &lock);
    let first = work.build(&["-o", "type=local,dest=../out"]).succeeds();
    assert_eq!(layers(&first).0, ["pure 1.0"]);
    assert!(work.path(MODULE).exists() && !work.path("out/locks").exists());
    let runs = |run: &crate::harness::Run| {
        run.outcomes("RUN mkdir").iter().filter(|outcome| ***outcome == Outcome::Ran).count()
    };
    assert_eq!(runs(&first), 2);

    // The stage is asked, and found in the store.
    let again = work.build(&["-o", "type=local,dest=../out"]).succeeds();
    assert_eq!((runs(&again), layers(&again).0.len()), (0, 0));

    // Another lock comes out of it.
    work.file("in.txt", "\n");
    work.build(&["-o", "type=local,dest=../empty"]).succeeds();
    assert!(!work.path(MODULE.replace("out/", "empty/")).exists());

    work.file("Dockerfile", dockerfile.replace("latest/requirements.txt", "../../etc/none.txt"));
    let refused = work.build(&[]).exits_with(1);
    let expected = "cannot read ../../etc/none.txt of what --from names: there is no such file";
    assert!(refused.stderr.contains(expected), "{}", refused.stderr);
}

#[test]
fn a_step_for_a_lock_needs_its_permissions_too() {
    let dockerfile = format!("{BUSYBOX}RUN --network=host true\nFROM scratch\n{}", deps("0", "requirements.txt"));
    let Some((work, _)) = project(&dockerfile) else { return };
    let refused = work.build(&[]).exits_with(1);
    assert!(refused.stderr.contains("--allow network.host"), "{}", refused.stderr);
}

#[test]
fn a_lock_may_be_in_a_context_or_an_image() {
    let Some((work, lock)) = project(&format!("FROM scratch\n{}", deps("locks", "deep/requirements.txt"))) else {
        return;
    };
    // What a lock names is where it is, wheels too.
    work.file("../other/deep/requirements.txt", "-r more.txt\n").file("../other/deep/more.txt", &lock);
    let bytes = std::fs::read(work.path("context/wheels").join(WHEEL)).unwrap();
    work.file(&format!("../other/wheels/{WHEEL}"), bytes);
    let context = ["--build-context", "locks=../other", "-o", "type=local,dest=../out"];
    assert_eq!(layers(&work.build(&context).succeeds()).0, ["pure 1.0"]);
    assert!(work.path(MODULE).exists());

    let locks = ["-f", "locks.Dockerfile", "-o", "type=oci,tar=false,dest=../image"];
    work.file("locks.Dockerfile", "FROM scratch\nCOPY requirements.txt /deep/\n").file("requirements.txt", &lock);
    work.build(&locks).succeeds();
    let image = ["--build-context", "locks=oci-layout://../image", "-o", "type=local,dest=../again"];
    let run = work.build(&image).store("another").succeeds();
    assert_eq!(layers(&run).0, ["pure 1.0"]);
    assert!(work.path(MODULE.replace("out/", "again/")).exists());
}
