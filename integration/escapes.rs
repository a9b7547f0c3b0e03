//! Hostile images, contexts and steps against the machine that builds, as root and as an ordinary user.
//!
//! Each test has something outside of every root, which must come out unchanged and unseen.

use crate::harness::{BUSYBOX, Run, Workspace, native_platform};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

const ORDINARY_USER: u32 = 1000;

/// What is written in every file outside.
const OUTSIDE: &str = "outside-of-every-root-7f3a";

/// A folder outside, with files of the names that engines and steps touch.
struct Outside(tempfile::TempDir);

impl Outside {
    fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("flashbuild-outside-").tempdir().unwrap();
        for name in ["passwd", "group", "hosts", "resolv.conf", "hostname", "null", "file", "self"] {
            fs::write(folder.path().join(name), format!("{OUTSIDE}\n")).unwrap();
        }
        // An attack as an ordinary user must not fail for want of permission.
        let open = |mode| std::os::unix::fs::PermissionsExt::from_mode(mode);
        fs::set_permissions(folder.path(), open(0o777)).unwrap();
        for entry in fs::read_dir(folder.path()).unwrap() {
            fs::set_permissions(entry.unwrap().path(), open(0o666)).unwrap();
        }
        Self(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    #[track_caller]
    fn is_untouched(&self) {
        let mut names = 0;
        for entry in fs::read_dir(self.path()).unwrap() {
            let path = entry.unwrap().path();
            assert_eq!(fs::read_to_string(&path).unwrap(), format!("{OUTSIDE}\n"), "{}", path.display());
            names += 1;
        }
        assert_eq!(names, 8, "something was made or removed outside");
    }
}

/// Builds `steps` on busybox as root and as an ordinary user, with `OUT` for the folder outside, and `check`s each run.
fn as_both(outside: &Outside, steps: &str, arguments: &[&str], check: impl Fn(&Workspace, Run)) {
    for user in [None, Some(ORDINARY_USER)] {
        let steps = steps.replace("OUT", outside.path().to_str().unwrap());
        let Some(work) = Workspace::with_busybox(&[native_platform()], &format!("{BUSYBOX}FROM busybox\n{steps}"))
        else {
            return;
        };
        let out = format!("type=local,dest={}", work.path("home/out").display());
        let mut build = work.build(&[&["-o", &out], arguments].concat()).store("home/store").variable("TOKEN", "value");
        if let Some(user) = user {
            work.give_to(user);
            build = build.user(user);
        }
        check(&work, build.run());
        outside.is_untouched();
    }
}

/// An image can make its own files links to anywhere: what a step or the builder does to them stays inside.
#[test]
fn a_hostile_image_changes_nothing_of_this_machine() {
    let outside = Outside::new();
    let steps = "
RUN rm /etc/passwd && ln -s OUT/passwd /etc/passwd && ln -s ../../../../../../../../OUT/group /etc/group2
RUN ln -s OUT/hosts /etc/hosts; ln -s OUT/resolv.conf /etc/resolv.conf; ln -s OUT /srv; true
RUN echo pwned > /etc/passwd; echo pwned > /etc/group2; echo pwned > /etc/hosts; echo pwned > /etc/resolv.conf; \\
    echo pwned > /srv/file; rm -rf /srv/*; chmod 0 /etc/passwd /srv/file; rm -rf /dev/null; echo pwned > /dev/null; \\
    mkdir -p OUT && echo inside > OUT/file
RUN cat OUT/file > /seen; ls OUT >> /seen; id >> /seen
";
    as_both(&outside, steps, &[], |work, run| {
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        let seen = work.read("home/out/seen");
        assert!(seen.starts_with("inside\n") && !seen.contains(OUTSIDE), "{seen}");
        assert!(!run.raw.contains(OUTSIDE), "{}", run.raw);
    });
}

/// CVE-2025-31133: what hides parts of `/proc`, and what is `/dev/null`, is never of the image's making.
#[test]
fn devices_and_kernel_files_of_an_image_are_not_used() {
    let outside = Outside::new();
    let steps = "
COPY --chmod=666 root/ /
RUN echo to-null > /dev/null; test ! -s /dev/null && test -c /dev/null && test ! -e /dev/console \\
    && test ! -s /proc/timer_list && test ! -s /proc/kcore && ! test -e /dev/sda \\
    && (! echo pwned > /proc/sys/kernel/core_pattern) && (! echo pwned > /proc/sysrq-trigger)
";
    for user in [None, Some(ORDINARY_USER)] {
        let Some(work) = Workspace::with_busybox(&[native_platform()], &format!("{BUSYBOX}FROM busybox\n{steps}"))
        else {
            return;
        };
        fs::create_dir_all(work.path("context/root/dev")).unwrap();
        for (name, target) in [("null", "null"), ("console", "file"), ("sda", "file")] {
            symlink(outside.path().join(target), work.path("context/root/dev").join(name)).unwrap();
        }
        let mut build = work.build(&[]).store("home/store");
        if let Some(user) = user {
            work.give_to(user);
            build = build.user(user);
        }
        let run = build.run();
        assert_eq!(run.code, Some(0), "{}", run.raw);
        outside.is_untouched();
    }
}

#[test]
fn a_step_has_three_descriptors_and_no_capability_to_pass_on() {
    let outside = Outside::new();
    let steps = "RUN ls /proc/self/fd > /fds; busybox grep -E 'Cap(Inh|Amb)' /proc/self/status > /caps; readlink /proc/self/fd/0 > /stdin\n";
    as_both(&outside, steps, &[], |work, run| {
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        // The last is that of `ls` itself.
        assert_eq!(work.read("home/out/fds"), "0\n1\n2\n3\n");
        let none = "0000000000000000";
        assert_eq!(work.read("home/out/caps"), format!("CapInh:\t{none}\nCapAmb:\t{none}\n"));
        assert_eq!(work.read("home/out/stdin"), "/dev/null\n");
    });
}

/// CVE-2024-1753, CVE-2024-9675, CVE-2024-23651, CVE-2024-23652.
#[test]
fn mounts_and_their_sources_stay_inside() {
    let outside = Outside::new();
    let steps = "AS links
RUN ln -s / /rootdir && ln -s OUT /way && ln -s ../../../../../../../..OUT /up
FROM busybox
RUN --mount=type=bind,from=links,source=/rootdir,target=/mnt,rw \\
    test -e /mnt/rootdir && test ! -e /mnt/OUT/file && echo lost > /mnt/lost
RUN --mount=type=bind,from=links,source=/rootdir,target=/mnt test ! -e /mnt/lost
RUN --mount=type=cache,id=../../../../OUT,target=/c echo x > /c/cached
RUN --mount=type=cache,id=c,target=/c ln -s OUT /c/link; ln -s ../../../../../../..OUT /c/up
RUN --mount=type=cache,id=c,source=link,target=/d --mount=type=cache,id=c,source=up,target=/e \\
    --mount=type=cache,id=c,source=../../..,target=/f ! cat /d/file /e/file /f/file && echo x > /d/made && echo x > /e/made
RUN --mount=type=tmpfs,target=/srv/deep/mount mv /srv /moved && ln -s OUT /srv
RUN --mount=type=secret,id=token,target=/run/deep/token,mode=0440,uid=3,gid=4 \\
    test $(cat /run/deep/token) = value && stat -c '%a %u %g' /run/deep/token
";
    let steps = steps.replacen("AS links", "FROM busybox AS links", 1);
    let steps = format!("RUN true\n{steps}");
    as_both(&outside, &steps, &["--secret", "id=token,env=TOKEN"], |work, run| {
        assert_eq!(run.code, Some(0), "{}", run.raw);
        for name in ["mnt", "c", "d", "run"] {
            assert!(!work.path("home/out").join(name).exists(), "{name}");
        }
        assert!(!run.raw.contains(OUTSIDE), "{}", run.raw);
    });
}

/// A context whose folders become links while it is read (CVE-2024-11218 and its kind).
#[test]
fn links_in_contexts_and_stages_are_kept_or_refused() {
    let outside = Outside::new();
    let steps = "
RUN ln -s OUT /way && mkdir /real && echo own > /real/file
FROM scratch
COPY --from=0 /way/ /x/
";
    as_both(&outside, steps, &[], |work, run| {
        assert_eq!(run.code, Some(1), "{}", run.raw);
        assert!(run.stderr.contains("not found") && !work.path("home/out/x/file").exists(), "{}", run.stderr);
    });
    for (copy, code) in [("COPY link /x", 1), ("COPY link/file /x", 1), ("COPY up/file /x", 1), ("COPY . /x", 0)] {
        let work = Workspace::new(&format!("FROM scratch\n{copy}\n"));
        work.file("kept", "kept");
        symlink(outside.path().join("file"), work.path("context/link")).unwrap();
        symlink("../../..", work.path("context/up")).unwrap();
        let out = format!("type=local,dest={}", work.path("out").display());
        let run = work.build(&["-o", &out]).exits_with(code);
        assert!(holders(&work.path("store"), OUTSIDE).is_empty(), "{copy}");
        assert!(code == 1 || work.path("out/x/link").is_symlink(), "{copy}: {}", run.stderr);
    }
    outside.is_untouched();
}

#[test]
fn a_folder_of_the_context_that_becomes_a_link_meanwhile_lets_nothing_in() {
    const ROUNDS: usize = 60;
    let outside = Outside::new();
    let work = Workspace::new("FROM scratch\nCOPY sub /x\n");
    fs::create_dir(work.path("context/sub")).unwrap();
    // Of the same name and size, so that either will do for who opens it by its path.
    work.file("sub/file", format!("{}\n", "x".repeat(OUTSIDE.len())));
    symlink(outside.path(), work.path("context/link")).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (one, other) = (work.path("context/sub"), work.path("context/link"));
            while !done.load(Ordering::Relaxed) {
                let at = rustix::fs::CWD;
                rustix::fs::renameat_with(at, &one, at, &other, rustix::fs::RenameFlags::EXCHANGE).unwrap();
            }
        });
        for _ in 0..ROUNDS {
            // Whether it finds a folder, a link or nothing is a matter of luck.
            work.build(&["--no-cache"]).exits_with_one_of(&[0, 1, 3]);
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(holders(&work.path("store"), OUTSIDE), [PathBuf::new(); 0]);
    outside.is_untouched();
}

/// Excluded by whatever spelling of a pattern, a file is in no layer, no blob and no log.
#[test]
fn what_is_ignored_is_nowhere() {
    for ignore in [
        ".env\n",
        "\u{feff}.env\n",
        ".env\r\n",
        "  .env  \n",
        "/.env\n",
        "**/.env\n",
        "*\n!Dockerfile\n!kept\n",
        "!.env\n.en?\n",
    ] {
        let work = Workspace::new("FROM scratch\nCOPY . /\nCOPY --chmod=600 . /again/\n");
        work.file(".env", OUTSIDE).file("kept", "kept").file(".dockerignore", ignore);
        let out = format!("type=local,dest={}", work.path("out").display());
        let run = work.build(&["-t", "app", "-o", &out]).succeeds();
        assert!(work.path("out/kept").exists() && !work.path("out/.env").exists(), "{ignore:?}");
        assert_eq!(holders(&work.path("store"), OUTSIDE), [PathBuf::new(); 0], "{ignore:?}");
        assert!(!run.raw.contains(OUTSIDE) && !run.metadata().to_string().contains(OUTSIDE), "{ignore:?}");
    }
    let work = Workspace::new("FROM scratch\nCOPY . /\n");
    work.file(".env", OUTSIDE);
    work.build(&[]).succeeds();
    assert!(!holders(&work.path("store"), OUTSIDE).is_empty(), "the search finds what is there");
}

/// Files below `folder` that hold `text`, as they are or compressed.
fn holders(folder: &Path, text: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            found.extend(holders(&path, text));
        } else if kind.is_file() {
            let bytes = fs::read(&path).unwrap();
            let plain = std::process::Command::new("gzip").arg("-dcf").arg(&path).output();
            let plain = plain.map(|output| output.stdout).unwrap_or_default();
            let holds = |bytes: &[u8]| bytes.windows(text.len()).any(|window| window == text.as_bytes());
            if holds(&bytes) || holds(&plain) {
                found.push(path);
            }
        }
    }
    found
}
