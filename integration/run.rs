//! `flashbuild run`: an image's command, as `docker run` would run it, with nothing kept.

use crate::harness::{BUSYBOX, Invocation, Workspace, native_platform, peer};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Stdio;

const ORDINARY_USER: u32 = 1000;

const APP: &str = "
FROM busybox AS app
ENV GREETING=hello
WORKDIR /srv
USER app
ENTRYPOINT [\"busybox\"]
CMD [\"echo\", \"from\", \"the\", \"image\"]
";

/// A workspace whose local store has an image `app`.
fn with_app(dockerfile: &str) -> Option<Workspace> {
    let work = Workspace::with_busybox(&[native_platform()], &format!("{BUSYBOX}{dockerfile}"))?;
    work.build(&["-t", "app"]).succeeds();
    Some(work)
}

fn run<'a>(work: &'a Workspace, arguments: &[&str]) -> Invocation<'a> {
    work.flashbuild("run", arguments)
}

#[test]
fn the_command_and_all_else_are_the_images_unless_others_are_asked_for() {
    let Some(work) = with_app(APP) else { return };
    let shell = "id -u; pwd; echo $GREETING $MORE $HOME";
    for (arguments, expected) in [
        (&["app"][..], "from the image\n"),
        (&["--rm", "app", "echo", "-n", "mine"][..], "mine"),
        (&["app", "--", "echo", "-n", "--", "mine"][..], "-- mine"),
        (&["--entrypoint", "sh", "app", "-c", shell], "1234\n/srv\nhello /home/app\n"),
        (&["--entrypoint", "", "app", "sh", "-c", shell], "1234\n/srv\nhello /home/app\n"),
        (
            &["-u", "0:0", "-w", "/etc", "-e", "GREETING=bye", "--env", "MORE", "app", "sh", "-c", shell],
            "0\n/etc\nbye yes /root\n",
        ),
    ] {
        let ran = run(&work, arguments).variable("MORE", "yes").succeeds();
        assert_eq!(ran.stdout, expected, "{arguments:?}");
        assert_eq!(ran.raw, "", "{arguments:?}");
    }
}

#[test]
fn the_exit_code_is_the_commands() {
    let Some(work) = with_app(APP) else { return };
    for (command, code, said) in [
        (&["sh", "-c", "echo on standard error >&2; exit 7"][..], 7, "on standard error\n"),
        (&["sh", "-c", "kill -9 $$; exit 3"], 3, ""),
        (&["no-such-applet"], 127, "no-such-applet: applet not found\n"),
    ] {
        let ran = run(&work, &[&["app"][..], command].concat()).exits_with(code);
        assert_eq!(ran.raw, said, "{command:?}");
    }
    let absent = run(&work, &["--entrypoint", "/absent", "app"]).exits_with(127);
    assert_eq!(absent.raw, "error: exec: \"/absent\": no such file in the image\n");
    let none = run(&work, &["--entrypoint", "/etc/passwd", "app"]).exits_with(126);
    assert!(none.raw.contains("permission denied"), "{}", none.raw);
    let flag = run(&work, &["--no-such-flag", "app"]).exits_with(2);
    assert!(flag.raw.contains("--no-such-flag"), "{}", flag.raw);
    let unknown = run(&work, &["--user", "stranger", "app"]).exits_with(3);
    assert!(unknown.raw.contains("no user \"stranger\" in /etc/passwd of the image"), "{}", unknown.raw);
}

#[test]
fn what_it_writes_is_forgotten_but_for_volumes() {
    let Some(work) = with_app(APP) else { return };
    fs::create_dir_all(work.path("context/shared")).unwrap();
    let script = "busybox rm /etc/group; echo kept > /mnt/kept; echo x > /lost; ls /lost /mnt/kept";
    let volume = ["-u", "0", "-v", "./shared:/mnt", "app", "sh", "-c"];
    assert_eq!(run(&work, &[&volume[..], &[script]].concat()).succeeds().stdout, "/lost\n/mnt/kept\n");
    assert_eq!(work.read("context/shared/kept"), "kept\n");
    assert_eq!(run(&work, &["app", "ls", "/etc/group"]).succeeds().stdout, "/etc/group\n");
    run(&work, &["app", "ls", "/lost"]).exits_with(1);

    let read_only = ["-u", "0", "-v", "./shared:/mnt:ro", "app", "sh", "-c", "cat /mnt/kept; echo x > /mnt/kept"];
    let refused = run(&work, &read_only).exits_with(1);
    assert_eq!(refused.stdout, "kept\n");
    assert!(refused.raw.contains("Read-only file system"), "{}", refused.raw);
    let absent = run(&work, &["-v", "./absent:/mnt", "app"]).exits_with(2);
    assert!(absent.raw.contains("--volume: cannot use ./absent: No such file"), "{}", absent.raw);
    assert!(fs::read_dir(work.path("store/tmp")).unwrap().next().is_none(), "something was left in the store");
}

#[test]
fn standard_input_reaches_it_and_descriptors_of_the_host_do_not() {
    let Some(work) = with_app(APP) else { return };
    let counted = run(&work, &["-i", "app", "cat"]).stdin("one\ntwo\n").succeeds();
    assert_eq!(counted.stdout, "one\ntwo\n");
    // A file that is given is not to be had as a file: it could be opened anew, for writing.
    let script = "for fd in 0 1 2; do echo $(readlink /proc/self/fd/$fd | busybox cut -c1-5); done; ls /proc/self/fd";
    let seen = run(&work, &["-u", "0", "app", "sh", "-c", script]).stdin("x").succeeds();
    assert_eq!(seen.stdout, "pipe:\npipe:\npipe:\n0\n1\n2\n3\n");
    // Nor by a user who is not its owner, though pipes are theirs.
    let own =
        run(&work, &["app", "sh", "-c", "cat /dev/stdin > /dev/stdout; echo e > /dev/stderr"]).stdin("x").succeeds();
    assert_eq!((own.stdout.as_str(), own.raw.as_str()), ("x", "e\n"));
}

#[test]
fn a_terminal_is_one_of_its_own() {
    let Some(work) = with_app(APP) else { return };
    let typed = "tty; ls -l $(tty) | busybox cut -c1-1; test -t 0 && test -t 1 && test -t 2; exit $(($? + 40))\n";
    let ran = run(&work, &["--tty", "app", "sh"]).stdin(typed).exits_with(40);
    assert!(ran.stdout.contains("/dev/pts/0\r\nc\r\n"), "{}", ran.stdout);
    let root = run(
        &work,
        &["-t", "-u", "0", "-e", "TERM=dumb", "app", "sh", "-c", "echo $TERM; busybox stty size < /dev/tty"],
    );
    assert_eq!(root.succeeds().stdout, "dumb\r\n24 80\r\n");
    if peer("script").is_none() {
        return;
    }
    // At a terminal there is one without being asked for, as large as that.
    let command = format!(
        "stty rows 7 cols 30; {} run --root {} -u 0 app sh -c 'busybox stty size; exit 9'",
        env!("CARGO_BIN_EXE_flashbuild"),
        work.path("store").display()
    );
    let output =
        std::process::Command::new("script").args(["-qefc", &command, "/dev/null"]).stdin(Stdio::null()).output();
    let output = output.unwrap();
    // script itself may add what stands for the end of its own input.
    let seen = String::from_utf8_lossy(&output.stdout);
    assert!(seen.starts_with("7 30\r\n"), "{seen}");
    assert_eq!(output.status.code(), Some(9));
}

#[test]
fn signals_reach_it_and_end_it_as_any_other_process() {
    let Some(work) = with_app(APP) else { return };
    for (script, signal, code) in [
        ("trap 'echo caught; exit 5' TERM; echo ready; while :; do sleep 0.1; done", Signal::SIGTERM, 5),
        ("trap 'exit 6' USR1; echo ready; while :; do sleep 0.1; done", Signal::SIGUSR1, 6),
        // Process 1 has no handler, and the kernel would keep the signal from it.
        ("echo ready; exec sleep 1000", Signal::SIGTERM, 143),
        ("echo ready; exec sleep 1000", Signal::SIGINT, 130),
        ("trap '' INT; echo ready; sleep 0.5; exit 4", Signal::SIGINT, 4),
    ] {
        let mut process = run(&work, &["app", "sh", "-c", script]).spawn_heard();
        let mut heard = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        heard.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "{script}");
        kill(Pid::from_raw(process.id().cast_signed()), signal).unwrap();
        let mut rest = String::new();
        heard.read_to_string(&mut rest).unwrap();
        assert_eq!(process.wait().unwrap().code(), Some(code), "{script} {signal}");
        assert_eq!(rest, if code == 5 { "caught\n" } else { "" });
    }
}

#[test]
fn it_ends_when_nobody_reads_what_it_says() {
    let Some(work) = with_app(APP) else { return };
    let mut process = run(&work, &["app", "yes"]).spawn_heard();
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "y\n");
    assert_eq!(process.wait().unwrap().code(), Some(141));
}

#[test]
fn an_image_of_a_layout_and_one_of_another_platform_run_too() {
    let platform = "linux/arm64";
    let Some(work) =
        Workspace::with_busybox(&[native_platform(), platform], &format!("{BUSYBOX}CMD [\"uname\", \"-m\"]\n"))
    else {
        return;
    };
    if peer("qemu-aarch64-static").is_none() {
        return;
    }
    let platforms = format!("{},{platform}", native_platform());
    let out = format!("type=oci,dest={},tar=false", work.path("layout").display());
    work.build(&["--platform", &platforms, "-o", &out]).succeeds();
    let name = format!("oci-layout://{}", work.path("layout").display());
    let machine = |arguments: &[&str]| run(&work, &[arguments, &[&name]].concat()).store("other").succeeds().stdout;
    assert_eq!(machine(&["--platform", platform]), "aarch64\n");
    assert_eq!(machine(&[]).trim(), std::env::consts::ARCH);
    let absent = run(&work, &["--platform", "linux/s390x", &name]).exits_with(3);
    assert!(absent.raw.contains("it has no image for linux/s390x"), "{}", absent.raw);
}

#[test]
fn an_ordinary_user_can_run_images_too() {
    let Some(work) = Workspace::with_busybox(&[native_platform()], &format!("{BUSYBOX}{APP}")) else { return };
    work.give_to(ORDINARY_USER);
    work.build(&["-t", "app"]).user(ORDINARY_USER).store("home/store").succeeds();
    let script = "id -u; cat; echo x > /made; trap 'exit 5' TERM; kill -TERM $$";
    let run =
        run(&work, &["-u", "0", "app", "sh", "-c", script]).user(ORDINARY_USER).store("home/store").stdin("typed\n");
    assert_eq!(run.exits_with(5).stdout, "0\ntyped\n");
}

#[test]
fn an_image_without_files_or_without_a_command_is_refused() {
    let Some(work) = with_app("FROM scratch\nENV A=1\n") else { return };
    let none = run(&work, &["app"]).exits_with(3);
    assert!(none.raw.contains("image app:latest: it has no command: say what to run after its name"), "{}", none.raw);
    let empty = run(&work, &["app", "/bin/sh"]).exits_with(3);
    assert!(empty.raw.contains("it has no files"), "{}", empty.raw);
    let unknown = run(&work, &["localhost:1/absent"]).exits_with(3);
    assert!(unknown.raw.contains("cannot find image localhost:1/absent"), "{}", unknown.raw);
}
