//! Which ids a user namespace has, and what they are outside of it (`user_namespaces(7)`).

use super::failure::{Doing, Failure};
use rustix::fs::{Mode, OFlags};
use std::fmt;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};

/// Ids that follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    /// The first of them inside the namespace.
    pub(super) inside: u32,
    /// The first of them in the namespace of whoever looks.
    pub(super) outside: u32,
    /// How many.
    pub(super) count: u32,
}

/// All ids of a namespace, users or groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct IdMap(pub(super) Vec<Range>);

/// Users or groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ids {
    Users,
    Groups,
}

impl Ids {
    pub(super) fn map_file(self) -> &'static str {
        match self {
            Self::Users => "uid_map",
            Self::Groups => "gid_map",
        }
    }
}

impl IdMap {
    /// One id.
    pub(super) fn single(inside: u32, outside: u32) -> Self {
        Self(vec![Range { inside, outside, count: 1 }])
    }

    /// For a child of the namespace of this process, with exactly its ids. `proc` is `/proc`.
    pub(super) fn identity(proc: &OwnedFd, ids: Ids) -> Result<Self, Failure> {
        let file = format!("self/{}", ids.map_file());
        let read = || {
            let file = rustix::fs::openat(proc, &file, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
            std::io::read_to_string(File::from(file))
        };
        let text = read().doing(|| format!("read /proc/{file}"))?;
        let range = |line: &str| {
            let numbers: Vec<u32> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
            let &[inside, _, count] = numbers.as_slice() else { return None };
            Some(Range { inside, outside: inside, count })
        };
        Ok(Self(text.lines().filter_map(range).collect()))
    }

    /// Root, and after it every subordinate id that a user has in `/etc/subuid` or `/etc/subgid` (`subuid(5)`).
    pub(super) fn root_and_subordinates(root: u32, user: &str, number: u32, file: &str) -> Option<Self> {
        let number = number.to_string();
        let mut ranges = vec![Range { inside: 0, outside: root, count: 1 }];
        let mut inside = 1_u32;
        for line in file.lines() {
            let fields: Vec<&str> = line.trim().split(':').collect();
            let &[owner, start, count] = fields.as_slice() else { continue };
            let (Ok(outside), Ok(count)) = (start.parse(), count.parse::<u32>()) else { continue };
            if (owner == user || owner == number) && count > 0 {
                ranges.push(Range { inside, outside, count });
                inside = inside.checked_add(count)?;
            }
        }
        (ranges.len() > 1).then_some(Self(ranges))
    }

    /// Writes the map of the namespace of a process, of which `process` is the folder in `/proc`.
    pub(super) fn write(&self, process: &OwnedFd, ids: Ids) -> Result<(), Failure> {
        write_file(process, ids.map_file(), &self.to_string())
    }
}

/// One range a line.
impl fmt::Display for IdMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Range { inside, outside, count } in &self.0 {
            writeln!(f, "{inside} {outside} {count}")?;
        }
        Ok(())
    }
}

/// Writes a file of a process in one call, as the kernel asks for.
pub(super) fn write_file(process: &OwnedFd, name: &str, content: &str) -> Result<(), Failure> {
    let write = || {
        let file = rustix::fs::openat(process.as_fd(), name, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
        File::from(file).write_all(content.as_bytes())
    };
    write().doing(|| format!("write the {name} of a user namespace"))
}

#[cfg(test)]
mod tests {
    use super::IdMap;

    #[test]
    fn every_range_of_the_user_follows_root() {
        let file = "# comment\nother:1:2\nann:100000:65536\n1000:300000:10\nann:bad:1\nann:5:0\n";
        let map = IdMap::root_and_subordinates(1000, "ann", 1000, file).unwrap();
        assert_eq!(map.to_string(), "0 1000 1\n1 100000 65536\n65537 300000 10\n");
    }

    #[test]
    fn a_user_without_a_range_has_no_map() {
        assert_eq!(IdMap::root_and_subordinates(1000, "ann", 1000, "bob:100000:65536\n"), None);
    }
}
