//! How steps run on this machine: what they get of it, and what they cannot do to it.

use crate::harness::{BUSYBOX, Workspace, native_platform, peer};
use flashbuild::solver::event::{Hit, Outcome};
use std::fs;
use std::os::unix::fs::symlink;

const ORDINARY_USER: u32 = 1000;

fn workspace(dockerfile: &str) -> Option<Workspace> {
    Workspace::with_busybox(&[native_platform()], &format!("{BUSYBOX}{dockerfile}"))
}

#[test]
fn flags_reach_steps_and_are_in_no_key() {
    let script = "
FROM busybox AS run
RUN (ulimit -n; busybox grep db /etc/hosts; busybox df -k /dev/shm | busybox awk 'NR==2 {print $2}') > /seen
FROM scratch
COPY --from=run /seen /seen
";
    let Some(work) = workspace(script) else { return };
    let out = format!("type=local,dest={}", work.path("out").display());
    let flags = ["--add-host", "db:10.1.2.3", "--ulimit", "nofile=77", "--shm-size", "1m", "-o", &out];
    work.build(&flags).succeeds();
    assert_eq!(work.read("out/seen"), "77\n10.1.2.3\tdb\n1024\n");

    let others = ["--add-host", "db:10.9.9.9", "--ulimit", "nofile=99", "--memory", "1g", "--cpus", "1"];
    let again = work.build(&others).succeeds();
    for (name, outcome) in again.vertices() {
        assert_eq!(outcome, &Outcome::Cached(Hit::Definition), "{name}");
    }
}

#[test]
fn flags_that_mean_nothing_are_refused() {
    let Some(work) = workspace("FROM busybox\n") else { return };
    for (flags, part) in [
        (&["--ulimit", "files=1"][..], "no limit is called"),
        (&["--add-host", "db"][..], "NAME:ADDRESS"),
        (&["--memory", "much"][..], "a number of bytes"),
        (&["--memory-swap", "1g"][..], "--memory-swap needs --memory"),
        (&["--memory", "2g", "--memory-swap", "1g"][..], "less than --memory"),
        (&["--cpus", "0"][..], "a number such as 1.5"),
        (&["--cpuset-cpus", "first"][..], "a list such as"),
    ] {
        let run = work.build(flags).exits_with(2);
        assert!(run.stderr.contains(part), "{part}: {}", run.stderr);
    }
}

#[test]
fn files_made_for_a_step_are_in_no_layer() {
    let script =
        "FROM busybox\nRUN cat /etc/hosts /etc/resolv.conf /etc/hostname > /dev/null && echo x > /etc/resolv.conf\n";
    let Some(work) = workspace(script) else { return };
    for user in [None, Some(ORDINARY_USER)] {
        let out = format!("type=local,dest={}", work.path("home/out").display());
        let arguments = ["-o", &out];
        let mut build = work.build(&arguments).store(if user.is_some() { "home/store" } else { "store" });
        if let Some(user) = user {
            let _ = fs::remove_dir_all(work.path("home/out"));
            work.give_to(user);
            build = build.user(user);
        }
        build.succeeds();
        assert!(work.path("home/out/etc/passwd").is_file());
        for name in ["hosts", "resolv.conf", "hostname"] {
            assert!(!work.path("home/out/etc").join(name).exists(), "{name}");
        }
    }
}

/// GHSA-4v98-7qmw-rqr8: what was made to mount on is taken away after the step, but never through a link.
#[test]
fn a_step_that_puts_a_link_above_a_mount_point_changes_nothing_outside() {
    let outside = tempfile::tempdir().unwrap();
    for name in ["hosts", "resolv.conf", "hostname"] {
        fs::write(outside.path().join(name), "untouched").unwrap();
    }
    // In an image that has /proc and no /etc, that is made to mount in, and can be moved.
    let script = format!(
        "FROM scratch\nCOPY --from=busybox /bin /bin\nWORKDIR /proc\nRUN mv /etc /moved && ln -s {} /etc\n",
        outside.path().display()
    );
    let Some(work) = workspace(&script) else { return };
    let out = format!("type=local,dest={}", work.path("out").display());
    work.build(&["-o", &out]).succeeds();
    for name in ["hosts", "resolv.conf", "hostname"] {
        assert_eq!(fs::read_to_string(outside.path().join(name)).unwrap(), "untouched");
    }
    assert_eq!(fs::read_link(work.path("out/etc")).unwrap(), outside.path());
}

/// Case of CVE-2024-9676 and its kind: the user database of an image is hostile.
#[test]
fn user_names_are_looked_up_in_regular_files_of_the_image_only() {
    let make_fifo = "RUN rm /etc/passwd && mkfifo /etc/passwd";
    let make_long = "RUN rm /etc/passwd && busybox yes x:x:7:7::/: | head -c 40m > /etc/passwd && printf '\\nlate:x:5:5::/:\\n' >> /etc/passwd";
    let make_link = "RUN rm /etc/passwd && ln -s /../../../../../../proc/self/root/etc/passwd /etc/passwd";
    for (make, name) in [(make_fifo, "app"), (make_long, "late"), (make_link, "daemon")] {
        let script = format!("FROM busybox\n{make}\nUSER {name}\nRUN true\n");
        let Some(work) = workspace(&script) else { return };
        let run = work.build(&[]).exits_with(1);
        assert!(run.stderr.contains(&format!("no user {name:?} in /etc/passwd of the image")), "{}", run.stderr);
    }
}

/// CVE-2024-21626 and links of the same kind, as root and as an ordinary user.
#[test]
fn a_working_folder_does_not_lead_out_of_the_image() {
    for user in [None, Some(ORDINARY_USER)] {
        for descriptor in [3, 7, 8] {
            let script = format!("FROM busybox\nWORKDIR /proc/self/fd/{descriptor}\nRUN cat ../../../sentinel\n");
            let Some(work) = workspace(&script) else { return };
            fs::write(work.path("sentinel"), "secret").unwrap();
            let mut build = work.build(&[]);
            if let Some(user) = user {
                work.give_to(user);
                build = build.user(user);
            }
            let run = build.fails();
            assert!(!run.stderr.contains("secret"), "{}", run.stderr);
        }
    }
}

#[test]
fn an_image_without_its_own_proc_dev_and_sys_cannot_bring_others() {
    let outside = tempfile::tempdir().unwrap();
    for name in ["proc", "sys", "dev"] {
        let Some(work) = workspace("FROM busybox\nCOPY root/ /\nRUN true\n") else { return };
        fs::create_dir_all(work.path("context/root")).unwrap();
        symlink(outside.path(), work.path("context/root").join(name)).unwrap();
        let run = work.build(&[]).exits_with(3);
        assert!(
            run.stderr.contains(&format!("cannot mount on /{name}: it is not a folder in this image")),
            "{}",
            run.stderr
        );
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    }
}

/// The message where this machine can limit memory; elsewhere the step is told apart by nothing and works.
#[test]
fn a_step_that_was_killed_for_memory_says_so() {
    let Some(work) = workspace("FROM busybox\nRUN busybox head -c 40m /dev/zero | busybox tail | busybox wc -c\n")
    else {
        return;
    };
    let probe = flashbuild::sandbox::GroupLimits { memory: Some(16 << 20), ..Default::default() };
    let build = work.build(&["--memory", "16m"]);
    match flashbuild::sandbox::ControlGroups::new(&probe) {
        Ok(_) => {
            let run = build.exits_with(1);
            assert!(
                run.stderr.contains("was killed for memory: it used all that --memory lets a step have"),
                "{}",
                run.stderr
            );
        }
        Err(_) => {
            build.succeeds();
        }
    }
}

#[test]
fn an_image_is_the_same_by_another_runtime() {
    let script = "
FROM busybox
WORKDIR /srv
USER app
RUN <<EOF
id > /tmp/id
pwd >> /tmp/id
EOF
USER root
RUN --network=none touch /etc/made && chown 12:34 /etc/made
";
    let Some(work) = workspace(script) else { return };
    if peer("runc").is_none() {
        return;
    }
    let epoch = "1700000000";
    let own = work.build(&[]).epoch(epoch).succeeds();
    let run = work.build(&["--oci-runtime", "runc"]).store("other").epoch(epoch).succeeds();
    assert_eq!(run.digest(), own.digest());
    let run = work.build(&["--oci-runtime", "no-such-runtime"]).exits_with(2);
    assert!(run.stderr.contains("there is no such program on this machine"), "{}", run.stderr);
}

/// Places to mount on that an image lacks are not there for the layers of its steps, but where a step fills them.
#[test]
fn places_to_mount_on_are_no_part_of_an_image_that_lacks_them() {
    let script = "FROM scratch
COPY --from=busybox /bin /bin
RUN echo x > /etc/touched && rm /etc/touched && chmod 700 /etc /proc; rm -f /sys/x; true
RUN test -s /etc/hosts && echo y > /etc/kept
";
    let Some(work) = workspace(script) else { return };
    for isolation in ["namespaces", "chroot"] {
        let out = format!("type=tar,dest={}", work.path(format!("{isolation}.tar")).display());
        work.build(&["-o", &out, "--isolation", isolation]).store(isolation).succeeds();
        let mut listed = tar::Archive::new(fs::File::open(work.path(format!("{isolation}.tar"))).unwrap());
        let names = listed.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string());
        let of_ours: Vec<String> =
            names.filter(|name| ["etc", "proc", "sys", "dev"].iter().any(|it| name.starts_with(it))).collect();
        assert_eq!(of_ours, ["etc/", "etc/kept"], "{isolation}");
    }
}
