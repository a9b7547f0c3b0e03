//! A Debian package installed by Debian's own apt and dpkg, for machines that this one is not.
//!
//! The base is what `DEPS apt` makes of the host's archive. It is kept in a store of its own between runs of the tests,
//! because to fetch it takes longer than all else. The package comes from a signed archive of the test's own, so that
//! its script runs each time.

use crate::harness::{DEBIAN_STORE, DebianArchive, Workspace, peer, with_debian};
use std::fs;
use std::process::Command;

const DOCKERFILE: &str = "
FROM scratch AS install
DEPS apt --no-docs apt base-files base-passwd coreutils dash debianutils diffutils dpkg findutils grep gzip libc-bin mawk \
    perl-base sed tar
ENV PATH=/usr/sbin:/usr/bin DEBIAN_FRONTEND=noninteractive
RUN --mount=type=bind,source=archive,target=/archive --mount=type=bind,source=apt,target=/etc/apt \
    apt-get update -q && apt-get install -qy --no-install-recommends machine && dpkg -s machine > /status
FROM scratch
COPY --from=install /status /etc/machine /
";

fn install(architecture: &str, emulator: &str, machine: &str) {
    if std::env::consts::ARCH != machine && peer(emulator).is_none() {
        return;
    }
    let Some(mut archive) = DebianArchive::new(&[architecture]) else { return };
    let script = "#!/bin/sh\nset -e\n[ \"$1\" = configure ]\nuname -m > /etc/machine\n";
    archive.add(
        "machine",
        "1",
        architecture,
        "xz",
        "",
        &[("DEBIAN/postinst", script), ("usr/share/machine", "here\n")],
    );
    archive.publish();

    let work = Workspace::new(DOCKERFILE);
    let copied = Command::new("cp").arg("-r").arg(archive.path("archive")).arg(work.path("context/archive")).status();
    assert!(copied.unwrap().success());
    work.file("apt/key.asc", fs::read(archive.path("apt/key.asc")).unwrap());
    let sources = "Types: deb\nURIs: file:/archive\nSuites: stable\nComponents: main\nSigned-By: /etc/apt/key.asc\n";
    work.file("apt/sources.list.d/test.sources", sources);
    for name in ["apt/apt.conf.d/empty", "apt/preferences.d/empty", "apt/trusted.gpg.d/empty"] {
        work.file(name, "");
    }

    let out = format!("type=local,dest={}", work.path("out").display());
    let platform = format!("linux/{architecture}");
    let build = work.build(&["--root", DEBIAN_STORE, "--platform", &platform, "-o", &out]);
    if with_debian(&build).is_none() {
        return;
    }
    assert_eq!(work.read("out/machine"), format!("{machine}\n"));
    let status = work.read("out/status");
    assert!(
        status.contains("Status: install ok installed") && status.contains(&format!("Architecture: {architecture}"))
    );
}

#[test]
fn a_package_is_installed_on_amd64() {
    install("amd64", "qemu-x86_64-static", "x86_64");
}

#[test]
fn a_package_is_installed_on_arm64() {
    install("arm64", "qemu-aarch64-static", "aarch64");
}

#[test]
fn a_package_is_installed_on_s390x() {
    install("s390x", "qemu-s390x-static", "s390x");
}
