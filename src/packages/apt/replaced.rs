//! Packages that are below in another version, and are replaced.
//!
//! Their layers are those of every other project. What goes with the older version is in layers of this tree alone:
//!
//! 1. below the packages' layers, one in which the files of the older versions are gone, but for those of `/etc`, which
//!    may be the administrator's; the packages bring again what they still have;
//! 2. where dpkg noted the older version, above them, one with its notes of the newer, so that each is known in one place.
//!
//! Where scripts run, dpkg's notes are the business of the step that runs them.

use super::installed::{APART, FOLDER, Installed, MAX_NOTES, STATUS, paragraphs};
use crate::{
    layer::{EntryKind, LastLink, View},
    packages::{PackageError, files::TreeBelow},
};
use flashbuild_frontend::package::{Package, PackageContent, PackageFile, PackageLayout, PackageOp};
use std::collections::BTreeSet;

/// Endings of the files that list what a package has: dpkg's, and those beside packages that were only unpacked.
const LISTS: [&str; 2] = [".list", ".md5sums"];

/// The layers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Replaced {
    /// Goes below those of the packages.
    pub(super) files: Option<PackageOp>,
    /// Goes above them.
    pub(super) status: Option<PackageOp>,
}

/// The tree that packages come to.
pub(super) struct Ground<'a> {
    pub(super) below: &'a TreeBelow,
    pub(super) installed: &'a Installed,
    /// Debian's name.
    pub(super) architecture: &'a str,
}

impl Replaced {
    /// For `packages` that come to `ground`. If scripts run, `configures`.
    pub(super) fn of(packages: &[Package], ground: &Ground<'_>, configures: bool) -> Result<Self, PackageError> {
        let Ground { below, installed, .. } = ground;
        let mut gone = BTreeSet::new();
        let mut of_dpkg = Vec::new();
        for package in packages {
            let Some(was) = installed.get(&package.name) else { continue };
            let notes = ground.notes_of(&package.name, &was.noted_in);
            if was.noted_in == STATUS {
                of_dpkg.push(package);
            }
            // Whose ending says that it lists files.
            for list in notes.iter().filter(|note| LISTS.iter().any(|end| note.strip_suffix(end).is_some())) {
                let text = below.read(list.as_bytes(), MAX_NOTES)?.unwrap_or_default();
                let paths = text.lines().map(|line| line.split_once("  ").map_or(line, |(_, path)| path));
                gone.extend(paths.filter_map(|path| file_of(below.view(), path)));
            }
            let stays = format!("{APART}/{}", package.name);
            if !configures && was.noted_in != stays {
                gone.extend(notes);
            }
        }
        let files: Vec<PackageFile> = gone.iter().map(|path| absent(path)).collect();
        let files = (!files.is_empty()).then_some(PackageOp { packages: Vec::new(), files });
        let status = if configures || of_dpkg.is_empty() { None } else { Some(ground.status(&of_dpkg)?) };
        Ok(Self { files, status })
    }
}

impl Ground<'_> {
    /// Files that are kept about the package `name`, which is noted in `noted_in`.
    fn notes_of(&self, name: &str, noted_in: &str) -> Vec<String> {
        let view = self.below.view();
        if noted_in != STATUS {
            let both = [noted_in.to_owned(), format!("{noted_in}.md5sums")];
            return both.into_iter().filter(|path| view.lookup(path.as_bytes()).is_some()).collect();
        }
        let folder = format!("{FOLDER}/info");
        let stems = [name.to_owned(), format!("{name}:{}", self.architecture)];
        let paths = view.read_dir(folder.as_bytes()).map(|hit| String::from_utf8_lossy(&hit.entry.path).into_owned());
        let is_its = |path: &String| {
            let stem = path[folder.len() + 1..].rsplit_once('.').map(|(stem, _)| stem);
            stem.is_some_and(|stem| stems.iter().any(|its| its == stem))
        };
        paths.filter(is_its).collect()
    }

    /// The layer with what dpkg notes of `packages`.
    fn status(&self, packages: &[&Package]) -> Result<PackageOp, PackageError> {
        let is_replaced = |paragraph: &str| {
            let Some(fields) = paragraphs(paragraph).next() else { return false };
            let is_ours = fields.get("Architecture").is_some_and(|its| its == self.architecture || its == "all");
            is_ours && packages.iter().any(|package| fields.get("Package") == Some(&package.name))
        };
        let status = self.below.read(STATUS.as_bytes(), MAX_NOTES)?.unwrap_or_default();
        let mut stays = String::new();
        for paragraph in status.split("\n\n").map(|paragraph| paragraph.trim_matches('\n')) {
            if !paragraph.is_empty() && !is_replaced(paragraph) {
                stays.push_str(paragraph);
                stays.push_str("\n\n");
            }
        }
        let mut files =
            vec![PackageFile { path: format!("/{STATUS}"), mode: 0o644, content: PackageContent::Text(stays) }];
        for package in packages {
            files.extend(["", ".md5sums"].map(|end| absent(&format!("{APART}/{}{end}", package.name))));
        }
        let noted = |package: &&Package| Package { layout: PackageLayout::DebStatus, ..(*package).clone() };
        Ok(PackageOp { packages: packages.iter().map(noted).collect(), files })
    }
}

fn absent(path: &str) -> PackageFile {
    PackageFile { path: format!("/{path}"), mode: 0, content: PackageContent::Absent }
}

/// Where the file is that a list calls `path`; nothing if it is none, is not there, or may be somebody's own.
fn file_of(view: &View, path: &str) -> Option<String> {
    let found = view.resolve(path.as_bytes(), LastLink::Keep).ok().filter(|found| found.missing.is_empty())?;
    let hit = found.hit?;
    let is_folder = match hit.entry.kind {
        EntryKind::Symlink { .. } => {
            let leads_to = view.resolve(path.as_bytes(), LastLink::Follow).ok()?.hit;
            leads_to.is_some_and(|hit| matches!(hit.entry.kind, EntryKind::Dir { .. }))
        }
        EntryKind::File { .. } | EntryKind::HardLink { .. } => false,
        EntryKind::Dir { .. }
        | EntryKind::CharDevice { .. }
        | EntryKind::BlockDevice { .. }
        | EntryKind::Fifo
        | EntryKind::Whiteout => true,
    };
    let path = String::from_utf8(found.existing).ok()?;
    (!is_folder && !path.starts_with("etc/")).then_some(path)
}
