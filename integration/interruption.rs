//! A build that is asked to stop stops, and leaves nothing behind.

use crate::harness::{BUSYBOX, Workspace, native_platform};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs,
    time::{Duration, Instant},
};

const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn control_c_leaves_no_process_no_mount_and_no_temporary_file() {
    stopped_by(Signal::SIGINT);
}

#[test]
fn a_job_that_ci_ends_leaves_no_process_no_mount_and_no_temporary_file() {
    stopped_by(Signal::SIGTERM);
}

fn stopped_by(signal: Signal) {
    // How long the step sleeps is how it is known among the processes of the machine.
    let seconds = 1_000_000_000 + u64::from(std::process::id()) * 100 + signal as u64;
    let dockerfile = format!("{BUSYBOX}FROM busybox\nRUN sleep {seconds} & sleep {seconds}\n");
    let Some(work) = Workspace::with_busybox(&[native_platform()], &dockerfile) else { return };
    let mut build = work.build(&[]).spawn();
    wait_until("the step runs", || sleepers(seconds) == 2);
    kill(Pid::from_raw(i32::try_from(build.id()).unwrap()), signal).unwrap();
    assert_eq!(build.wait().unwrap().code(), Some(130));

    // The kernel ends the processes of a namespace when its first one ends, which may take a moment.
    wait_until("the step's processes are gone", || sleepers(seconds) == 0);
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(work.path("store").to_str().unwrap()), "{mounts}");
    let left: Vec<_> = fs::read_dir(work.path("store/tmp")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.is_empty(), "{left:?}");

    work.file("Dockerfile", format!("{BUSYBOX}FROM busybox\nRUN echo again\n"));
    work.build(&[]).succeeds();
}

/// How many processes sleep for so long.
fn sleepers(seconds: u64) -> usize {
    let seconds = seconds.to_string();
    let processes =
        fs::read_dir("/proc").unwrap().filter_map(|entry| fs::read(entry.ok()?.path().join("cmdline")).ok());
    let sleeps = |command: &[u8]| {
        let words: Vec<_> = command.split(|byte| *byte == 0).collect();
        words.first() == Some(&&b"sleep"[..]) && words.get(1) == Some(&seconds.as_bytes())
    };
    processes.filter(|command| sleeps(command)).count()
}

#[track_caller]
fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "{what}: not after {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
