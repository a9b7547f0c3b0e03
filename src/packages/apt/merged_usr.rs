//! Merged `/usr`: where the files of a package go on a system whose `/bin`, `/sbin`, `/lib` and `/lib64` are links.
//!
//! Debian has been like that since its release 12, and dpkg follows the links. Layers do not: a folder in an upper
//! layer hides a link in a lower one. So paths are rewritten, and one layer below all others has the links.

use crate::layer::{Entry, EntryKind};

/// The names that are links to the same names in `/usr`.
const MERGED: [&[u8]; 4] = [b"bin", b"sbin", b"lib", b"lib64"];

/// The links that a system for `architecture` (Debian's name) has.
pub(super) fn links(architecture: &str) -> &'static [&'static str] {
    match architecture {
        "amd64" | "ppc64el" | "loong64" => &["bin", "lib", "lib64", "sbin"],
        _ => &["bin", "lib", "sbin"],
    }
}

/// Where an entry of a package goes.
pub(super) fn place(entry: &Entry) -> Vec<u8> {
    let first = entry.path.split(|&byte| byte == b'/').next().unwrap_or_default();
    // The link itself, which `base-files` brings since Debian 13, stays where it is.
    let is_link = first.len() == entry.path.len() && matches!(entry.kind, EntryKind::Symlink { .. });
    if MERGED.contains(&first) && !is_link {
        return [b"usr/", &entry.path[..]].concat();
    }
    entry.path.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_move_and_the_links_stay() {
        let dir = |path: &str| Entry::new(path, EntryKind::Dir { opaque: false });
        let link = |path: &str| Entry::new(path, EntryKind::Symlink { target: b"x".to_vec() });
        for (entry, expected) in [
            (dir("bin"), "usr/bin"),
            (link("bin"), "bin"),
            (link("bin/sh"), "usr/bin/sh"),
            (dir("lib/x86_64-linux-gnu"), "usr/lib/x86_64-linux-gnu"),
            (link("lib64/ld-linux-x86-64.so.2"), "usr/lib64/ld-linux-x86-64.so.2"),
            (dir("usr/bin"), "usr/bin"),
            (dir("library"), "library"),
            (dir("etc/bin"), "etc/bin"),
        ] {
            assert_eq!(String::from_utf8(place(&entry)).unwrap(), expected, "{}", entry.display_path());
        }
    }
}
