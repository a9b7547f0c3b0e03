//! Debian packages (`dpkg(1)`, Debian Policy chapter 5).

use super::{Ecosystem, ImageTree, Package, tree::shown};
use crate::{layer::LayerError, packages::Paragraph};
use std::collections::{BTreeSet, HashMap, HashSet};

const FOLDER: &str = "var/lib/dpkg";
/// Largest status file; that of a desktop has 10 MB.
const MAX_STATUS: u64 = 256 << 20;
/// Largest list of files of a package; a kernel's has 1 MB.
const MAX_LIST: u64 = 64 << 20;
/// Largest copyright file that is looked into.
const MAX_COPYRIGHT: u64 = 4 << 20;

pub(super) fn find(tree: &ImageTree<'_>) -> Result<Vec<Package>, LayerError> {
    let mut packages = Vec::new();
    let info = info_files(tree);
    let status = format!("{FOLDER}/status");
    if let Some(text) = tree.read_text(status.as_bytes(), MAX_STATUS)? {
        read_status(tree, &text, status.as_bytes(), &info, &mut packages)?;
    }
    // Images without a package manager have a file a package, and beside it the digests of its files.
    let folder = format!("{FOLDER}/status.d");
    let apart: Vec<Vec<u8>> = tree.view().read_dir(folder.as_bytes()).map(|hit| hit.entry.path.clone()).collect();
    for path in apart.iter().filter(|path| !path.ends_with(b".md5sums")) {
        if let Some(text) = tree.read_text(path, MAX_LIST)? {
            let first = packages.len();
            read_status(tree, &text, path, &info, &mut packages)?;
            let sums = tree.read_text(&[path, &b".md5sums"[..]].concat(), MAX_LIST)?.unwrap_or_default();
            for package in &mut packages[first..] {
                let names = sums.lines().filter_map(|line| line.split_once("  ").map(|(_, name)| name));
                package.files.extend(names.filter_map(|name| tree.file_at(name.as_bytes())));
                package.files.push(path.clone());
            }
        }
    }
    Ok(packages)
}

/// What dpkg keeps of each package, by its name and, of some, its architecture.
fn info_files(tree: &ImageTree<'_>) -> HashMap<String, Vec<Vec<u8>>> {
    let mut info: HashMap<String, Vec<Vec<u8>>> = HashMap::new();
    for hit in tree.view().read_dir(format!("{FOLDER}/info").as_bytes()) {
        let path = &hit.entry.path;
        let name = String::from_utf8_lossy(&path[FOLDER.len() + "/info/".len()..]);
        if let Some((package, _)) = name.rsplit_once('.').filter(|_| !hit.entry.is_dir()) {
            info.entry(package.to_owned()).or_default().push(path.clone());
        }
    }
    info
}

fn read_status(
    tree: &ImageTree<'_>,
    text: &str,
    found_in: &[u8],
    info: &HashMap<String, Vec<Vec<u8>>>,
    packages: &mut Vec<Package>,
) -> Result<(), LayerError> {
    for paragraph in text.split("\n\n") {
        let Ok(fields) = Paragraph::read_all(paragraph) else {
            tree.note(format!("{} has a paragraph that is none: it is left out", shown(found_in)));
            continue;
        };
        let Some(fields) = fields.first() else { continue };
        let (Some(name), Some(version)) = (fields.get("Package"), fields.get("Version")) else { continue };
        // Packages that were removed leave an entry; those of `status.d` have no such field.
        if fields.get("Status").is_some_and(|status| !status.split_whitespace().any(|word| word == "installed")) {
            continue;
        }
        let mut package = Package::new(Ecosystem::Deb, name, version, found_in);
        package.architecture = fields.get("Architecture").map(str::to_owned);
        package.source = fields.get("Source").map(str::to_owned);
        package.depends = ["Pre-Depends", "Depends"].iter().flat_map(|field| needed(fields.get(field))).collect();
        let qualified = format!("{name}:{}", package.architecture.as_deref().unwrap_or_default());
        let own = info.get(name).or_else(|| info.get(&qualified));
        for path in own.into_iter().flatten() {
            if path.ends_with(b".list")
                && let Some(list) = tree.read(path, MAX_LIST)?
            {
                package.files.extend(listed(&list).filter_map(|name| tree.file_at(name)));
            }
            package.files.push(path.clone());
        }
        package.licences = licences(tree, name)?;
        packages.push(package);
    }
    Ok(())
}

/// What a list names, without the folders: where one of them is a link in this tree, the link is not the package's.
fn listed(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let names = || list.split(|&byte| byte == b'\n').filter(|name| !name.is_empty());
    let folder = |name: &'_ [u8]| name.iter().rposition(|&byte| byte == b'/').unwrap_or_default();
    let folders: HashSet<&[u8]> = names().map(|name| &name[..folder(name)]).collect();
    names().filter(move |name| !folders.contains(name))
}

/// The first name of each choice in a field such as `libc6 (>= 2.36), default-mta | mail-transport-agent`.
fn needed(field: Option<&str>) -> Vec<String> {
    let first = |choice: &str| {
        let name = choice.split(['|', '(', ':', '[']).next().unwrap_or_default().trim();
        (!name.is_empty()).then(|| name.to_owned())
    };
    field.unwrap_or_default().split(',').filter_map(first).collect()
}

/// The short names of a machine-readable copyright file (DEP 5), or the common licences that another one refers to.
fn licences(tree: &ImageTree<'_>, name: &str) -> Result<Vec<String>, LayerError> {
    let path = format!("usr/share/doc/{name}/copyright");
    let Some(text) = tree.read_text(path.as_bytes(), MAX_COPYRIGHT)? else { return Ok(Vec::new()) };
    let mut found: BTreeSet<String> = BTreeSet::new();
    for line in text.lines() {
        if let Some(stated) = line.strip_prefix("License:") {
            let words =
                stated.split([',', ' ']).map(str::trim).filter(|word| !matches!(*word, "" | "and" | "or" | "with"));
            found.extend(words.map(str::to_owned));
        }
    }
    if found.is_empty() {
        for (start, prefix) in text.match_indices("/usr/share/common-licenses/") {
            let rest = &text[start + prefix.len()..];
            let name: String =
                rest.chars().take_while(|it| it.is_ascii_alphanumeric() || ".+-".contains(*it)).collect();
            found.insert(name.trim_end_matches('.').to_owned());
        }
    }
    found.remove("");
    Ok(found.into_iter().take(64).collect())
}

#[cfg(test)]
mod tests {
    use crate::{layer::EntryKind, optimize::owner::testing::*};

    #[test]
    fn installed_packages_have_the_files_that_are_there() {
        let status = "Package: bash\nStatus: install ok installed\nArchitecture: amd64\nSource: bash-src (5)\nVersion: 5.2-1\n\
                      Depends: base-files (>= 2), debianutils:any | other\n\n\
                      Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\n\
                      no field at all\n\n\
                      Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.36\n";
        let image = Image::of_layers(&[vec![
            node("bin", EntryKind::Symlink { target: b"usr/bin".to_vec() }),
            program("usr/bin/bash", "bash"),
            file("usr/share/doc/bash/copyright", "Format: x\nLicense: GPL-3+\n\nLicense: GPL-3+\n"),
            file("usr/share/doc/libc6/copyright", "See /usr/share/common-licenses/LGPL-2.1.\n"),
            file("var/lib/dpkg/status", status),
            file("var/lib/dpkg/info/bash.list", "/.\n/bin\n/bin/bash\n/usr/share/man/gone\n/../../etc/passwd\n"),
            file("var/lib/dpkg/info/libc6:amd64.list", ""),
            file("var/lib/dpkg/info/libc6:amd64.postinst", "#!/bin/sh\n"),
        ]]);
        let inventory = image.inventory();
        assert_eq!(
            listing(&inventory.packages),
            [
                "bash 5.2-1: usr/bin/bash var/lib/dpkg/info/bash.list",
                "libc6 2.36: var/lib/dpkg/info/libc6:amd64.list var/lib/dpkg/info/libc6:amd64.postinst"
            ]
        );
        let bash = &inventory.packages[0];
        assert_eq!(bash.depends, ["base-files", "debianutils"]);
        assert_eq!((bash.source.as_deref(), &bash.licences[..]), (Some("bash-src (5)"), &["GPL-3+".to_owned()][..]));
        assert_eq!(inventory.packages[1].licences, ["LGPL-2.1"]);
        assert_eq!(inventory.notes.len(), 1, "{:?}", inventory.notes);
    }

    #[test]
    fn images_without_a_package_manager_have_a_file_a_package() {
        let image = Image::new(&[
            ("var/lib/dpkg/status.d/base-files", "Package: base-files\nVersion: 12\n"),
            ("var/lib/dpkg/status.d/base-files.md5sums", "00  etc/host.conf\n"),
            ("etc/host.conf", "multi on\n"),
        ]);
        assert_eq!(
            listing(&image.inventory().packages),
            ["base-files 12: etc/host.conf var/lib/dpkg/status.d/base-files"]
        );
    }
}
