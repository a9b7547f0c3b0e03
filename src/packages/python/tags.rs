//! Which wheels a Python can use, and which of them is best ("Platform compatibility tags" of the packaging specifications).
//!
//! The order is that of the reference implementation: the interpreter's own binary interface first, then the stable one, then
//! none; of platforms the newest C library first; anything for this platform before what runs anywhere.

use crate::packages::libc::Libc;
use flashbuild_frontend::platform::Platform;
use std::collections::HashMap;

/// Ranks of tags: `cp311-cp311-manylinux_2_17_x86_64` and the like; the lowest is the best.
#[derive(Debug, Clone)]
pub(super) struct Tags {
    ranks: HashMap<String, usize>,
    platforms: Vec<String>,
}

impl Tags {
    /// Of `CPython` 3.`minor` on a platform. `None` if no wheel is ever made for that architecture.
    pub(super) fn of(minor: u32, platform: &Platform, libc: Libc) -> Option<Self> {
        let machine = machine(platform)?;
        let platforms = platforms(machine, libc);
        let mut tags: Vec<String> = Vec::new();
        let mut all = |python: &str, abi: &str, platforms: &[String]| {
            tags.extend(platforms.iter().map(|platform| format!("{python}-{abi}-{platform}")));
        };
        let own = format!("cp3{minor}");
        for abi in [own.as_str(), "abi3", "none"] {
            all(&own, abi, &platforms);
        }
        for older in (2..minor).rev() {
            all(&format!("cp3{older}"), "abi3", &platforms);
        }
        let mut pythons = vec![format!("py3{minor}"), "py3".to_owned()];
        pythons.extend((0..minor).rev().map(|older| format!("py3{older}")));
        for python in &pythons {
            all(python, "none", &platforms);
        }
        let any = ["any".to_owned()];
        all(&own, "none", &any);
        for python in &pythons {
            all(python, "none", &any);
        }
        let mut ranks = HashMap::with_capacity(tags.len());
        for (rank, tag) in tags.into_iter().enumerate() {
            ranks.entry(tag).or_insert(rank);
        }
        Some(Self { ranks, platforms })
    }

    /// The platforms in them, the best first.
    pub(super) fn platforms(&self) -> &[String] {
        &self.platforms
    }

    /// The rank of the best of the tags that a wheel's name stands for; `None` if none of them fits.
    pub(super) fn rank(&self, wheel: &WheelName) -> Option<usize> {
        let mut best = None;
        for python in wheel.python.split('.') {
            for abi in wheel.abi.split('.') {
                for platform in wheel.platform.split('.') {
                    let rank = self.ranks.get(&format!("{python}-{abi}-{platform}")).copied();
                    best = [best, rank].into_iter().flatten().min();
                }
            }
        }
        best
    }
}

/// `platform_machine` of an architecture, which is also in the tags.
pub(super) fn machine(platform: &Platform) -> Option<&'static str> {
    Some(match platform.arch.as_str() {
        "amd64" => "x86_64",
        "arm64" => "aarch64",
        "s390x" => "s390x",
        "ppc64le" => "ppc64le",
        "riscv64" => "riscv64",
        "loong64" => "loongarch64",
        "386" => "i686",
        "arm" if platform.variant.as_deref() == Some("v7") => "armv7l",
        _ => return None,
    })
}

fn platforms(machine: &str, libc: Libc) -> Vec<String> {
    let mut tags = Vec::new();
    match libc {
        Libc::Glibc(newest) => {
            // The oldest glibc of which wheels were ever made.
            let oldest = if matches!(machine, "x86_64" | "i686") { 5 } else { 17 };
            for minor in (oldest..=newest).rev() {
                tags.push(format!("manylinux_2_{minor}_{machine}"));
                let old_name = match minor {
                    17 => "manylinux2014",
                    12 => "manylinux2010",
                    5 => "manylinux1",
                    _ => continue,
                };
                tags.push(format!("{old_name}_{machine}"));
            }
        }
        Libc::Musl(newest) => tags.extend((0..=newest).rev().map(|minor| format!("musllinux_1_{minor}_{machine}"))),
    }
    tags.push(format!("linux_{machine}"));
    tags
}

/// The name of a wheel's file, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WheelName {
    /// Normalised.
    pub(super) name: String,
    /// As written.
    pub(super) version: String,
    /// Number and rest of the build tag.
    pub(super) build: Option<(u64, String)>,
    python: String,
    abi: String,
    platform: String,
}

impl WheelName {
    /// Reads `name-version[-build]-python-abi-platform.whl`.
    pub(super) fn parse(file: &str) -> Option<Self> {
        let parts: Vec<&str> = file.strip_suffix(".whl")?.split('-').collect();
        let (name, version, build, [python, abi, platform]) = match parts.as_slice() {
            [name, version, python, abi, platform] => (name, version, None, [python, abi, platform]),
            [name, version, build, python, abi, platform] => (name, version, Some(build), [python, abi, platform]),
            _ => return None,
        };
        let build = match build {
            None => None,
            Some(build) => {
                let digits = build.len() - build.trim_start_matches(|c: char| c.is_ascii_digit()).len();
                Some((build[..digits].parse().ok()?, build[digits..].to_owned()))
            }
        };
        let lower = |text: &&str| text.to_ascii_lowercase();
        Some(Self {
            name: normalised(name),
            version: (*version).to_owned(),
            build,
            python: lower(python),
            abi: lower(abi),
            platform: lower(platform),
        })
    }
}

impl WheelName {
    /// Whether it is for every platform.
    pub(super) fn is_for_any_platform(&self) -> bool {
        self.platform.split('.').any(|platform| platform == "any")
    }
}

/// A package's name as names are compared: lower-case, runs of `-`, `_` and `.` are one `-`.
pub(super) fn normalised(name: &str) -> String {
    let mut normal = String::with_capacity(name.len());
    for character in name.trim().chars() {
        match character {
            '-' | '_' | '.' if normal.ends_with('-') => {}
            '-' | '_' | '.' => normal.push('-'),
            other => normal.extend(other.to_lowercase()),
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the wheels, those that fit, best first.
    #[track_caller]
    fn check(platform: &str, libc: &str, wheels: &[&str], expected: &[&str]) {
        let tags = Tags::of(11, &platform.parse().unwrap(), Libc::parse(libc).unwrap()).unwrap();
        let mut fits: Vec<_> = wheels
            .iter()
            .filter_map(|tags_of| {
                let name = WheelName::parse(&format!("a-1-{tags_of}.whl")).unwrap();
                Some((tags.rank(&name)?, *tags_of))
            })
            .collect();
        fits.sort_unstable();
        assert_eq!(fits.into_iter().map(|(_, tags)| tags).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn the_own_interface_wins_then_the_stable_one_then_none() {
        check(
            "linux/amd64",
            "glibc-2.36",
            &[
                "py3-none-any",
                "cp39-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64",
                "cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64",
                "cp311-cp311-manylinux_2_28_x86_64",
                "cp311-cp311-manylinux_2_38_x86_64",
                "cp312-cp312-manylinux_2_17_x86_64",
                "cp312-abi3-manylinux_2_17_x86_64",
                "cp311-cp311-musllinux_1_2_x86_64",
                "cp311-cp311-win_amd64",
                "py2.py3-none-any",
                "py3-none-manylinux1_x86_64",
            ],
            &[
                "cp311-cp311-manylinux_2_28_x86_64",
                "cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64",
                "cp39-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64",
                "py3-none-manylinux1_x86_64",
                "py2.py3-none-any",
                "py3-none-any",
            ],
        );
    }

    #[test]
    fn architectures_and_libraries_are_told_apart() {
        let wheels = [
            "cp311-cp311-manylinux2014_aarch64",
            "cp311-cp311-manylinux_2_17_s390x",
            "cp311-cp311-musllinux_1_1_aarch64",
            "cp311-cp311-musllinux_1_2_aarch64",
            "cp311-cp311-linux_armv7l",
        ];
        check("linux/arm64", "glibc", &wheels, &wheels[..1]);
        check("linux/s390x", "glibc", &wheels, &wheels[1..2]);
        check("linux/arm64", "musl", &wheels, &[wheels[3], wheels[2]]);
        check("linux/arm64", "musl-1.1", &wheels, &wheels[2..3]);
        check("linux/arm/v7", "glibc", &wheels, &wheels[4..]);
    }

    #[test]
    fn names_are_taken_apart() {
        let wheel = WheelName::parse("Foo.Bar__baz-1.0+local-12b-py3-none-any.whl").unwrap();
        assert_eq!((wheel.name.as_str(), wheel.version.as_str()), ("foo-bar-baz", "1.0+local"));
        assert_eq!(wheel.build, Some((12, "b".to_owned())));
        for file in ["a-1.tar.gz", "a-1-py3-none.whl", "a-1-x-py3-none-any.whl", "a-1-1-py3-none-any-z.whl", ".whl"] {
            assert_eq!(WheelName::parse(file), None, "{file}");
        }
    }
}
