//! The process: who it is, what it may do, how it ends.

use super::{Image, Network, SandboxError, User, foreign, fs, runtime};
use crate::sandbox::{Helpers, Status, run};
use nix::{
    errno::Errno,
    sys::wait::{WaitStatus, waitpid},
    unistd::Pid,
};
use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

#[test]
fn the_way_it_ends_is_reported() {
    let Some(mut image) = Image::busybox() else { return };
    for (script, expected) in
        [("exit 0", Status::Code(0)), ("exit 7", Status::Code(7)), ("sh -c 'kill -9 $$'; exit $?", Status::Code(137))]
    {
        let exit = image.sh(script).exit();
        assert_eq!(exit.status, expected, "{script}");
    }
}

#[test]
fn usage_is_measured() {
    let Some(mut image) = Image::busybox() else { return };
    let usage = image.sh("i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done").exit().usage;
    assert!(usage.cpu_time.as_millis() > 5 && usage.peak_memory > 100 << 10, "{usage:?}");
}

#[test]
fn streams_are_kept_apart() {
    let Some(mut image) = Image::busybox() else { return };
    let outcome = image.sh("echo out; echo err >&2");
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("out\n", "err\n"));
}

#[test]
fn a_program_that_cannot_be_executed_is_explained() {
    let Some(mut image) = Image::busybox() else { return };
    let bin = image.layer().join("bin");
    for (name, content, mode) in [
        ("plain", "#!/bin/sh\n", 0o644),
        ("orphan", "#!/no/such/interpreter\n", 0o755),
        ("garbage", "\x01\x02\x03\x04", 0o755),
    ] {
        fs::write(bin.join(name), content).unwrap();
        fs::set_permissions(bin.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    for (program, expected, expected_code) in [
        ("foo", "exec: \"foo\": not found in PATH of the image", 127),
        ("/foo", "exec: \"/foo\": no such file in the image", 127),
        ("plain", "exec: \"plain\": permission denied", 126),
        ("/bin", "exec: \"/bin\": permission denied", 126),
        ("orphan", "exec: \"orphan\": its interpreter or loader is not in the image", 127),
        ("garbage", "exec: \"garbage\": exec format error: built for another architecture, or no program", 126),
    ] {
        let error = image.run(&[program]).error();
        let SandboxError::Program { message, code } = error else { panic!("{program}: {error}") };
        assert_eq!((message.as_str(), code), (expected, expected_code));
    }
}

#[test]
fn the_environment_is_what_was_asked_for() {
    let Some(mut image) = Image::busybox() else { return };
    image.spec.env = vec!["PATH=/nowhere:/bin".to_owned(), "A=b c".to_owned()];
    assert_eq!(image.run(&["env"]).text(), "PATH=/nowhere:/bin\nA=b c\n");
}

#[test]
fn it_is_alone() {
    let Some(mut image) = Image::busybox() else { return };
    let text = image.sh("echo $$; hostname; ls /proc | grep -c '^[0-9]*$'; umask; cat < /dev/stdin; cat /proc/1/oom_score > /dev/null").text();
    let mut lines = text.lines();
    assert_eq!((lines.next(), lines.next()), (Some("1"), Some("sandbox")));
    assert!(lines.next().unwrap().parse::<u32>().unwrap() <= 4, "{text}");
    assert_eq!(lines.next(), Some("0022"));
}

#[test]
fn only_three_descriptors_are_open() {
    let Some(mut image) = Image::busybox() else { return };
    // A builtin lists the folder, whose own descriptor is the only other one.
    assert_eq!(
        image.sh("echo /proc/self/fd/*").text(),
        "/proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2 /proc/self/fd/3\n"
    );
    assert_eq!(image.sh("readlink /proc/self/fd/0").text(), "/dev/null\n");
}

#[test]
fn root_has_the_capabilities_that_engines_give() {
    let Some(mut image) = Image::busybox() else { return };
    let text = image.run(&["grep", "Cap", "/proc/self/status"]).text();
    let docker = "00000000a80425fb";
    let expected = format!("CapInh: {0:016} CapPrm: {docker} CapEff: {docker} CapBnd: {docker} CapAmb: {0:016} ", 0);
    assert_eq!(text.replace(['\t', '\n'], " ").replace("  ", " "), expected);
}

#[test]
fn another_user_has_none_and_can_still_write_to_its_output() {
    let Some(mut image) = Image::busybox() else { return };
    image.spec.user = User { uid: 1000, gid: 2000, groups: vec![2000, 3000] };
    let text = image
        .sh("id; grep -E 'Cap(Inh|Prm|Eff|Amb)' /proc/self/status | grep -vc 0000000000000000; echo ok > /dev/stdout");
    assert_eq!(text.stdout, "uid=1000 gid=2000 groups=2000,3000\n0\nok\n");
}

#[test]
fn signals_are_not_ignored() {
    let Some(mut image) = Image::busybox() else { return };
    let text = image.run(&["grep", "-E", "Sig(Ign|Blk)", "/proc/self/status"]).text();
    assert_eq!(text, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

#[test]
fn without_a_network_there_is_a_loopback_interface() {
    let Some(mut image) = Image::busybox() else { return };
    image.spec.network = Network::None;
    let text = image.sh("ip -o link | wc -l; ip -o link show lo | grep -c ',UP'; ls /sys/class/net").text();
    assert_eq!(text.split_whitespace().filter(|word| *word == "lo").count(), 1, "{text}");
    assert!(text.starts_with("1\n1\n"), "{text}");
}

#[test]
fn it_has_a_session_of_its_own_without_a_terminal() {
    let Some(mut image) = Image::busybox() else { return };
    // pid, comm, state, ppid, pgrp, session, tty
    let text = image.sh("read -r stat < /proc/1/stat; set -- $stat; echo $5 $6 $7").text();
    assert_eq!(text, "1 1 0\n");
}

/// Printed, not asserted: a loaded machine proves nothing. Aim: 8 ms for the first.
#[test]
fn overhead() {
    let Some(mut image) = Image::busybox() else { return };
    measure("a step that does nothing", &mut image);
    image.spec.network = Network::None;
    measure("the same without a network", &mut image);
    let Some(mut image) = foreign::image("arm64") else { return };
    measure("the same emulated", &mut image);
}

#[expect(clippy::print_stderr, reason = "a measurement is to be seen")]
fn measure(what: &str, image: &mut Image) {
    let run = || {
        let start = Instant::now();
        assert!(image.run(&["true"]).exit().status.success());
        start.elapsed()
    };
    let mut times: Vec<_> = std::iter::repeat_with(run).take(20).collect();
    times.sort();
    eprintln!("{what}: {:?} at best, {:?} in the middle", times[0], times[times.len() / 2]);
}

#[test]
fn joined_outputs_come_in_the_order_in_which_they_were_written() {
    let Some(mut image) = Image::busybox() else { return };
    let script = "for i in 1 2 3 4 5 6 7 8 9; do echo out $i; echo err $i >&2; done";
    image.spec.args = ["sh", "-c", script].map(Into::into).into();
    let mut output = Vec::new();
    let collect = |bytes: &[u8]| output.extend_from_slice(bytes);
    let helpers = Helpers::new(image.spec.isolation, 1);
    let exit = runtime().block_on(run(&image.spec, &helpers, collect, std::future::pending()));
    assert!(exit.unwrap().status.success());
    let expected: Vec<String> = (1..=9).flat_map(|number| [format!("out {number}"), format!("err {number}")]).collect();
    assert_eq!(String::from_utf8(output).unwrap().lines().collect::<Vec<_>>(), expected);
}

#[test]
fn the_helper_of_the_next_step_waits_and_none_is_left() {
    let Some(mut image) = Image::busybox() else { return };
    image.spec.args = vec!["true".to_owned()];
    let helpers = Helpers::new(image.spec.isolation, 3);
    runtime().block_on(async {
        let mut waited = Vec::new();
        for step in 0..3 {
            waited.push(helpers.waiting());
            let _ = fs::remove_dir_all(image.spec.work.join("work"));
            let exit = run(&image.spec, &helpers, |_| (), std::future::pending()).await.unwrap();
            assert!(exit.status.success(), "step {step}");
            // Started by a task of its own.
            while step < 2 && helpers.waiting().is_none() {
                tokio::task::yield_now().await;
            }
        }
        assert!(waited[0].is_none() && waited[1].is_some() && waited[2].is_some() && waited[1] != waited[2]);
        assert_eq!(helpers.waiting(), None);
    });
}

#[test]
fn a_helper_that_waits_ends_with_the_build() {
    let Some(mut image) = Image::busybox() else { return };
    image.spec.args = vec!["true".to_owned()];
    let helpers = Helpers::new(image.spec.isolation, 2);
    runtime().block_on(async {
        run(&image.spec, &helpers, |_| (), std::future::pending()).await.unwrap();
        while helpers.waiting().is_none() {
            tokio::task::yield_now().await;
        }
        let process = helpers.waiting().unwrap();
        drop(helpers);
        // Nobody else waits for it here.
        let pid = Pid::from_raw(i32::try_from(process).unwrap());
        assert!(matches!(waitpid(pid, None), Ok(WaitStatus::Exited(..)) | Err(Errno::ECHILD)));
    });
}
