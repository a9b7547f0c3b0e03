//! `DEPS apt`: Debian packages as layers. Most tests have an archive of their own; those that need Debian's say so.

use crate::harness::{DebianArchive, Invocation, Run, Workspace, dpkg_unpack, is_root, peer, skip, tree_report};
use flashbuild::solver::event::{Hit, Outcome};
use std::{
    fs,
    path::{Path, PathBuf},
};

const DOCKERFILE: &str = "FROM scratch\nDEPS apt greeting\n";

/// A package, what it needs, what it recommends, and `base-files`: in all compressions that packages have had.
pub(crate) fn archive(architectures: &[&str]) -> Option<DebianArchive> {
    let mut archive = DebianArchive::new(architectures)?;
    for architecture in architectures {
        let says = format!("hello from {architecture}\n");
        archive.add(
            "greeting",
            "1:2.0-1",
            architecture,
            "xz",
            "Depends: greeting-data (>= 1), libgreeting | nothing, debconf (>= 0.5)\nRecommends: greeting-extra\n",
            &[
                ("usr/bin/greeting", &says),
                ("bin/hello", "-> /usr/bin/greeting"),
                ("usr/share/doc/greeting/copyright", "free\n"),
                ("usr/share/doc/greeting/changelog", "much\n"),
                ("DEBIAN/md5sums", "d41d8cd98f00b204e9800998ecf8427e  usr/bin/greeting\n"),
                (
                    "DEBIAN/postinst",
                    "#!/bin/sh\ntouch /postinst-ran\n\
                     update-alternatives --install /usr/bin/greet greet /usr/bin/greeting 10\n",
                ),
            ],
        );
        archive.add("libgreeting", "3", architecture, "zstd", "", &[("lib/libgreeting.so.3", &says)]);
        let release = [("usr/lib/os-release", "ID=test\n"), ("etc/os-release", "-> ../usr/lib/os-release")];
        archive.add("base-files", "1", architecture, "gzip", "Pre-Depends: awk\n", &release);
    }
    archive.add("greeting-data", "1", "all", "gzip", "", &[("usr/share/greeting/data", "data\n")]);
    archive.add("greeting-extra", "1", "all", "none", "", &[("usr/share/greeting/extra", "extra\n")]);
    archive.publish();
    Some(archive)
}

/// `flashbuild build` on a host that knows only `archive`.
pub(crate) fn build<'a>(work: &'a Workspace, config: &'a str, arguments: &[&str]) -> Invocation<'a> {
    work.build(arguments).variable("APT_CONFIG", config)
}

/// Builds into `out/`.
fn export(work: &Workspace, config: &str, platforms: &str) {
    let out = format!("type=local,dest={}", work.path("out").display());
    build(work, config, &["--platform", platforms, "-o", &out]).succeeds();
}

pub(crate) fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn packages_of_any_architecture_are_unpacked_and_nothing_of_them_runs() {
    let Some(archive) = archive(&["amd64", "s390x"]) else { return };
    let work = Workspace::new(DOCKERFILE);
    export(&work, &archive.apt_config(), "linux/amd64,linux/s390x");
    for (platform, architecture) in [("linux_amd64", "amd64"), ("linux_s390x", "s390x")] {
        let out = |name: &str| work.path(format!("out/{platform}/{name}"));
        let read = |name: &str| fs::read_to_string(out(name)).unwrap();
        let link = |name: &str| fs::read_link(out(name)).unwrap().to_str().unwrap().to_owned();
        assert_eq!(read("usr/bin/greeting"), format!("hello from {architecture}\n"));
        assert_eq!(read("lib/libgreeting.so.3"), format!("hello from {architecture}\n"));
        assert_eq!(read("usr/share/greeting/data"), "data\n");
        assert_eq!(read("etc/os-release"), "ID=test\n");
        assert!(read("etc/passwd").starts_with("root:x:0:0:"));
        assert_eq!((link("bin"), link("lib")), ("usr/bin".to_owned(), "usr/lib".to_owned()));
        assert_eq!(out("lib64").is_symlink(), architecture == "amd64");
        assert_eq!(link("usr/bin/hello"), "/usr/bin/greeting");
        assert_eq!(link("usr/bin/greet"), "/etc/alternatives/greet");
        assert_eq!(link("etc/alternatives/greet"), "/usr/bin/greeting");
        // Every package is known to scanners, and none that is not there.
        let known = ["base-files", "greeting", "greeting-data", "greeting.md5sums", "libgreeting"];
        assert_eq!(names(&out("var/lib/dpkg/status.d")), known);
        assert!(read("var/lib/dpkg/status.d/greeting").starts_with("Package: greeting\nVersion: 1:2.0-1\n"));
        assert!(!out("postinst-ran").exists() && !out("usr/share/greeting/extra").exists());
    }
}

#[test]
fn a_package_is_one_layer_for_all_platforms_and_projects() {
    let Some(archive) = archive(&["amd64", "s390x"]) else { return };
    let config = archive.apt_config();
    let work = Workspace::new(DOCKERFILE);
    let arguments = ["--platform", "linux/amd64,linux/s390x", "-t", "app"];
    let first = build(&work, &config, &arguments).succeeds();
    assert_eq!(first.outcomes("greeting-data 1"), [&Outcome::Ran]);
    assert_eq!(first.outcomes("libgreeting 3"), [&Outcome::Ran, &Outcome::Ran]);

    // Nothing is asked for and nothing is read: the archive is away.
    fs::rename(archive.path("archive"), archive.path("away")).unwrap();
    let second = build(&work, &config, &arguments).succeeds();
    assert_eq!(second.digest(), first.digest());
    for (name, outcome) in second.vertices() {
        assert_eq!(outcome, &Outcome::Cached(Hit::Definition), "{name}");
    }

    fs::rename(archive.path("away"), archive.path("archive")).unwrap();
    work.file("Dockerfile", "FROM scratch\nDEPS apt --recommends greeting\n");
    let more = build(&work, &config, &arguments).succeeds();
    assert_eq!(more.outcomes("greeting-extra 1"), [&Outcome::Ran]);
    assert_eq!(more.outcomes("greeting-data 1"), [&Outcome::Cached(Hit::Definition)]);
}

/// A colleague with the same suites, whose mirror may be another one, builds from what was brought along.
#[test]
fn what_apt_said_goes_along_to_who_cannot_ask() {
    let Some(archive) = archive(&["amd64"]) else { return };
    let config = archive.apt_config();
    let work = Workspace::new(DOCKERFILE);
    let arguments = ["--platform", "linux/amd64", "-t", "app"];
    let first = build(&work, &config, &arguments).succeeds();
    let team = work.path("team").display().to_string();
    work.flashbuild("cache", &["export", &team]).succeeds();
    work.flashbuild("cache", &["import", &team]).store("elsewhere").succeeds();

    fs::rename(archive.path("archive"), archive.path("away")).unwrap();
    for (flags, note) in [(&["--offline"][..], false), (&[], true)] {
        let run = build(&work, &config, &[&arguments[..], flags].concat()).store("elsewhere").succeeds();
        assert_eq!(run.digest(), first.digest());
        assert!(run.vertices().all(|(_, outcome)| matches!(outcome, Outcome::Cached(_))), "{}", run.raw);
        assert_eq!(run.raw.contains("apt cannot ask its mirrors"), note, "{}", run.raw);
    }
    let refused = build(&work, &config, &[&arguments[..], &["--pull"]].concat()).store("elsewhere").exits_with(3);
    assert!(refused.stderr.contains("apt-get update"), "{}", refused.stderr);
    build(&work, &config, &arguments).store("empty").exits_with(3);
}

#[test]
fn a_system_is_made_once_and_what_it_says_stays() {
    let Some(archive) = archive(&["amd64"]) else { return };
    let work =
        Workspace::new("FROM scratch AS a\nDEPS apt libgreeting\nCOPY passwd /etc/\nFROM a\nDEPS apt greeting-data\n");
    work.file("passwd", "app:x:1:1::/:/bin/sh\n");
    export(&work, &archive.apt_config(), "linux/amd64");
    assert_eq!(work.read("out/etc/passwd"), "app:x:1:1::/:/bin/sh\n");
    assert_eq!(names(&work.path("out/var/lib/dpkg/status.d")), ["base-files", "greeting-data", "libgreeting"]);
}

#[test]
fn documentation_can_be_left_out_and_licences_cannot() {
    let Some(archive) = archive(&["amd64"]) else { return };
    let work = Workspace::new("FROM scratch\nDEPS apt --no-docs greeting\n");
    export(&work, &archive.apt_config(), "linux/amd64");
    assert_eq!(names(&work.path("out/usr/share/doc/greeting")), ["copyright"]);
}

#[test]
fn a_mirror_and_a_suite_can_be_named_and_the_keys_stay_the_hosts() {
    let Some(archive) = archive(&["amd64"]) else { return };
    let mirror = format!("file:{}", archive.path("archive").display());
    let work = Workspace::new(&format!("FROM scratch\nDEPS apt --mirror={mirror} --suite=stable greeting\n"));
    let key = archive.path("apt/key.asc").display().to_string();
    let other = |key: &str| format!("Types: deb\nURIs: file:/nowhere\nSuites: stable\nComponents: main\n{key}");
    archive.configure(&other(&format!("Signed-By: {key}\n")));
    export(&work, &archive.apt_config(), "linux/amd64");
    assert_eq!(work.read("out/usr/share/greeting/data"), "data\n");

    archive.configure(&other(""));
    let refused = build(&work, &archive.apt_config(), &["--platform", "linux/amd64"]).store("other").exits_with(3);
    assert!(refused.stderr.contains("is not signed"), "{}", refused.stderr);
}

/// Changes something of the archive, and expects the build to be refused with these words.
fn refused(change: impl FnOnce(&DebianArchive), code: i32, words: &[&str]) {
    let Some(archive) = archive(&["amd64"]) else { return };
    change(&archive);
    let work = Workspace::new(DOCKERFILE);
    let run = build(&work, &archive.apt_config(), &["--platform", "linux/amd64"]).exits_with(code);
    for words in words {
        assert!(run.stderr.contains(words), "{words:?} is missing in:\n{}", run.stderr);
    }
}

fn replace(path: PathBuf, from: &str, to: &str) {
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{from:?} is not in {}", path.display());
    fs::write(path, text.replace(from, to)).unwrap();
}

#[test]
fn a_changed_release_is_refused() {
    let change = |archive: &DebianArchive| {
        replace(archive.path("archive/dists/stable/InRelease"), "Origin: Test", "Origin: Tset");
    };
    refused(change, 3, &["apt-get update for amd64", "BADSIG", "DEPS apt greeting"]);
}

#[test]
fn a_changed_index_is_refused() {
    let change = |archive: &DebianArchive| {
        let index = archive.path("archive/dists/stable/main/binary-amd64/Packages");
        replace(index, "Description: greeting\n", "Description: meeting!\n");
    };
    refused(change, 3, &["apt-get update for amd64", "Hash Sum mismatch"]);
}

#[test]
fn a_changed_package_is_refused() {
    let change = |archive: &DebianArchive| {
        let path = archive.path("archive/pool/greeting-data_1_all.deb");
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(path, bytes).unwrap();
    };
    refused(change, 1, &["greeting-data: the artifact is not the one", "expected sha256:"]);
}

#[test]
fn a_package_that_does_not_exist_is_named() {
    let Some(archive) = archive(&["amd64"]) else { return };
    let work = Workspace::new("FROM scratch\nDEPS apt greeting greeeting libgreeting=9\n");
    let run = build(&work, &archive.apt_config(), &["--platform", "linux/amd64"]).exits_with(1);
    for words in
        ["Unable to locate package greeeting", "Version '9' for 'libgreeting' was not found", "DEPS apt greeting"]
    {
        assert!(run.stderr.contains(words), "{words:?} is missing in:\n{}", run.stderr);
    }
}

#[test]
fn a_lock_is_obeyed_until_it_is_written_anew() {
    let Some(mut archive) = archive(&["amd64"]) else { return };
    let config = archive.apt_config();
    let work = Workspace::new(DOCKERFILE);
    let lock = || work.flashbuild("lock", &["--platform", "linux/amd64", "."]).variable("APT_CONFIG", &config);
    let took = |store: &str, version: &str| {
        let run = build(&work, &config, &["--platform", "linux/amd64"]).store(store).succeeds();
        assert_eq!(run.outcomes(&format!("libgreeting {version}")).len(), 1, "{store}");
    };
    assert_eq!(lock().succeeds().stdout, "./flashbuild.lock: 4 packages\n");
    archive.add("libgreeting", "4", "amd64", "none", "", &[("lib/libgreeting.so.4", "newer\n")]);
    archive.publish();
    took("second", "3");
    let text = work.read("context/flashbuild.lock");
    assert!(!text.contains("file:"), "addresses are no business of a lock:\n{text}");

    fs::remove_file(work.path("context/flashbuild.lock")).unwrap();
    took("third", "4");
    lock().succeeds();
    took("second", "4");
}

#[test]
fn what_is_locked_and_not_there_any_more_is_said() {
    let Some(archive) = archive(&["amd64"]) else { return };
    let config = archive.apt_config();
    let work = Workspace::new(DOCKERFILE);
    let arguments = ["--platform", "linux/amd64"];
    work.flashbuild("lock", &["--platform", "linux/amd64", "."]).variable("APT_CONFIG", &config).succeeds();
    let path = work.path("context/flashbuild.lock");
    let text = fs::read_to_string(&path).unwrap();
    let hash = text.split("\"hash\": \"sha256:").nth(1).unwrap()[..64].to_owned();
    for (from, to, words) in [
        ("\"version\": \"3\"", "\"version\": \"2\"", "ask anew with `flashbuild lock`"),
        (&hash, &"0".repeat(64), "is not the one in flashbuild.lock"),
    ] {
        assert!(text.contains(from), "{text}");
        fs::write(&path, text.replace(from, to)).unwrap();
        let run = build(&work, &config, &arguments).store("other").exits_with(1);
        assert!(run.stderr.contains(words), "{words:?} is missing in:\n{}", run.stderr);
    }
}

/// Builds with the host's own archive of packages; nothing where that is out of reach.
fn with_debian(work: &Workspace, arguments: &[&str]) -> Option<Run> {
    peer("apt-get")?;
    peer("gpgv")?;
    let run = work.build(arguments).run();
    if run.code == Some(3) && run.stderr.contains("apt-get update") {
        skip(&format!("the host's archive of packages is out of reach: {}", run.stderr));
        return None;
    }
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    Some(run)
}

/// `FROM scratch` and three packages are a Python that starts.
fn python_runs(architecture: &str, emulator: Option<&str>, machine: &str) {
    if emulator.is_some_and(|emulator| peer(emulator).is_none()) {
        return;
    }
    let work = Workspace::new(
        "FROM scratch AS run\n\
         DEPS apt --no-docs python3-minimal ca-certificates busybox-static\n\
         COPY try.py /\n\
         RUN [\"python3\", \"/try.py\"]\n\
         FROM scratch\nCOPY --from=run /result /\n",
    );
    work.file(
        "try.py",
        "import hashlib, os, platform, pwd, ssl, subprocess\n\
         assert pwd.getpwuid(65534).pw_name == 'nobody'\n\
         assert open(ssl.get_default_verify_paths().openssl_capath + '/ca-certificates.crt').read()\n\
         assert subprocess.run(['/bin/busybox', 'true']).returncode == 0\n\
         assert oct(os.stat('/tmp').st_mode) == '0o41777'\n\
         open('/result', 'w').write(platform.machine())\n",
    );
    let out = format!("type=local,dest={}", work.path("out").display());
    if with_debian(&work, &["--platform", &format!("linux/{architecture}"), "-o", &out]).is_some() {
        assert_eq!(work.read("out/result"), machine);
    }
}

#[test]
fn python_runs_from_nothing_on_amd64() {
    python_runs("amd64", (std::env::consts::ARCH != "x86_64").then_some("qemu-x86_64-static"), "x86_64");
}

#[test]
fn python_runs_from_nothing_on_arm64() {
    python_runs("arm64", (std::env::consts::ARCH != "aarch64").then_some("qemu-aarch64-static"), "aarch64");
}

#[test]
fn python_runs_from_nothing_on_s390x() {
    python_runs("s390x", (std::env::consts::ARCH != "s390x").then_some("qemu-s390x-static"), "s390x");
}

#[test]
fn the_example_is_made_for_three_platforms_without_running_anything() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/apt-python");
    let work = Workspace::new(&fs::read_to_string(example.join("Dockerfile")).unwrap());
    work.file("app/greeter.py", fs::read(example.join("app/greeter.py")).unwrap());
    let arguments = ["--platform", "linux/amd64,linux/arm64,linux/s390x", "-t", "greeter"];
    let Some(made) = with_debian(&work, &arguments) else { return };
    let steps: Vec<_> = made.vertices().map(|(name, _)| name).collect();
    assert!(
        steps.len() > 60 && steps.iter().all(|name| name.contains("DEPS apt") || name.contains("COPY")),
        "{steps:?}"
    );
}

/// With programs of root's, hard links, alternatives, certificates, files in both halves of merged `/usr`.
const MANY: &str = "\
python3 bash coreutils dash sed grep gawk mawk tar gzip xz-utils zstd bzip2 less tzdata procps util-linux passwd login \
base-passwd libc-bin hostname debianutils diffutils findutils curl ca-certificates libblas3 netbase perl-base busybox-static";

/// Compares with what dpkg unpacks of the same files, path by path.
fn same_as_dpkg(architecture: &str) {
    if !is_root() {
        return skip("only root can give files to others");
    }
    if peer("dpkg-deb").is_none() {
        return;
    }
    let work = Workspace::new(&format!("FROM scratch\nDEPS apt {MANY}\n"));
    let out = format!("type=local,dest={}", work.path("out").display());
    if with_debian(&work, &["--platform", &format!("linux/{architecture}"), "-o", &out]).is_none() {
        return;
    }
    let root = work.path("dpkg");
    for name in ["bin", "lib", "lib64", "sbin"] {
        fs::create_dir_all(root.join("usr").join(name)).unwrap();
        std::os::unix::fs::symlink(format!("usr/{name}"), root.join(name)).unwrap();
    }
    let packages = planned(&work);
    assert!(packages.len() >= 40, "{}", packages.len());
    for (name, file) in &packages {
        dpkg_unpack(file, &root);
        assert!(work.path("out/var/lib/dpkg/status.d").join(name).is_file(), "scanners do not see {name}");
    }
    let (expected, ours) = (tree_report(&root), tree_report(&work.path("out")));
    let path = |line: &str| line.split(' ').nth(3).unwrap().to_owned();
    let missing: Vec<_> = expected.iter().filter(|line| !ours.contains(line) && !is_made(&path(line))).collect();
    assert!(missing.is_empty(), "{missing:#?}");
    let more: Vec<_> = ours.iter().filter(|line| !expected.contains(line) && !is_made(&path(line))).collect();
    let more: Vec<_> = more.iter().filter(|line| !line.contains(" -> /etc/alternatives/")).collect();
    assert!(more.is_empty(), "{more:#?}");
}

/// Whether a path is what scripts would have made, or the layer below all packages.
fn is_made(path: &str) -> bool {
    const FOLDERS: [&str; 6] = [
        "/var/lib/dpkg/alternatives",
        "/etc/alternatives",
        "/etc/ssl/certs/",
        "/usr/local",
        "/usr/lib64",
        "/var/lib/dpkg/status.d",
    ];
    const PATHS: [&str; 21] = [
        "/etc/ca-certificates.conf",
        "/etc/dpkg/origins/default",
        "/etc/group",
        "/etc/ld.so.cache",
        "/etc/motd",
        "/etc/nsswitch.conf",
        "/etc/opt",
        "/etc/passwd",
        "/etc/profile",
        "/lib64",
        "/media",
        "/mnt",
        "/opt",
        "/root/.bashrc",
        "/root/.profile",
        "/run/lock",
        "/srv",
        "/var/lock",
        "/var/opt",
        "/var/run",
        "/var/lib/dpkg",
    ];
    PATHS.contains(&path) || FOLDERS.iter().any(|folder| path.starts_with(folder))
}

/// The packages that the build took, and their files in the store.
fn planned(work: &Workspace) -> Vec<(String, PathBuf)> {
    let root = work.path("store/apt").join(&names(&work.path("store/apt"))[0]);
    let plan = names(&root).into_iter().find(|name| name.starts_with("plan-")).unwrap();
    let plan: Vec<serde_json::Value> = serde_json::from_slice(&fs::read(root.join(plan)).unwrap()).unwrap();
    let of_deb = |deb: &serde_json::Value| {
        let hash = deb["hash"].as_str().unwrap().strip_prefix("sha256:").unwrap();
        let file = work.path("store/blobs/sha256").join(&hash[..2]).join(hash);
        (deb["name"].as_str().unwrap().to_owned(), file)
    };
    plan.iter().map(of_deb).collect()
}

#[test]
fn forty_packages_are_what_dpkg_makes_of_them_on_amd64() {
    same_as_dpkg("amd64");
}

#[test]
fn forty_packages_are_what_dpkg_makes_of_them_on_s390x() {
    same_as_dpkg("s390x");
}
