//! Paths as text, joined by slashes: what they mean without looking at any disk.

/// The shortest path that means the same (Go's `path.Clean`): no empty or `.` components, `..` resolved where it can be.
pub(crate) fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut components: Vec<&str> = Vec::new();
    for component in path.split('/') {
        match component {
            "" | "." => {}
            ".." if components.last().is_some_and(|last| *last != "..") => drop(components.pop()),
            ".." if rooted => {}
            other => components.push(other),
        }
    }
    match (rooted, components.join("/")) {
        (true, joined) => format!("/{joined}"),
        (false, joined) if joined.is_empty() => ".".to_owned(),
        (false, joined) => joined,
    }
}

/// `path` as seen from the absolute folder `folder`, cleaned.
pub(crate) fn join(folder: &str, path: &str) -> String {
    if path.starts_with('/') { clean(path) } else { clean(&format!("{folder}/{path}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cleaning_is_lexical() {
        for (path, expected) in [
            ("", "."),
            ("./", "."),
            ("/", "/"),
            ("/..", "/"),
            ("a/../..", ".."),
            ("../../a", "../../a"),
            ("a//b/./c/..", "a/b"),
            ("!/a/", "!/a"),
        ] {
            assert_eq!(clean(path), expected, "{path}");
        }
    }

    #[test]
    fn a_joined_path_never_leaves_the_root() {
        assert_eq!(join("/app", "x/"), "/app/x");
        assert_eq!(join("/app", "../../../etc"), "/etc");
        assert_eq!(join("/app", "/etc/."), "/etc");
        assert_eq!(join("/", ""), "/");
    }
}
