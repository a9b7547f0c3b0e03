//! `DEPS apt --configure`: dpkg runs the scripts of packages that were unpacked as layers.
//!
//! The system below is made of the host's own archive of packages, and kept in a store that stays between runs; the packages
//! whose scripts are looked at come from an archive of the test's own, so that they run each time.

use crate::harness::{DEBIAN_STORE, DebianArchive, Invocation, Workspace, peer, skip, tree_report, with_debian};
use flashbuild::{image::Digest, solver::event::Outcome};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Packages with scripts that make users, certificates, alternatives and bytecode.
const SYSTEM: &str = "FROM scratch\nDEPS apt --configure ca-certificates openssh-client python3-minimal nginx-light\n";

/// The system, in the store that stays, as the image `system`; nothing if the host has no archive.
pub(crate) fn system() -> Option<()> {
    let work = Workspace::new("FROM scratch\nDEPS apt --no-docs --configure adduser\n");
    with_debian(&work.build(&["--root", DEBIAN_STORE, "-t", "system"]))?;
    Some(())
}

/// `flashbuild build` on a host that knows only `archive`, in the store with the system.
fn build<'a>(work: &'a Workspace, archive: &DebianArchive, arguments: &[&str]) -> Invocation<'a> {
    let arguments = [&["--root", DEBIAN_STORE], arguments].concat();
    work.build(&arguments).variable("APT_CONFIG", archive.apt_config())
}

/// What is in one tree and not in the other, but for `deliberate` beginnings of paths.
fn differences(ours: &[String], theirs: &[String], deliberate: &[&str]) -> Vec<String> {
    let counts = |line: &&String| {
        let path = line.split(' ').nth(3).unwrap();
        !deliberate.iter().any(|beginning| path.starts_with(beginning))
    };
    let (ours, theirs): (BTreeSet<_>, BTreeSet<_>) =
        (ours.iter().filter(counts).collect(), theirs.iter().filter(counts).collect());
    let only_theirs = theirs.difference(&ours).map(|line| format!("theirs: {line}"));
    only_theirs.chain(ours.difference(&theirs).map(|line| format!("ours:   {line}"))).collect()
}

/// Of the moment, and so in no layer of ours.
const OF_THE_MOMENT: [&str; 15] = [
    "/etc/.pwd.lock",
    "/etc/group-",
    "/etc/gshadow-",
    "/etc/passwd-",
    "/etc/shadow-",
    "/var/cache/debconf/config.dat-old",
    "/var/cache/debconf/templates.dat-old",
    "/var/cache/ldconfig/aux-cache",
    "/var/lib/dpkg/diversions-old",
    "/var/lib/dpkg/lock",
    "/var/lib/dpkg/status-old",
    "/var/lib/dpkg/triggers/Lock",
    "/var/log/alternatives.log",
    "/var/log/dpkg.log",
    "/run/adduser",
];

#[test]
fn a_system_from_nothing_is_the_one_that_mmdebstrap_makes() {
    /// What only mmdebstrap brings: apt, devices, and files about this machine.
    const OF_MMDEBSTRAP: [&str; 10] = [
        "/dev/",
        "/etc/apt",
        "/etc/dpkg/dpkg.cfg.d/99mmdebstrap",
        "/etc/fstab",
        "/etc/hostname",
        "/etc/resolv.conf",
        "/var/cache/apt",
        "/var/lib/apt",
        "/var/lib/dpkg/arch",
        "/var/log/apt",
    ];
    // Bytecode notes the time of its source, and the time of all files in our layers is the same.
    const BYTECODE: &str = "/usr/share/python3/debpython/__pycache__/";
    let work = Workspace::new(SYSTEM);
    let out = format!("type=local,dest={}", work.path("out").display());
    let Some(_) = with_debian(&work.build(&["--root", DEBIAN_STORE, "-o", &out])) else { return };
    let status = work.read("out/var/lib/dpkg/status");
    let found: BTreeSet<&str> = status.lines().filter(|line| line.starts_with("Status: ")).collect();
    assert_eq!(found, BTreeSet::from(["Status: install ok installed"]));
    assert!(!work.path("out/var/lib/dpkg/status.d").exists() && !work.path("out/usr/sbin/policy-rc.d").exists());
    let Some(theirs) = mmdebstrap(&installed(&status)) else { return };
    let deliberate = [&OF_THE_MOMENT[..], &OF_MMDEBSTRAP, &[BYTECODE]].concat();
    let report = tree_report(&work.path("out"));
    let found = differences(&report, &theirs, &deliberate);
    // The same lines in the order of names.
    let is_list = |line: &String| line.contains(" /var/lib/dpkg/info/") && line.contains(".list ");
    let others: Vec<&String> = found.iter().filter(|line| !is_list(line)).collect();
    assert_eq!(others, Vec::<&String>::new());
}

/// `NAME=VERSION` of all packages in a status file.
fn installed(status: &str) -> Vec<String> {
    let field = |paragraph: &str, name: &str| {
        let line = paragraph.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.unwrap_or_else(|| panic!("{name} is missing in {paragraph}")).to_owned()
    };
    let paragraphs = status.split("\n\n").filter(|paragraph| !paragraph.trim().is_empty());
    paragraphs.map(|paragraph| format!("{}={}", field(paragraph, "Package"), field(paragraph, "Version"))).collect()
}

/// The tree that mmdebstrap makes of these packages, which is kept: it takes most of a minute.
fn mmdebstrap(packages: &[String]) -> Option<Vec<String>> {
    let list = packages.join(",");
    let kept =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("mmdebstrap-{}", &Digest::of(list.as_bytes()).hex()[..16]));
    if let Ok(report) = fs::read_to_string(&kept) {
        return Some(report.lines().map(str::to_owned).collect());
    }
    let mut mmdebstrap = peer("mmdebstrap")?;
    let sources = Command::new("apt-get")
        .args(["indextargets", "--format", "$(SOURCESENTRY)", "Created-By: Packages", "Origin: Debian"])
        .output()
        .ok()?;
    let sources = String::from_utf8(sources.stdout).unwrap();
    // Each ends in the number of its line.
    let sources: BTreeSet<&str> =
        sources.lines().map(|line| line.trim_end_matches(|c: char| c.is_ascii_digit() || c == ':')).collect();
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    let merged = "for dir in bin lib lib64 sbin; do mkdir -p \"$1/usr/$dir\" && ln -s \"usr/$dir\" \"$1/$dir\"; done";
    let output = mmdebstrap
        .args(["--mode=root", "--variant=custom", "--dpkgopt=force-unsafe-io", "--setup-hook", merged])
        .arg(format!("--include={list}"))
        .arg("stable")
        .arg(&root)
        .args(sources)
        .env("SOURCE_DATE_EPOCH", "315532800")
        .output()
        .unwrap();
    if !output.status.success() {
        skip(&format!("mmdebstrap does not work here: {}", String::from_utf8_lossy(&output.stderr)));
        return None;
    }
    let report = tree_report(&root);
    fs::write(&kept, report.join("\n")).unwrap();
    Some(report)
}

const SERVICE: &str = "#!/bin/sh
set -e
[ \"$1\" = configure ] && [ -z \"$2\" ]
adduser --system --group --no-create-home --quiet serviced
update-alternatives --install /usr/bin/serve serve /usr/bin/service-one 20
ln -s /usr/sbin/nothing /etc/init.d/service-link
# policy-rc.d(8) is asked, and says no.
if /usr/sbin/policy-rc.d service start; then echo started > /var/lib/service-started; fi
start-stop-daemon --start --exec /bin/true
env | grep '^DPKG_MAINTSCRIPT\\|^DEBIAN_FRONTEND' | sort > /var/lib/service-environment
";

/// Packages with a script of each kind.
fn archive() -> Option<DebianArchive> {
    let mut archive = DebianArchive::new(&["amd64"])?;
    let watches = "#!/bin/sh\n[ \"$1\" != triggered ] || { echo \"$2\"; ls /usr/share/watched; } > /var/lib/watched\n";
    archive.add(
        "watcher",
        "1",
        "all",
        "xz",
        "",
        &[("DEBIAN/postinst", watches), ("DEBIAN/triggers", "interest-noawait /usr/share/watched\n")],
    );
    archive.add(
        "helper",
        "1",
        "amd64",
        "xz",
        "Multi-Arch: same\n",
        &[
            ("DEBIAN/postinst", "#!/bin/sh\nset -e\n[ \"$1\" != configure ] || echo ready > /var/lib/helper\n"),
            ("usr/lib/helper", "1\n"),
        ],
    );
    let before = "#!/bin/sh\nset -e\n[ \"$1\" = install ] && [ -z \"$2\" ]\ncat /var/lib/helper > /var/lib/service-before\n\
                  echo \"$DPKG_MAINTSCRIPT_NAME of $DPKG_MAINTSCRIPT_PACKAGE\" >> /var/lib/service-before\n\
                  env | grep '^DPKG_MAINT\\|^DPKG_[AR]' | sort > /var/lib/service-before-environment\n";
    archive.add(
        "service",
        "1:2.0-1",
        "amd64",
        "xz",
        "Pre-Depends: helper\n",
        &[
            ("DEBIAN/preinst", before),
            ("DEBIAN/postinst", SERVICE),
            ("DEBIAN/conffiles", "/etc/service.conf\n"),
            ("etc/service.conf", "port = 1\n"),
            ("usr/bin/service-one", "#!/bin/sh\n"),
            ("usr/share/watched/service", "1\n"),
        ],
    );
    let asks = "#!/bin/sh\nset -e\n. /usr/share/debconf/confmodule\ndb_input high asks/colour || true\ndb_go || true\n";
    let answered =
        "#!/bin/sh\nset -e\n. /usr/share/debconf/confmodule\ndb_get asks/colour\necho \"$RET\" > /etc/colour\n";
    archive.add(
        "asks",
        "1",
        "all",
        "xz",
        "Depends: debconf, service\n",
        &[
            ("DEBIAN/config", asks),
            ("DEBIAN/postinst", answered),
            ("DEBIAN/templates", "Template: asks/colour\nType: string\nDefault: green\nDescription: Which colour?\n"),
        ],
    );
    archive.publish();
    Some(archive)
}

/// Copies the packages of an archive into the context.
fn bring_packages(work: &Workspace, archive: &DebianArchive) {
    for entry in fs::read_dir(archive.path("archive/pool")).unwrap() {
        let path: PathBuf = entry.unwrap().path();
        work.file(&format!("pool/{}", path.file_name().unwrap().to_str().unwrap()), fs::read(&path).unwrap());
    }
}

/// On the same system: once as layers that are then configured, once by dpkg alone, which starts no service either.
const BESIDE_DPKG: &str = r"
FROM system AS ours
DEPS apt --configure watcher
DEPS apt --configure asks

FROM system AS theirs
ENV DEBIAN_FRONTEND=noninteractive DEBCONF_NONINTERACTIVE_SEEN=true LC_ALL=C.UTF-8 PERL_HASH_SEED=0 SOURCE_DATE_EPOCH=315532800
RUN --mount=type=bind,source=pool,target=/pool --mount=type=tmpfs,target=/tmp <<EOF
set -e
printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
dpkg --install /pool/watcher_*.deb
dpkg --install /pool/helper_*.deb
dpkg --install /pool/service_*.deb /pool/asks_*.deb
rm /usr/sbin/policy-rc.d
EOF
";

#[test]
fn packages_are_installed_as_dpkg_installs_them() {
    let (Some(()), Some(archive)) = (system(), archive()) else { return };
    let work = Workspace::new(BESIDE_DPKG);
    bring_packages(&work, &archive);
    let tree = |target: &str| {
        let dest = format!("type=local,dest={}", work.path(target).display());
        build(&work, &archive, &["--target", target, "-o", &dest]).succeeds();
        tree_report(&work.path(target))
    };
    let ours = tree("ours");
    assert_eq!(differences(&ours, &tree("theirs"), &OF_THE_MOMENT), Vec::<String>::new());
    let read = |name: &str| work.read(&format!("ours/{name}"));
    assert_eq!(read("var/lib/service-before"), "ready\npreinst of service\n");
    assert_eq!(read("etc/colour"), "green\n");
    assert_eq!(read("var/lib/watched"), "/usr/share/watched\nservice\n");
    assert_eq!(
        read("var/lib/service-environment"),
        "DEBIAN_FRONTEND=noninteractive\nDPKG_MAINTSCRIPT_ARCH=amd64\nDPKG_MAINTSCRIPT_DEBUG=0\nDPKG_MAINTSCRIPT_NAME=postinst\n\
         DPKG_MAINTSCRIPT_PACKAGE=service\nDPKG_MAINTSCRIPT_PACKAGE_REFCOUNT=1\n"
    );
    assert!(read("etc/passwd").contains("\nserviced:x:"));
    assert!(!work.path("ours/var/lib/service-started").exists());

    // The same again comes out the same.
    let image = |arguments: &[&str]| {
        build(&work, &archive, &[&["--target", "ours", "-t", "configured"], arguments].concat()).succeeds()
    };
    let first = image(&[]);
    let second = image(&["--no-cache-filter", "ours"]);
    let scripts = |name: &str| name.ends_with("DEPS apt --configure asks: scripts of 3 packages");
    let outcomes: Vec<&Outcome> =
        second.vertices().filter(|(name, _)| scripts(name)).map(|(_, outcome)| outcome).collect();
    assert_eq!(outcomes, [&Outcome::Ran]);
    assert_eq!(first.digest(), second.digest());
}

#[test]
fn a_script_that_fails_is_named() {
    let (Some(()), Some(mut archive)) = (system(), DebianArchive::new(&["amd64"])) else { return };
    let fails = "#!/bin/sh\necho no such luck >&2\nexit 3\n";
    archive.add("unlucky", "1", "all", "xz", "", &[("DEBIAN/postinst", fails)]);
    archive.add("early", "1", "all", "xz", "", &[("DEBIAN/preinst", fails)]);
    archive.publish();
    for (package, words) in
        [("unlucky", "error processing package unlucky"), ("early", "the preinst script of early failed")]
    {
        let work = Workspace::new(&format!("FROM system\nDEPS apt --configure {package}\n"));
        let run = build(&work, &archive, &["--progress", "plain"]).exits_with(1);
        for words in ["no such luck", words, &format!("DEPS apt --configure {package}")] {
            assert!(run.stderr.contains(words), "{words:?} is missing in:\n{}", run.stderr);
        }
    }
}

#[test]
fn a_new_version_is_an_upgrade_and_its_layers_are_those_that_are_always_unpacked() {
    let (Some(()), Some(mut archive)) = (system(), DebianArchive::new(&["amd64"])) else { return };
    let notes = |name: &str| format!("#!/bin/sh\necho \"{name} $@\" >> /var/lib/notes\n");
    let (before, after) = (notes("preinst"), notes("postinst"));
    for version in ["1", "2"] {
        let files = [("DEBIAN/preinst", &*before), ("DEBIAN/postinst", &*after), ("usr/share/newer", version)];
        archive.add("newer", version, "all", "xz", "", &files);
    }
    archive.publish();
    let work = Workspace::new(
        "FROM system\nDEPS apt --configure newer=1\nDEPS apt --configure newer=2\nDEPS apt --configure newer=2\n",
    );
    let out = format!("type=local,dest={}", work.path("out").display());
    build(&work, &archive, &["-o", &out]).succeeds();
    let expected = "preinst install\npostinst configure \npreinst upgrade 1 2\npostinst configure 1\n";
    assert_eq!(work.read("out/var/lib/notes"), expected);
    assert_eq!(work.read("out/usr/share/newer"), "2");
    let status = work.read("out/var/lib/dpkg/status");
    assert!(
        status.contains("Package: newer\nStatus: install ok installed\n")
            && status.matches("Package: newer\n").count() == 1
    );

    work.file("Dockerfile", "FROM system\nDEPS apt newer=2\n");
    let plain = build(&work, &archive, &[]).succeeds();
    assert!(matches!(plain.outcomes("DEPS apt newer 2")[..], [Outcome::Cached(_)]), "{plain:?}");
}

#[test]
fn a_root_without_dpkg_is_told_from_one_that_has_it() {
    let Some(mut archive) = DebianArchive::new(&["amd64"]) else { return };
    archive.add("base-files", "1", "all", "xz", "", &[("etc/issue", "x\n")]);
    archive.add("plain", "1", "all", "xz", "", &[("usr/share/plain", "x\n")]);
    archive.publish();
    for dockerfile in
        ["FROM scratch\nDEPS apt --configure plain\n", "FROM scratch\nDEPS apt plain\nDEPS apt --configure plain\n"]
    {
        let work = Workspace::new(dockerfile);
        let run = work.build(&["--progress", "plain"]).variable("APT_CONFIG", archive.apt_config()).exits_with(1);
        for words in ["there is no sh in the image", "needs a Debian system below it", "DEPS apt --configure plain"] {
            assert!(run.stderr.contains(words), "{words:?} is missing in:\n{}", run.stderr);
        }
    }
}

#[test]
fn scripts_of_another_machine_are_emulated_and_that_is_said() {
    /// As [`crate::emulated_packages`] has it, and so in the store.
    const FOREIGN: &str = "FROM scratch\nDEPS apt --no-docs apt base-files base-passwd coreutils dash debianutils diffutils \
                           dpkg findutils grep gzip libc-bin mawk perl-base sed tar\n";
    let (arch, machine, emulator) = match std::env::consts::ARCH {
        "aarch64" => ("amd64", "x86_64", "qemu-x86_64-static"),
        _ => ("arm64", "aarch64", "qemu-aarch64-static"),
    };
    if peer(emulator).is_none() {
        return;
    }
    let Some(mut archive) = DebianArchive::new(&[arch]) else { return };
    let script = "#!/bin/sh\nset -e\n[ \"$1\" = configure ]\nuname -m > /etc/machine\n";
    archive.add("machine", "1", arch, "xz", "", &[("DEBIAN/postinst", script)]);
    archive.publish();
    let platform = format!("linux/{arch}");
    let work = Workspace::new(FOREIGN);
    let base = work.build(&["--root", DEBIAN_STORE, "--platform", &platform, "-t", "foreign"]);
    if with_debian(&base).is_none() {
        return;
    }
    work.file("Dockerfile", "FROM foreign\nDEPS apt --configure machine\n");
    let out = format!("type=local,dest={}", work.path("out").display());
    let run = build(&work, &archive, &["--platform", &platform, "--no-cache", "-o", &out]).succeeds();
    assert_eq!(work.read("out/etc/machine"), format!("{machine}\n"));
    let steps = run.metadata()["flashbuild.steps"].as_array().unwrap();
    let emulated: Vec<&str> =
        steps.iter().filter(|step| step.get("emulated").is_some()).map(|step| step["name"].as_str().unwrap()).collect();
    assert_eq!(emulated.len(), 1, "{steps:?}");
    assert!(emulated[0].contains("DEPS apt --configure machine: scripts of 1 package"), "{emulated:?}");
    assert!(run.raw.contains(&format!("1 step for {arch} ran emulated")), "{}", run.raw);
}
