//! Equal inputs give equal digests, at another time and in another store.

use crate::harness::{BUSYBOX, EPOCH, Workspace, native_platform};
use std::time::Duration;

const DOCKERFILE: &str = "
FROM busybox
COPY file /srv/
RUN mkdir -p /data/a && date > /dev/null && head -c 100000 /srv/file > /data/a/copy && ln /data/a/copy /data/twin
WORKDIR /srv
ENV MODE=test
";

fn workspace() -> Option<Workspace> {
    Workspace::with_busybox(&[native_platform()], &format!("{BUSYBOX}{DOCKERFILE}"))
}

#[test]
fn two_cold_builds_give_one_digest() {
    let Some(work) = workspace() else { return };
    let output = |name: &str| format!("type=oci,dest={},tar=false", work.path(name).display());

    work.file("file", "content\n");
    let first = work.build(&["-o", &output("first")]).store("one").epoch(EPOCH).succeeds();
    // Tars count seconds: what is written now is written in another one.
    std::thread::sleep(Duration::from_millis(1100));
    work.file("file", "content\n");
    let second = work.build(&["-o", &output("second")]).store("two").epoch(EPOCH).succeeds();

    assert_eq!(first.digest(), second.digest());
    assert_eq!(work.read("first/index.json"), work.read("second/index.json"));
}

#[test]
fn the_build_argument_is_as_good_as_the_variable() {
    let Some(work) = workspace() else { return };
    work.file("file", "content\n");
    let argument = format!("SOURCE_DATE_EPOCH={EPOCH}");
    let by_variable = work.build(&["-t", "app"]).store("one").epoch(EPOCH).succeeds();
    let by_argument = work.build(&["-t", "app", "--build-arg", &argument]).store("two").succeeds();
    assert_eq!(by_variable.digest(), by_argument.digest());
}

#[test]
fn platforms_built_together_or_alone_are_the_same() {
    let platforms = ["linux/amd64", "linux/arm64"];
    let dockerfile = format!("{BUSYBOX}FROM busybox\nCOPY file /srv/\n");
    let Some(work) = Workspace::with_busybox(&platforms, &dockerfile) else { return };
    work.file("file", "content\n");
    let output = |name: &str| format!("type=oci,dest={},tar=false", work.path(name).display());
    let both = ["--platform", "linux/amd64,linux/arm64", "-o", &output("both")];
    let alone = ["--platform", "linux/arm64", "-o", &output("alone")];
    work.build(&both).store("one").epoch(EPOCH).succeeds();
    work.build(&alone).store("two").epoch(EPOCH).succeeds();

    let layers = |name| crate::harness::Layout::verified(&work.path(name)).layers("arm64");
    assert_eq!(layers("both"), layers("alone"));
}
