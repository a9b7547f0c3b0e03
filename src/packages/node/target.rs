//! Which packages run where: the names that locks have for machines, and how their lists are read.

use super::lock::RunsOn;
use crate::packages::libc::Libc;
use flashbuild_frontend::platform::Platform;

/// A machine in the runtime's own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    /// `process.platform`.
    pub(super) os: String,
    /// `process.arch`.
    pub(super) cpu: String,
    /// The C library.
    pub(super) libc: Libc,
}

impl Target {
    /// The machine of a platform (Node.js, `process.arch`: the names that it was compiled for).
    pub(super) fn new(platform: &Platform, libc: Libc) -> Self {
        let cpu = match platform.arch.as_str() {
            "amd64" => "x64",
            "386" => "ia32",
            "ppc64le" => "ppc64",
            "loong64" => "loong64",
            "mipsle" => "mipsel",
            "mips64le" => "mips64el",
            other => other,
        };
        let os = if platform.os == "windows" { "win32" } else { &platform.os };
        Self { os: os.to_owned(), cpu: cpu.to_owned(), libc }
    }

    /// Whether a package runs there (`npm-install-checks`, `checkPlatform`).
    pub(super) fn runs(&self, package: &RunsOn) -> bool {
        allows(&package.os, &self.os) && allows(&package.cpu, &self.cpu) && allows(&package.libc, self.libc.name())
    }
}

/// None of what is negated, and one of the others if there are others.
fn allows(list: &[String], value: &str) -> bool {
    if list.is_empty() || (list.len() == 1 && list[0] == "any") {
        return true;
    }
    let negated = |entry: &&String| entry.starts_with('!');
    if list.iter().filter(negated).any(|entry| &entry[1..] == value) {
        return false;
    }
    list.iter().all(|entry| negated(&entry)) || list.iter().any(|entry| entry == value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_may_name_or_negate() {
        let cases: [(&[&str], bool); 8] = [
            (&[], true),
            (&["any"], true),
            (&["linux"], true),
            (&["darwin", "linux"], true),
            (&["darwin"], false),
            (&["!win32"], true),
            (&["!linux"], false),
            (&["!win32", "darwin"], false),
        ];
        for (list, expected) in cases {
            let list: Vec<String> = list.iter().map(|entry| (*entry).to_owned()).collect();
            assert_eq!(allows(&list, "linux"), expected, "{list:?}");
        }
    }

    #[test]
    fn platforms_have_the_names_of_the_runtime() {
        for (platform, cpu) in [("linux/amd64", "x64"), ("linux/arm64", "arm64"), ("linux/s390x", "s390x")] {
            let target = Target::new(&platform.parse().unwrap(), Libc::MUSL);
            assert_eq!((target.os.as_str(), target.cpu.as_str()), ("linux", cpu));
        }
    }
}
