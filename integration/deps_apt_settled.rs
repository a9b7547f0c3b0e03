//! What the packages of a `DEPS apt` come to together: its last layer, beside what the programs make that Debian has for it.

use crate::harness::{DEBIAN_STORE, Workspace, peer, with_debian};
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
