//! The same for a user who is not root, and who has no subordinate ids.

use super::{Image, PathBuf, Spec, foreign, fs, hardening::REFUSED, network, run_collecting, runtime, skip};
use crate::sandbox::{Failure, Network, Privilege, enter_user_namespace};
use nix::unistd::{Gid, Uid};
use std::ffi::OsString;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output};

/// An id that has a name on every system, and nothing in `/etc/subuid`.
const NOBODY: u32 = 65534;

/// First argument of a process that is to do as a builder does: enter a user namespace, and run the specification that
/// is its second argument.
const ARGUMENT: &str = "test-builder";

pub(super) fn run_builder_if_asked() {
    let args: Vec<_> = std::env::args_os().collect();
    if args.get(1).is_some_and(|argument| argument == ARGUMENT) {
        std::process::exit(build(&PathBuf::from(&args[2])));
    }
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "it is a program")]
fn build(spec: &std::path::Path) -> i32 {
    let privilege = match enter_user_namespace() {
        Ok(privilege) => privilege,
        Err(failure) => {
            eprintln!("{failure}");
            return 3;
        }
    };
    println!("{privilege:?}");
    let mut spec: Spec = serde_json::from_slice(&fs::read(spec).unwrap()).unwrap();
    let _lease = network::lease_if_asked(&mut spec);
    let outcome = runtime().block_on(run_collecting(&spec, std::future::pending()));
    print!("{}", outcome.stdout);
    eprint!("{}", outcome.stderr);
    match outcome.result {
        Ok(exit) => exit.status.code(),
        Err(error) => {
            eprintln!("{error}");
            100
        }
    }
}

/// The command of a builder that runs a shell script in a sandbox, as root or as an ordinary user.
pub(super) fn builder(image: &mut Image, script: &str, as_root: bool) -> Vec<OsString> {
    image.spec.args = ["sh", "-c", script].map(str::to_owned).to_vec();
    let spec = image.folder.path().join("spec");
    fs::write(&spec, serde_json::to_vec(&image.spec).unwrap()).unwrap();
    let mut command: Vec<OsString> = Vec::new();
    if !as_root {
        for path in ["", "upper", "work", "spec"] {
            let path = image.folder.path().join(path);
            nix::unistd::chown(&path, Some(Uid::from_raw(NOBODY)), Some(Gid::from_raw(NOBODY))).unwrap();
        }
        command.extend(["/usr/bin/setpriv", "--clear-groups"].map(OsString::from));
        command.extend([format!("--reuid={NOBODY}"), format!("--regid={NOBODY}")].map(OsString::from));
    }
    let program = std::env::current_exe().unwrap();
    command.extend([program.into_os_string(), ARGUMENT.into(), spec.into_os_string()]);
    command
}

impl Image {
    /// Runs a shell script in a sandbox that an ordinary user has made.
    fn sh_as_nobody(&mut self, script: &str) -> Option<Output> {
        let command = builder(self, script, false);
        let Ok(output) = Command::new(&command[0]).args(&command[1..]).output() else {
            return skip("there is no setpriv");
        };
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        match output.status.code() {
            Some(3) => skip(&format!("an ordinary user may not: {said}")),
            Some(127) if said.contains("setpriv") => skip("an ordinary user cannot read the program of this test"),
            _ => Some(output),
        }
    }
}

#[track_caller]
fn text(output: Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn an_ordinary_user_is_root_inside() {
    for network in [Network::Host, Network::None] {
        let Some(mut image) = Image::busybox() else { return };
        fs::write(image.layer().join("gone"), "").unwrap();
        image.spec.network = network;
        let script = "id -u; echo $$; touch /made; busybox rm /gone; ls /dev/shm /sys/class > /dev/null; echo x > /dev/null; \
                      echo -1 2> /dev/null > /proc/sys/kernel/pid_max || echo refused; \
                      grep Cap[IA] /proc/self/status; hostname";
        let Some(output) = image.sh_as_nobody(script) else {
            return;
        };
        let none = "0000000000000000";
        let expected = format!("OneId\n0\n1\nrefused\nCapInh:\t{none}\nCapAmb:\t{none}\nsandbox\n");
        assert_eq!(text(output), expected, "{network:?}");
        assert_eq!(fs::metadata(image.upper().join("made")).unwrap().uid(), NOBODY);
        assert!(fs::symlink_metadata(image.upper().join("gone")).unwrap().file_type().is_char_device());
    }
}

#[test]
fn a_step_of_an_ordinary_user_is_held_as_that_of_root() {
    let Some(mut image) = Image::with_probe() else { return };
    let script = "probe calls; echo /proc/self/fd/*; grep Cap[BE] /proc/self/status;
                  cat /proc/keys /proc/timer_list; ls /sys/firmware; (echo x > /proc/sys/kernel/core_pattern) 2> /dev/null || echo refused";
    let Some(output) = image.sh_as_nobody(script) else { return };
    let fds = "/proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2 /proc/self/fd/3";
    let capabilities = "CapEff:\t00000000a80425fb\nCapBnd:\t00000000a80425fb\n";
    assert_eq!(text(output), format!("OneId\n{REFUSED}{fds}\n{capabilities}refused\n"));
}

#[test]
fn folders_that_hide_those_below_are_marked_for_ordinary_users() {
    let Some(mut image) = Image::busybox() else { return };
    fs::create_dir(image.layer().join("old")).unwrap();
    fs::write(image.layer().join("old/file"), "").unwrap();
    // Files of the real root are nobody's in the namespace.
    for path in ["old", "old/file"] {
        nix::unistd::chown(&image.layer().join(path), Some(Uid::from_raw(NOBODY)), Some(Gid::from_raw(NOBODY)))
            .unwrap();
    }
    let Some(output) = image.sh_as_nobody("busybox rm -r /old && mkdir /old && ls /old") else { return };
    assert_eq!(text(output), "OneId\n");
    assert_eq!(xattr::get(image.upper().join("old"), "user.overlay.opaque").unwrap().as_deref(), Some(&b"y"[..]));
}

#[test]
fn foreign_programs_run_for_an_ordinary_user() {
    for (arch, machine) in [("arm64", "aarch64"), ("s390x", "s390x")] {
        let Some(mut image) = foreign::image(arch) else { return };
        let Some(output) = image.sh_as_nobody("uname -m; id -u; cat /proc/self/uid_map") else { return };
        let expected = format!("OneId {machine} 0 0 0 1");
        assert_eq!(text(output).split_whitespace().collect::<Vec<_>>().join(" "), expected);
    }
}

#[test]
fn an_id_that_is_not_mapped_is_explained() {
    let Some(mut image) = Image::busybox() else { return };
    image.spec.user.uid = 1000;
    let Some(output) = image.sh_as_nobody("true") else { return };
    assert_eq!(output.status.code(), Some(100));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("cannot become the user 1000") && said.contains("/etc/subuid"), "{said}");
}

#[test]
fn the_process_in_the_namespace_ends_for_both() {
    for (script, expected) in [("exit 7", 7), ("exit 0", 0)] {
        let Some(mut image) = Image::busybox() else { return };
        let Some(output) = image.sh_as_nobody(script) else { return };
        assert_eq!((output.status.code(), output.status.signal()), (Some(expected), None));
    }
}

#[test]
fn root_needs_no_namespace() {
    if Image::busybox().is_none() {
        return;
    }
    assert_eq!(enter_user_namespace(), Ok::<_, Failure>(Privilege::Root));
}
