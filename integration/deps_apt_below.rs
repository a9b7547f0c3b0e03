//! `DEPS apt` on something that has packages already: only what is missing comes, and what is too old is replaced.

use crate::{
    deps_apt::{archive, build, names},
    deps_apt_configure::system,
    harness::{BUSYBOX, DEBIAN_STORE, DebianArchive, Run, Workspace, native_platform, peer, with_debian},
};
use flashbuild::solver::event::{Hit, Outcome};
use std::{collections::BTreeSet, fs, path::Path};

const AMD64: [&str; 2] = ["--platform", "linux/amd64"];

/// The names of the packages that the image has layers of, sorted.
fn brought(run: &Run) -> Vec<String> {
    let titles = run.vertices().filter_map(|(name, _)| Some(name.split_once("DEPS apt ")?.1.to_owned()));
    let named: BTreeSet<String> = titles
        .filter(|title| !title.starts_with('/'))
        .flat_map(|title| title.split(", ").map(|it| it.split(' ').next().unwrap().to_owned()).collect::<Vec<_>>())
        .collect();
    named.into_iter().collect()
}

/// The tree of an image that dpkg keeps, with two packages, one of them old, whose files are partly somebody's own.
fn of_dpkg(work: &Workspace) {
    let status = "Package: libgreeting\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2\nDescription: old\n\n\
                  Package: kept\nStatus: install ok installed\nArchitecture: all\nVersion: 1\nProvides: nothing-much\n\
                  Description: kept\n\n\
                  Package: greeting-data\nStatus: deinstall ok config-files\nArchitecture: all\nVersion: 1\n";
    let list = "/.\n/lib\n/lib/libgreeting.so.2\n/lib/libgreeting.so.3\n/etc\n/etc/greeting\n/usr/share/folder\n";
    work.file("system/var/lib/dpkg/status", status)
        .file("system/var/lib/dpkg/info/libgreeting.list", list)
        .file("system/var/lib/dpkg/info/libgreeting.postinst", "#!/bin/sh\n")
        .file("system/var/lib/dpkg/info/kept.list", "/usr/share/kept\n")
        .file("system/usr/lib/libgreeting.so.2", "old")
        .file("system/usr/lib/libgreeting.so.3", "older than its name")
        .file("system/etc/greeting", "own")
        .file("system/usr/share/target/x", "x")
        .file("system/usr/share/kept", "kept");
    std::os::unix::fs::symlink("usr/lib", work.path("context/system/lib")).unwrap();
    std::os::unix::fs::symlink("target", work.path("context/system/usr/share/folder")).unwrap();
    work.file("base.Dockerfile", "FROM scratch\nCOPY system /\n");
}

/// Builds the image `base` of `base.Dockerfile`.
fn base(work: &Workspace, config: &str) {
    let file = work.path("context/base.Dockerfile").display().to_string();
    let arguments = [&AMD64[..], &["-f", &file, "-t", "base"]].concat();
    build(work, config, &arguments).succeeds();
}

#[test]
fn only_what_is_missing_comes_and_apt_is_asked_again_only_if_that_changes() {
    let Some(archive) = archive(&["amd64"]) else { return };
    let config = archive.apt_config();
    let work = Workspace::new("FROM base\nDEPS apt greeting\n");
    work.file("base.Dockerfile", "FROM scratch\nDEPS apt libgreeting\n").file("more", "more");
    base(&work, &config);
    let out = format!("type=local,dest={}", work.path("out").display());
    let arguments = [&AMD64[..], &["-o", &out]].concat();
    let first = build(&work, &config, &arguments).succeeds();
    assert_eq!(brought(&first), ["greeting", "greeting-data"]);
    let known = ["base-files", "greeting", "greeting-data", "greeting.md5sums", "libgreeting"];
    assert_eq!(names(&work.path("out/var/lib/dpkg/status.d")), known);

    // The same in one file, and after other steps: what is below is what counts, not where it is from.
    fs::rename(archive.path("archive"), archive.path("away")).unwrap();
    work.file("Dockerfile", "FROM base AS more\nCOPY more /\nFROM more\nDEPS apt greeting\n");
    let again = build(&work, &config, &arguments).succeeds();
    let outcomes: Vec<_> = ["greeting 1", "greeting-data 1"].iter().flat_map(|name| again.outcomes(name)).collect();
    assert_eq!(outcomes, [&Outcome::Cached(Hit::Definition); 2]);

    // Other packages below are another question.
    work.file("extra", "Package: greeting-data\nVersion: 1\nArchitecture: all\n");
    let other = "FROM base AS more\nCOPY extra /var/lib/dpkg/status.d/greeting-data\nFROM more\nDEPS apt greeting\n";
    work.file("Dockerfile", other);
    let run = build(&work, &config, &arguments).exits_with(3);
    assert!(run.stderr.contains("apt-get update"), "{}", run.stderr);
    fs::rename(archive.path("away"), archive.path("archive")).unwrap();
    assert_eq!(brought(&build(&work, &config, &arguments).succeeds()), ["greeting"]);

    work.file("Dockerfile", "FROM base\nDEPS apt greeting\nDEPS apt greeting-data libgreeting\n");
    let nothing = build(&work, &config, &arguments).succeeds();
    assert!(nothing.raw.contains("DEPS apt greeting-data libgreeting brings nothing"), "{}", nothing.raw);
}

#[test]
fn steps_below_run_once_wherever_they_are_known_from() {
    let architecture = native_platform().trim_start_matches("linux/");
    let Some(archive) = archive(&[architecture]) else { return };
    let config = archive.apt_config();
    let noted = format!("Package: libgreeting\\nVersion: 3\\nArchitecture: {architecture}\\n");
    let status = "/var/lib/dpkg/status.d";
    let step = format!("RUN mkdir -p {status} && printf '{noted}' >{status}/libgreeting\n");
    let dockerfile = format!("FROM base\n{step}DEPS apt greeting\nRUN true\nDEPS apt greeting-data\n");
    let Some(work) = Workspace::with_busybox(&[native_platform()], &dockerfile) else { return };
    work.file("base.Dockerfile", format!("{BUSYBOX}RUN true\n"));
    let prepare = |store: &str| {
        let file = work.path("context/base.Dockerfile").display().to_string();
        work.build(&["-f", &file, "-t", "base"]).store(store).succeeds();
    };
    let ran =
        |run: &Run| run.vertices().filter(|(name, outcome)| name.contains("RUN ") && **outcome == Outcome::Ran).count();
    prepare("store");
    let first = build(&work, &config, &["--cache-to", "type=local,dest=../cache,mode=max"]).succeeds();
    assert_eq!((brought(&first), ran(&first)), (vec!["greeting".to_owned(), "greeting-data".to_owned()], 2));
    let anew = build(&work, &config, &["--no-cache"]).succeeds();
    assert_eq!(ran(&anew), 2);
    prepare("elsewhere");
    let elsewhere = build(&work, &config, &["--cache-from", "type=local,src=../cache"]).store("elsewhere").succeeds();
    assert_eq!((elsewhere.digest(), ran(&elsewhere)), (first.digest(), 0));
}

#[test]
fn what_is_too_old_is_replaced_with_its_files_and_its_notes() {
    let Some(mut archive) = DebianArchive::new(&["amd64"]) else { return };
    let copyright = ("usr/share/doc/libgreeting/copyright", "free\n");
    archive.add("libgreeting", "3", "amd64", "xz", "", &[("lib/libgreeting.so.3", "new"), copyright]);
    archive.add(
        "caller",
        "1",
        "amd64",
        "xz",
        "Depends: libgreeting (>= 3), nothing-much\n",
        &[("usr/bin/caller", "x")],
    );
    archive.publish();
    let config = archive.apt_config();
    let work = Workspace::new("FROM base\nDEPS apt caller\n");
    of_dpkg(&work);
    base(&work, &config);
    let out = format!("type=local,dest={}", work.path("out").display());
    let run = build(&work, &config, &[&AMD64[..], &["-o", &out]].concat()).succeeds();
    assert_eq!(run.outcomes("DEPS apt libgreeting 3"), [&Outcome::Ran]);
    assert_eq!(names(&work.path("out/usr/lib")), ["libgreeting.so.3"]);
    assert_eq!(work.read("out/usr/lib/libgreeting.so.3"), "new");
    assert_eq!((work.read("out/etc/greeting"), work.read("out/usr/share/kept")), ("own".into(), "kept".into()));
    assert!(work.path("out/lib").is_symlink() && work.path("out/usr/share/folder").is_symlink());
    // Each is known once: dpkg's packages to dpkg, what was unpacked beside it.
    assert_eq!(names(&work.path("out/var/lib/dpkg/status.d")), ["caller"]);
    let info = names(&work.path("out/var/lib/dpkg/info"));
    assert_eq!(info, ["kept.list", "libgreeting.list", "libgreeting.md5sums"]);
    let status = work.read("out/var/lib/dpkg/status");
    assert_eq!(status.matches("Package: libgreeting\n").count(), 1, "{status}");
    if let Some(mut dpkg) = peer("dpkg-query") {
        let admin = format!("--admindir={}", work.path("out/var/lib/dpkg").display());
        let said = dpkg
            .args([&admin, "--show", "--showformat", "${db:Status-Abbrev}${Package} ${Version}\n"])
            .output()
            .unwrap();
        let said = String::from_utf8(said.stdout).unwrap();
        assert_eq!(said, "rc greeting-data 1\nii kept 1\nii libgreeting 3\n");
    }

    // The package's own layer is that of every project.
    work.file("Dockerfile", "FROM scratch AS none\nCOPY system/usr/share/kept /\nFROM base\nDEPS apt libgreeting\n");
    let other = build(&work, &config, &AMD64).succeeds();
    assert_eq!(other.outcomes("DEPS apt libgreeting 3"), [&Outcome::Cached(Hit::Definition)]);
}

#[test]
fn what_was_unpacked_in_an_older_version_is_replaced() {
    let Some(mut archive) = DebianArchive::new(&["amd64"]) else { return };
    for version in ["1", "2"] {
        let file = format!("usr/share/tool/v{version}");
        let sums = format!("0  {file}\n0  usr/share/tool/same\n");
        let files = [(&*file, version), ("usr/share/tool/same", version), ("DEBIAN/md5sums", &*sums)];
        archive.add("tool", version, "all", "xz", "", &files);
    }
    archive.add("base-files", "1", "all", "xz", "", &[("etc/issue", "x\n")]);
    archive.publish();
    let work = Workspace::new("FROM scratch\nDEPS apt tool=1\nDEPS apt tool\n");
    let out = format!("type=local,dest={}", work.path("out").display());
    build(&work, &archive.apt_config(), &[&AMD64[..], &["-o", &out]].concat()).succeeds();
    assert_eq!(names(&work.path("out/usr/share/tool")), ["same", "v2"]);
    assert_eq!(work.read("out/usr/share/tool/same"), "2");
    assert_eq!(names(&work.path("out/var/lib/dpkg/status.d")), ["base-files", "tool", "tool.md5sums"]);
    assert!(work.read("out/var/lib/dpkg/status.d/tool").contains("Version: 2\n"));
}

#[test]
fn nothing_is_removed_for_a_package() {
    let Some(mut archive) = DebianArchive::new(&["amd64"]) else { return };
    archive.add("rival", "1", "all", "xz", "Conflicts: kept\n", &[("usr/bin/rival", "x")]);
    archive.publish();
    let work = Workspace::new("FROM base\nDEPS apt rival\n");
    of_dpkg(&work);
    base(&work, &archive.apt_config());
    let run = build(&work, &archive.apt_config(), &AMD64).exits_with(1);
    assert!(run.stderr.contains("Packages need to be removed"), "{}", run.stderr);
}

#[test]
fn a_lock_says_on_what_it_counts() {
    let Some(archive) = archive(&["amd64"]) else { return };
    let config = archive.apt_config();
    let work = Workspace::new("FROM base\nDEPS apt greeting\n");
    work.file("base.Dockerfile", "FROM scratch\nDEPS apt libgreeting\n").file("empty", "");
    base(&work, &config);
    let lock = work.flashbuild("lock", &[&AMD64[..], &["."]].concat()).variable("APT_CONFIG", &config);
    assert_eq!(lock.succeeds().stdout, "./flashbuild.lock: 2 packages\n");
    let text = work.read("context/flashbuild.lock");
    assert!(text.contains("\"below\": [\n        \"libgreeting\"\n      ]"), "{text}");
    let refused = |dockerfile: &str, words: &str| {
        work.file("base.Dockerfile", dockerfile);
        base(&work, &config);
        let run = build(&work, &config, &AMD64).exits_with(1);
        assert!(run.stderr.contains(words), "{words:?} is missing in:\n{}", run.stderr);
    };
    assert_eq!(brought(&build(&work, &config, &AMD64).succeeds()), ["greeting", "greeting-data"]);

    // One of them came to be below: it does not come again.
    work.file("base.Dockerfile", "FROM scratch\nDEPS apt libgreeting greeting-data\n");
    base(&work, &config);
    assert_eq!(brought(&build(&work, &config, &AMD64).succeeds()), ["greeting"]);
    work.file("newer", "Package: greeting-data\nVersion: 2\nArchitecture: all\n");
    let newer = "FROM scratch\nDEPS apt libgreeting\nCOPY newer /var/lib/dpkg/status.d/greeting-data\n";
    refused(newer, "flashbuild.lock has greeting-data 1, and below is 2, which is newer");
    refused("FROM scratch\nCOPY empty /\n", "counts on packages below that are not there: libgreeting");
}

/// On a system that dpkg installed, of the host's own archive of packages.
#[test]
fn python_comes_to_a_debian_system_without_its_c_library() {
    let Some(()) = system() else { return };
    let work = Workspace::new(
        "FROM system\nDEPS apt --no-docs python3-minimal\nRUN python3 -c 'print(6 * 7)' >/answer && dpkg -l >/list\n",
    );
    let out = format!("type=local,dest={}", work.path("out").display());
    let Some(run) = with_debian(&work.build(&["--root", DEBIAN_STORE, "-o", &out])) else { return };
    let added = brought(&run);
    assert!(added.contains(&"python3-minimal".to_owned()) && added.len() < 8, "{added:?}");
    assert!(!added.contains(&"libc6".to_owned()), "{added:?}");
    assert_eq!(work.read("out/answer"), "42\n");
    let status = work.read("out/var/lib/dpkg/status");
    let known = status.lines().filter_map(|line| line.strip_prefix("Package: ")).map(str::to_owned);
    let apart = names(&work.path("out/var/lib/dpkg/status.d"));
    let all: Vec<String> = known.chain(apart.into_iter().filter(|name| !name.ends_with(".md5sums"))).collect();
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len(), "{all:?}");
    assert!(work.read("out/list").contains("libc6"), "dpkg does not know its packages any more");
    assert!(Path::new(&work.path("out/usr/bin/python3")).exists());
}
