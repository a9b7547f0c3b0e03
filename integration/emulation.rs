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
    let run = build.succeeds();
    let steps = run.metadata()["flashbuild.steps"].as_array().unwrap();
    let emulated: Vec<_> = steps.iter().filter_map(|step| step["emulated"]["arch"].as_str()).collect();
    assert_eq!(emulated, [architecture]);
    assert!(steps.iter().any(|step| step["emulated"]["seconds"].as_f64().is_some_and(|seconds| seconds > 0.0)));
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

#[test]
fn an_emulator_that_is_named_is_used() {
    let platform = "linux/arm64";
    let Some(work) = Workspace::with_busybox(&[platform], &format!("{BUSYBOX}{DOCKERFILE}")) else { return };
    let run = work.build(&["--platform", platform, "--emulator", "/no/such/qemu"]).exits_with(3);
    assert!(run.stderr.contains("cannot open the emulator /no/such/qemu: No such file"), "{}", run.stderr);
}

#[test]
fn without_an_emulator_the_package_that_has_one_is_named() {
    let platform = "linux/mips64le";
    let dockerfile = "FROM scratch\nCOPY Dockerfile /\nRUN [\"/none\"]\n";
    let work = Workspace::new(dockerfile);
    let run = work.build(&["--platform", platform]).variable("PATH", "/no/such/folder").exits_with(3);
    let part =
        "cannot run programs for linux/mips64le here: install qemu-user-static, or name an emulator with --emulator";
    assert!(run.stderr.contains(part), "{}", run.stderr);
}
