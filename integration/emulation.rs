//! `RUN` for machines that this one is not.

use crate::harness::{BUSYBOX, Workspace, peer};

const DOCKERFILE: &str = "
FROM busybox AS run
RUN uname -m > /machine

FROM scratch
COPY --from=run /machine /machine
";

const ORDINARY_USER: u32 = 1000;

/// Builds for `architecture` and tells what `uname -m` said.
fn machine(architecture: &str, qemu: &str, user: Option<u32>) -> Option<String> {
    let platform = format!("linux/{architecture}");
    let work = Workspace::with_busybox(&[&platform], &format!("{BUSYBOX}{DOCKERFILE}"))?;
    peer(qemu)?;
    let out = format!("type=local,dest={}", work.path("out").display());
    let arguments = ["--platform", &platform, "-o", &out];
    let mut build = work.build(&arguments);
    if let Some(user) = user {
        work.give_to(user);
        build = build.user(user);
    }
    build.succeeds();
    Some(work.read("out/machine"))
}

#[test]
fn arm64() {
    let Some(machine) = machine("arm64", "qemu-aarch64-static", None) else { return };
    assert_eq!(machine, "aarch64\n");
}

#[test]
fn s390x() {
    let Some(machine) = machine("s390x", "qemu-s390x-static", None) else { return };
    assert_eq!(machine, "s390x\n");
}

#[test]
fn arm64_as_an_ordinary_user() {
    let Some(machine) = machine("arm64", "qemu-aarch64-static", Some(ORDINARY_USER)) else { return };
    assert_eq!(machine, "aarch64\n");
}

#[test]
fn s390x_as_an_ordinary_user() {
    let Some(machine) = machine("s390x", "qemu-s390x-static", Some(ORDINARY_USER)) else { return };
    assert_eq!(machine, "s390x\n");
}
