//! `DEPS node`: packages of npm as layers, as npm itself would install them.

use crate::deps_python::image_of;
use crate::harness::{Asked, Layout, Web, Workspace, peer, skip, tree_report};
use flashbuild::solver::event::Outcome;
use flate2::{Compression, write::GzEncoder};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A package of a registry of the test's own.
pub(crate) struct Package {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    files: &'static [(&'static str, &'static str)],
}

impl Package {
    pub(crate) const fn new(
        name: &'static str,
        version: &'static str,
        files: &'static [(&'static str, &'static str)],
    ) -> Self {
        Self { name, version, files }
    }

    pub(crate) fn tarball(&self) -> Vec<u8> {
        let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        let manifest = format!(r#"{{"name": "{}", "version": "{}"}}"#, self.name, self.version);
        let is_given = self.files.iter().any(|(path, _)| *path == "package.json");
        let manifest = (!is_given).then_some(("package.json", manifest.as_str()));
        for (path, content) in self.files.iter().copied().chain(manifest) {
            let mut header = tar::Header::new_ustar();
            // By hand, because the library refuses names that lead elsewhere.
            let name = format!("package/{path}");
            header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
            header.set_mode(0o600);
            header.set_size(content.len() as u64);
            header.set_cksum();
            builder.append(&header, content.as_bytes()).unwrap();
        }
        builder.into_inner().unwrap().finish().unwrap()
    }

    pub(crate) fn path(&self) -> String {
        let base = self.name.rsplit('/').next().unwrap();
        format!("/{}/-/{base}-{}.tgz", self.name, self.version)
    }

    /// What a lock says of its tarball.
    pub(crate) fn integrity(&self) -> String {
        use base64::Engine as _;
        use sha2::Digest as _;
        let hash = sha2::Sha512::digest(self.tarball());
        format!("sha512-{}", base64::engine::general_purpose::STANDARD.encode(hash))
    }

    /// Its entry in a lock, at its usual place.
    pub(crate) fn entry(&self, more: &str) -> String {
        let Self { name, version, .. } = self;
        let comma = if more.is_empty() { "" } else { ", " };
        format!(
            r#""node_modules/{name}": {{"version": "{version}", "integrity": "{}"{comma}{more}}}"#,
            self.integrity()
        )
    }
}

pub(crate) fn lock(entries: &[String]) -> String {
    format!("{{\"lockfileVersion\": 3, \"packages\": {{\n{}\n}}}}\n", entries.join(",\n"))
}

pub(crate) fn registry(packages: &[&Package]) -> Web {
    let web = Web::start();
    for package in packages {
        web.file(&package.path(), &[], package.tarball());
    }
    web
}

/// What was asked for, each with its credentials.
fn served(web: &Web) -> Vec<String> {
    let authorization = |asked: &Asked| asked.headers.get("authorization").map(|value| format!(" {value}"));
    let served = web.requests().into_iter();
    let mut served: Vec<String> =
        served.map(|asked| format!("{}{}", asked.path, authorization(&asked).unwrap_or_default())).collect();
    served.sort();
    served
}

/// A workspace that builds packages of `web`, with this lock.
pub(crate) fn workspace(web: &Web, lock: &str, flags: &str) -> Workspace {
    let work = Workspace::new(&format!("FROM scratch\nDEPS node {flags} package-lock.json\n"));
    fs::write(work.path("home/.npmrc"), format!("registry={}\n", web.url("/"))).unwrap();
    work.file("package-lock.json", lock);
    work
}

const TOOL: Package =
    Package::new("@scope/tool", "1.0.0", &[("bin/tool.js", "#!/usr/bin/env node\n"), ("a/.gitignore", "x")]);
const PLAIN: Package = Package::new("plain", "1.0.0", &[("index.js", "1")]);
const NEWER: Package = Package::new("plain", "1.1.0", &[("index.js", "2")]);
const ARM: Package = Package::new("native-arm64", "1.0.0", &[("binding.node", "arm64")]);
const MUSL: Package = Package::new("native-musl", "1.0.0", &[("binding.node", "musl")]);
const GLIBC: Package = Package::new("native-glibc", "1.0.0", &[("binding.node", "glibc")]);
const X64: Package = Package::new("native-x64", "1.0.0", &[("binding.node", "x64")]);

#[test]
fn packages_lie_where_the_lock_says() {
    let web = registry(&[&TOOL, &PLAIN, &ARM, &X64]);
    let entries = [
        r#""": {"name": "app", "dependencies": {"@scope/tool": "1", "member": "*"}}"#.to_owned(),
        r#""members/one": {"name": "member", "version": "0.1.0", "bin": {"one": "one.js"}}"#.to_owned(),
        r#""node_modules/member": {"resolved": "members/one", "link": true}"#.to_owned(),
        TOOL.entry(r#""bin": {"tool": "bin/tool.js", "gone": "gone.js"}, "optionalDependencies": {"native-x64": "1", "native-arm64": "1"}"#),
        PLAIN.entry(r#""dev": true"#).replace("node_modules/plain", "members/one/node_modules/plain"),
        ARM.entry(r#""optional": true, "cpu": ["arm64"]"#),
        X64.entry(r#""optional": true, "cpu": ["x64"]"#),
    ];
    let work = workspace(&web, &lock(&entries), "--prefix=/srv");
    let out = work.path("out");
    let dest = format!("type=local,dest={}", out.display());
    work.build(&["--platform", "linux/amd64,linux/arm64", "-o", &dest]).succeeds();
    let lines = |platform: &str| {
        let report = tree_report(&out.join(platform).join("srv"));
        let line = |line: String| line.replace(" 0:0 ", " ").split(' ').take(5).collect::<Vec<_>>().join(" ");
        report.into_iter().map(line).filter(|line| !line.starts_with('d') && !line.contains("json")).collect::<Vec<_>>()
    };
    let common = [
        "f 0644 /members/one/node_modules/plain/index.js",
        "l 0777 /node_modules/.bin/one -> ../member/one.js",
        "l 0777 /node_modules/.bin/tool -> ../@scope/tool/bin/tool.js",
        "f 0644 /node_modules/@scope/tool/a/.npmignore",
        "f 0755 /node_modules/@scope/tool/bin/tool.js",
        "l 0777 /node_modules/member -> ../members/one",
    ];
    for (platform, native) in
        [("linux_amd64", "native-x64/binding.node 3"), ("linux_arm64", "native-arm64/binding.node 5")]
    {
        let found = lines(platform);
        for expected in common {
            assert!(found.iter().any(|line| line.starts_with(expected)), "{expected}\nin {found:#?}");
        }
        assert!(found.iter().any(|line| line.contains(native)), "{found:#?}");
        assert_eq!(found.len(), common.len() + 1, "{found:#?}");
    }
    work.file("Dockerfile", "FROM scratch\nDEPS node --prefix=/srv --omit=dev package-lock.json\n");
    work.build(&[
        "--platform",
        "linux/amd64,linux/arm64",
        "-o",
        &format!("type=local,dest={}", work.path("production").display()),
    ])
    .succeeds();
    assert!(!work.path("production/linux_amd64/srv/members").exists());
}

#[test]
fn a_new_version_changes_one_layer_and_fetches_one_package() {
    let web = registry(&[&TOOL, &PLAIN, &NEWER]);
    let work = workspace(&web, &lock(&[TOOL.entry(""), PLAIN.entry("")]), "");
    let layers = |image: &str| -> BTreeSet<String> {
        let folder = work.path(image);
        work.build(&["-o", &format!("type=oci,dest={},tar=false", folder.display())]).succeeds();
        let layers = Layout::verified(&folder).layers("amd64");
        layers.iter().map(|layer| layer["digest"].as_str().unwrap().to_owned()).collect()
    };
    let first = layers("first");
    assert_eq!(served(&web), [TOOL.path(), PLAIN.path()]);
    let again = work.build(&[]).succeeds();
    assert!(again.vertices().all(|(_, outcome)| matches!(outcome, Outcome::Cached(_))), "{again:?}");
    work.file("package-lock.json", lock(&[TOOL.entry(""), NEWER.entry("")]));
    let second = layers("second");
    assert_eq!(served(&web), [TOOL.path(), PLAIN.path(), NEWER.path()]);
    // The package, and npm's note of what is there.
    assert_eq!((first.len(), second.difference(&first).count()), (3, 2));
}

#[test]
fn a_comment_spells_it_for_dockerfiles_that_others_build_too() {
    let web = registry(&[&PLAIN]);
    let work = workspace(&web, &lock(&[PLAIN.entry("")]), "");
    work.file(
        "Dockerfile",
        "FROM scratch\n# deps: node --prefix=/srv package-lock.json\nRUN npm ci && npm run build\n",
    );
    let out = format!("type=local,dest={}", work.path("out").display());
    let run = work.build(&["--progress", "plain", "-o", &out]).succeeds();
    assert_eq!(work.read("out/srv/node_modules/plain/index.js"), "1");
    assert!(run.stderr.contains("RUN also runs `npm run build`, which DEPS does not"), "{}", run.stderr);
}

#[test]
fn credentials_go_to_the_registry_and_into_nothing() {
    let web = registry(&[&PLAIN]);
    let work = workspace(&web, &lock(&[PLAIN.entry("")]), "");
    let place = web.url("/").replace("http:", "");
    work.file(".npmrc", format!("{place}:_authToken=very-secret-token\n"));
    let image = work.path("image");
    let run = work.build(&["-o", &format!("type=oci,dest={},tar=false", image.display())]).succeeds();
    assert_eq!(served(&web), [format!("{} Bearer very-secret-token", PLAIN.path())]);
    assert!(!format!("{run:?}").contains("very-secret-token"));
    let found = Command::new("grep").args(["-rlz", "very-secret-token"]).arg(&image).arg(work.path("store")).output();
    assert_eq!(String::from_utf8_lossy(&found.unwrap().stdout), "");
}

#[test]
fn the_library_of_the_image_decides_and_not_its_name() {
    let web = registry(&[&MUSL, &GLIBC]);
    let entries = [
        r#""": {"name": "app", "optionalDependencies": {"native-musl": "1", "native-glibc": "1"}}"#.to_owned(),
        MUSL.entry(r#""optional": true, "libc": ["musl"]"#),
        GLIBC.entry(r#""optional": true, "libc": ["glibc"]"#),
    ];
    let work = workspace(&web, &lock(&entries), "");
    image_of(&work, "musl", &["lib/ld-musl-x86_64.so.1"]);
    image_of(&work, "glibc", &["lib/x86_64-linux-gnu/libc.so.6"]);
    for (base, flags, expected) in [
        ("musl", "", "native-musl"),
        ("glibc", "", "native-glibc"),
        ("musl", "--libc=glibc", "native-glibc"),
        ("glibc", "--libc=musl", "native-musl"),
    ] {
        // Both are called the same.
        work.file("Dockerfile", format!("FROM not-alpine\nDEPS node {flags} package-lock.json\n"));
        let context = format!("not-alpine=oci-layout://{}", work.path(format!("{base}-layout")).display());
        let out = work.path(format!("out-{base}{flags}"));
        let dest = format!("type=local,dest={}", out.display());
        work.build(&["--platform", "linux/amd64", "--build-context", &context, "-o", &dest]).succeeds();
        let found = fs::read_dir(out.join("app/node_modules")).unwrap().map(|entry| entry.unwrap().file_name());
        let found: Vec<_> = found.filter(|name| name.to_str().unwrap().starts_with("native")).collect();
        assert_eq!(found, [expected], "{base} {flags}");
    }
}

#[test]
fn what_cannot_be_trusted_is_refused_by_name() {
    const HOSTILE: Package = Package::new("hostile", "1.0.0", &[("../../etc/cron.d/x", "* * * * * root id")]);
    let web = registry(&[&PLAIN, &HOSTILE]);
    let other = NEWER.integrity();
    let cases = [
        (HOSTILE.entry(""), "hostile 1.0.0 is refused: the archive's entry \"package/../../etc/cron.d/x\" is refused"),
        (PLAIN.entry("").replace(&PLAIN.integrity(), &other), "the artifact is not the one that the lock names"),
        (PLAIN.entry(r#""resolved": "http://169.254.169.254/plain.tgz""#), "leads into a private network"),
        (PLAIN.entry(r#""resolved": "file:../plain.tgz""#), "plain 1.0.0 comes from file:../plain.tgz"),
        (
            r#""node_modules/a": {"version": "1.0.0"}, "node_modules/b": {"version": "2.0.0"}"#.to_owned(),
            "a 1.0.0 has no hash; b 2.0.0 has no hash",
        ),
        (PLAIN.entry("").replace("node_modules/plain", "node_modules/../plain"), "is no place for a package"),
        (PLAIN.entry(r#""os": ["darwin"]"#), "plain 1.0.0 cannot run on linux"),
        (PLAIN.entry("").replace(r#""1.0.0""#, r#""9.9.9""#), "404"),
    ];
    for (entry, message) in cases {
        let work = workspace(&web, &lock(&[entry]), "");
        let out = work.path("out");
        let run = work.build(&["-o", &format!("type=local,dest={}", out.display())]).exits_with(1);
        assert!(run.stderr.contains(message), "{message}\nin {}", run.stderr);
        assert!(!out.join("app").exists());
    }
}

/// A folder of `testdata/node` or `examples` as the context of a workspace.
pub(crate) fn project(work: &Workspace, folder: &str) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    for entry in fs::read_dir(&source).unwrap_or_else(|error| panic!("{}: {error}", source.display())) {
        let path = entry.unwrap().path();
        if path.is_file() {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            work.file(&name, fs::read(path).unwrap());
        }
    }
}

/// What npm makes of the lock in the context for a processor; nothing if npm is absent or gets no packages.
fn installed_by_npm(work: &Workspace, cpu: &str) -> Option<PathBuf> {
    let folder = work.path(format!("npm-{cpu}"));
    fs::create_dir(&folder).unwrap();
    for file in ["package.json", "package-lock.json"] {
        fs::copy(work.path("context").join(file), folder.join(file)).unwrap();
    }
    let output = peer("npm")?
        .args(["ci", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund", "--os=linux", "--libc=glibc"])
        .arg(format!("--cpu={cpu}"))
        .current_dir(&folder)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", work.path("home"))
        .output()
        .unwrap();
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        skip(&format!("npm cannot install packages here: {said}"));
        return None;
    }
    Some(folder.join("node_modules"))
}

/// The tree without what it was written by: npm that is older than the lock's writes other notes.
fn comparable(folder: &Path) -> Vec<String> {
    tree_report(folder).into_iter().filter(|line| !line.contains(" /.package-lock.json ")).collect()
}

#[test]
fn trees_are_those_of_npm() {
    let work = Workspace::new("FROM scratch\nDEPS node --omit=dev package-lock.json\n");
    project(&work, "testdata/node/popular");
    let Some(npm) = installed_by_npm(&work, "x64") else { return };
    let dest = format!("type=local,dest={}", work.path("out").display());
    work.build(&["--platform", "linux/amd64,linux/arm64", "-o", &dest]).succeeds();
    let ours = |platform: &str| comparable(&work.path("out").join(platform).join("app/node_modules"));
    let differences = |ours: &[String], npm: &[String]| -> Vec<String> {
        let (ours, npm): (BTreeSet<_>, BTreeSet<_>) = (ours.iter().collect(), npm.iter().collect());
        let only_npm = npm.difference(&ours).map(|line| format!("npm:  {line}"));
        only_npm.chain(ours.difference(&npm).map(|line| format!("ours: {line}"))).take(20).collect()
    };
    assert_eq!(differences(&ours("linux_amd64"), &comparable(&npm)), [""; 0]);
    let Some(npm) = installed_by_npm(&work, "arm64") else { return };
    assert_eq!(differences(&ours("linux_arm64"), &comparable(&npm)), [""; 0]);
}

#[test]
fn the_example_service_is_built_for_three_platforms_from_common_layers() {
    let work = Workspace::new("");
    project(&work, "examples/node");
    if installed_by_npm(&work, "x64").is_none() {
        return;
    }
    let image = work.path("image");
    let dest = format!("type=oci,dest={},tar=false", image.display());
    work.build(&["--platform", "linux/amd64,linux/arm64,linux/s390x", "-o", &dest]).succeeds();
    let layout = Layout::verified(&image);
    let layers = ["amd64", "arm64", "s390x"].map(|architecture| layout.layers(architecture));
    // Nothing of it depends on the machine.
    assert_eq!(layers[0], layers[1]);
    assert_eq!(layers[0], layers[2]);
    assert!(layers[0].len() <= 50, "{}", layers[0].len());
}

#[test]
fn a_hash_that_is_too_weak_is_refused_with_a_way_out() {
    let work = Workspace::new("FROM scratch\nDEPS node package-lock.json\n");
    let lock = r#"{"lockfileVersion": 3, "packages": {"": {"name": "app"},
        "node_modules/old": {"version": "1.0.0", "integrity": "sha1-AQEBAQEBAQEBAQEBAQEBAQEBAQE="}}}"#;
    work.file("package-lock.json", lock);
    let refused = work.build(&[]).exits_with(1);
    for part in ["old 1.0.0 has only a sha1 hash", "delete the lock and node_modules and install anew"] {
        assert!(refused.stderr.contains(part), "{part}: {}", refused.stderr);
    }
}
