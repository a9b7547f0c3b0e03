//! What an image can do without: one file and one row a pass. `analyze` counts what each would save, `slim` does it.
//!
//! Three kinds, which never mix:
//!
//! - *proven*: nothing that a container can do or see depends on it, whatever the application is. Done by default.
//! - *profile*: true of nearly all images that serve something, and false of some: debuggers read debug symbols, a few
//!   packages load their tests. Done when asked for, by name.
//! - *observed*: true of what the image was seen to do. Done when it was run to be observed.
//!
//! A pass that removes decides file by file, from the path, the package that owns it, what an observed run asked for, and
//! nothing else. Folders stay:
//! programs expect theirs to be there.

mod byte_code;
mod caches;
mod debug;
mod debug_sections;
mod development;
mod docs;
mod git;
mod gpu_code;
pub(super) mod hidden;
mod installers;
mod leftovers;
pub(super) mod links;
mod locales;
mod path;
mod tests_of_packages;
mod untouched;

use super::owner::Package;
use serde::{Serialize, Serializer};

/// One way to make an image smaller.
#[derive(Debug, PartialEq, Eq)]
pub struct Pass {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What goes.
    pub title: &'static str,
    /// Why nothing that a container does depends on it.
    pub safe: &'static str,
    /// How sure that is.
    pub trust: Trust,
    /// What is done.
    pub action: Action,
}

/// How sure it is that nothing is missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Trust {
    /// It follows from what layers, package managers and links are.
    Proven,
    /// It holds for a kind of image.
    Profile,
    /// It holds for what the image was seen to do.
    Observed,
}

/// What a pass does.
#[derive(Debug, Clone, Copy)]
pub enum Action {
    /// Leaves out of each layer what upper layers hide.
    DropHidden,
    /// Makes equal files of a layer names of one file.
    LinkEqual,
    /// Takes the debug sections out of programs.
    Strip,
    /// Makes zeros of code for other GPUs than those that the image is for.
    BlankGpuCode,
    /// Removes files.
    Remove(fn(&Candidate<'_>) -> bool),
}

/// A file that may go.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// In the spelling of [`crate::layer::Entry::path`].
    pub path: &'a [u8],
    /// Whose it is.
    pub owner: Option<&'a Package>,
    /// What is known of its use.
    pub seen: Seen,
}

/// What an observed run says of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// There was none.
    NotObserved,
    /// It is needed, as far as was seen.
    Needed,
    /// Nobody asked for it.
    Untouched,
}

/// All passes, in the order in which they are done; a file counts for the first that takes it.
pub const PASSES: &[Pass] = &[
    Pass {
        name: "hidden",
        title: "overwritten or deleted in a later layer",
        safe: "no container can see these bytes: a later layer replaces or deletes the file",
        trust: Trust::Proven,
        action: Action::DropHidden,
    },
    caches::PASS,
    Pass {
        name: "links",
        title: "equal files in one layer",
        safe: "names of one file, with equal bytes, permissions, owner, attributes and time; a write to one of them in a \
               container makes a copy first",
        trust: Trust::Proven,
        action: Action::LinkEqual,
    },
    git::PASS,
    leftovers::PASS,
    debug::PASS,
    debug_sections::PASS,
    gpu_code::PASS,
    development::PASS,
    installers::PASS,
    tests_of_packages::PASS,
    docs::PASS,
    locales::PASS,
    byte_code::PASS,
    untouched::PASS,
];

impl Pass {
    /// The pass of a name.
    pub fn named(name: &str) -> Option<&'static Self> {
        PASSES.iter().find(|pass| pass.name == name)
    }

    /// Whether it removes this file from an image.
    pub fn removes(&self, file: &Candidate<'_>) -> bool {
        match self.action {
            Action::Remove(takes) => takes(file),
            Action::DropHidden | Action::LinkEqual | Action::Strip | Action::BlankGpuCode => false,
        }
    }
}

impl PartialEq for Action {
    fn eq(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

impl Eq for Action {}

/// By its name.
impl Serialize for Pass {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Which pass takes a file that no package owns.
    #[track_caller]
    fn check(path: &str, expected: Option<&str>) {
        let file = Candidate { path: path.as_bytes(), owner: None, seen: Seen::NotObserved };
        assert_eq!(PASSES.iter().find(|pass| pass.removes(&file)).map(|pass| pass.name), expected, "{path}");
    }

    #[test]
    fn files_that_nobody_needs_are_told_by_their_place() {
        for (pass, paths) in [
            (
                "caches",
                &[
                    "var/lib/apt/lists/deb.example_dists_x_InRelease",
                    "var/cache/apt/pkgcache.bin",
                    "var/cache/apk/APKINDEX.tar.gz",
                    "var/lib/dpkg/status-old",
                    "root/.cache/pip/http/1/2",
                    "home/app/.cache/uv/archive/x.py",
                    "root/.npm/_cacache/index/1",
                    "usr/local/share/.cache/yarn/v6/x",
                    "var/log/dpkg.log",
                    "var/cache/ldconfig/aux-cache",
                ][..],
            ),
            ("git", &["app/.git/objects/pack/x.pack"]),
            ("leftovers", &["src/main.o", "app/target/release/deps/libx.rlib", "app/build/CMakeFiles/x/link.txt"]),
            ("debug", &["usr/lib/debug/.build-id/ab/cd.debug", "usr/lib/libx.so.debug"]),
            ("development", &["usr/lib/libz.a", "usr/include/zlib.h", "usr/lib/pkgconfig/zlib.pc"]),
            (
                "tests",
                &[
                    "usr/lib/python3.11/test/test_os.py",
                    "venv/lib/python3.11/site-packages/numpy/core/tests/test_x.py",
                    "app/node_modules/a/__tests__/x.js",
                ],
            ),
            ("docs", &["usr/share/man/man1/ls.1.gz", "usr/share/doc/bash/README", "app/node_modules/a/README.md"]),
            (
                "installers",
                &[
                    "usr/lib/python3/dist-packages/pip/_internal/cli.py",
                    "venv/lib/python3.11/site-packages/pip-24.0.dist-info/RECORD",
                    "usr/local/lib/python3.11/ensurepip/_bundled/pip.whl",
                    "usr/local/lib/node_modules/npm/node_modules/semver/index.js",
                    "usr/bin/pip3.11",
                    "usr/local/bin/npx",
                ],
            ),
            ("locales", &["usr/share/locale/de/LC_MESSAGES/bash.mo"]),
            ("byte-code", &["usr/lib/python3/dist-packages/__pycache__/six.cpython-311.pyc"]),
        ] {
            for path in paths {
                check(path, Some(pass));
            }
        }
    }

    #[test]
    fn files_that_look_alike_stay() {
        for path in [
            "usr/share/doc/bash/copyright",
            "app/tests/test_app.py",
            "app/README.md",
            "usr/share/locale/locale.alias",
            "var/lib/apt/extended_states",
            "var/cache/nginx/x",
            "tmp/app.sock",
            "app/node_modules/test/index.js",
            "app/node_modules/npm/index.js",
            "app/lib/python3.11/site-packages/pipeline/x.py",
            "usr/bin/pipewire",
            "app/pip",
            "app/node_modules/docs/lib/tests.js",
            "usr/lib/python3.11/site-packages/numpy/testing/__init__.py",
            "usr/lib/libz.so.1",
            "app/.gitignore",
            "app/node_modules/a/LICENSE.md",
        ] {
            check(path, None);
        }
    }

    #[test]
    fn names_are_unique_and_proven_passes_come_first() {
        let names: BTreeSet<&str> = PASSES.iter().map(|pass| pass.name).collect();
        assert_eq!(names.len(), PASSES.len());
        assert!(PASSES.is_sorted_by_key(|pass| pass.trust));
        assert!(PASSES.iter().all(|pass| Pass::named(pass.name) == Some(pass)));
    }
}
