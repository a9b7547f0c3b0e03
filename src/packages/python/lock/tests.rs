//! Locks that the real tools wrote, and what they install of them: `testdata/python/locks`.

use super::{Format, Locked, Requirements, Wanted, read};
use crate::packages::python::{system::System, target::Target};
use flashbuild_frontend::package::{DepsRequest, Ecosystem, LockPlace};
use std::{fs, path::Path};

fn target(python: &str, platform: &str) -> Target {
    let request = DepsRequest {
        ecosystem: Ecosystem::Python,
        flags: vec![("python".to_owned(), python.to_owned())],
        arguments: Vec::new(),
        platform: platform.parse().unwrap(),
        environment: Vec::new(),
        base: None,
        has_system: false,
        system: Vec::new(),
        below: None,
        from: LockPlace::Context,
    };
    Target::of(&request, &System::default()).unwrap()
}

/// `FILE PYTHON PLATFORM [--extra=NAME] [--group=NAME]`: what is asked for.
fn locked(folder: &Path, asked: &str) -> Vec<Locked> {
    let mut words = asked.split(' ');
    let mut word = || words.next().expect("a case names a file, a Python and a platform");
    let (file, python, platform) = (word(), word(), word());
    let mut wanted = Wanted::default();
    for flag in words {
        match flag.split_once('=') {
            Some(("--extra", name)) => wanted.extras.push(super::super::tags::normalised(name)),
            Some(("--group", name)) => wanted.groups.push(name.to_owned()),
            Some(_) | None => panic!("{flag}"),
        }
    }
    let target = target(python, platform);
    let text = fs::read_to_string(folder.join(file)).unwrap();
    match Format::of(file).unwrap() {
        Format::Requirements => {
            let requirements = Requirements::read(file, &target, &mut |_| Ok(text.clone())).unwrap();
            assert!(requirements.unpinned.is_empty());
            requirements.locked
        }
        format @ (Format::Pylock | Format::Uv | Format::Pipfile | Format::Poetry) => {
            read(format, file, &text, &target, &wanted).unwrap()
        }
    }
}

#[test]
fn locks_of_real_tools_mean_what_these_install() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/python/locks");
    let cases: Vec<_> = fs::read_dir(folder.join("cases")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(cases.len() >= 12);
    for case in cases {
        let text = fs::read_to_string(&case).unwrap();
        let (asked, expected) = text.split_once('\n').unwrap();
        let locked = locked(&folder, asked.trim_start_matches("# "));
        let mut found: Vec<String> =
            locked.iter().map(|package| format!("{} {}", package.name, package.version)).collect();
        found.sort();
        assert_eq!(found, expected.lines().collect::<Vec<_>>(), "{}", case.display());
        let vouched = |package: &Locked| !package.files.is_empty() || !package.hashes.is_empty();
        assert!(locked.iter().all(vouched), "{}", case.display());
    }
}

#[test]
fn some_locks_say_how_large_artifacts_are() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/python/locks");
    for file in ["pylock.toml", "uv.lock"] {
        let locked = locked(&folder, &format!("{file} 3.11 linux/amd64"));
        let mut files = locked.iter().flat_map(|package| &package.files).peekable();
        assert!(files.peek().is_some() && files.all(|file| file.size.is_some_and(|size| size > 0)), "{file}");
    }
}

#[test]
fn a_package_that_pipenv_left_open_is_named() {
    let target = target("3.12", "linux/amd64");
    let text = r#"{"default": {"colorama": {"version": "*"}}}"#;
    let error = read(Format::Pipfile, "Pipfile.lock", text, &target, &Wanted::default()).unwrap_err().to_string();
    assert!(error.contains("pipenv did not pin colorama"), "{error}");
}
