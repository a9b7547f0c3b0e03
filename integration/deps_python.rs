//! `DEPS python`: wheels of a lock become layers.

use crate::harness::{Run, Workspace, skip};
use flashbuild::solver::event::{Hit, Outcome};
use sha2::{Digest as _, Sha256};
use std::{
    collections::BTreeMap,
    fs,
    io::{Cursor, Write as _},
    path::Path,
    process::Command,
};
use zip::{ZipWriter, write::SimpleFileOptions};

/// A wheel of one module whose answer is `answer`, as bytes.
pub(crate) fn wheel(name: &str, version: &str, answer: &str) -> Vec<u8> {
    wheel_with(name, version, answer, &[])
}

/// The same with further files, or others in the place of its own.
pub(crate) fn wheel_with(name: &str, version: &str, answer: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let info = format!("{name}-{version}.dist-info");
    let files = [
        (format!("{name}.py"), format!("answer = {answer:?}\n\n\ndef main():\n    print(answer)\n")),
        (format!("{info}/METADATA"), format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")),
        (format!("{info}/WHEEL"), "Wheel-Version: 1.0\nRoot-Is-Purelib: true\n".to_owned()),
        (format!("{info}/entry_points.txt"), format!("[console_scripts]\n{name} = {name}:main\n")),
        (format!("{info}/RECORD"), format!("{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")),
    ];
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let own = files.into_iter().filter(|(path, _)| more.iter().all(|(other, _)| other != path));
    let more = more.iter().map(|(path, content)| ((*path).to_owned(), (*content).to_owned()));
    for (path, content) in own.chain(more) {
        zip.start_file(path, SimpleFileOptions::default()).unwrap();
        zip.write_all(content.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

/// A context with wheels in `wheels/`, by the tags of their names, and a lock of all of them.
pub(crate) struct Project {
    pub(crate) work: Workspace,
    lock: BTreeMap<String, String>,
}

impl Project {
    pub(crate) fn new(dockerfile: &str) -> Self {
        Self { work: Workspace::new(dockerfile), lock: BTreeMap::new() }
    }

    /// Adds a wheel, or another one of a package that is there.
    pub(crate) fn wheel(&mut self, name: &str, version: &str, tags: &str) -> &mut Self {
        let bytes = wheel(name, version, tags);
        let hash = format!(" --hash=sha256:{}", sha256(&bytes));
        self.work.file(&format!("wheels/{name}-{version}-{tags}.whl"), bytes);
        let entry = self.lock.entry(name.to_owned()).or_default();
        if !entry.starts_with(&format!("{name}=={version} ")) {
            *entry = format!("{name}=={version} ");
        }
        entry.push_str(&hash);
        let lines: Vec<&str> = self.lock.values().map(String::as_str).collect();
        self.work.file("requirements.txt", lines.join("\n"));
        self
    }
}

/// Names of packages whose layers were made, and of those that were found.
pub(crate) fn layers(run: &Run) -> (Vec<String>, Vec<String>) {
    let named = |wanted: fn(&Outcome) -> bool| {
        let found = run.vertices().filter(|(_, outcome)| wanted(outcome)).filter_map(|(name, _)| {
            let (_, package) = name.split_once("DEPS python ")?;
            let (name, version) = package.split_once(' ')?;
            version.starts_with(|first: char| first.is_ascii_digit()).then(|| format!("{name} {version}"))
        });
        let mut found: Vec<String> = found.collect();
        found.sort();
        found
    };
    (
        named(|outcome| matches!(outcome, Outcome::Ran)),
        named(|outcome| matches!(outcome, Outcome::Cached(Hit::Definition | Hit::Content))),
    )
}

pub(crate) const DOCKERFILE: &str = "\
FROM scratch
DEPS python --python=/usr/bin/python3.11 --find-links=wheels requirements.txt
";

#[test]
fn each_package_is_a_layer_that_platforms_and_builds_share() {
    let mut project = Project::new(DOCKERFILE);
    project.wheel("pure", "1.0", "py3-none-any").wheel("native", "1.0", "cp311-cp311-manylinux_2_17_x86_64").wheel(
        "native",
        "1.0",
        "cp311-cp311-manylinux_2_17_aarch64",
    );
    let both = ["--platform", "linux/amd64,linux/arm64", "-o", "type=local,dest=../out"];
    let first = project.work.build(&both).succeeds();
    assert_eq!(layers(&first), (vec!["native 1.0".to_owned(), "native 1.0".into(), "pure 1.0".into()], vec![]));
    let module =
        |platform: &str| project.work.read(&format!("out/{platform}/opt/venv/lib/python3.11/site-packages/native.py"));
    assert!(module("linux_amd64").contains("x86_64") && module("linux_arm64").contains("aarch64"));
    let launcher = project.work.read("out/linux_amd64/opt/venv/bin/pure");
    assert!(launcher.starts_with("#!/opt/venv/bin/python\n"), "{launcher}");
    let python = fs::read_link(project.work.path("out/linux_amd64/opt/venv/bin/python")).unwrap();
    assert_eq!(python, Path::new("/usr/bin/python3.11"));

    let again = project.work.build(&both).succeeds();
    assert_eq!(layers(&again).0, Vec::<String>::new());
    assert_eq!(again.digest(), first.digest());

    project.wheel("pure", "1.1", "py3-none-any");
    let bumped = project.work.build(&both).succeeds();
    assert_eq!(layers(&bumped), (vec!["pure 1.1".to_owned()], vec!["native 1.0".to_owned(), "native 1.0".into()]));
}

#[test]
fn code_is_on_top_of_packages() {
    let mut project = Project::new(&format!("{DOCKERFILE}COPY app.py /app/\nENV PATH=/opt/venv/bin\n"));
    project.wheel("pure", "1.0", "py3-none-any").work.file("app.py", "import pure\n");
    project.work.build(&["-o", "type=local,dest=../out"]).succeeds();
    project.work.file("app.py", "import pure, sys\n");
    let changed = project.work.build(&["-o", "type=local,dest=../out"]).succeeds();
    assert_eq!(layers(&changed).0, Vec::<String>::new());
    assert_eq!(project.work.read("out/app/app.py"), "import pure, sys\n");
    assert!(project.work.path("out/opt/venv/lib/python3.11/site-packages/pure.py").exists());
}

#[test]
fn markers_are_decided_for_the_target() {
    let mut project = Project::new(DOCKERFILE);
    project.wheel("pure", "1.0", "py3-none-any").wheel("arm", "1.0", "py3-none-any");
    let lock = fs::read_to_string(project.work.path("context/requirements.txt")).unwrap();
    let lock = lock.replace("arm==1.0 ", "arm==1.0 ; platform_machine == 'aarch64' and python_version < '3.12' \\\n ");
    project.work.file("requirements.txt", lock);
    assert_eq!(layers(&project.work.build(&["--platform", "linux/amd64"]).succeeds()).0, ["pure 1.0"]);
    assert_eq!(layers(&project.work.build(&["--platform", "linux/arm64"]).succeeds()).0, ["arm 1.0"]);
}

#[test]
fn all_packages_without_a_wheel_are_named_at_once() {
    let mut project = Project::new(DOCKERFILE);
    project
        .wheel("one", "1.0", "cp311-cp311-manylinux_2_17_x86_64")
        .wheel("two", "2.0", "cp312-cp312-manylinux_2_17_s390x")
        .wheel("three", "3.0", "py3-none-any");
    let refused = project.work.build(&["--platform", "linux/s390x"]).exits_with(1);
    for part in [
        "no wheel for Python 3.11 on linux/s390x:",
        "one 1.0: wheels for cp311-cp311-manylinux_2_17_x86_64",
        "two 2.0: wheels for cp312-cp312-manylinux_2_17_s390x",
        "Dockerfile:2:1",
    ] {
        assert!(refused.stderr.contains(part), "{part}: {}", refused.stderr);
    }
    assert!(!refused.stderr.contains("three 3.0"), "{}", refused.stderr);
}

#[test]
fn another_artifact_than_the_locked_one_is_refused() {
    let mut project = Project::new(DOCKERFILE);
    project.wheel("pure", "1.0", "py3-none-any");
    let bytes = wheel("pure", "1.0", "evil");
    let name = "pure-1.0-py3-none-any.whl";
    project.work.file(
        "pylock.toml",
        format!(
            "lock-version = \"1.0\"\ncreated-by = \"test\"\n[[packages]]\nname = \"pure\"\nversion = \"1.0\"\n\
             [[packages.wheels]]\nname = {name:?}\nhashes = {{ sha256 = \"{}\" }}\n",
            sha256(&bytes)
        ),
    );
    project.work.file("Dockerfile", DOCKERFILE.replace("requirements.txt", "pylock.toml"));
    let refused = project.work.build(&[]).exits_with(1);
    assert!(refused.stderr.contains("pure: the artifact is not the one that the lock names"), "{}", refused.stderr);
}

#[test]
fn a_hash_that_vouches_for_nothing_is_refused_and_no_reason_to_resolve() {
    let mut project = Project::new(DOCKERFILE);
    project.wheel("pure", "1.0", "py3-none-any");
    let lock = fs::read_to_string(project.work.path("context/requirements.txt")).unwrap();
    for (text, problem) in [
        (
            "pure==1.0 --hash=sha256:abc\n".to_owned(),
            "requirements.txt:1: pure==1.0 has no hash that can be relied upon",
        ),
        (format!("{lock}\nother\n"), "requirements.txt:2: \"other\" has no hash, but requirements.txt:1 has one"),
    ] {
        project.work.file("requirements.txt", text);
        let refused = project.work.build(&[]).variable("PIP_NO_INDEX", "1").exits_with(1);
        assert!(refused.stderr.contains(problem), "{problem}: {}", refused.stderr);
    }
}

#[test]
fn a_hostile_wheel_is_refused_by_name_and_nothing_is_written() {
    for (path, content, problem) in [
        ("../../../../../etc/cron.d/x", "* * * * * root id", "is no path inside of a package"),
        ("/etc/cron.d/x", "* * * * * root id", "is no path inside of a package"),
        ("pure-1.0.dist-info/entry_points.txt", "[console_scripts]\n../../x = pure:main\n", "is no name of a script"),
        (
            "pure-1.0.dist-info/RECORD",
            "pure.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0\n",
            "pure.py: it is not what RECORD says",
        ),
    ] {
        let work = Workspace::new(DOCKERFILE);
        let bytes = wheel_with("pure", "1.0", "x", &[(path, content)]);
        work.file("requirements.txt", format!("pure==1.0 --hash=sha256:{}\n", sha256(&bytes)));
        work.file("wheels/pure-1.0-py3-none-any.whl", bytes);
        let refused = work.build(&["-o", "type=local,dest=../out"]).exits_with(1);
        assert!(refused.stderr.contains(problem), "{problem}: {}", refused.stderr);
        assert!(refused.stderr.contains("pure"), "{}", refused.stderr);
        assert!(!work.path("out/opt").exists());
    }
}

#[test]
fn a_lock_that_leads_into_this_machine_is_refused() {
    let work =
        Workspace::new(&DOCKERFILE.replace("requirements.txt", "pylock.toml").replace(" --find-links=wheels", ""));
    for (url, problem) in [
        ("http://169.254.169.254/latest/pure-1.0-py3-none-any.whl", "it leads into a private network"),
        ("http://localhost:1/pure-1.0-py3-none-any.whl", "it leads to this machine"),
        ("file:///etc/pure-1.0-py3-none-any.whl", "artifacts come from https"),
    ] {
        let package = "lock-version = \"1.0\"\n[[packages]]\nname = \"pure\"\nversion = \"1.0\"\n[[packages.wheels]]\n";
        work.file("pylock.toml", format!("{package}url = {url:?}\nhashes = {{ sha256 = \"{}\" }}\n", "0".repeat(64)));
        let refused = work.build(&[]).exits_with(1);
        assert!(refused.stderr.contains(problem), "{problem}: {}", refused.stderr);
    }
    let work = Workspace::new(&DOCKERFILE.replace(" --find-links=wheels", ""));
    work.file("requirements.txt", "--index-url http://169.254.169.254/simple\npure==1.0\n");
    let refused = work.build(&[]).exits_with(1);
    assert!(refused.stderr.contains("it leads into a private network"), "{}", refused.stderr);
}

/// An image of the files at these paths, as an OCI layout beside the context.
pub(crate) fn image_of(work: &Workspace, name: &str, paths: &[&str]) {
    let folder = work.path(name);
    for path in paths {
        fs::create_dir_all(folder.join(path).parent().unwrap()).unwrap();
        fs::write(folder.join(path), "").unwrap();
    }
    fs::write(folder.join("Dockerfile"), "FROM scratch\nCOPY . /\n").unwrap();
    let output = format!("type=oci,tar=false,dest={}", work.path(format!("{name}-layout")).display());
    work.flashbuild("build", &["-o", &output, folder.to_str().unwrap()]).store("elsewhere").succeeds();
}

#[test]
fn the_interpreter_and_the_library_of_the_image_decide() {
    let mut project = Project::new("FROM base\nDEPS python --find-links=wheels requirements.txt\n");
    for tags in ["cp312-cp312-musllinux_1_2_x86_64", "cp39-cp39-manylinux_2_31_x86_64"] {
        project.wheel("native", "1.0", tags);
    }
    let work = &project.work;
    image_of(work, "alpine", &["lib/ld-musl-x86_64.so.1", "usr/bin/python3.12"]);
    image_of(work, "debian", &["lib/x86_64-linux-gnu/libc-2.31.so", "usr/bin/python3.9", "usr/bin/python3.9-config"]);
    image_of(work, "bare", &["bin/sh"]);
    let build = |name: &str| {
        let context = format!("base=oci-layout://{}", work.path(format!("{name}-layout")).display());
        let out = format!("type=local,dest={}", work.path(format!("out-{name}")).display());
        work.build(&["--platform", "linux/amd64", "--build-context", &context, "-o", &out]).run()
    };
    for (name, version, wheel) in [("alpine", "3.12", "musllinux"), ("debian", "3.9", "manylinux_2_31")] {
        let run = build(name);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        let venv = work.path(format!("out-{name}/opt/venv"));
        let python = fs::read_link(venv.join("bin/python")).unwrap();
        assert_eq!(python, Path::new(&format!("/usr/bin/python{version}")));
        let module = fs::read_to_string(venv.join(format!("lib/python{version}/site-packages/native.py"))).unwrap();
        assert!(module.contains(wheel), "{module}");
    }
    let run = build("bare");
    assert!(run.code == Some(1) && run.stderr.contains("there is no Python below"), "{}", run.stderr);
}

#[test]
fn bytecode_is_made_once_for_all_platforms_and_needs_no_source() {
    let version = Command::new("python3").args(["-c", "import sys; print('%d.%d' % sys.version_info[:2])"]).output();
    let Ok(version) = version.map(|output| String::from_utf8(output.stdout).unwrap().trim().to_owned()) else {
        skip("python3 is not installed");
        return;
    };
    let mut project = Project::new(&format!(
        "FROM scratch\nDEPS python --python={version} --compile --target=/app --find-links=wheels requirements.txt\n"
    ));
    project.wheel("pure", "1.0", "py3-none-any");
    let platforms = ["--platform", "linux/amd64,linux/s390x", "-o", "type=local,dest=../out"];
    let run = project.work.build(&platforms).succeeds();
    assert_eq!(layers(&run).0, ["pure 1.0"]);
    let app = project.work.path("out/linux_s390x/app");
    let bytecode = app.join(format!("__pycache__/pure.cpython-{}.pyc", version.replace('.', "")));
    // Bit 0: told by a hash; bit 1, that the source is looked at, is not set.
    let bytes = fs::read(&bytecode).unwrap();
    assert_eq!(bytes[4..8], [1, 0, 0, 0]);
    // Where the module is in the image, for messages.
    assert!(bytes.windows(12).any(|window| window == b"/app/pure.py"));

    fs::write(app.join("pure.py"), "answer = 'another'").unwrap();
    let said = Command::new("python3")
        .args(["-B", "-c", "import pure; print(pure.answer)"])
        .current_dir(&app)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&said.stdout), "py3-none-any\n");
}
