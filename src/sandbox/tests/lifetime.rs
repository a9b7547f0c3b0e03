//! Nothing outlives its caller, however the caller ends.

use super::{Image, SandboxError, Spec, fs, run_collecting, runtime};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A script that starts descendants which try to survive, and the word that its processes are found by.
fn stubborn(image: &mut Image) -> String {
    let word = format!("{}", image.folder.path().file_name().unwrap().display());
    let script = format!("trap '' TERM INT HUP; (sh -c 'sleep 1000; : {word}' &) ; echo started; sleep 1000; : {word}");
    image.spec.args = ["sh", "-c", &script].map(str::to_owned).to_vec();
    word
}

fn processes_with(word: &str) -> usize {
    let is_one = |entry: &fs::DirEntry| {
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&command).contains(word)
    };
    fs::read_dir("/proc").unwrap().flatten().filter(is_one).count()
}

#[track_caller]
fn eventually(what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(10), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn cancelling_ends_every_process_before_it_returns() {
    let Some(mut image) = Image::busybox() else { return };
    let word = stubborn(&mut image);
    let cancel = async { tokio::time::sleep(Duration::from_millis(300)).await };
    let outcome = runtime().block_on(run_collecting(&image.spec, cancel));
    assert!(matches!(outcome.result, Err(SandboxError::Cancelled)), "{:?}", outcome.result);
    assert_eq!(outcome.stdout, "started\n");
    assert_eq!(processes_with(&word), 0);
    assert_eq!(image.run(&["echo", "again"]).text(), "again\n");
}

#[test]
fn a_run_that_is_cancelled_from_the_start_leaves_nothing() {
    let Some(mut image) = Image::busybox() else { return };
    let word = stubborn(&mut image);
    let outcome = runtime().block_on(run_collecting(&image.spec, std::future::ready(())));
    assert!(matches!(outcome.result, Err(SandboxError::Cancelled)));
    assert_eq!(processes_with(&word), 0);
}

#[test]
fn dropping_the_future_ends_every_process() {
    let Some(mut image) = Image::busybox() else { return };
    let word = stubborn(&mut image);
    runtime().block_on(async {
        let run = run_collecting(&image.spec, std::future::pending());
        assert!(tokio::time::timeout(Duration::from_millis(300), run).await.is_err());
    });
    eventually("processes are left", || processes_with(&word) == 0);
}

#[test]
fn descendants_end_with_the_program() {
    let Some(mut image) = Image::busybox() else { return };
    let word = format!("{}", image.folder.path().file_name().unwrap().display());
    let start = Instant::now();
    image.sh(&format!("sh -c 'sleep 1000; : {word}' & sleep 0")).text();
    assert!(start.elapsed() < Duration::from_secs(5));
    assert_eq!(processes_with(&word), 0);
}

/// The variable that makes [`caller_to_be_killed`] a caller.
const SPEC: &str = "FLASHBUILD_TEST_SPEC";

/// No test: the program that [`killing_the_caller_ends_every_process`] starts and kills.
#[test]
fn caller_to_be_killed() {
    let Some(spec) = std::env::var_os(SPEC) else { return };
    let spec: Spec = serde_json::from_slice(&fs::read(spec).unwrap()).unwrap();
    let _ = runtime().block_on(run_collecting(&spec, std::future::pending()));
}

#[test]
fn killing_the_caller_ends_every_process() {
    let Some(mut image) = Image::busybox() else { return };
    let word = stubborn(&mut image);
    let spec = image.folder.path().join("spec");
    fs::write(&spec, serde_json::to_vec(&image.spec).unwrap()).unwrap();
    let mut caller = Command::new("/proc/self/exe")
        .args(["--exact", "sandbox::tests::lifetime::caller_to_be_killed"])
        .env(SPEC, &spec)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    eventually("the step does not start", || processes_with(&word) >= 2);
    caller.kill().unwrap();
    assert_eq!(caller.wait().unwrap().signal(), Some(9));
    eventually("processes are left", || processes_with(&word) == 0);
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(&word));
}

#[test]
fn killing_the_helper_ends_every_process() {
    let Some(mut image) = Image::busybox() else { return };
    let word = stubborn(&mut image);
    image.spec.user.uid = 1000;
    let kill = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let helpers = helpers();
        assert!(!helpers.is_empty());
        for child in helpers {
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(child), nix::sys::signal::Signal::SIGKILL).unwrap();
        }
    };
    let (outcome, ()) = runtime().block_on(async {
        tokio::join!(run_collecting(&image.spec, tokio::time::sleep(Duration::from_secs(9))), kill)
    });
    assert!(outcome.result.is_err());
    eventually("processes are left", || processes_with(&word) == 0);
}

/// Helpers that this process has started and not yet seen the end of.
fn helpers() -> Vec<i32> {
    let is_helper = |pid: &i32| {
        let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let parent = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let parent = parent.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)?.parse().ok());
        command.starts_with(b"flashbuild\0sandbox-init\0") && parent == Some(std::process::id())
    };
    let pids = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(is_helper).collect()
}
