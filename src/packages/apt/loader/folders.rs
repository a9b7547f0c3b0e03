//! Where libraries are: `/etc/ld.so.conf`, what it includes, and the folders that always count.

use crate::packages::{PackageError, TreeBelow};
use flashbuild_frontend::glob::glob_match;
use std::collections::BTreeSet;

const CONFIGURATION: &str = "/etc/ld.so.conf";
/// What needs no configuration.
const TRUSTED: [&str; 2] = ["/lib", "/usr/lib"];
/// Largest file of configuration that is read.
const MAX_FILE: u64 = 1 << 20;
/// How many files are read at most: they may include one another.
const MOST_FILES: usize = 1000;

/// Absolute paths as they are written, the first first.
pub(super) fn of(tree: &TreeBelow) -> Result<Vec<String>, PackageError> {
    let mut read = Reading { tree, seen: BTreeSet::new(), folders: Vec::new() };
    read.file(CONFIGURATION)?;
    read.folders.extend(TRUSTED.map(str::to_owned));
    Ok(read.folders)
}

struct Reading<'a> {
    tree: &'a TreeBelow,
    /// Files that were read: what includes itself says nothing new.
    seen: BTreeSet<String>,
    folders: Vec<String>,
}

impl Reading<'_> {
    fn file(&mut self, path: &str) -> Result<(), PackageError> {
        if self.seen.len() == MOST_FILES || !self.seen.insert(path.to_owned()) {
            return Ok(());
        }
        let text = self.tree.read_through_links(path.as_bytes(), MAX_FILE)?.unwrap_or_default();
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default().trim();
            match line.strip_prefix("include").filter(|rest| rest.starts_with([' ', '\t'])) {
                Some(patterns) => {
                    for pattern in patterns.split_whitespace() {
                        self.include(path, pattern)?;
                    }
                }
                None => self.folder(line),
            }
        }
        Ok(())
    }

    /// A pattern without a slash in front is beside the file that has it. Wildcards are for names of files.
    fn include(&mut self, from: &str, pattern: &str) -> Result<(), PackageError> {
        let beside = &from[..=from.rfind('/').unwrap_or_default()];
        let pattern = if pattern.starts_with('/') { pattern.to_owned() } else { format!("{beside}{pattern}") };
        let (folder, name) = pattern.rsplit_once('/').unwrap_or(("", &pattern));
        let paths: Vec<String> = self
            .tree
            .names_in(folder.as_bytes())
            .into_iter()
            .filter(|found| !found.starts_with('.') && glob_match(name, found))
            .map(|found| format!("{folder}/{found}"))
            .collect();
        paths.iter().try_for_each(|path| self.file(path))
    }

    /// A line may end in `=TYPE`, from times when there were several kinds of libraries.
    fn folder(&mut self, line: &str) {
        let path = line.split('=').next().unwrap_or_default().trim_end().trim_end_matches('/');
        if path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
            self.folders.push(path.to_owned());
        }
    }
}
