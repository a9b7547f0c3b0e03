//! `--isolation chroot`: steps where a container refuses namespaces and mounts.

use crate::harness::{BUSYBOX, EPOCH, Workspace, is_root, native_platform, peer, skip};
use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

/// The capabilities of root in a container of Docker's.
const OF_CONTAINERS: &str = "-all,+chown,+dac_override,+fsetid,+fowner,+mknod,+net_raw,+setgid,+setuid,+setfcap,+setpcap,\
                             +net_bind_service,+sys_chroot,+kill,+audit_write";

/// A workspace, and what makes a command run in it as in a container without privileges.
fn unprivileged(dockerfile: &str) -> Option<(Workspace, Vec<String>)> {
    let work = Workspace::with_busybox(&[native_platform()], &format!("{BUSYBOX}{dockerfile}"))?;
    if !is_root() {
        skip("it takes root, as in a container");
        return None;
    }
    peer("gcc")?;
    peer("setpriv")?;
    let (source, program) = (work.path("refuse.c"), work.path("refuse"));
    fs::write(&source, include_str!("refuse.c")).unwrap();
    let compiled = Command::new("gcc").arg("-o").args([&program, &source]).status().unwrap();
    assert!(compiled.success());
    let program = program.to_str().unwrap().to_owned();
    let words = [&program, "setpriv", "--bounding-set", OF_CONTAINERS, "--inh-caps", "-all", "--"];
    Some((work, words.map(str::to_owned).to_vec()))
}

fn words(of: &[String]) -> Vec<&str> {
    of.iter().map(String::as_str).collect()
}

const STEPS: &str = "
FROM busybox AS tools
RUN mkdir /from && echo tool > /from/tool

FROM busybox
RUN ln /bin/busybox /bin/other && mkdir -p /a/b /gone/below && echo 1 > /a/b/c && echo x > /gone/below/f && touch /was-a-file
RUN rm -r /gone /was-a-file && mkdir /was-a-file && echo 2 >> /a/b/c && echo y > /was-a-file/y && mknod /pipe p
RUN <<END
set -e
test -c /dev/null && echo lost > /dev/null
rm -rf /a/b && echo new > /a/new
echo 'lost too' >> /etc/hosts
END
RUN --mount=type=cache,target=/cache --mount=type=bind,from=tools,source=/from,target=/mnt/tools,rw \
    --mount=type=tmpfs,target=/tmp \
    echo once >> /cache/file && cp /mnt/tools/tool /tool && echo lost > /mnt/tools/new && echo lost > /tmp/lost
RUN --mount=type=cache,target=/cache cat /cache/file > /kept && chown 1234:1234 /kept && chmod 4755 /kept
USER app
WORKDIR /home/app
RUN id > id && touch own
";

#[test]
fn a_container_that_refuses_namespaces_builds_the_same_image() {
    let Some((work, wrapper)) = unprivileged(STEPS) else { return };
    let there = work.build(&[]).epoch(EPOCH).store("other").succeeds();
    let out = format!("type=local,dest={}", work.path("out").display());
    let arguments = ["-t", "app", "-o", &out];
    let here = work.build(&arguments).epoch(EPOCH).through(&words(&wrapper)).succeeds();
    assert_eq!(work.read("out/kept"), "once\n");
    assert_eq!(here.digest(), there.digest());
    assert_eq!(here.raw.matches("have no /proc; build only what you trust").count(), 1, "{}", here.raw);
    assert!(!there.raw.contains("isolation"), "{}", there.raw);
    // What is tried out runs there too.
    let tried = work.flashbuild("run", &["app", "sh", "-c", "cat id; ls /proc"]).through(&words(&wrapper)).succeeds();
    assert_eq!(tried.stdout, "uid=1234(app) gid=1234(app)\n");
}

#[test]
fn what_takes_mounts_or_namespaces_is_refused() {
    for (step, part) in [
        ("--mount=type=secret,id=token cat /run/secrets/token", "a secret as a file, which would lie on the disk"),
        ("--network=none true", "a network of its own cannot be had"),
    ] {
        let Some((work, wrapper)) = unprivileged(&format!("FROM busybox\nRUN {step}\n")) else { return };
        let arguments = ["--secret", "id=token,env=HOME"];
        let run = work.build(&arguments).through(&words(&wrapper)).exits_with(3);
        assert!(run.stderr.contains(part), "{}", run.stderr);
    }
    let Some((work, wrapper)) =
        unprivileged("FROM busybox\nRUN --mount=type=secret,id=token,env=T test \"$T\" = value\n")
    else {
        return;
    };
    let build = work.build(&["--secret", "id=token,env=TOKEN"]).variable("TOKEN", "value");
    build.through(&words(&wrapper)).succeeds();
    let refused = work.build(&["--isolation", "namespaces"]).through(&words(&wrapper)).exits_with(3);
    assert!(refused.stderr.contains("user namespace"), "{}", refused.stderr);
}

#[test]
fn a_step_leaves_no_process_and_nothing_where_mounts_were() {
    let tag = format!("{}", std::process::id());
    let step = format!(
        "FROM busybox\nRUN --mount=type=cache,target=/cache (trap '' TERM; sleep 1000.{tag} &) && echo x > /cache/x\n"
    );
    let Some((work, wrapper)) = unprivileged(&step) else { return };
    let out = format!("type=local,dest={}", work.path("out").display());
    let arguments = ["--isolation", "chroot", "-o", &out];
    // Asked for, it needs no refusal.
    work.build(&arguments).succeeds();
    work.build(&[&arguments[..], &["--no-cache"]].concat()).through(&words(&wrapper)).succeeds();
    let command = |entry: fs::DirEntry| fs::read(entry.path().join("cmdline")).unwrap_or_default();
    let commands = fs::read_dir("/proc").unwrap().flatten().map(command);
    let left: Vec<_> =
        commands.filter(|command| String::from_utf8_lossy(command).contains(&format!("1000.{tag}"))).collect();
    assert!(left.is_empty(), "{left:?}");
    for name in ["cache", "proc", "sys", "dev", "etc/hosts"] {
        assert!(!work.path("out").join(name).exists(), "{name}");
    }
    assert!(fs::read_dir(work.path("store/tmp")).unwrap().next().is_none());
}

/// Where an overlay says that a folder hides what was there, every file of it is said to be deleted.
#[test]
fn a_folder_that_was_made_anew_holds_only_what_is_new() {
    let dockerfile = "FROM busybox
RUN mkdir -p /a/b && echo 1 > /a/b/c && echo 1 > /a/d
RUN rm -rf /a && mkdir -p /a/b && echo 2 > /a/e
";
    let Some((work, wrapper)) = unprivileged(dockerfile) else { return };
    let out = format!("type=local,dest={}", work.path("out").display());
    work.build(&["-o", &out]).through(&words(&wrapper)).succeeds();
    let names = |folder: &str| {
        let mut names: Vec<_> =
            fs::read_dir(work.path(folder)).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names("out/a"), ["b", "e"]);
    assert!(names("out/a/b").is_empty());
}

/// CVE-2024-23652 without mounts: places are held by descriptors, and names in them are never followed.
#[test]
fn a_step_that_puts_links_where_mounts_are_changes_nothing_outside() {
    let dockerfile = "FROM busybox
RUN --mount=type=cache,target=/srv/cache rm -rf /srv/cache && ln -s /outside /srv/cache \\
    && mv /etc /moved && ln -s /outside /etc && rm -rf /dev && ln -s /outside /dev && rm -rf /proc && ln -s /outside /proc
RUN --mount=type=cache,target=/srv/cache busybox chroot / true; test $? = 1 && test -d /srv/cache
";
    let outside = tempfile::tempdir().unwrap();
    for name in ["hosts", "resolv.conf", "hostname", "kept"] {
        fs::write(outside.path().join(name), "untouched").unwrap();
    }
    let dockerfile = dockerfile.replace("/outside", outside.path().to_str().unwrap());
    let Some((work, wrapper)) = unprivileged(&dockerfile) else { return };
    work.build(&[]).through(&words(&wrapper)).succeeds();
    for name in ["hosts", "resolv.conf", "hostname", "kept"] {
        assert_eq!(fs::read_to_string(outside.path().join(name)).unwrap(), "untouched", "{name}");
    }
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 4);
}

#[test]
fn an_image_without_its_own_proc_dev_and_sys_cannot_bring_others() {
    for name in ["proc", "sys", "dev"] {
        let Some((work, wrapper)) = unprivileged("FROM busybox\nCOPY root/ /\nRUN true\n") else { return };
        let outside = tempfile::tempdir().unwrap();
        fs::create_dir_all(work.path("context/root")).unwrap();
        symlink(outside.path(), work.path("context/root").join(name)).unwrap();
        let run = work.build(&[]).through(&words(&wrapper)).exits_with(3);
        assert!(run.stderr.contains(&format!("cannot mount on /{name}: it is not a folder")), "{}", run.stderr);
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    }
}
