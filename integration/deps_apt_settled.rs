//! What the packages of a `DEPS apt` come to together: its last layer, beside what the programs make that Debian has for it.

use crate::{
    deps_apt::{archive, build},
    harness::{DEBIAN_STORE, Workspace, peer, with_debian},
};
use std::{fs, path::Path, process::Command};

/// What `ldconfig -p` shows of a table, but for who wrote it.
fn shown(ldconfig: &[String], table: &Path) -> Vec<String> {
    let output = Command::new(&ldconfig[0]).args(&ldconfig[1..]).arg("-p").arg("-C").arg(table).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter(|line| line.starts_with('\t')).map(str::to_owned).collect()
}

/// Compares with the package's own `ldconfig`, emulated where it has to be, on the same tree.
fn loader_table(architecture: &str, emulator: Option<&str>) {
    if emulator.is_some_and(|emulator| peer(emulator).is_none()) {
        return;
    }
    let work = Workspace::new("FROM scratch\nDEPS apt python3-minimal libc-bin libmagic1 libfakeroot\n");
    let out = format!("type=local,dest={}", work.path("out").display());
    let build = work.build(&["--root", DEBIAN_STORE, "--platform", &format!("linux/{architecture}"), "-o", &out]);
    if with_debian(&build).is_none() {
        return;
    }
    let tree = work.path("out");
    let own = tree.join("usr/sbin/ldconfig").display().to_string();
    let ldconfig: Vec<String> = emulator.map(str::to_owned).into_iter().chain([own]).collect();
    let table = tree.join("etc/ld.so.cache");
    fs::copy(&table, work.path("ours")).unwrap();
    let run = Command::new(&ldconfig[0]).args(&ldconfig[1..]).arg("-r").arg(&tree).output().unwrap();
    assert!(run.status.success(), "{run:?}");
    let (ours, expected) = (shown(&ldconfig, &work.path("ours")), shown(&ldconfig, &table));
    assert!(expected.len() > 20, "{expected:?}");
    assert_eq!(ours, expected);
    // A folder that only its configuration names.
    assert!(ours.iter().any(|line| line.contains("libfakeroot/libfakeroot")), "{ours:?}");
}

#[test]
fn the_table_of_libraries_is_that_of_ldconfig_on_amd64() {
    loader_table("amd64", (std::env::consts::ARCH != "x86_64").then_some("qemu-x86_64-static"));
}

#[test]
fn the_table_of_libraries_is_that_of_ldconfig_on_arm64() {
    loader_table("arm64", (std::env::consts::ARCH != "aarch64").then_some("qemu-aarch64-static"));
}

#[test]
fn the_table_of_libraries_is_that_of_ldconfig_on_s390x() {
    loader_table("s390x", (std::env::consts::ARCH != "s390x").then_some("qemu-s390x-static"));
}

/// Of two packages, the lower layer has the better alternative; it is seen, also if the other comes later, and the program
/// that Debian has for it finds nothing to change.
#[test]
fn the_alternative_of_the_highest_priority_is_seen() {
    let Some(mut archive) = archive(&["amd64"]) else { return };
    for (name, priority, more) in
        [("editor-a", 50, " --slave /usr/bin/view view /usr/bin/editor-a"), ("editor-b", 20, "")]
    {
        let script = format!("update-alternatives --install /usr/bin/editor editor /usr/bin/{name} {priority}{more}\n");
        let files = [(&*format!("usr/bin/{name}"), name), ("DEBIAN/postinst", &*format!("#!/bin/sh\n{script}"))];
        archive.add(name, "1", "amd64", "gzip", "", &files);
    }
    archive.publish();
    let config = archive.apt_config();
    for dockerfile in [
        "FROM scratch\nDEPS apt editor-a editor-b\n",
        "FROM scratch\nDEPS apt editor-a\nDEPS apt editor-b\n",
        "FROM scratch\nDEPS apt editor-b\nDEPS apt editor-a\n",
    ] {
        let work = Workspace::new(dockerfile);
        let out = work.path("out");
        let local = format!("type=local,dest={}", out.display());
        build(&work, &config, &["--platform", "linux/amd64", "-o", &local]).succeeds();
        let link = |path: &str| fs::read_link(out.join(path)).unwrap().to_str().unwrap().to_owned();
        assert_eq!(link("usr/bin/editor"), "/etc/alternatives/editor", "{dockerfile}");
        for name in ["editor", "view"] {
            assert_eq!(link(&format!("etc/alternatives/{name}")), "/usr/bin/editor-a", "{dockerfile}");
        }
        let Some(mut program) = peer("update-alternatives") else { continue };
        let query = program.arg("--root").arg(&out).args(["--query", "editor"]).output().unwrap();
        let says = String::from_utf8(query.stdout).unwrap();
        for line in ["Status: auto", "Best: /usr/bin/editor-a", "Value: /usr/bin/editor-a", "Priority: 20"] {
            assert!(says.lines().any(|said| said == line), "{line:?} is missing for {dockerfile}:\n{says}");
        }
    }
}
