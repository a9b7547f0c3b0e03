//! The C library that packages are for: what flags call it, and which one an image has, told without running anything.

use crate::layer::View;

/// A C library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Libc {
    /// glibc 2 with this minor version.
    Glibc(u32),
    /// musl 1 with this minor version.
    Musl(u32),
}

/// What is assumed of a C library of which only the name is known: glibc of 2018 (RHEL 8, Debian 10), musl of 2019 (Alpine 3.11).
const USUAL_GLIBC: u32 = 28;
const USUAL_MUSL: u32 = 2;

impl Libc {
    /// What is assumed where nobody says.
    pub(super) const GLIBC: Self = Self::Glibc(USUAL_GLIBC);
    /// What is assumed where it is only known to be this one.
    pub(super) const MUSL: Self = Self::Musl(USUAL_MUSL);

    /// Reads `glibc`, `glibc-2.36`, `musl` or `musl-1.2`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (name, minor) = match text.split_once('-') {
            None => (text, None),
            Some((name, version)) => {
                let minor = version.split_once('.').map(|(major, minor)| (major, minor.parse::<u32>()))?;
                (name, Some((minor.0, minor.1.ok()?)))
            }
        };
        match (name, minor) {
            ("glibc", None) => Some(Self::GLIBC),
            ("glibc", Some(("2", minor))) => Some(Self::Glibc(minor)),
            ("musl", None) => Some(Self::MUSL),
            ("musl", Some(("1", minor))) => Some(Self::Musl(minor)),
            (_, _) => None,
        }
    }

    /// As locks have it: `glibc` or `musl`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Glibc(_) => "glibc",
            Self::Musl(_) => "musl",
        }
    }

    /// Of the version of Debian's package `libc6`, or of glibc itself: `2.36-9`.
    pub(super) fn glibc(version: &str) -> Option<Self> {
        let minor: String = version.strip_prefix("2.")?.chars().take_while(char::is_ascii_digit).collect();
        Some(Self::Glibc(minor.parse().ok()?))
    }

    /// The one that an image has: by musl's loader, or by glibc's `libc-2.N.so`, as it was named up to 2.33. Its lowest layer
    /// is enough.
    pub(super) fn of_files(below: &View) -> Option<Self> {
        for folder in ["lib", "usr/lib"] {
            for hit in below.read_dir(folder.as_bytes()) {
                let path = String::from_utf8_lossy(&hit.entry.path).into_owned();
                let name = path.rsplit('/').next().unwrap_or_default();
                if name.starts_with("ld-musl-") {
                    return Some(Self::MUSL);
                }
                // Debian has a folder for each architecture.
                if name.ends_with("-linux-gnu") {
                    let names = below.read_dir(path.as_bytes()).map(|hit| hit.entry.display_path()).collect::<Vec<_>>();
                    let version = names.iter().find_map(|path| path.rsplit_once("/libc-")?.1.strip_suffix(".so"));
                    if let Some(libc) = version.and_then(Self::glibc) {
                        return Some(libc);
                    }
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_have_versions() {
        assert_eq!(Libc::parse("glibc-2.36"), Some(Libc::Glibc(36)));
        assert_eq!(Libc::parse("musl"), Some(Libc::Musl(2)));
        for text in ["glibc-3.1", "uclibc", "glibc-2", "glibc-2.x", ""] {
            assert_eq!(Libc::parse(text), None, "{text}");
        }
    }
}
