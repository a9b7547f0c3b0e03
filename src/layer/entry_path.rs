//! Paths of entries: how a layer names what it holds.
//!
//! A path is bytes, not text (a file's name need not be UTF-8), relative to the root of the tree, its components parted
//! by one `/`, without `.`, `..` or a slash at either end. The root itself is the empty path. Paths are compared byte
//! by byte; everything below `a` then lies between `a/` and `a0`, because `0` follows `/` in ASCII. `a` itself need not
//! be next to them: `a-b` sorts in between.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _, path::Path};

/// Longest path, as the kernel has it (`PATH_MAX` counts the final NUL).
pub(super) const MAX_PATH: usize = 4095;
/// Longest component, as every file system has it (`NAME_MAX`).
pub(super) const MAX_NAME: usize = 255;

/// Whether `path` is spelled as paths in a table must be. The empty path is.
pub(super) fn is_canonical(path: &[u8]) -> bool {
    path.len() <= MAX_PATH && !path.contains(&0) && (path.is_empty() || path.split(|&b| b == b'/').all(is_name))
}

/// Whether `name` may be one component of a path.
pub(super) fn is_name(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..") && name.len() <= MAX_NAME && !name.contains(&b'/') && !name.contains(&0)
}

/// The folder that `path` is in, and its name there. `None` for the root.
pub(super) fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if path.is_empty() {
        return None;
    }
    Some(match path.iter().rposition(|&b| b == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (&[], path),
    })
}

/// The folder that `path` is in; the root's is the root.
pub(super) fn parent(path: &[u8]) -> &[u8] {
    split(path).map_or(&[], |(parent, _)| parent)
}

/// `name` inside `folder`.
pub(super) fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(folder.len() + 1 + name.len());
    path.extend_from_slice(folder);
    if !folder.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

/// All folders that `path` lies in, outermost first, without the root and without `path`.
pub(super) fn ancestors(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.iter().enumerate().filter(|&(_, &b)| b == b'/').map(|(slash, _)| &path[..slash])
}

/// Whether `path` lies below `folder` (and is not it).
pub(super) fn is_below(path: &[u8], folder: &[u8]) -> bool {
    match folder.len() {
        0 => !path.is_empty(),
        length => path.len() > length && path[length] == b'/' && path.starts_with(folder),
    }
}

/// Where, among sorted paths, those below `folder` begin and end: the first path not before, the first path after.
pub(super) fn below(folder: &[u8]) -> (Vec<u8>, Option<Vec<u8>>) {
    if folder.is_empty() {
        return (vec![0], None);
    }
    (join(folder, b""), Some([folder, b"0"].concat()))
}

/// The path as the standard library has it.
pub(super) fn as_path(path: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_clean_relative_paths_are_canonical() {
        for good in ["", "a", "a/b", "a.b/..c/...", "\u{fc}"] {
            assert!(is_canonical(good.as_bytes()), "{good:?}");
        }
        for bad in ["/", "/a", "a/", "a//b", ".", "..", "a/..", "./a", "a/./b", "a\0b"] {
            assert!(!is_canonical(bad.as_bytes()), "{bad:?}");
        }
        assert!(!is_canonical(&[b'a'; 256]));
        assert!(!is_canonical("a/".repeat(3000).as_bytes()));
    }

    #[test]
    fn the_range_below_a_folder_holds_its_descendants_only() {
        let sorted: [&[u8]; 6] = [b"a", b"a-b", b"a/b", b"a/b/c", b"a0", b"b"];
        let (start, end) = below(b"a");
        let found: Vec<_> = sorted.iter().filter(|p| **p >= &start[..] && **p < &end.clone().unwrap()[..]).collect();
        assert_eq!(found, [&b"a/b"[..], b"a/b/c"].iter().collect::<Vec<_>>());
        assert!(is_below(b"a/b", b"a") && !is_below(b"a-b", b"a") && is_below(b"a", b"") && !is_below(b"", b""));
        assert_eq!(ancestors(b"a/b/c").collect::<Vec<_>>(), [&b"a"[..], b"a/b"]);
        assert_eq!(split(b"a/b"), Some((&b"a"[..], &b"b"[..])));
    }
}
