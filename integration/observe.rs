//! Images slimmed by what they were seen to ask for, and brought back whole.

use crate::harness::{BUSYBOX, Workspace, native_platform, peer, skip};
use serde_json::Value;
use std::net::TcpListener;
use std::path::Path;

const ORDINARY_USER: u32 = 1000;

/// Slims the image `app` to `slim`, all layers of it, by observation.
fn observe(work: &Workspace, more: &[&str]) -> Value {
    let first = ["app", "--base", "--smoke-time", "2", "--format", "json", "-t", "slim"];
    let run = work.flashbuild("slim", &[&first[..], more].concat()).succeeds();
    let reports: Value = serde_json::from_str(&run.stdout).unwrap();
    reports[0].clone()
}

/// The paths that differ between two images.
fn differences(work: &Workspace, a: &str, b: &str) -> Vec<String> {
    // The histories differ always.
    let json = work.flashbuild("diff", &["--times", "--format", "json", a, b]).exits_with(1).stdout;
    let report: Value = serde_json::from_str(&json).unwrap();
    let files = report["files"].as_array().unwrap().iter();
    files.map(|file| file["path"].as_str().unwrap().to_owned()).collect()
}

fn restore(work: &Workspace) {
    work.flashbuild("slim", &["--restore", "slim", "-t", "restored"]).succeeds();
    assert_eq!(differences(work, "app", "restored"), Vec::<String>::new());
}

/// A service that serves files, of which one is asked for.
#[test]
fn a_service_keeps_what_it_and_its_visitors_asked_for() {
    let Some(work) = Workspace::with_busybox(&[native_platform()], "") else { return };
    // Free a moment ago; nobody else takes such numbers.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    work.file("www/index.html", "index").file("www/other.html", "other").file("keep/data", "data");
    work.file("start", format!("#!/bin/sh\nexec httpd -f -p 127.0.0.1:{port} -h /srv/www\n"));
    work.file(
        "Dockerfile",
        format!(
            "{BUSYBOX}FROM busybox\nRUN mkdir /srv && ln -s /opt/www /srv/www\nCOPY www /opt/www\nCOPY keep /keep\n\
             COPY --chmod=755 start /start\nCMD [\"/start\"]\n"
        ),
    );
    work.build(&["-t", "app"]).succeeds();
    let line = format!("wget -q -O /dev/null http://127.0.0.1:{port}/index.html");
    let report = observe(&work, &["--keep", "/keep", "--observe", &line]);
    let removed: Vec<&str> = report["removed"].as_array().unwrap().iter().map(|path| path.as_str().unwrap()).collect();
    assert!(removed.contains(&"/opt/www/other.html"), "{removed:?}");
    for kept in ["/opt/www/index.html", "/srv/www", "/start", "/bin/sh", "/bin/busybox", "/keep/data"] {
        assert!(!removed.contains(&kept), "{kept}: {removed:?}");
    }
    let ends: Vec<&str> = report["proofs"].as_array().unwrap().iter().map(|it| it["end"].as_str().unwrap()).collect();
    assert_eq!(ends, ["was still running", "ended with exit code 0"]);
    assert_eq!(report["dropped_to"], "slim:latest-dropped");
    assert_eq!(differences(&work, "app", "slim"), removed);
    restore(&work);

    // A stranger's sibling is refused.
    work.flashbuild("tag", &["app", "slim:latest-dropped"]).succeeds();
    let run = work.flashbuild("slim", &["--restore", "slim", "-t", "wrong"]).exits_with(1);
    assert!(run.stderr.contains("does not have what was removed"), "{}", run.stderr);
}

#[test]
fn what_fails_shows_nothing_and_is_refused() {
    let Some(work) = Workspace::with_busybox(&[native_platform()], "") else { return };
    let command = "CMD [\"sh\", \"-c\", \"echo no such mode; exit 2\"]";
    work.file("unused", "unused").file("Dockerfile", format!("{BUSYBOX}FROM busybox\nCOPY unused /data/\n{command}\n"));
    work.build(&["-t", "app"]).succeeds();
    let slim = ["app", "--base", "--smoke-time", "2", "-t", "slim", "--observe"];
    let run = work.flashbuild("slim", &slim).exits_with(1);
    assert!(run.stderr.contains("the image's own command ended with exit code 2"), "{}", run.stderr);
    assert!(run.stderr.contains("no such mode"), "{}", run.stderr);
    let run = work.flashbuild("slim", &[&slim[..], &["exit 3"]].concat()).exits_with(1);
    assert!(run.stderr.contains("exit 3 ended with exit code 3"), "{}", run.stderr);
    work.flashbuild("slim", &[&slim[..], &["ls /", "cat /etc/hosts"]].concat()).succeeds();
    let dry = work.flashbuild("slim", &["app", "--base", "--dry-run", "--observe", "ls /"]).succeeds().stdout;
    assert!(dry.contains("(of no package)") && dry.contains("nothing was made"), "{dry}");
    work.flashbuild("slim", &["--passes", "observe", "-t", "x", "app"]).exits_with(2);
}

/// Files of several owners, one of which nobody may read, and a health check.
#[test]
fn an_ordinary_user_can_observe_and_restore_too() {
    let Some(work) = Workspace::with_busybox(&[native_platform()], "") else { return };
    work.file("used", "used").file("asked", "asked").file("unused", "unused");
    let dockerfile = "FROM busybox\nCOPY used /\nCOPY --chown=1234:1234 --chmod=400 asked unused /data/\n\
                      RUN ln /data/unused /data/link && ln -s data /alias\n\
                      HEALTHCHECK CMD test -e /tmp/ready\nCMD [\"sh\", \"-c\", \"cat /used; touch /tmp/ready; sleep 100\"]\n";
    work.file("Dockerfile", format!("{BUSYBOX}{dockerfile}"));
    work.give_to(ORDINARY_USER);
    let as_user = |command: &str, arguments: &[&str]| {
        work.flashbuild(command, arguments).user(ORDINARY_USER).store("home/store").succeeds().stdout
    };
    as_user("build", &["-t", "app", "."]);
    let slim = ["app", "--base", "--format", "json", "-t", "slim", "--observe", "cat /alias/asked"];
    let reports: Value = serde_json::from_str(&as_user("slim", &slim)).unwrap();
    let removed: Vec<&str> =
        reports[0]["removed"].as_array().unwrap().iter().map(|path| path.as_str().unwrap()).collect();
    assert!(removed.contains(&"/data/unused") && removed.contains(&"/data/link"), "{removed:?}");
    assert!(!removed.contains(&"/data/asked") && !removed.contains(&"/used"), "{removed:?}");
    let ends: Vec<&str> =
        reports[0]["proofs"].as_array().unwrap().iter().map(|it| it["end"].as_str().unwrap()).collect();
    assert_eq!(ends, ["was healthy", "ended with exit code 0"]);
    as_user("slim", &["--restore", "slim", "-t", "restored"]);
    let diff = ["--times", "--format", "json", "app", "restored"];
    let json = work.flashbuild("diff", &diff).user(ORDINARY_USER).store("home/store").exits_with(1).stdout;
    let difference: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(difference["files"], serde_json::json!([]));
}

/// Programs of a machine that this one is not.
#[test]
fn foreign_images_are_observed_through_their_emulator() {
    let (platform, emulator) = match native_platform() {
        "linux/arm64" => ("linux/s390x", "qemu-s390x-static"),
        _ => ("linux/arm64", "qemu-aarch64-static"),
    };
    if peer(emulator).is_none() {
        return;
    }
    let Some(work) = Workspace::with_busybox(&[platform], "") else { return };
    work.file("used", "used").file("unused", "unused");
    work.file("Dockerfile", format!("{BUSYBOX}FROM busybox\nCOPY used unused /\nCMD [\"cat\", \"/used\"]\n"));
    work.build(&["-t", "app", "--platform", platform]).succeeds();
    let report = observe(&work, &["--platform", platform, "--observe"]);
    let removed = report["removed"].as_array().unwrap();
    assert!(removed.contains(&"/unused".into()) && !removed.contains(&"/used".into()), "{removed:?}");
    assert_eq!(report["proofs"][0]["end"], "ended with exit code 0");
}

/// A program in Python, on packages of Debian, that imports some of what is installed.
#[test]
fn packages_of_debian_are_kept_or_dropped_whole() {
    let work = Workspace::new(
        "FROM scratch AS packages\nDEPS apt --no-docs base-files base-passwd python3 python3-jinja2 python3-yaml dash mawk\n\
         FROM scratch\nCOPY --from=packages / /\nENV PATH=/usr/bin\nCOPY app.py /app.py\nCMD [\"python3\", \"/app.py\"]\n",
    );
    work.file("app.py", "import jinja2\nassert jinja2.Template('{{ 1 + 1 }}').render() == '2'\n");
    // What was fetched is kept between runs of the tests.
    let store = Path::new(env!("CARGO_TARGET_TMPDIR")).join("debian-store");
    let root = ["--root", store.to_str().unwrap()];
    let run = work.build(&[&root[..], &["-t", "observed-app"]].concat()).run();
    if run.code == Some(3) && run.stderr.contains("DEPS apt") {
        return skip(&format!("the host's archive of packages is out of reach: {}", run.stderr));
    }
    assert_eq!(run.code, Some(0), "{}", run.raw);
    let run = |command: &str, arguments: &[&str]| {
        work.flashbuild(command, &[&root[..], arguments].concat()).succeeds().stdout
    };
    let line = "python3 -c 'import sqlite3'";
    let slim = ["observed-app", "--base", "--format", "json", "-t", "observed-slim", "--observe", line];
    let report: Value = serde_json::from_str(&run("slim", &slim)).unwrap();
    let packages = report[0]["dropped"]["packages"].as_array().unwrap();
    let dropped: Vec<&str> = packages.iter().map(|package| package["name"].as_str().unwrap()).collect();
    for gone in ["python3-yaml", "libyaml-0-2", "mawk"] {
        assert!(dropped.contains(&gone), "{gone}: {dropped:?}");
    }
    for kept in ["python3-jinja2", "python3-markupsafe", "python3.11-minimal", "libc6", "dash"] {
        assert!(!dropped.contains(&kept), "{kept}: {dropped:?}");
    }
    let listed = |image: &str| -> Vec<String> {
        let analysis: Value = serde_json::from_str(&run("analyze", &["--format", "json", image])).unwrap();
        let packages = analysis["packages"].as_array().unwrap().iter();
        packages.map(|package| package["name"].as_str().unwrap().to_owned()).collect()
    };
    let left = listed("observed-slim");
    for gone in ["python3-yaml", "libyaml-0-2", "mawk", "PyYAML"] {
        assert!(
            listed("observed-app").iter().any(|name| name == gone) && !left.iter().any(|name| name == gone),
            "{gone}"
        );
    }
    assert!(["python3-jinja2", "dash"].iter().all(|kept| left.iter().any(|name| name == kept)), "{left:?}");
    // A part of the standard library that was not seen works, with the library that it is linked with.
    assert_eq!(run("run", &["observed-slim", "--", "python3", "-c", "import ctypes, readline, json"]), "");
    work.flashbuild("run", &[&root[..], &["observed-slim", "--", "python3", "-c", "import yaml"]].concat())
        .exits_with(1);
    run("slim", &["--restore", "observed-slim", "-t", "observed-restored"]);
    assert_eq!(run("run", &["observed-restored", "--", "python3", "-c", "import yaml"]), "");
    let json = work
        .flashbuild(
            "diff",
            &[&root[..], &["--times", "--format", "json", "observed-app", "observed-restored"]].concat(),
        )
        .exits_with(1);
    let difference: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(difference["files"], serde_json::json!([]));
}
