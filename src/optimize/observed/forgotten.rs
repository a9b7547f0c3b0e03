//! Packages of which nothing is left, in the databases that name them: what is not there is not listed either, by
//! `dpkg -l` or by scanners.
//!
//! | database | what goes |
//! |---|---|
//! | dpkg's `status`, apk's `installed` | the paragraph of the package |
//! | dpkg's `info/`, `status.d/` | the files of the package |
//! | `*.dist-info`, `*.egg-info` | the folder, unless something of it was asked for: programs ask which version they have |
//! | rpm's | nothing: it is no text |
//!
//! A package is gone if its files are, but for those that only describe it. Of a package of dpkg's whose configuration is kept,
//! the paragraph says just that, as after `dpkg --remove`. One of which anything else is kept stays listed.

use super::{Needed, always::describes};
use crate::{
    layer::{EntryKind, LayerError},
    optimize::owner::{Ecosystem, ImageTree, Inventory, Package},
};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Largest database.
const MAX_DATABASE: u64 = 256 << 20;

/// Where dpkg says which packages are there.
const STATUS: &[u8] = b"var/lib/dpkg/status";

/// What databases lose.
#[derive(Debug, Default)]
pub(in crate::optimize) struct Forgotten {
    /// Files that go, with the positions of their packages in the inventory.
    pub(in crate::optimize) files: Vec<(Vec<u8>, usize)>,
    /// Files that say less, with their bytes then.
    pub(in crate::optimize) databases: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// Finds out what goes when files that are `removed` are gone; in layers from `base` on.
pub(in crate::optimize) fn forget(
    tree: &ImageTree<'_>,
    inventory: &Inventory,
    needed: &Needed<'_>,
    removed: &BTreeMap<Vec<u8>, usize>,
    base: usize,
) -> Result<Forgotten, LayerError> {
    let of_base = |path: &[u8]| tree.view().lookup(path).is_some_and(|hit| hit.layer < base);
    let mut forgotten = Forgotten::default();
    let mut of_databases: BTreeMap<&[u8], Vec<(&Package, Left)>> = BTreeMap::new();
    for (index, package) in inventory.packages.iter().enumerate() {
        let left = left(package, tree, needed, removed);
        if of_base(&package.found_in)
            || left == Left::Something
            || left == Left::Configuration && package.found_in != STATUS
        {
            continue;
        }
        let goes = |path: &&Vec<u8>| !of_base(path) && !needed.is_asked_for(path) && !removed.contains_key(*path);
        let own = package.files.iter().filter(|path| describes(path));
        match package.ecosystem {
            Ecosystem::Deb => {
                of_databases.entry(&package.found_in).or_default().push((package, left));
                let info = own.clone().filter(|path| left == Left::Nothing && path.starts_with(b"var/lib/dpkg/info/"));
                forgotten.files.extend(info.filter(|path| !of_base(path)).map(|path| (path.clone(), index)));
            }
            Ecosystem::Apk => of_databases.entry(&package.found_in).or_default().push((package, left)),
            Ecosystem::Python | Ecosystem::Rpm | Ecosystem::Node | Ecosystem::Go | Ecosystem::Rust => {}
        }
        let folders: BTreeSet<&[u8]> = own.clone().filter_map(|path| metadata_folder(path)).collect();
        for folder in folders {
            let files = || own.clone().filter(|path| path.starts_with(folder));
            if files().all(|path| goes(&path)) {
                forgotten.files.extend(files().map(|path| (path.clone(), index)));
            }
        }
    }
    for (path, packages) in of_databases {
        let Some(text) = tree.read(path, MAX_DATABASE)? else { continue };
        let rest = without(&text, &packages);
        // A file a package, and beside it the digests of its files.
        if rest.iter().all(u8::is_ascii_whitespace) && path.starts_with(b"var/lib/dpkg/status.d/") {
            let owner = inventory.owner_index(path);
            let sums = [path, &b".md5sums"[..]].concat();
            let beside = tree.view().lookup(&sums).is_some_and(|hit| hit.layer >= base).then_some(sums);
            let both = beside.into_iter().chain([path.to_vec()]);
            forgotten.files.extend(both.filter_map(|path| Some((path, owner?))));
        } else if matches!(tree.view().lookup(path).map(|hit| &hit.entry.kind), Some(EntryKind::File { .. })) {
            forgotten.databases.insert(path.to_vec(), rest);
        }
    }
    forgotten.files.sort_unstable();
    forgotten.files.dedup_by(|a, b| a.0 == b.0);
    Ok(forgotten)
}

/// What is left of a package when removed files are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Left {
    /// Nothing that is of use.
    Nothing,
    /// Files below `/etc` alone.
    Configuration,
    /// More than that, or nothing of it was removed.
    Something,
}

fn left(package: &Package, tree: &ImageTree<'_>, needed: &Needed<'_>, removed: &BTreeMap<Vec<u8>, usize>) -> Left {
    let is_link =
        |path: &[u8]| tree.view().lookup(path).is_some_and(|hit| matches!(hit.entry.kind, EntryKind::Symlink { .. }));
    let left = |path: &Vec<u8>| {
        if removed.contains_key(path) || describes(path) || is_link(path) && !needed.is_asked_for(path) {
            Left::Nothing
        } else if path.starts_with(b"etc/") {
            Left::Configuration
        } else {
            Left::Something
        }
    };
    if package.files.iter().any(|path| removed.contains_key(path)) {
        package.files.iter().map(left).max().unwrap_or(Left::Nothing)
    } else {
        Left::Something
    }
}

/// The folder of a Python package's metadata that a file is in, with its slash.
fn metadata_folder(path: &[u8]) -> Option<&[u8]> {
    let ends = [&b".dist-info/"[..], b".egg-info/"];
    let end =
        ends.iter().find_map(|end| path.windows(end.len()).position(|part| part == *end).map(|at| at + end.len()));
    end.map(|end| &path[..end])
}

/// Text of paragraphs without those of packages of which nothing is left.
fn without(text: &[u8], packages: &[(&Package, Left)]) -> Vec<u8> {
    let named = |it: &Package| {
        let fields = [it.name.as_str(), &it.version, it.architecture.as_deref().unwrap_or_default()];
        fields.map(|field| field.as_bytes().to_vec())
    };
    let gone: HashMap<[Vec<u8>; 3], Left> = packages.iter().map(|(it, left)| (named(it), *left)).collect();
    let mut rest = Vec::with_capacity(text.len());
    for paragraph in paragraphs(text) {
        let value = |names: [&str; 2]| {
            let mut lines = paragraph.split(|&byte| byte == b'\n');
            let found = lines.find_map(|line| names.iter().find_map(|name| line.strip_prefix(name.as_bytes())));
            found.unwrap_or_default().trim_ascii().to_vec()
        };
        match gone.get(&[value(["Package:", "P:"]), value(["Version:", "V:"]), value(["Architecture:", "A:"])]) {
            Some(Left::Nothing) => {}
            Some(Left::Configuration) => {
                for line in paragraph.split_inclusive(|&byte| byte == b'\n') {
                    let is_status = line.starts_with(b"Status:");
                    rest.extend_from_slice(if is_status { b"Status: deinstall ok config-files\n" } else { line });
                }
            }
            Some(Left::Something) | None => rest.extend_from_slice(paragraph),
        }
    }
    rest
}

/// Each with the empty line that ends it.
fn paragraphs(mut text: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let end = text.windows(2).position(|two| two == b"\n\n").map_or(text.len(), |at| at + 2);
        let (paragraph, rest) = text.split_at(end);
        text = rest;
        (!paragraph.is_empty()).then_some(paragraph)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimize::{
        observed::Observed,
        owner::testing::{Image, file},
    };

    const LISTED: &str = "Package: one\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n\n\
                          Package: two\nStatus: install ok installed\nVersion: 2\nDescription: it\n .\n more\n\n\
                          Package: set\nStatus: install ok installed\nVersion: 3\n\n";

    fn image() -> Image {
        Image::of_layers(&[
            vec![file("site/base-1.dist-info/METADATA", "Name: base\nVersion: 1\n"), file("site/base.py", "base")],
            vec![
                file("var/lib/dpkg/status", LISTED),
                file("var/lib/dpkg/info/one.list", "/usr/bin/one\n/usr/share/doc/one/copyright\n"),
                file("var/lib/dpkg/info/two.list", "/usr/bin/two\n/usr/lib/py/two-2.egg-info/PKG-INFO\n"),
                file("var/lib/dpkg/info/two.postinst", "#!/bin/sh\n"),
                file("var/lib/dpkg/info/set.list", "/usr/bin/set\n/etc/set\n"),
                file("usr/bin/one", "one"),
                file("usr/share/doc/one/copyright", "whose it is"),
                file("usr/bin/two", "two"),
                file("usr/lib/py/two-2.egg-info/PKG-INFO", "Name: two\nVersion: 2\n"),
                file("usr/bin/set", "set"),
                file("etc/set", "setting"),
                file("var/lib/dpkg/status.d/apart", "Package: apart\nVersion: 4\n"),
                file("var/lib/dpkg/status.d/apart.md5sums", "0  usr/bin/apart\n"),
                file("usr/bin/apart", "apart"),
                file("lib/apk/db/installed", "P:musl\nV:1\nA:x86_64\nF:lib\nR:musl\n\nP:tool\nV:2\nF:bin\nR:tool\n\n"),
                file("lib/musl", "musl"),
                file("bin/tool", "tool"),
                file("site/three.py", "three"),
                file("site/three-3.dist-info/METADATA", "Name: three\nVersion: 3\n"),
                file("site/three-3.dist-info/RECORD", "three.py,,\n"),
            ],
        ])
    }

    /// Files that go, and the databases as they are then, when these paths are asked for.
    fn of(paths: &[&str]) -> (Vec<String>, Vec<(String, String)>) {
        let image = image();
        let (tree, inventory) = (image.tree(), image.inventory());
        let paths = paths.iter().map(|path| path.as_bytes().to_vec()).collect();
        let needed = Needed::of(&tree, &inventory, &Observed { paths, keep: Vec::new() }).unwrap();
        let gone = image.view.walk(b"").filter(|hit| !needed.has(hit) && hit.layer > 0);
        let removed = gone.map(|hit| (hit.entry.path.clone(), hit.layer)).collect();
        let found = forget(&tree, &inventory, &needed, &removed, 1).unwrap();
        let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
        (
            found.files.iter().map(|(path, _)| text(path)).collect(),
            found.databases.iter().map(|(path, bytes)| (text(path), text(bytes))).collect(),
        )
    }

    #[test]
    fn what_is_gone_is_listed_no_more() {
        let (files, databases) = of(&["/usr/bin/one", "/lib/musl"]);
        assert_eq!(
            files,
            [
                "site/three-3.dist-info/METADATA",
                "site/three-3.dist-info/RECORD",
                "usr/lib/py/two-2.egg-info/PKG-INFO",
                "var/lib/dpkg/info/two.list",
                "var/lib/dpkg/info/two.postinst",
                "var/lib/dpkg/status.d/apart",
                "var/lib/dpkg/status.d/apart.md5sums",
            ]
        );
        let (one, rest) = LISTED.split_at(LISTED.find("Package: two").unwrap());
        let set =
            &rest[rest.find("Package: set").unwrap()..].replace("install ok installed", "deinstall ok config-files");
        assert_eq!(
            databases,
            [
                ("lib/apk/db/installed".to_owned(), "P:musl\nV:1\nA:x86_64\nF:lib\nR:musl\n\n".to_owned()),
                ("var/lib/dpkg/status".to_owned(), format!("{one}{set}")),
            ]
        );
    }

    #[test]
    fn metadata_that_was_asked_for_stays_and_so_does_what_is_needed() {
        let asked = [
            "/usr/bin/one",
            "/usr/bin/two",
            "/usr/bin/set",
            "/usr/bin/apart",
            "/lib/musl",
            "/bin/tool",
            "/site/three-3.dist-info/METADATA",
        ];
        assert_eq!(of(&asked), (vec![], vec![]));
    }
}
