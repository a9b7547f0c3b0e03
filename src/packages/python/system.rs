//! What is below packages: which Pythons and which C library, told without running anything.
//!
//! | told by | Python | C library |
//! |---|---|---|
//! | packages of `DEPS apt` | `python3.11-minimal`: the exact version, in `/usr/bin` | version of `libc6` |
//! | files of the image | `python3.N` in `/usr/local/bin` and `/usr/bin`; where there are several, the one that `python3` leads to | as [`Libc::of_files`] says |
//!
//! What a `RUN` installed is not known when packages are planned: flags say it then.

use crate::{
    layer::{EntryKind, View},
    packages::{Below, libc::Libc},
};
use flashbuild_frontend::package::DepsRequest;

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct System {
    /// The best first.
    pub(super) pythons: Vec<Python>,
    pub(super) libc: Option<Libc>,
}

/// An interpreter.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Python {
    /// `3.11`, or more of it where more is known.
    pub(super) version: String,
    /// Absolute path.
    pub(super) path: String,
}

/// How much of the image below `request` has to be known: what its flags and the image's variables leave open.
pub(in crate::packages) fn needs_below(request: &DepsRequest) -> Below {
    let is_told = |flag| request.flag(flag).is_some();
    let brings_python = request.system.iter().any(|(name, _)| debian_python(name).is_some());
    if !is_told("python") && request.variable("PYTHON_VERSION").is_none() && !brings_python {
        Below::Everything
    } else if is_told("libc") {
        Below::Nothing
    } else {
        Below::LowestLayer
    }
}

impl System {
    /// Of the packages that came before, and the files of the image below.
    pub(super) fn of(request: &DepsRequest, below: &View) -> Self {
        let mut pythons: Vec<Python> =
            request.system.iter().filter_map(|(name, version)| of_package(name, version)).collect();
        pythons.extend(of_files(below));
        let of_package = request.system.iter().find(|(name, _)| name == "libc6");
        let libc = of_package.and_then(|(_, version)| Libc::glibc(version)).or_else(|| Libc::of_files(below));
        Self { pythons, libc }
    }
}

/// `3.11` of `python3.11-minimal`, which has the interpreter.
fn debian_python(package: &str) -> Option<&str> {
    let version = package.strip_prefix("python")?.strip_suffix("-minimal")?;
    version.strip_prefix("3.").filter(|minor| is_number(minor)).map(|_| version)
}

fn of_package(name: &str, version: &str) -> Option<Python> {
    let minor = debian_python(name)?;
    // `3.11.2-6+deb12u6`, and an epoch one day.
    let upstream = version.split_once(':').map_or(version, |(_, rest)| rest);
    let digits: String = upstream.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    let version = if digits.starts_with(minor) { digits.trim_end_matches('.').to_owned() } else { minor.to_owned() };
    Some(Python { version, path: format!("/usr/bin/python{minor}") })
}

fn of_files(below: &View) -> Vec<Python> {
    let mut pythons = Vec::new();
    for folder in ["usr/local/bin", "usr/bin"] {
        let main = match below.lookup(format!("{folder}/python3").as_bytes()).map(|hit| &hit.entry.kind) {
            Some(EntryKind::Symlink { target }) => String::from_utf8_lossy(target).into_owned(),
            Some(_) | None => String::new(),
        };
        let mut found: Vec<(bool, u32)> = Vec::new();
        for hit in below.read_dir(folder.as_bytes()) {
            let path = String::from_utf8_lossy(&hit.entry.path);
            let name = path.rsplit('/').next().unwrap_or_default();
            if let Some(minor) = name.strip_prefix("python3.").filter(|minor| is_number(minor)) {
                let is_main = main.rsplit('/').next() == Some(name);
                found.extend(minor.parse().ok().map(|minor| (is_main, minor)));
            }
        }
        found.sort_unstable_by(|a, b| b.cmp(a));
        pythons.extend(
            found
                .into_iter()
                .map(|(_, minor)| Python { version: format!("3.{minor}"), path: format!("/{folder}/python3.{minor}") }),
        );
    }
    pythons
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::{Entry, Toc};
    use flashbuild_frontend::package::{LockPlace, Room};
    use std::sync::Arc;

    /// A tree of files (`path`) and links (`path -> target`).
    fn tree(lines: &[&str]) -> View {
        let mut entries: Vec<Entry> = Vec::new();
        for line in lines {
            let (path, kind) = match line.split_once(" -> ") {
                Some((path, target)) => (path, EntryKind::Symlink { target: target.into() }),
                None => (*line, EntryKind::CharDevice { major: 0, minor: 0 }),
            };
            for (end, _) in path.match_indices('/') {
                let folder = Entry::new(&path[..end], EntryKind::Dir { opaque: false });
                if !entries.iter().any(|entry| entry.path == folder.path) {
                    entries.push(folder);
                }
            }
            entries.push(Entry::new(path, kind));
        }
        View::new(vec![Arc::new(Toc::new(entries).unwrap())])
    }

    #[track_caller]
    fn check(below: &[&str], system: &[(&str, &str)], pythons: &[(&str, &str)], libc: Option<&str>) {
        let request = DepsRequest {
            ecosystem: flashbuild_frontend::package::Ecosystem::Python,
            flags: Vec::new(),
            arguments: Vec::new(),
            platform: "linux/amd64".parse().unwrap(),
            environment: Vec::new(),
            base: None,
            has_system: true,
            system: system.iter().map(|(name, version)| ((*name).to_owned(), (*version).to_owned())).collect(),
            below: None,
            from: LockPlace::Context,
            room: Room::default(),
        };
        let found = System::of(&request, &tree(below));
        let expected =
            pythons.iter().map(|(version, path)| Python { version: (*version).to_owned(), path: (*path).to_owned() });
        assert_eq!(found.pythons, expected.collect::<Vec<_>>());
        assert_eq!(found.libc, libc.map(|libc| Libc::parse(libc).unwrap()));
    }

    #[test]
    fn packages_of_debian_say_it_exactly() {
        check(
            &[],
            &[
                ("libc6", "2.36-9+deb12u10"),
                ("libpython3.11-minimal", "3.11.2-6"),
                ("python3.11-minimal", "3.11.2-6+deb12u6"),
            ],
            &[("3.11.2", "/usr/bin/python3.11")],
            Some("glibc-2.36"),
        );
        check(&[], &[("python3-minimal", "3.11.2-1+b1"), ("libc6", "2.36-9")], &[], Some("glibc-2.36"));
    }

    #[test]
    fn images_say_it_by_their_files() {
        let alpine = ["lib/ld-musl-x86_64.so.1", "usr/bin/python3 -> python3.12", "usr/bin/python3.12"];
        check(&alpine, &[], &[("3.12", "/usr/bin/python3.12")], Some("musl"));
        let debian = ["lib/x86_64-linux-gnu/libc-2.31.so", "usr/bin/python3.9", "usr/bin/python3.9-config"];
        check(&debian, &[], &[("3.9", "/usr/bin/python3.9")], Some("glibc-2.31"));
        let two =
            ["usr/bin/python3 -> python3.11", "usr/bin/python3.11", "usr/bin/python3.13", "usr/local/bin/python3.10"];
        let expected =
            [("3.10", "/usr/local/bin/python3.10"), ("3.11", "/usr/bin/python3.11"), ("3.13", "/usr/bin/python3.13")];
        check(&two, &[], &expected, None);
        check(&["bin/sh"], &[], &[], None);
    }
}
