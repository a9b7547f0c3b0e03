//! Which packages an image has, and which of its files each of them brought.
//!
//! Nothing of the image runs. What package managers wrote down is read, from the merged tree:
//!
//! | file | database |
//! |---|---|
//! | `dpkg` | `/var/lib/dpkg/status`, `status.d/*` (distroless), `info/*.list`; licences from `/usr/share/doc/*/copyright` |
//! | `apk` | `/lib/apk/db/installed`, `/usr/lib/apk/db/installed` |
//! | `rpm` | `rpmdb.sqlite`, `Packages.db` (ndb) in any of the three places; Berkeley DB is named, not read |
//! | `python` | `*.dist-info/METADATA` and `RECORD`, `*.egg-info` |
//! | `node` | `node_modules/**/package.json` |
//! | `golang` | build information in programs (`.go.buildinfo`, Go 1.18 and later) |
//! | `rust` | the list of crates in programs that `cargo auditable` built (`.dep-v0`) |
//!
//! A file belongs to the first package that names it, in the order of that table: what Debian installed of Python is
//! Debian's. Everything here was written by strangers: sizes, counts and nesting are bounded, no path leads out of the
//! tree, and what cannot be read is a note, never a guess and never a failure of the whole.

mod apk;
mod dpkg;
mod elf;
mod golang;
mod node;
mod purl;
mod python;
mod rpm;
mod rpm_header;
mod rust;
mod tree;

#[cfg(test)]
pub(super) mod testing;

pub(super) use elf::Elf;
pub(crate) use purl::encode as encode_purl;
pub use tree::ImageTree;

use crate::layer::{EntryKind, LayerError};
use serde::{Deserialize, Serialize, Serializer};
use std::collections::HashMap;

/// Where a package came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ecosystem {
    /// dpkg: Debian, Ubuntu, distroless.
    Deb,
    /// apk: Alpine, Wolfi.
    Apk,
    /// rpm: Fedora, Red Hat, SUSE.
    Rpm,
    /// Distributions of Python.
    Python,
    /// Packages of npm's kind.
    Node,
    /// Go modules.
    Go,
    /// Crates.
    Rust,
}

/// A package that an image has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Package {
    /// Where it came from.
    pub ecosystem: Ecosystem,
    /// As its ecosystem spells it.
    pub name: String,
    /// Likewise, with epoch and revision.
    pub version: String,
    /// The machine that it is for, as its ecosystem names it (`amd64`, `x86_64`, `noarch`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    /// What it was built from, where that has another name: Debian's source package, Alpine's origin, the source rpm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Licences as the package states them; none if it does not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub licences: Vec<String>,
    /// Names of packages that it needs, the first of each choice. Only of dpkg.
    #[serde(skip)]
    pub depends: Vec<String>,
    /// The database or program that says that it is there, as a path of the tree.
    #[serde(serialize_with = "as_text")]
    pub found_in: Vec<u8>,
    /// Paths of the merged tree, sorted, folders not among them. Several packages may name one file.
    #[serde(skip)]
    pub files: Vec<Vec<u8>>,
    /// Bytes of those files that belong to it and to no package before it, each counted once.
    pub bytes: u64,
}

/// The distribution, from `os-release(5)`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Distribution {
    /// `ID`: `debian`.
    pub id: String,
    /// `VERSION_ID`: `12`.
    pub version: String,
    /// `PRETTY_NAME`, for people.
    pub title: String,
}

/// All packages of an image.
#[derive(Debug, Default)]
pub struct Inventory {
    /// By ecosystem, then by name and version.
    pub packages: Vec<Package>,
    /// What the image is made from, if it says so.
    pub distribution: Option<Distribution>,
    /// What could not be read, a sentence each.
    pub notes: Vec<String>,
    owners: HashMap<Vec<u8>, u32>,
}

/// Packages that are read of one image at most.
const MOST_PACKAGES: usize = 200_000;

/// How the packages of an ecosystem are found.
type Finder = fn(&ImageTree<'_>) -> Result<Vec<Package>, LayerError>;

/// A row an ecosystem whose packages have files, in the order in which files are given to packages.
const OWNERS: [Finder; 5] = [dpkg::find, apk::find, rpm::find, python::find, node::find];
/// Those whose packages are parts of programs.
const PARTS: [Finder; 2] = [golang::find, rust::find];

impl Inventory {
    /// Finds the packages of an image.
    pub fn of(tree: &ImageTree<'_>) -> Result<Self, LayerError> {
        Self::found_by(tree, OWNERS.iter().chain(&PARTS))
    }

    /// Finds the packages that have files; programs are not looked into.
    pub fn of_owners(tree: &ImageTree<'_>) -> Result<Self, LayerError> {
        Self::found_by(tree, &OWNERS)
    }

    fn found_by<'f>(tree: &ImageTree<'_>, finders: impl IntoIterator<Item = &'f Finder>) -> Result<Self, LayerError> {
        let mut packages = Vec::new();
        for find in finders {
            packages.extend(find(tree)?);
            if packages.len() > MOST_PACKAGES {
                tree.note(format!("the image names more than {MOST_PACKAGES} packages: the rest is left out"));
                packages.truncate(MOST_PACKAGES);
                break;
            }
        }
        packages.sort_by(|a, b| (a.ecosystem, &a.name, &a.version).cmp(&(b.ecosystem, &b.name, &b.version)));
        let mut inventory =
            Self { packages, distribution: distribution(tree)?, notes: tree.take_notes(), owners: HashMap::new() };
        inventory.give_files(tree);
        Ok(inventory)
    }

    /// The package that the file at `path`, in the spelling of [`crate::layer::Entry::path`], belongs to.
    pub fn owner(&self, path: &[u8]) -> Option<&Package> {
        self.owner_index(path).map(|index| &self.packages[index])
    }

    /// The position of that package.
    pub fn owner_index(&self, path: &[u8]) -> Option<usize> {
        self.owners.get(path).map(|&index| index as usize)
    }

    fn give_files(&mut self, tree: &ImageTree<'_>) {
        for (index, package) in self.packages.iter_mut().enumerate() {
            package.files.sort_unstable();
            package.files.dedup();
            for path in &package.files {
                if self.owners.contains_key(path) {
                    continue;
                }
                let number = u32::try_from(index).expect("there are fewer packages");
                self.owners.insert(path.clone(), number);
                // Of a file with several names, the first has the bytes.
                if let Some(EntryKind::File { size, .. }) = tree.view().lookup(path).map(|hit| &hit.entry.kind) {
                    package.bytes += size;
                }
            }
        }
    }
}

impl Package {
    fn new(ecosystem: Ecosystem, name: impl Into<String>, version: impl Into<String>, found_in: &[u8]) -> Self {
        Self {
            ecosystem,
            name: name.into(),
            version: version.into(),
            architecture: None,
            source: None,
            licences: Vec::new(),
            depends: Vec::new(),
            found_in: found_in.to_vec(),
            files: Vec::new(),
            bytes: 0,
        }
    }
}

impl Ecosystem {
    /// As people know it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Deb => "deb",
            Self::Apk => "apk",
            Self::Rpm => "rpm",
            Self::Python => "python",
            Self::Node => "node",
            Self::Go => "go",
            Self::Rust => "rust",
        }
    }
}

fn distribution(tree: &ImageTree<'_>) -> Result<Option<Distribution>, LayerError> {
    let mut text = tree.read_text(b"etc/os-release", 1 << 16)?;
    if text.is_none() {
        text = tree.read_text(b"usr/lib/os-release", 1 << 16)?;
    }
    let Some(text) = text else { return Ok(None) };
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.unwrap_or_default().trim().trim_matches(['"', '\'']).to_owned()
    };
    let found = Distribution { id: value("ID"), version: value("VERSION_ID"), title: value("PRETTY_NAME") };
    Ok((!found.id.is_empty()).then_some(found))
}

/// A path of the tree as absolute text; bytes that are no text are replaced.
fn as_text<S: Serializer>(path: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format!("/{}", String::from_utf8_lossy(path)))
}

#[cfg(test)]
mod tests {
    use super::{testing::Image, *};

    #[test]
    fn a_file_belongs_to_the_first_package_that_names_it() {
        let image = Image::new(&[
            ("var/lib/dpkg/status", "Package: python3-a\nStatus: install ok installed\nVersion: 1\n"),
            ("var/lib/dpkg/info/python3-a.list", "/.\n/usr\n/usr/lib/python3/dist-packages/a.py\n"),
            ("usr/lib/python3/dist-packages/a.py", "four"),
            ("usr/lib/python3/dist-packages/b.py", "three"),
            ("usr/lib/python3/dist-packages/a-1.dist-info/METADATA", "Name: a\nVersion: 1\n"),
            ("usr/lib/python3/dist-packages/a-1.dist-info/RECORD", "a.py,,\nb.py,,\n"),
        ]);
        let inventory = image.inventory();
        let owner = |path: &str| inventory.owner(path.as_bytes()).map(|package| package.name.as_str());
        assert_eq!(owner("usr/lib/python3/dist-packages/a.py"), Some("python3-a"));
        assert_eq!(owner("usr/lib/python3/dist-packages/b.py"), Some("a"));
        assert_eq!(owner("nowhere"), None);
        let python = inventory.packages.iter().find(|package| package.ecosystem == Ecosystem::Python).unwrap();
        assert_eq!(python.bytes, 5 + 19 + 14, "its own file and its dist-info");
    }

    #[test]
    fn an_image_says_what_it_is_made_from() {
        let image = Image::new(&[("usr/lib/os-release", "PRETTY_NAME=\"Debian 12\"\nVERSION_ID=\"12\"\nID=debian\n")]);
        let distribution = image.inventory().distribution.unwrap();
        assert_eq!((&*distribution.id, &*distribution.version), ("debian", "12"));
    }
}
