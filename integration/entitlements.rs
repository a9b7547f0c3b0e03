//! What a step may do beyond what every step may: only what `--allow` says, whoever asked for it.

use crate::harness::{BUSYBOX, Workspace, is_root, native_platform, skip};
use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    thread,
};

fn workspace(dockerfile: &str) -> Option<Workspace> {
    Workspace::with_busybox(&[native_platform()], &format!("{BUSYBOX}{dockerfile}"))
}

#[test]
fn what_was_not_allowed_is_refused_before_anything_runs() {
    for (flag, entitlement) in [
        ("--network=host", "network.host"),
        ("--security=insecure", "security.insecure"),
        ("--device=/dev/kmsg", "device=/dev/kmsg"),
    ] {
        for dockerfile in [
            format!("FROM busybox\nRUN {flag} true\n"),
            format!("FROM busybox AS base\nONBUILD RUN {flag} true\nFROM base\n"),
        ] {
            let Some(work) = workspace(&dockerfile) else { return };
            let run = work.build(&[]).exits_with(1);
            let hint = format!("if you trust it with that, build with --allow {entitlement}");
            assert!(run.stderr.contains(&hint), "{}", run.stderr);
            assert_eq!(run.vertices().count(), 0);
        }
    }
}

#[test]
fn a_trigger_of_a_base_image_is_no_way_around() {
    let Some(work) = workspace("FROM busybox\nONBUILD RUN --security=insecure true\n") else { return };
    work.build(&["-t", "base:1"]).succeeds();
    work.file("child", "FROM base:1\n");
    let run = work.build(&["-f", "child"]).exits_with(1);
    assert!(run.stderr.contains("--allow security.insecure"), "{}", run.stderr);
}

#[test]
fn an_unknown_entitlement_is_wrong_usage() {
    let Some(work) = workspace("FROM busybox\n") else { return };
    work.build(&["--allow", "everything"]).exits_with(2);
}

/// A port of this machine's loopback that answers one question with `here`.
fn answer_once() -> (u16, thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = thread::spawn(move || {
        let (mut asked, _) = listener.accept().unwrap();
        let _ = asked.read(&mut [0; 1024]);
        let _ = asked.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nhere");
    });
    (port, answer)
}

#[test]
fn the_network_of_the_machine_includes_its_loopback() {
    for (flag, argument) in [("--network=host", ["--allow", "network.host"]), ("", ["--network", "host"])] {
        let (port, answer) = answer_once();
        let Some(work) = workspace(&format!("FROM busybox\nRUN {flag} wget -q -O /said http://127.0.0.1:{port}/\n"))
        else {
            return;
        };
        let out = format!("type=local,dest={}", work.path("out").display());
        work.build(&[&argument[..], &["-o", &out]].concat()).succeeds();
        assert_eq!(work.read("out/said"), "here");
        answer.join().unwrap();
    }
}

#[test]
fn the_network_of_a_build_is_that_of_steps_that_do_not_say() {
    let Some(work) = workspace(
        "FROM busybox\nRUN ls /sys/class/net > /none\nRUN --network=default ls /sys/class/net > /default\n\
         RUN --network=none ls /sys/class/net >> /none\n",
    ) else {
        return;
    };
    let out = format!("type=local,dest={}", work.path("out").display());
    work.build(&["--network", "none", "-o", &out]).succeeds();
    assert_eq!(work.read("out/none"), "lo\nlo\n");
    assert!(work.read("out/default").lines().count() > 1);
}

#[test]
fn an_insecure_step_has_what_a_sandbox_takes_away() {
    let Some(work) = workspace(
        "FROM busybox\nRUN ! mount -t tmpfs none /tmp 2> /dev/null && touch /kept\n\
         RUN --security=insecure mount -t tmpfs none /tmp && touch /tmp/x && ls /tmp > /mounted\n",
    ) else {
        return;
    };
    let out = format!("type=local,dest={}", work.path("out").display());
    work.build(&["--allow", "security.insecure", "-o", &out]).succeeds();
    assert_eq!(work.read("out/mounted"), "x\n");
    assert!(work.path("out/kept").exists());
}

#[test]
fn a_device_is_there_for_the_step_that_asks() {
    if !is_root() {
        skip("devices of the machine are for root");
        return;
    }
    let Some(work) = workspace(
        "FROM busybox\nRUN [ ! -e /dev/kmsg ]\nRUN --device=/dev/kmsg [ -c /dev/kmsg ]\n\
         RUN --device=/dev/no-such-device true\nRUN [ ! -e /dev/kmsg ]\n",
    ) else {
        return;
    };
    let run = work.build(&["--allow", "device"]).succeeds();
    assert!(run.raw.contains("no device \\\"/dev/no-such-device\\\""), "{}", run.raw);
    work.file("required", format!("{BUSYBOX}FROM busybox\nRUN --device=/dev/no-such-device,required true\n"));
    let run = work.build(&["-f", "required", "--allow", "device=/dev/no-such-device"]).exits_with(1);
    assert!(run.stderr.contains("which this machine does not have"), "{}", run.stderr);
}
