//! The libraries of a tree, folder by folder, by the rules of `ldconfig`.

use super::{
    elf::{self, Shared},
    folders, table,
    table::Library,
};
use crate::{
    layer::{Entry, EntryKind, Hit, LastLink, View},
    packages::{PackageError, TreeBelow},
};
use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
};

/// Where the table is, in the spelling of [`Entry::path`].
pub(in crate::packages::apt) const CACHE: &str = "etc/ld.so.cache";
/// Largest table that is read.
const MAX_CACHE: u64 = 16 << 20;

/// Whether `path` decides which libraries there are, and has to be here to be read.
pub(in crate::packages::apt) fn is_setting(path: &[u8]) -> bool {
    path == CACHE.as_bytes() || path == b"etc/ld.so.conf" || path.starts_with(b"etc/ld.so.conf.d/")
}

/// The libraries of a tree.
pub(in crate::packages::apt) struct Libraries<'a> {
    tree: &'a TreeBelow,
    architecture: &'a str,
    folders: Vec<Folder<'a>>,
}

/// What was found.
pub(in crate::packages::apt) struct Found {
    /// In the order of their folders.
    pub(in crate::packages::apt) libraries: Vec<Library>,
    /// Links that are missing: paths in the spelling of [`Entry::path`], and what they lead to.
    pub(in crate::packages::apt) links: Vec<(Vec<u8>, String)>,
}

/// A folder with libraries.
struct Folder<'a> {
    /// As it was named.
    name: String,
    /// Where that is, in the spelling of [`Entry::path`].
    path: Vec<u8>,
    files: Vec<Named<'a>>,
}

/// What may be a library.
struct Named<'a> {
    name: String,
    is_link: bool,
    /// The file that it leads to.
    file: Hit<'a>,
    /// What an older table says.
    known: Option<u32>,
}

/// What an older table says, and about which layers.
#[derive(Default)]
struct Known {
    layers: usize,
    flags: BTreeMap<String, u32>,
    folders: BTreeSet<String>,
}

impl<'a> Libraries<'a> {
    /// Looks for what may be libraries in `tree`, of which the [settings](is_setting) are here.
    pub(in crate::packages::apt) fn find(tree: &'a TreeBelow, architecture: &'a str) -> Result<Self, PackageError> {
        let known = Known::read(tree, architecture)?;
        let (mut seen, mut found) = (BTreeSet::new(), Vec::new());
        for name in folders::of(tree)? {
            let Some(path) = folder_at(tree.view(), &name) else { continue };
            if seen.insert(path.clone()) {
                let files = files(tree.view(), &path, &name, &known);
                found.push(Folder { name, path, files });
            }
        }
        Ok(Self { tree, architecture, folders: found })
    }

    /// Which layers have files that have to be read: positions, the lowest 0.
    pub(in crate::packages::apt) fn layers(&self) -> BTreeSet<usize> {
        let files = self.folders.iter().flat_map(|folder| &folder.files);
        files.filter(|file| file.known.is_none()).map(|file| file.file.layer).collect()
    }

    /// Reads those files.
    pub(in crate::packages::apt) fn read(self) -> Result<Found, PackageError> {
        let (mut libraries, mut links) = (Vec::new(), Vec::new());
        let mut read: BTreeMap<(usize, &[u8]), Option<Shared>> = BTreeMap::new();
        for folder in &self.folders {
            let mut chosen: BTreeMap<String, (&Named<'_>, bool, u32)> = BTreeMap::new();
            for file in &folder.files {
                let shared = match (file.known, read.get(&(file.file.layer, &file.file.entry.path[..]))) {
                    (Some(flags), _) => Some(Shared { soname: Some(file.name.clone()), flags }),
                    (None, Some(shared)) => shared.clone(),
                    (None, None) => {
                        let opened = self.tree.open(&file.file)?;
                        let shared = opened.and_then(|opened| elf::read(opened, self.architecture));
                        read.insert((file.file.layer, &file.file.entry.path), shared.clone());
                        shared
                    }
                };
                let Some(Shared { soname, flags }) = shared else { continue };
                let soname = soname.unwrap_or_else(|| file.name.clone());
                let is_link = file.is_link && stands_for(&file.name, &soname);
                let soname = if is_link { file.name.clone() } else { soname };
                if !is_name(&soname) {
                    continue;
                }
                let wins = chosen.get(&soname).is_none_or(|(other, other_is_link, _)| {
                    let is_newer = table::compare(&other.name, &file.name) == Ordering::Less;
                    (!is_link && *other_is_link) || (is_link == *other_is_link && is_newer)
                });
                if wins {
                    chosen.insert(soname, (file, is_link, flags));
                }
            }
            for (soname, (file, is_link, flags)) in chosen {
                let path = [&folder.path[..], b"/", soname.as_bytes()].concat();
                if !is_link && soname != file.name && self.tree.view().lookup(&path).is_none() {
                    links.push((path, file.name.clone()));
                }
                libraries.push(Library { path: format!("{}/{soname}", folder.name), flags });
            }
        }
        Ok(Found { libraries, links })
    }
}

impl Known {
    fn read(tree: &TreeBelow, architecture: &str) -> Result<Self, PackageError> {
        let Some(hit) = tree.view().lookup(CACHE.as_bytes()) else { return Ok(Self::default()) };
        let bytes = tree.read_bytes(CACHE.as_bytes(), MAX_CACHE)?.unwrap_or_default();
        let Some(libraries) = table::read(architecture, &bytes) else { return Ok(Self::default()) };
        let folder = |library: &Library| library.path.rsplit_once('/').map(|(folder, _)| folder.to_owned());
        Ok(Self {
            layers: hit.layer + 1,
            folders: libraries.iter().filter_map(folder).collect(),
            flags: libraries.into_iter().map(|library| (library.path, library.flags)).collect(),
        })
    }
}

/// Where the folder `name` is, if it is one and not the root.
fn folder_at(view: &View, name: &str) -> Option<Vec<u8>> {
    let found = view.resolve(name.as_bytes(), LastLink::Follow).ok().filter(|found| found.missing.is_empty())?;
    found.hit.filter(|hit| hit.entry.is_dir()).map(|_| found.existing)
}

/// What has the name of a library in the folder at `path`, which is called `folder`.
fn files<'a>(view: &'a View, path: &[u8], folder: &str, known: &Known) -> Vec<Named<'a>> {
    let entries: Vec<&Entry> = view.walk(path).map(|hit| hit.entry).collect();
    let mut files = Vec::new();
    for entry in entries {
        let Some(name) = entry.path.get(path.len() + 1..).and_then(|name| std::str::from_utf8(name).ok()) else {
            continue;
        };
        if name.contains('/') || !is_library(name) {
            continue;
        }
        let is_link = matches!(entry.kind, EntryKind::Symlink { .. });
        let found = view.resolve(&entry.path, LastLink::Follow).ok().filter(|found| found.missing.is_empty());
        let Some(file) = found.and_then(|found| found.hit).filter(|hit| hit.file().is_some()) else { continue };
        let mut flags = None;
        if file.layer < known.layers && known.folders.contains(folder) {
            flags = known.flags.get(&format!("{folder}/{name}")).copied();
            // It was looked at then.
            if flags.is_none() {
                continue;
            }
        }
        files.push(Named { name: name.to_owned(), is_link, file, known: flags });
    }
    files
}

/// Whether the loader, or a program that asks for a library, would look at a file of this name.
fn is_library(name: &str) -> bool {
    let is_one = (name.starts_with("lib") || name.starts_with("ld-")) && name.contains(".so");
    let is_loader = name.starts_with("ld.so.") || name.starts_with("ld64.so.");
    // Of package managers and linkers that are at work, and notes for debuggers.
    let is_other = name.contains(';')
        || [".dpkg-new", ".dpkg-tmp", "-gdb.py", ".#prelink#"].iter().any(|end| name.ends_with(end))
        || name.contains(".#prelink#.");
    (is_one || is_loader) && !is_other && is_name(name)
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 255 && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/')
}

/// Whether a link of this name is one to a library called `soname`, as programs or linkers follow it. Any other link counts as
/// one more file.
fn stands_for(link: &str, soname: &str) -> bool {
    link == soname || (link.strip_suffix(".so").is_some() && soname.starts_with(link))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        layer::{Form, Item, Layers, OverlayXattrs},
        packages::files::text_item,
        store::Store,
    };
    use flashbuild_frontend::package::PackageOp;

    /// A library with nothing in it but its name, for 64 bits.
    fn library(soname: &str, machine: u16, little: bool) -> Vec<u8> {
        let number = |value: u64, bytes: usize| {
            let all = if little { value.to_le_bytes() } else { value.to_be_bytes() };
            if little { all[..bytes].to_vec() } else { all[8 - bytes..].to_vec() }
        };
        // A file header, two program headers, three dynamic entries, the string; loaded at an address that is no offset.
        let (dynamic, strings, address) = (64 + 2 * 56, 64 + 2 * 56 + 3 * 16, 0x40_0000);
        let end = strings + 1 + soname.len() as u64 + 1;
        let mut file = vec![0x7f, b'E', b'L', b'F', 2, if little { 1 } else { 2 }, 1];
        file.resize(16, 0);
        let header =
            [(3, 2), (u64::from(machine), 2), (1, 4), (0, 8), (64, 8), (0, 8), (0, 4), (64, 2), (56, 2), (2, 2)];
        let header = header.into_iter().chain([(0, 2), (0, 2), (0, 2)]);
        let load = [(1, 4), (4, 4), (0, 8), (address, 8), (address, 8), (end, 8), (end, 8), (4096, 8)];
        let table = [(2, 4), (4, 4), (dynamic, 8), (address + dynamic, 8), (0, 8), (48, 8), (48, 8), (8, 8)];
        let entries = [(5, 8), (address + strings, 8), (14, 8), (1, 8), (0, 8), (0, 8)];
        for (value, bytes) in header.chain(load).chain(table).chain(entries) {
            file.extend(number(value, bytes));
        }
        file.push(0);
        file.extend(soname.as_bytes());
        file.push(0);
        file
    }

    fn link(path: &str, target: &str) -> Item {
        Item::new(Entry::new(path, EntryKind::Symlink { target: target.into() }))
    }

    fn file(path: &str, bytes: &[u8]) -> Item {
        text_item(path.as_bytes(), bytes.to_vec(), 0o644, 0)
    }

    fn tree(layers: Vec<Vec<Item>>) -> (tempfile::TempDir, TreeBelow) {
        let folder = tempfile::tempdir().unwrap();
        let store = Layers::new(Store::open(folder.path()).unwrap(), OverlayXattrs::User);
        let made = |items| store.from_files(items, Some(PackageOp::TIME), Form::Folder).unwrap().diff_id;
        let diff_ids = layers.into_iter().map(made).collect();
        let tree = TreeBelow::of_files(store, diff_ids).unwrap();
        (folder, tree)
    }

    fn found(tree: &TreeBelow, architecture: &str) -> (Vec<String>, Vec<(String, String)>) {
        let Found { libraries, links } = Libraries::find(tree, architecture).unwrap().read().unwrap();
        let links = links.into_iter().map(|(path, target)| (String::from_utf8(path).unwrap(), target)).collect();
        (libraries.into_iter().map(|library| format!("{} {:x}", library.path, library.flags)).collect(), links)
    }

    #[test]
    fn libraries_are_called_as_their_files_say() {
        let x86 = |soname| library(soname, 62, true);
        let (_folder, tree) = tree(vec![vec![
            link("lib", "usr/lib"),
            file("etc/ld.so.conf", b"# all\ninclude ld.so.conf.d/*.conf\n/absent\n"),
            file("etc/ld.so.conf.d/b.conf", b"/usr/lib/sub/ # mine\nrelative\n"),
            file("etc/ld.so.conf.d/a.conf", b"include /etc/ld.so.conf\n/lib\n"),
            file("etc/ld.so.conf.d/none", b"/opt\n"),
            file("opt/libopt.so", &x86("libopt.so")),
            file("usr/lib/liba.so.1.2", &x86("liba.so.1")),
            link("usr/lib/liba.so.1", "liba.so.1.2"),
            link("usr/lib/liba.so", "liba.so.1"),
            file("usr/lib/libb.so.1.9", &x86("libb.so.1")),
            file("usr/lib/libb.so.1.10", &x86("libb.so.1")),
            file("usr/lib/libc.so", b"/* GNU ld script */"),
            file("usr/lib/libarm.so.1", &library("libarm.so.1", 183, true)),
            link("usr/lib/libgone.so.1", "nowhere"),
            file("usr/lib/libhostile.so.1", &x86("../../x")),
            file("usr/lib/plugin.so", &x86("plugin.so")),
            file("usr/lib/sub/libsub.so.3", &x86("libsub.so.3")),
        ]]);
        let expected = ["/lib/liba.so 303", "/lib/liba.so.1 303", "/lib/libb.so.1 303", "/usr/lib/sub/libsub.so.3 303"];
        let (libraries, links) = found(&tree, "amd64");
        assert_eq!(libraries, expected);
        assert_eq!(links, [("usr/lib/libb.so.1".to_owned(), "libb.so.1.10".to_owned())]);
        assert_eq!(found(&tree, "arm64").0, ["/lib/libarm.so.1 a03"]);
    }

    #[test]
    fn files_of_the_other_byte_order_are_read_and_broken_ones_are_none() {
        let whole = library("libz.so.1", 22, false);
        let mut items = vec![file("lib/libz.so.1", &whole)];
        items.extend((0..whole.len() - 1).step_by(7).map(|at| file(&format!("lib/libcut.so.{at}"), &whole[..at])));
        let (_folder, tree) = tree(vec![items]);
        assert_eq!(found(&tree, "s390x").0, ["/lib/libz.so.1 403"]);
        assert_eq!(found(&tree, "amd64").0, Vec::<String>::new());
    }

    /// Of what a table knows, only what is newer is read; what is gone is left out.
    #[test]
    fn a_table_below_spares_reading_what_it_knows() {
        let x86 = |soname| library(soname, 62, true);
        let old = |path: &str| Library { path: path.to_owned(), flags: 0x303 };
        let table =
            table::write("amd64", vec![old("/lib/libold.so.1"), old("/lib/libgone.so.1"), old("/lib/libnew.so.1")]);
        let (_folder, tree) = tree(vec![
            // Nobody reads these.
            vec![file("lib/libold.so.1", b"?"), file("lib/libgone.so.1", b"?"), file("lib/libnew.so.1.0", b"?")],
            vec![file("opt/libopt.so.1", &x86("libopt.so.1")), file(CACHE, &table)],
            vec![
                Item::new(Entry::new("lib/libgone.so.1", EntryKind::Whiteout)),
                file("lib/libnew.so.1", &x86("libnew.so.1")),
                file("etc/ld.so.conf", b"/opt\n"),
            ],
        ]);
        assert_eq!(Libraries::find(&tree, "amd64").unwrap().layers(), BTreeSet::from([1, 2]));
        let expected = ["/opt/libopt.so.1 303", "/lib/libnew.so.1 303", "/lib/libold.so.1 303"];
        assert_eq!(found(&tree, "amd64").0, expected);
    }
}
