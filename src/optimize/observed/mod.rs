//! What an image needs, from what it was seen to ask for.
//!
//! Asked for is every path that a process opened, executed or looked at. What is needed follows:
//!
//! 1. the file that each path leads to, and the links on its way;
//! 2. what the kernel opens by itself for a program: the interpreter of a script, the loader of a linked program;
//! 3. all of each package that one of those files belongs to, because a package is what its authors tested as a whole: a
//!    run that imports half of it does not show which half the next one imports. So also what the links of such a package
//!    lead to, and the libraries that its programs are linked with, with their packages;
//! 4. of no package, those files alone;
//! 5. what is always kept (`always`): what programs ask for only when something happens (a name that is looked up, a
//!    certificate, a time zone), and what describes the image rather than being of use to it. To ask for such a file does not
//!    make its package needed: who lists all distributions of Python needs none of them for that.
//!
//! Databases stay, but do not name packages of which nothing is left (`forgotten`).
//!
//! Links stay unless what they lead to goes; devices and pipes stay. A folder goes with all that was in it, unless somebody
//! asked for it: to some programs a folder without files means something else than none (packages of Python).

mod always;
mod dropped;
mod forgotten;
mod linked;

pub(super) use dropped::Tally;
pub use dropped::{Dropped, DroppedPackage};
pub(super) use forgotten::forget;

use super::owner::{ImageTree, Inventory};
use crate::layer::{EntryKind, Hit, LastLink, LayerError, Resolved, View};
use always::is_always_kept;
use linked::{interpreter, libraries, linked_with};
use std::collections::HashSet;

/// What was seen of an image.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// Paths that were asked for, from the root, as they were spelled.
    pub paths: Vec<Vec<u8>>,
    /// Files and folders that are kept in any case, from the root.
    pub keep: Vec<Vec<u8>>,
}

/// Files that are needed, in the spelling of [`crate::layer::Entry::path`].
pub(super) struct Needed<'a> {
    tree: &'a ImageTree<'a>,
    files: HashSet<Vec<u8>>,
    folders: HashSet<Vec<u8>>,
    keep: Vec<Vec<u8>>,
}

/// Programs in a row that interpret each other; the kernel follows four.
const MOST_INTERPRETERS: usize = 8;
impl<'a> Needed<'a> {
    /// Finds them.
    pub(super) fn of(tree: &'a ImageTree<'a>, inventory: &Inventory, observed: &Observed) -> Result<Self, LayerError> {
        let keep = observed.keep.iter().map(|path| spelled(path)).collect();
        let mut needed = Self { tree, files: HashSet::new(), folders: HashSet::new(), keep };
        for path in &observed.paths {
            needed.ask(path, MOST_INTERPRETERS)?;
        }
        needed.take_packages(inventory)?;
        Ok(needed)
    }

    /// Takes the packages of what is needed, with what their links lead to and the libraries that they are linked with.
    fn take_packages(&mut self, inventory: &Inventory) -> Result<(), LayerError> {
        let libraries = libraries(self.tree);
        let mut taken: HashSet<usize> = HashSet::new();
        let mut new: Vec<Vec<u8>> = self.files.iter().cloned().collect();
        while !new.is_empty() {
            let owners = new.iter().filter(|path| !is_always_kept(path)).filter_map(|path| inventory.owner_index(path));
            let packages: Vec<usize> = owners.filter(|&package| taken.insert(package)).collect();
            let mut found_now = Vec::new();
            for path in packages.into_iter().flat_map(|package| &inventory.packages[package].files) {
                self.files.insert(path.clone());
                let Some((target, hit)) = found(self.tree, path, LastLink::Follow) else { continue };
                for name in linked_with(self.tree, &target, &hit)? {
                    found_now.extend(libraries.get(name.as_bytes()).into_iter().flatten().cloned());
                }
                // What a link leads to is kept, and not all of its package.
                self.files.insert(target);
            }
            new = found_now.into_iter().filter(|path| self.files.insert(path.clone())).collect();
            let targets = new.iter().filter_map(|path| Some(found(self.tree, path, LastLink::Follow)?.0));
            let targets: Vec<Vec<u8>> = targets.collect();
            new.extend(targets.into_iter().filter(|path| self.files.insert(path.clone())));
        }
        Ok(())
    }

    /// Takes what is at a path, what it leads to, and what runs that.
    fn ask(&mut self, path: &[u8], interpreters: usize) -> Result<(), LayerError> {
        if let Ok(resolved) = self.tree.view().resolve(path, LastLink::Follow)
            && resolved.exists()
            && resolved.hit.is_some_and(|hit| hit.entry.is_dir())
        {
            self.folders.insert(resolved.existing);
        }
        let link = found(self.tree, path, LastLink::Keep).map(|(link, _)| link);
        let Some((file, hit)) = found(self.tree, path, LastLink::Follow) else {
            self.files.extend(link);
            return Ok(());
        };
        let is_known = self.files.contains(&file);
        self.files.extend(link);
        self.files.insert(file);
        if is_known {
            return Ok(());
        }
        if interpreters > 0
            && hit.entry.mode & 0o111 != 0
            && hit.file().is_some()
            && let Some(interpreter) = interpreter(self.tree, &hit)?
        {
            self.ask(&interpreter, interpreters - 1)?;
        }
        Ok(())
    }

    /// Whether a file was asked for, by what ran or by who types, or is of a package that is needed.
    fn is_asked_for(&self, path: &[u8]) -> bool {
        let is_asked_to_stay =
            |kept: &Vec<u8>| path.strip_prefix(&kept[..]).is_some_and(|rest| matches!(rest.first(), None | Some(b'/')));
        self.files.contains(path) || self.keep.iter().any(is_asked_to_stay)
    }

    /// Whether something has to stay.
    pub(super) fn has(&self, hit: &Hit<'_>) -> bool {
        let path = &hit.entry.path;
        if self.is_asked_for(path) || is_always_kept(path) {
            return true;
        }
        match &hit.entry.kind {
            EntryKind::File { .. } | EntryKind::HardLink { .. } => false,
            EntryKind::Symlink { .. } => match found(self.tree, path, LastLink::Follow) {
                None => true,
                Some((target, _)) => self.files.contains(&target) || is_always_kept(&target),
            },
            EntryKind::Dir { .. }
            | EntryKind::CharDevice { .. }
            | EntryKind::BlockDevice { .. }
            | EntryKind::Fifo
            | EntryKind::Whiteout => true,
        }
    }
}

/// Folders of which nothing is left when what `goes` is gone, that had something, and that nobody asked for; with the position
/// of the layer that each is seen in. Those of the `base` stay.
pub(super) fn emptied(
    view: &View,
    base: usize,
    needed: &Needed<'_>,
    goes: impl Fn(&[u8]) -> bool,
) -> Vec<(Vec<u8>, usize)> {
    let of_base = View::new(view.layers()[..base].to_vec());
    let mut stay: HashSet<&[u8]> = HashSet::new();
    let mut had_something: HashSet<&[u8]> = HashSet::new();
    let folders = || view.walk(b"").filter(|hit| hit.entry.is_dir() && !hit.entry.path.is_empty());
    for hit in view.walk(b"").filter(|hit| !hit.entry.is_dir()) {
        let path = &hit.entry.path;
        mark(&mut had_something, path);
        if !goes(path) {
            mark(&mut stay, path);
        }
    }
    for hit in folders() {
        let path = &hit.entry.path[..];
        let is_needed = needed.folders.contains(path) || of_base.lookup(path).is_some();
        if is_needed || !had_something.contains(path) {
            stay.insert(path);
            mark(&mut stay, path);
        }
    }
    let gone = folders().filter(|hit| !stay.contains(&hit.entry.path[..]));
    gone.map(|hit| (hit.entry.path.clone(), hit.layer)).collect()
}

/// Marks the folders that a path is in.
fn mark<'a>(set: &mut HashSet<&'a [u8]>, mut path: &'a [u8]) {
    while let Some(slash) = path.iter().rposition(|&byte| byte == b'/') {
        path = &path[..slash];
        // Those above are marked already.
        if !set.insert(path) {
            break;
        }
    }
}

/// A path without what is no name in it.
fn spelled(path: &[u8]) -> Vec<u8> {
    let names = path.split(|&byte| byte == b'/').filter(|name| !matches!(*name, b"" | b"."));
    names.collect::<Vec<_>>().join(&b'/')
}

/// What is at a path, unless that is a folder or nothing.
fn found<'a>(tree: &ImageTree<'a>, path: &[u8], last: LastLink) -> Option<(Vec<u8>, Hit<'a>)> {
    let resolved = tree.view().resolve(path, last).ok().filter(Resolved::exists)?;
    let hit = resolved.hit.filter(|hit| !hit.entry.is_dir())?;
    Some((resolved.existing, hit))
}

fn name_of(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimize::owner::testing::{Image, Node, file, node, program};

    fn link(path: &str, target: &str) -> Node {
        node(path, EntryKind::Symlink { target: target.into() })
    }

    /// An image with two packages of Debian and one of Python.
    fn image() -> Image {
        let status = "Package: one\nStatus: install ok installed\nVersion: 1\n\n\
                      Package: two\nStatus: install ok installed\nVersion: 2\n";
        let elf = std::fs::read("/proc/self/exe").unwrap();
        let head = elf[..elf.len().min(usize::try_from(linked::HEADERS).unwrap())].to_vec();
        Image::of_layers(&[vec![
            file("var/lib/dpkg/status", status),
            file(
                "var/lib/dpkg/info/one.list",
                "/usr/bin/one\n/usr/lib/one.so\n/usr/lib/one.so.1\n/usr/share/zoneinfo/x\n",
            ),
            file("var/lib/dpkg/info/two.list", "/usr/bin/two\n/usr/share/two.txt\n"),
            program("usr/bin/one", "#! /usr/bin/sh -e\n"),
            program("usr/bin/sh", "no package has it"),
            link("usr/lib/one.so", "one.so.1"),
            file("usr/lib/one.so.1", "library"),
            file("usr/share/zoneinfo/x", "time"),
            program("usr/bin/two", head),
            file("usr/share/two.txt", "text"),
            link("bin", "usr/bin"),
            link("usr/bin/alias-of-one", "/etc/alternatives/one"),
            link("etc/alternatives/one", "/usr/bin/one"),
            link("usr/bin/alias-of-two", "two"),
            link("dangling", "nowhere"),
            file("app/main.py", "import this"),
            file("app/other.py", "import that"),
            file("site/three.py", "three"),
            file("site/three-1.dist-info/METADATA", "Name: three\nVersion: 1\n"),
            file("site/three-1.dist-info/RECORD", "three.py,,\n"),
        ]])
    }

    /// What goes of that image when these paths were asked for.
    fn dropped(paths: &[&str], keep: &[&str]) -> Vec<String> {
        let image = image();
        let (tree, inventory) = (image.tree(), image.inventory());
        let bytes = |paths: &[&str]| paths.iter().map(|path| path.as_bytes().to_vec()).collect();
        let observed = Observed { paths: bytes(paths), keep: bytes(keep) };
        let needed = Needed::of(&tree, &inventory, &observed).unwrap();
        let gone = image.view.walk(b"").filter(|hit| !needed.has(hit));
        gone.map(|hit| String::from_utf8_lossy(&hit.entry.path).into_owned()).collect()
    }

    const UNOWNED: [&str; 2] = ["app/main.py", "app/other.py"];
    const ONE: [&str; 4] = ["usr/bin/alias-of-one", "usr/bin/one", "usr/lib/one.so", "usr/lib/one.so.1"];
    const TWO: [&str; 3] = ["usr/bin/alias-of-two", "usr/bin/two", "usr/share/two.txt"];

    #[track_caller]
    fn check(paths: &[&str], keep: &[&str], expected: &[&[&str]]) {
        let mut expected: Vec<&str> = expected.concat();
        expected.sort_unstable();
        assert_eq!(dropped(paths, keep), expected);
    }

    #[test]
    fn packages_are_kept_whole_and_other_files_alone() {
        check(&["/app/main.py", "/site/three.py"], &[], &[&UNOWNED[1..], &ONE, &TWO, &["usr/bin/sh"]]);
        // By a link of a folder, by a link of a link, and with its interpreter.
        check(&["/bin/../bin/alias-of-one"], &[], &[&UNOWNED, &TWO, &["site/three.py"]]);
    }

    #[test]
    fn to_read_what_is_always_kept_needs_no_package() {
        let asked = ["/usr/share/zoneinfo/x", "/site/three-1.dist-info/METADATA", "/var/lib/dpkg/info/two.list"];
        check(&asked, &[], &[&UNOWNED, &ONE, &TWO, &["usr/bin/sh", "site/three.py"]]);
    }

    #[test]
    fn what_is_asked_to_stay_stays() {
        check(&["/usr/bin/sh"], &["/app/", "site/three.py"], &[&ONE, &TWO]);
    }

    #[test]
    fn paths_that_lead_nowhere_need_nothing() {
        let asked = ["/nowhere", "/dangling", "relative", "/app/main.py/x", "/", "", "/..", "/\u{1}"];
        check(&asked, &[], &[&UNOWNED, &ONE, &TWO, &["usr/bin/sh", "site/three.py"]]);
    }
}
