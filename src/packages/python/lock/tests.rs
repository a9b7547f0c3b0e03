//! Locks that the real tools wrote, and what they install of them: `testdata/python/locks`. Rules of the formats, a file a
//! case: `testdata/python/rules`.

use super::{Contents, Format, Locked, Requirements, Wanted, read};
use crate::packages::{
    PackageError,
    python::{system::System, target::Target},
};
use flashbuild_frontend::package::{DepsRequest, Ecosystem, LockPlace, Room};
use std::{collections::BTreeMap, fs, path::Path};

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
        room: Room::default(),
    };
    Target::of(&request, &System::default()).unwrap()
}

/// Reads what is `asked` for, `FILE PYTHON PLATFORM [--extra=NAME] [--group=NAME]`, with `open`.
fn reading(
    asked: &str,
    open: &mut dyn FnMut(&str) -> Result<String, PackageError>,
) -> Result<(Requirements, Vec<String>), PackageError> {
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
    match Format::of(file).unwrap() {
        Format::Requirements => Ok((Requirements::read(file, &target, open)?, Vec::new())),
        format @ (Format::Pylock | Format::Uv | Format::Pipfile | Format::Poetry) => {
            let Contents { packages, notes } = read(format, file, &open(file)?, &target, &wanted)?;
            Ok((Requirements { locked: packages, ..Requirements::default() }, notes))
        }
    }
}

fn locked(folder: &Path, asked: &str) -> Vec<Locked> {
    let (read, notes) = reading(asked, &mut |file| Ok(fs::read_to_string(folder.join(file)).unwrap())).unwrap();
    assert!(read.unpinned.is_empty());
    assert_eq!(notes, Vec::<String>::new());
    read.locked
}

/// The files of a case, and what they mean, which is the last of them.
fn sections(text: &str) -> (&str, BTreeMap<&str, String>, String) {
    let (asked, rest) = text.split_once('\n').unwrap();
    let mut files = BTreeMap::new();
    let mut meaning = String::new();
    for section in rest.trim_start_matches("--- ").split("\n--- ") {
        match section.split_once('\n').unwrap_or((section, "")) {
            ("means", text) => text.trim_end().clone_into(&mut meaning),
            (name, text) => drop(files.insert(name, format!("{text}\n"))),
        }
    }
    (asked, files, meaning)
}

/// A line a package or a note, or why it is refused.
fn meaning(asked: &str, files: &BTreeMap<&str, String>) -> String {
    match reading(asked, &mut |file| Ok(files[file].clone())) {
        Err(refused) => format!("refused: {refused}"),
        Ok((read, notes)) => {
            let locked = read.locked.iter().map(|package| format!("{} {}", package.name, package.version));
            let open = read.unpinned.iter().map(|package| format!("{} (open)", package.requirement));
            let notes = notes.into_iter().map(|note| format!("note: {note}"));
            locked.chain(open).chain(notes).collect::<Vec<_>>().join("\n")
        }
    }
}

/// `UPDATE_EXPECT=1` rewrites what the cases mean.
#[test]
fn rules_of_the_formats_are_kept() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/python/rules");
    let cases: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(cases.len() >= 12);
    for case in cases {
        let text = fs::read_to_string(&case).unwrap();
        let (asked, files, expected) = sections(&text);
        let found = meaning(asked, &files);
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            let until = text.find("\n--- means\n").expect("a case says what it means");
            fs::write(&case, format!("{}\n--- means\n{found}\n", &text[..until])).unwrap();
        } else {
            assert_eq!(found, expected, "{}", case.display());
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
