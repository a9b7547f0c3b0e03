//! What is installed below, as apt has to know it.
//!
//! | file | says |
//! |---|---|
//! | `var/lib/dpkg/status` | which packages dpkg installed, and which it removed (`dpkg(1)`, "FILES") |
//! | `var/lib/dpkg/status.d/NAME` | a package that was unpacked without dpkg: distroless images have them, and `DEPS apt` leaves them |
//!
//! An image is not trusted: apt on this machine reads of it what decides about dependencies, checked, and nothing else.

use super::{paragraph::Paragraph, resolve::Scripts};
use crate::{
    layer::View,
    packages::{PackageError, files::TreeBelow},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

/// Where dpkg's notes are.
pub(super) const FOLDER: &str = "var/lib/dpkg";
/// dpkg's own, in that folder.
pub(super) const STATUS: &str = "var/lib/dpkg/status";
/// Those of packages that were unpacked without it.
pub(super) const APART: &str = "var/lib/dpkg/status.d";
/// Largest file of them that is read; that of a desktop has 10 MB.
pub(super) const MAX_NOTES: u64 = 64 << 20;

/// What apt looks at to resolve dependencies.
const FIELDS: [&str; 8] =
    ["Architecture", "Multi-Arch", "Version", "Pre-Depends", "Depends", "Provides", "Conflicts", "Breaks"];

/// The packages below, by name.
#[derive(Debug, Default)]
pub(super) struct Installed(BTreeMap<String, InstalledPackage>);

/// A package below.
#[derive(Debug)]
pub(super) struct InstalledPackage {
    /// With epoch and revision.
    pub(super) version: String,
    /// The file that says so, in the spelling of [`Entry::path`](crate::layer::Entry::path).
    pub(super) noted_in: String,
    /// Names that it answers to, besides its own.
    provides: Vec<String>,
    /// For apt.
    paragraph: String,
}

/// Which layers of a tree have something to be read from: positions, the lowest 0.
pub(in crate::packages) fn reads_below(view: &View) -> BTreeSet<usize> {
    let is_read = |path: &[u8]| {
        let is_list = path.ends_with(b".list") || path.ends_with(b".md5sums");
        let is_in = |folder: &[u8]| path.starts_with(folder);
        path == STATUS.as_bytes() || is_in(b"var/lib/dpkg/status.d/") || (is_in(b"var/lib/dpkg/info/") && is_list)
    };
    view.walk(FOLDER.as_bytes()).filter(|hit| is_read(&hit.entry.path)).map(|hit| hit.layer).collect()
}

impl Installed {
    /// What is in the tree for Debian's `architecture`. Where scripts run, what was only unpacked does not count: it was never
    /// configured.
    pub(super) fn read(below: &TreeBelow, architecture: &str, scripts: Scripts) -> Result<Self, PackageError> {
        let mut installed = Self::default();
        let status = below.read(STATUS.as_bytes(), MAX_NOTES)?.unwrap_or_default();
        let has_scripts = scripts != Scripts::None;
        let counts = |state: &str| match state {
            "installed" | "triggers-awaited" | "triggers-pending" => true,
            "unpacked" | "half-configured" => !has_scripts,
            _ => false,
        };
        for fields in paragraphs(&status) {
            if fields.get("Status").and_then(|status| status.split_whitespace().nth(2)).is_some_and(counts) {
                installed.add(&fields, architecture, STATUS);
            }
        }
        if has_scripts {
            return Ok(installed);
        }
        let apart: Vec<String> = below
            .view()
            .read_dir(APART.as_bytes())
            .map(|hit| String::from_utf8_lossy(&hit.entry.path).into_owned())
            .collect();
        for path in apart.iter().filter(|path| !path.ends_with(".md5sums")) {
            let text = below.read(path.as_bytes(), MAX_NOTES)?.unwrap_or_default();
            for fields in paragraphs(&text) {
                installed.add(&fields, architecture, path);
            }
        }
        Ok(installed)
    }

    fn add(&mut self, fields: &Paragraph, architecture: &str, noted_in: &str) {
        let one_line = |field: &str| {
            let words: Vec<&str> = fields.get(field)?.split_whitespace().collect();
            let text = words.join(" ");
            (!text.is_empty() && !text.contains(char::is_control)).then_some(text)
        };
        let (Some(name), Some(version)) = (one_line("Package"), one_line("Version")) else { return };
        let is_ours = one_line("Architecture").is_some_and(|its| its == architecture || its == "all");
        if !is_ours || !is_plain(&name, "+-.") || !is_plain(&version, "+-.:~") {
            return;
        }
        let mut paragraph = format!("Package: {name}\nStatus: install ok installed\n");
        for field in FIELDS {
            if let Some(text) = one_line(field) {
                let _ = writeln!(paragraph, "{field}: {text}");
            }
        }
        let provides = names(fields.get("Provides").unwrap_or_default()).flatten().collect();
        let package = InstalledPackage { version, noted_in: noted_in.to_owned(), provides, paragraph };
        self.0.insert(name, package);
    }

    /// The package of this name.
    pub(super) fn get(&self, name: &str) -> Option<&InstalledPackage> {
        self.0.get(name)
    }

    /// The name of the package that is meant by `name`: itself, or what provides it.
    pub(super) fn provider<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        if self.0.contains_key(name) {
            return Some(name);
        }
        let provides = |(_, package): &(&String, &InstalledPackage)| package.provides.iter().any(|it| it == name);
        self.0.iter().find(provides).map(|(provider, _)| provider.as_str())
    }

    /// Names and versions.
    pub(super) fn versions(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, package)| (name.as_str(), package.version.as_str()))
    }

    /// The file that tells apt. Nothing else of the tree has a part in what apt answers.
    pub(super) fn for_apt(&self) -> String {
        self.0.values().flat_map(|package| [&package.paragraph, "\n"]).collect()
    }
}

/// The paragraphs of a file; what is none is left out.
pub(super) fn paragraphs(text: &str) -> impl Iterator<Item = Paragraph> {
    text.split("\n\n").filter_map(|paragraph| Paragraph::read_all(paragraph).ok()?.into_iter().next())
}

/// The names in a field such as `libc6 (>= 2.36), default-mta | mail-transport-agent`, by choice.
pub(super) fn names(field: &str) -> impl Iterator<Item = Vec<String>> {
    field.split(',').map(|choice| {
        let names = choice.split('|').map(|name| name.split(['(', ':', '[']).next().unwrap_or_default().trim());
        names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
    })
}

fn is_plain(text: &str, more: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        layer::{Entry, EntryKind, Form, Item, Layers, OverlayXattrs},
        packages::files::text_item,
        store::Store,
    };
    use flashbuild_frontend::package::PackageOp;

    const DPKG: &str = "\
Package: libc6
Status: install ok installed
Architecture: amd64
Multi-Arch: same
Version: 2.36-9
Description: long
 and longer
Depends: libgcc-s1,
 libcrypt1 (>= 1)
X-Surprise: yes

Package: libc6
Status: install ok installed
Architecture: i386
Version: 1

Package: mawk
Status: install ok triggers-pending
Architecture: amd64
Version: 1.3
Provides: awk, nothing (= 2)

Package: half
Status: install ok unpacked
Architecture: all
Version: 1

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1

Package: ../../hostile
Status: install ok installed
Architecture: amd64
Version: 1
";

    fn tree(files: &[(&str, &str)]) -> (tempfile::TempDir, TreeBelow) {
        let folder = tempfile::tempdir().unwrap();
        let layers = Layers::new(Store::open(folder.path()).unwrap(), OverlayXattrs::User);
        let item = |(path, text): &(&str, &str)| text_item(path.as_bytes(), text.as_bytes().to_vec(), 0o644, 0);
        let link = Item::new(Entry::new("etc", EntryKind::Dir { opaque: false }));
        let items = files.iter().map(item).chain([link]).collect();
        let made = layers.from_files(items, Some(PackageOp::TIME), Form::Folder).unwrap();
        (folder, TreeBelow::of_files(layers, vec![made.diff_id]).unwrap())
    }

    #[test]
    fn apt_is_told_of_what_is_installed_and_of_nothing_else() {
        let (_folder, below) = tree(&[
            (STATUS, DPKG),
            ("var/lib/dpkg/status.d/apart", "Package: apart\nVersion: 1:2\nArchitecture: all\n"),
        ]);
        let installed = Installed::read(&below, "amd64", Scripts::None).unwrap();
        let names: Vec<_> = installed.versions().collect();
        assert_eq!(names, [("apart", "1:2"), ("half", "1"), ("libc6", "2.36-9"), ("mawk", "1.3")]);
        assert!(
            installed.for_apt().contains(
                "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nMulti-Arch: same\nVersion: 2.36-9\n\
                 Depends: libgcc-s1, libcrypt1 (>= 1)\n\n"
            ),
            "{}",
            installed.for_apt()
        );
        assert_eq!(installed.provider("awk"), Some("mawk"));
        assert_eq!(installed.get("apart").unwrap().noted_in, "var/lib/dpkg/status.d/apart");

        let configured = Installed::read(&below, "amd64", Scripts::OnSystem).unwrap();
        assert_eq!(configured.versions().map(|(name, _)| name).collect::<Vec<_>>(), ["libc6", "mawk"]);
        assert_eq!(reads_below(below.view()), BTreeSet::from([0]));
    }

    #[test]
    fn a_tree_without_notes_has_nothing() {
        let (_folder, below) = tree(&[("usr/bin/x", "")]);
        assert_eq!(Installed::read(&below, "amd64", Scripts::None).unwrap().for_apt(), "");
        assert_eq!(reads_below(below.view()), BTreeSet::new());
        assert_eq!(names("a (>= 1), b:any | c [linux-any],").collect::<Vec<_>>(), [vec!["a"], vec!["b", "c"], vec![]]);
    }
}
