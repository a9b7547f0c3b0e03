//! `DEPS python` beside pip and uv: eighty popular packages, from one lock, file by file.
//!
//! For this machine's architecture a virtual environment is compared, for a foreign one a plain folder. What may differ
//! is listed in [`is_of_the_installer`]; launchers are compared by what they start.

use crate::harness::{Workspace, skip};
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    env::consts::ARCH,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

const LOCK: &str = include_str!("../testdata/python/popular/requirements.txt");

/// An installer.
#[derive(Debug, Clone, Copy)]
enum Peer {
    Pip,
    Uv,
}

/// Where it installs to.
enum Place<'a> {
    /// The environment of an interpreter of this machine.
    Environment(&'a Path),
    /// A folder, for another machine.
    Folder(&'a Path, &'a str),
}

impl Peer {
    /// Installs the lock from a folder of wheels; false if the peer is not here or refuses.
    fn install(self, lock: &Path, wheels: &Path, place: &Place<'_>) -> bool {
        let mut command = match self {
            Self::Pip => {
                let mut pip = Command::new("python3");
                pip.args(["-m", "pip"]);
                if let Place::Environment(folder) = place {
                    pip.arg("--python").arg(folder.join("bin/python"));
                }
                pip.args(["install", "--no-compile", "--disable-pip-version-check", "--root-user-action=ignore"]);
                pip
            }
            Self::Uv => {
                let mut uv = Command::new(uv());
                uv.args(["pip", "install", "--no-cache", "--link-mode=copy", "--offline"]);
                uv
            }
        };
        command.args(["--quiet", "--no-deps", "--no-index", "--require-hashes", "--find-links"]).arg(wheels);
        command.arg("-r").arg(lock);
        match (self, place) {
            (Self::Pip, Place::Environment(_)) => {}
            (Self::Uv, Place::Environment(folder)) => {
                command.arg("--python").arg(folder.join("bin/python"));
            }
            (Self::Pip, Place::Folder(folder, machine)) => {
                command.args(["--only-binary=:all:", "--python-version=3.11", "--target"]).arg(folder);
                for glibc in ["2_28", "2_27", "2_26", "2_24", "2_17", "2_12", "2_5"] {
                    command.arg(format!("--platform=manylinux_{glibc}_{machine}"));
                }
                command.arg(format!("--platform=manylinux2014_{machine}"));
            }
            (Self::Uv, Place::Folder(folder, machine)) => {
                command.args(["--python-version=3.11", "--target"]).arg(folder);
                command.arg(format!("--python-platform={machine}-manylinux_2_28"));
            }
        }
        match command.output() {
            Ok(output) if output.status.success() => true,
            Ok(output) => {
                skip(&format!("{self:?} refuses: {}", String::from_utf8_lossy(&output.stderr).trim()));
                false
            }
            Err(_) => {
                skip(&format!("{self:?} is not installed"));
                false
            }
        }
    }
}

/// The uv that `integration/setup` installs.
fn uv() -> PathBuf {
    let ours = Path::new(env!("CARGO_TARGET_TMPDIR")).join("uv/bin/uv");
    if ours.exists() { ours } else { "uv".into() }
}

/// The wheels of the lock that `integration/setup` fetched for a machine.
fn wheels(machine: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("wheels").join(machine);
    let count = fs::read_dir(&folder).map_or(0, Iterator::count);
    if count < 80 {
        skip(&format!("{count} wheels were fetched for {machine}: no index was reached"));
        return None;
    }
    Some(folder)
}

/// Files that say who installed a package, and those of the environment that a package is installed into.
fn is_of_the_installer(path: &str) -> bool {
    let last = path.rsplit('/').next().unwrap_or_default();
    let of_package = matches!(last, "INSTALLER" | "direct_url.json" | "uv_cache.json") || last.ends_with(".pyc");
    let of_environment = matches!(path, "pyvenv.cfg" | ".lock" | ".gitignore" | "CACHEDIR.TAG" | "lib64")
        || path.strip_prefix("bin/").is_some_and(|name| {
            name.starts_with("activate.") || matches!(name, "activate" | "Activate.ps1") || is_python(name)
        });
    of_package || of_environment
}

fn is_python(name: &str) -> bool {
    name.strip_prefix("python").is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || c == '.'))
}

/// Paths of the files of a tree, by what they are called in the comparison.
fn installed(root: &Path) -> BTreeMap<String, PathBuf> {
    fn visit(root: &Path, folder: &Path, found: &mut BTreeMap<String, PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap();
            if is_of_the_installer(name) {
                continue;
            }
            if path.is_dir() {
                visit(root, &path, found);
            } else {
                let name = of_pip(name).into_owned();
                found.insert(name, path);
            }
        }
    }
    let mut found = BTreeMap::new();
    visit(root, root, &mut found);
    found
}

/// A path without what pip alone puts in front: in a plain folder, headers have one more folder above them, and `RECORD` is
/// as if modules were elsewhere.
fn of_pip(path: &str) -> Cow<'_, str> {
    let path = path.trim_start_matches("../");
    match path.strip_prefix("include/python/") {
        Some(rest) => format!("include/{rest}").into(),
        None => path.into(),
    }
}

/// Whether two files are the same, as far as installers agree.
fn is_same(name: &str, ours: &Path, theirs: &Path) -> bool {
    let bytes = [ours, theirs].map(|path| fs::read(path).unwrap());
    if name.ends_with("/RECORD") {
        // pip makes a new file of it, uv writes into that of the wheel: its mode is either.
        return record(&bytes[0]) == record(&bytes[1]);
    }
    let executable = |path| fs::metadata(path).unwrap().permissions().mode() & 0o111 != 0;
    let is_launcher = name.starts_with("bin/") && String::from_utf8_lossy(&bytes[1]).contains("sys.exit(");
    let same = if is_launcher { started(&bytes[0]) == started(&bytes[1]) } else { bytes[0] == bytes[1] };
    same && executable(ours) == executable(theirs)
}

/// What a launcher starts: each installer has a text of its own around it.
fn started(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let lines = text.lines().map(str::trim);
    lines.filter(|line| line.starts_with("from ") || line.starts_with("sys.exit(")).collect::<Vec<_>>().join("; ")
}

/// The rows of a `RECORD`, without those of what is left out and of launchers.
fn record(bytes: &[u8]) -> BTreeSet<String> {
    let text = String::from_utf8_lossy(bytes);
    let rows = text.lines().map(|row| of_pip(row.trim_end()).into_owned());
    rows.filter(|row| {
        let path = row.split(',').next().unwrap_or_default();
        !is_of_the_installer(path) && !path.starts_with("bin/")
    })
    .collect()
}

#[track_caller]
fn assert_equal(peer: Peer, ours: &Path, theirs: &Path) {
    let (ours, theirs) = (installed(ours), installed(theirs));
    assert!(theirs.len() > 2000, "{peer:?} has {} files", theirs.len());
    let names = ours.keys().chain(theirs.keys()).collect::<BTreeSet<_>>();
    let different = names.into_iter().filter(|name| match (ours.get(*name), theirs.get(*name)) {
        (Some(ours), Some(theirs)) => !is_same(name, ours, theirs),
        (Some(_), None) | (None, Some(_)) | (None, None) => true,
    });
    let different: Vec<&String> = different.collect();
    assert!(different.is_empty(), "{peer:?} has other files: {different:#?}");
}

/// A Python 3.11 of this machine, for which the lock is.
fn python() -> Option<String> {
    let program = "import os, sys; print('%d.%d' % sys.version_info[:2], os.path.realpath(sys.executable))";
    let output = Command::new("python3").args(["-c", program]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.trim().strip_prefix("3.11 ").map(str::to_owned)
}

#[test]
fn an_environment_is_what_pip_and_uv_make() {
    let (Some(wheels), Some(python)) = (wheels(ARCH), python()) else {
        skip("python3 is not 3.11, or there are no wheels for it");
        return;
    };
    let work = Workspace::new("");
    let prefix = work.path("environment");
    work.file("requirements.txt", LOCK);
    work.file(
        "Dockerfile",
        format!(
            "FROM scratch\nDEPS python --python={python} --prefix={} --find-links={} requirements.txt\n",
            prefix.display(),
            wheels.display()
        ),
    );
    work.build(&["-o", "type=local,dest=../ours"]).succeeds();
    let ours = work.path("ours").join(prefix.strip_prefix("/").unwrap());
    for peer in [Peer::Pip, Peer::Uv] {
        let made = Command::new(&python).args(["-m", "venv", "--without-pip"]).arg(&prefix).status();
        if !made.is_ok_and(|status| status.success()) {
            skip("python3 has no venv");
            return;
        }
        if peer.install(&work.path("context/requirements.txt"), &wheels, &Place::Environment(&prefix)) {
            assert_equal(peer, &ours, &prefix);
            // What scripts start is the same path in both.
            for program in ["flask", "pip3.11", "jsonpointer", "pytest"] {
                let first = |root: &Path| {
                    let text = fs::read_to_string(root.join("bin").join(program)).unwrap();
                    text.lines().next().unwrap().to_owned()
                };
                assert_eq!(first(&ours), first(&prefix), "{program}");
            }
        }
        fs::remove_dir_all(&prefix).unwrap();
    }
}

#[test]
fn a_folder_for_a_foreign_machine_is_what_pip_and_uv_make() {
    let (machine, platform) = if ARCH == "aarch64" { ("x86_64", "linux/amd64") } else { ("aarch64", "linux/arm64") };
    let Some(wheels) = wheels(machine) else { return };
    let work = Workspace::new(&format!(
        "FROM scratch\nDEPS python --python=3.11 --libc=glibc-2.28 --target=/app --find-links={} requirements.txt\n",
        wheels.display()
    ));
    work.file("requirements.txt", LOCK);
    work.build(&["--platform", platform, "-o", "type=local,dest=../ours"]).succeeds();
    for peer in [Peer::Pip, Peer::Uv] {
        let (lock, folder) = (work.path("lock.txt"), work.path("theirs"));
        // pip asks markers about the machine that it runs on, so it gets the answer for the other.
        let text = match peer {
            Peer::Pip => {
                let answer = if machine == "aarch64" { "os_name == 'posix'" } else { "os_name == 'nt'" };
                LOCK.replace("platform_machine == 'aarch64'", answer)
            }
            Peer::Uv => LOCK.to_owned(),
        };
        fs::write(&lock, text).unwrap();
        if peer.install(&lock, &wheels, &Place::Folder(&folder, machine)) {
            assert_equal(peer, &work.path("ours/app"), &folder);
            fs::remove_dir_all(&folder).unwrap();
        }
    }
}
