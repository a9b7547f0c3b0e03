//! What the name of an archive's entry means (image-spec `layer.md`, "Whiteouts").
//!
//! A name is refused rather than mended when it says something that no honest tool writes: an absolute path, `..`
//! anywhere, a deletion of nothing (`.wh.`) or of a folder from within (`.wh...`), a component that no file system
//! takes.

use super::{
    entry_path::{MAX_NAME, MAX_PATH},
    tar_reader::ArchiveError,
    tar_writer::{OPAQUE_NAME, WHITEOUT_PREFIX},
};

/// What an entry is about; components of paths from the root.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meaning<'a> {
    /// The path itself, the root if there are no components.
    Path(Vec<&'a [u8]>),
    /// The absence of the path from the layers below.
    Whiteout(Vec<&'a [u8]>),
    /// The absence of everything in the folder from the layers below.
    Opaque(Vec<&'a [u8]>),
    /// Bookkeeping of AUFS: nothing.
    Aufs,
}

/// What begins with this and is no opaque mark belonged to AUFS.
const AUFS_PREFIX: &[u8] = b".wh..wh.";

impl<'a> Meaning<'a> {
    pub(super) fn of(name: &'a [u8]) -> Result<Self, ArchiveError> {
        let refuse = |what| Err(refused(name, what));
        let mut components = components(name)?;
        let Some(&last) = components.last() else { return Ok(Self::Path(components)) };
        if last == OPAQUE_NAME {
            components.pop();
            return Ok(Self::Opaque(components));
        }
        if components.iter().any(|component| component.starts_with(AUFS_PREFIX)) {
            return Ok(Self::Aufs);
        }
        if let Some(absent) = last.strip_prefix(WHITEOUT_PREFIX) {
            if matches!(absent, b"" | b"." | b"..") {
                return refuse("it deletes nothing that has a name");
            }
            components.pop();
            components.push(absent);
            if components.iter().rev().skip(1).any(|component| component.starts_with(WHITEOUT_PREFIX)) {
                return refuse("it is inside of a deletion");
            }
            return Ok(Self::Whiteout(components));
        }
        if components.iter().any(|component| component.starts_with(WHITEOUT_PREFIX)) {
            return refuse("it is inside of a deletion");
        }
        Ok(Self::Path(components))
    }
}

/// The components of a name that must not be absolute or lead upwards.
fn components(name: &[u8]) -> Result<Vec<&[u8]>, ArchiveError> {
    if name.is_empty() {
        return Err(refused(name, "it has no name"));
    }
    if name.starts_with(b"/") {
        return Err(refused(name, "its path is absolute"));
    }
    relative_components(name)
}

/// The components of a hard link's target. An absolute one begins at the root of the tree: some builders write them.
pub(super) fn link_components(link: &[u8]) -> Result<Vec<&[u8]>, ArchiveError> {
    match relative_components(link)? {
        components if components.is_empty() => Err(refused(link, "it is a hard link to nothing")),
        components => Ok(components),
    }
}

fn relative_components(name: &[u8]) -> Result<Vec<&[u8]>, ArchiveError> {
    if name.len() > MAX_PATH {
        return Err(refused(name, "its path is longer than any file system takes"));
    }
    let components: Vec<_> = name.split(|&byte| byte == b'/').filter(|c| !matches!(*c, b"" | b".")).collect();
    if components.contains(&&b".."[..]) {
        return Err(refused(name, "its path leads upwards"));
    }
    if components.iter().any(|component| component.len() > MAX_NAME) {
        return Err(refused(name, "its name is longer than any file system takes"));
    }
    Ok(components)
}

pub(super) fn refused(name: &[u8], what: &'static str) -> ArchiveError {
    // A name of a megabyte belongs into no message.
    ArchiveError::Entry { name: String::from_utf8_lossy(&name[..name.len().min(300)]).into_owned(), what }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(name: &str) -> String {
        let join = |components: Vec<&[u8]>| String::from_utf8(components.join(&b'/')).unwrap();
        match Meaning::of(name.as_bytes()) {
            Ok(Meaning::Path(path)) => join(path),
            Ok(Meaning::Whiteout(path)) => format!("-{}", join(path)),
            Ok(Meaning::Opaque(path)) => format!("={}", join(path)),
            Ok(Meaning::Aufs) => "aufs".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn names_mean_what_the_specification_says() {
        for (name, meaning) in [
            ("./", ""),
            ("./a//b/", "a/b"),
            ("a/.whx", "a/.whx"),
            (".wh.a", "-a"),
            ("a/.wh.b", "-a/b"),
            (".wh..wh..opq", "="),
            ("a/b/.wh..wh..opq", "=a/b"),
            (".wh..hidden", "-.hidden"),
            (".wh..wh.plnk", "aufs"),
            (".wh..wh.plnk/1.2", "aufs"),
            (".wh..wh.aufs", "aufs"),
        ] {
            assert_eq!(joined(name), meaning, "{name}");
        }
        let long = format!("{}/x", "n".repeat(256));
        let deep = "d/".repeat(2500);
        for name in
            ["", "/a", "../a", "a/../../b", "a/..", ".wh.", ".wh..", ".wh...", "a/.wh...", ".wh.a/b", &long, &deep]
        {
            assert!(joined(name).contains("is refused"), "{name:?} gives {}", joined(name));
        }
    }
}
