//! `--debug-shell`: a shell in the sandbox of a step that failed.

use crate::harness::{BUSYBOX, Workspace, native_platform, peer};
use std::process::{Command, Stdio};

const ORDINARY_USER: u32 = 1000;

const FAILS: &str = "
FROM busybox
COPY Dockerfile /copied
USER app
WORKDIR /tmp
ENV KEPT=yes
RUN --mount=type=cache,target=/cache,uid=1234 --mount=type=secret,id=token,uid=1234 --mount=type=bind,target=/context \\
    echo made > made && echo cached > /cache/file && exit 3
RUN echo never
";

const LOOK: &str = "id -u; pwd; cat made /cache/file /run/secrets/token; echo; echo $KEPT; ls /context/Dockerfile /copied; echo more > more\n";

const SEEN: &str = "1234\n/tmp\nmade\ncached\nvalue\nyes\n/context/Dockerfile\n/copied\n";

#[test]
fn it_sees_what_the_step_left_and_its_mounts_and_the_step_still_fails() {
    let Some(work) = Workspace::with_busybox(&[native_platform()], &format!("{BUSYBOX}{FAILS}")) else { return };
    work.give_to(ORDINARY_USER);
    let arguments = ["--debug-shell", "--secret", "id=token,env=TOKEN"];
    for isolation in ["namespaces", "chroot"] {
        if isolation == "chroot" {
            work.file(
                "Dockerfile",
                format!("{BUSYBOX}{}", FAILS.replace("--mount=type=secret,id=token,uid=1234 ", "")),
            );
        }
        let arguments = [&arguments[..], &["--isolation", isolation]].concat();
        let look = if isolation == "chroot" { LOOK.replace("/run/secrets/token", "") } else { LOOK.to_owned() };
        let run = work.build(&arguments).variable("TOKEN", "value").stdin(look).exits_with(1);
        let seen = if isolation == "chroot" { SEEN.replace("value\n", "\n") } else { SEEN.to_owned() };
        assert_eq!(run.stdout, seen, "{isolation}");
        assert!(run.raw.contains("exit code 3: /bin/sh in its sandbox; the build goes on when it ends"), "{}", run.raw);
        assert!(run.stderr.contains("did not complete: exit code 3"), "{}", run.stderr);
        // Neither what the step nor what the shell made is in any layer: the step runs again.
        let again = work.build(&arguments).variable("TOKEN", "value").stdin("ls\n").exits_with(1);
        assert_eq!(again.stdout, "made\n", "{isolation}");
    }
}

#[test]
fn an_ordinary_user_gets_one_too_and_another_program_can_be_named() {
    let Some(work) =
        Workspace::with_busybox(&[native_platform()], &format!("{BUSYBOX}FROM busybox\nRUN echo 1 > /one; /absent\n"))
    else {
        return;
    };
    work.give_to(ORDINARY_USER);
    let run = work.build(&["--debug-shell=/bin/ls"]).user(ORDINARY_USER).exits_with(1);
    assert!(run.stdout.contains("one\n"), "{}", run.stdout);
    let run = work.build(&["--debug-shell=/no/shell"]).user(ORDINARY_USER).exits_with(1);
    assert!(run.raw.contains("exec: \"/no/shell\": no such file in the image"), "{}", run.raw);
}

#[test]
fn at_a_terminal_it_has_one() {
    let Some(work) = Workspace::with_busybox(&[native_platform()], &format!("{BUSYBOX}FROM busybox\nRUN exit 5\n"))
    else {
        return;
    };
    if peer("script").is_none() {
        return;
    }
    let command =
        format!("{} build --root {} --debug-shell .", env!("CARGO_BIN_EXE_flashbuild"), work.path("store").display());
    let mut process = Command::new("script")
        .args(["-qefc", &command, "/dev/null"])
        .current_dir(work.path("context"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // What is typed before the shell is there waits for it.
    let mut typed = process.stdin.take().unwrap();
    std::io::Write::write_all(&mut typed, b"tty; test -t 0 && echo at a terminal; exit\n").unwrap();
    let output = process.wait_with_output().unwrap();
    drop(typed);
    let seen = String::from_utf8_lossy(&output.stdout);
    assert!(seen.contains("/dev/pts/0\r\nat a terminal\r\n"), "{seen}");
    assert_eq!(output.status.code(), Some(1), "{seen}");
}
