//! What a step may not do to the machine, and what it may.

use super::{Hardening, Image, PathBuf, Security, User, fs, skip};
use crate::sandbox::{Emulator, Ulimit};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

/// A program that makes system calls which no shell can make, and prints `name=errno` for each.
const PROBE: &str = include_str!("probe.c");

impl Image {
    /// With the probe as `/bin/probe`.
    pub(super) fn with_probe() -> Option<Self> {
        let image = Self::busybox()?;
        let source = image.folder.path().join("probe.c");
        fs::write(&source, PROBE).unwrap();
        let compiled =
            Command::new("gcc").args(["-static", "-o"]).arg(image.layer().join("bin/probe")).arg(source).output();
        match compiled {
            Ok(output) if output.status.success() => Some(image),
            Ok(output) => skip(&format!("gcc: {}", String::from_utf8_lossy(&output.stderr))),
            Err(_) => skip("there is no gcc"),
        }
    }

    fn insecure(mut self) -> Self {
        self.spec.hardening.security = Security::Insecure;
        self
    }
}

/// The calls that a sandbox refuses, each with what the probe sees of it.
pub(super) const REFUSED: &str = "\
unshare_user=EPERM
clone_user=EPERM
clone3=ENOSYS
mount=EPERM
open_tree=EPERM
setns=EPERM
keyctl=EPERM
bpf=EPERM
userfaultfd=EPERM
io_uring=EPERM
alg=EPERM
vsock=EPERM
personality=EPERM
newest=ENOSYS
";

#[test]
fn calls_that_engines_refuse_are_refused() {
    let Some(mut image) = Image::with_probe() else { return };
    for user in [0, 1000] {
        image.spec.user.uid = user;
        assert_eq!(image.run(&["probe", "calls"]).text(), REFUSED, "{user}");
    }
    assert_eq!(image.run(&["grep", "Seccomp:", "/proc/self/status"]).text(), "Seccomp:\t2\n");
}

#[cfg(target_arch = "x86_64")]
#[test]
fn the_other_interfaces_of_the_processor_are_no_way_around() {
    let Some(mut image) = Image::with_probe() else { return };
    assert_eq!(image.run(&["probe", "i386"]).text(), "getpid=1\nmount=EPERM\n");
    assert_eq!(image.run(&["probe", "x32"]).text(), "getpid=ENOSYS\n");
}

#[test]
fn a_step_cannot_mount() {
    let Some(mut image) = Image::busybox() else { return };
    for script in ["busybox mount -t tmpfs none /tmp", "busybox unshare -r true", "busybox umount /proc"] {
        let outcome = image.sh(&format!("mkdir -p /tmp; {script} || echo refused"));
        assert!(outcome.stderr.contains("Operation not permitted") || outcome.stderr.contains("are you root?"));
        assert_eq!(outcome.text(), "refused\n", "{script}");
    }
}

#[test]
fn new_privileges_are_given_up_on_request() {
    for (no_new_privileges, expected) in [(false, "euid=0\n"), (true, "euid=1000\n")] {
        let Some(mut image) = Image::with_probe() else { return };
        fs::set_permissions(image.layer().join("bin/probe"), fs::Permissions::from_mode(0o4755)).unwrap();
        image.spec.user = User { uid: 1000, gid: 1000, groups: Vec::new() };
        image.spec.hardening = Hardening { no_new_privileges, ..Hardening::default() };
        assert_eq!(image.run(&["probe", "euid"]).text(), expected);
    }
}

#[test]
fn an_insecure_step_has_what_the_caller_has() {
    let Some(image) = Image::with_probe() else { return };
    let mut image = image.insecure();
    let own = fs::read_to_string("/proc/self/status").unwrap();
    let own = own.lines().find_map(|line| line.strip_prefix("CapPrm:\t")).unwrap();
    let text = image.sh("grep -E '^(Cap|Seccomp:)' /proc/self/status | busybox tr '\t\n' ' ;'").text();
    let none = "0000000000000000";
    assert_eq!(text, format!("CapInh: {none};CapPrm: {own};CapEff: {own};CapBnd: {own};CapAmb: {none};Seccomp: 0;"));
    let script = "mkdir /m; busybox mount -t tmpfs none /m || echo no mount
                  busybox head -c 5 /proc/interrupts | wc -c; busybox grep -cE ' /(proc|sys)[^ ]* [^ ]+ ro' /proc/mounts";
    assert_eq!(image.sh(script).stdout, "5\n0\n");
    image.spec.user.uid = 1000;
    assert_eq!(image.sh("grep -E '^Cap(Prm|Eff)' /proc/self/status | grep -vc 0000000000000000").stdout, "0\n");
}

#[test]
fn file_capabilities_are_version_2_also_from_a_user_namespace() {
    for emulator in [None, Some(Emulator { arch: "pdp".to_owned(), program: PathBuf::new() })] {
        let Some(mut image) = Image::with_probe() else { return };
        if emulator.is_some() {
            let Some(foreign) = super::foreign::image("arm64") else { return };
            image.spec.emulator = foreign.spec.emulator;
        }
        image.sh("echo x > /file && probe setcap /file").text();
        let bytes = xattr::get(image.upper().join("file"), "security.capability").unwrap().unwrap();
        assert_eq!(bytes[..4], 0x0200_0001_u32.to_le_bytes(), "{:?}", image.spec.emulator);
        assert_eq!(bytes.len(), 20);
    }
}

#[test]
fn limits_of_a_process_are_set() {
    let Some(mut image) = Image::busybox() else { return };
    image.spec.limits.ulimits =
        ["nofile=100:200", "core=0", "cpu=1000:2000"].map(|text| text.parse().unwrap()).to_vec();
    let text = image.sh("ulimit -Sn; ulimit -Hn; ulimit -c; ulimit -St; ulimit -Ht").text();
    assert_eq!(text, "100\n200\n0\n1000\n2000\n");
}

#[test]
fn a_limit_that_cannot_be_set_is_named() {
    let Some(mut image) = Image::busybox() else { return };
    let limit: Ulimit = "nofile=unlimited".parse().unwrap();
    image.spec.limits.ulimits = vec![limit];
    let message = image.run(&["true"]).error().to_string();
    assert!(message.starts_with("cannot limit nofile=unlimited:unlimited: Operation not permitted"), "{message}");
}

#[test]
fn shared_memory_has_a_size() {
    for (size, expected) in [(None, "65536\n"), (Some(1 << 20), "1024\n")] {
        let Some(mut image) = Image::busybox() else { return };
        image.spec.limits.shared_memory = size;
        assert_eq!(image.sh("busybox df -k /dev/shm | busybox awk 'NR==2 {print $2}'").text(), expected);
    }
}
