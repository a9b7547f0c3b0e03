//! Distributions of Python ("Recording installed projects" and "Core metadata specifications" of the packaging guide).
//!
//! A folder `NAME-VERSION.dist-info` says what is installed beside it: `METADATA`, and `RECORD` with a row a file.
//! Byte code of a recorded source belongs to it too, recorded or not. Older installations have `*.egg-info`, a folder or
//! a file, and at best `installed-files.txt`.

use super::{Ecosystem, ImageTree, Package};
use crate::{
    layer::LayerError,
    packages::{Paragraph, csv_fields},
};

/// Largest file of metadata; it holds the project's description.
const MAX_METADATA: u64 = 16 << 20;
/// Largest record.
const MAX_RECORD: u64 = 64 << 20;

pub(super) fn find(tree: &ImageTree<'_>) -> Result<Vec<Package>, LayerError> {
    let mut packages = Vec::new();
    for hit in tree.view().walk(b"") {
        let path = &hit.entry.path;
        let found = match (path.rsplit(|&byte| byte == b'.').next(), hit.entry.is_dir()) {
            (Some(b"dist-info"), true) => dist_info(tree, path)?,
            (Some(b"egg-info"), true) => egg_info(tree, path)?,
            (Some(b"egg-info"), false) => {
                read_metadata(tree, path, path)?.map(|package| with_files(package, [path.clone()]))
            }
            (Some(_) | None, _) => None,
        };
        packages.extend(found);
    }
    Ok(packages)
}

fn dist_info(tree: &ImageTree<'_>, folder: &[u8]) -> Result<Option<Package>, LayerError> {
    let Some(mut package) = read_metadata(tree, folder, &join(folder, b"METADATA"))? else { return Ok(None) };
    package.files.extend(below(tree, folder));
    if let Some(record) = tree.read_text(&join(folder, b"RECORD"), MAX_RECORD)? {
        let site = parent(folder);
        for line in record.lines() {
            let Some(path) = csv_fields(line).into_iter().next().filter(|path| !path.is_empty()) else { continue };
            add_recorded(tree, site, path.as_bytes(), &mut package.files);
        }
    }
    Ok(Some(package))
}

fn egg_info(tree: &ImageTree<'_>, folder: &[u8]) -> Result<Option<Package>, LayerError> {
    let Some(mut package) = read_metadata(tree, folder, &join(folder, b"PKG-INFO"))? else { return Ok(None) };
    package.files.extend(below(tree, folder));
    if let Some(list) = tree.read_text(&join(folder, b"installed-files.txt"), MAX_RECORD)? {
        // Its paths are relative to the folder itself.
        list.lines().for_each(|path| add_recorded(tree, folder, path.as_bytes(), &mut package.files));
    }
    Ok(Some(package))
}

fn read_metadata(tree: &ImageTree<'_>, found_in: &[u8], path: &[u8]) -> Result<Option<Package>, LayerError> {
    let Some(text) = tree.read_text(path, MAX_METADATA)? else { return Ok(None) };
    // What follows the first blank line is the description.
    let fields = text.split("\n\n").next().unwrap_or_default();
    let fields = fields.split("\r\n\r\n").next().unwrap_or_default();
    let Some(fields) = Paragraph::read_all(fields).ok().and_then(|read| read.into_iter().next()) else {
        tree.note(format!("{} is no metadata of a Python package: it is left out", super::tree::shown(path)));
        return Ok(None);
    };
    let (Some(name), Some(version)) = (fields.get("Name"), fields.get("Version")) else { return Ok(None) };
    let mut package = Package::new(Ecosystem::Python, name, version, found_in);
    // `License` is free text, often the whole of it; only a short one is a name.
    let stated = fields.get("License-Expression").or_else(|| fields.get("License"));
    package.licences = stated.filter(|text| is_licence(text)).map(str::to_owned).into_iter().collect();
    if package.licences.is_empty() {
        let classifiers = fields.all("Classifier").filter_map(|text| text.strip_prefix("License :: "));
        package.licences = classifiers.filter_map(|text| text.rsplit(" :: ").next()).map(str::to_owned).collect();
    }
    Ok(Some(package))
}

fn is_licence(text: &str) -> bool {
    !text.is_empty() && text != "UNKNOWN" && text.len() <= 120 && !text.contains('\n')
}

/// Adds the file that a row names, and its byte code.
fn add_recorded(tree: &ImageTree<'_>, folder: &[u8], path: &[u8], files: &mut Vec<Vec<u8>>) {
    let Some(path) = tree.file_at(&if path.starts_with(b"/") { path.to_vec() } else { join(folder, path) }) else {
        return;
    };
    if let Some(source) = path.strip_suffix(b".py") {
        let (folder, name) = (parent(source), &source[source.len() - name_length(source)..]);
        let code = join(folder, b"__pycache__");
        let compiled = tree.view().read_dir(&code).map(|hit| hit.entry.path.clone());
        let of_source = |path: &Vec<u8>| {
            path.ends_with(b".pyc")
                && path[code.len() + 1..].strip_prefix(name).is_some_and(|rest| rest.starts_with(b".cpython-"))
        };
        files.extend(compiled.filter(of_source).collect::<Vec<_>>());
    }
    files.push(path);
}

fn below(tree: &ImageTree<'_>, folder: &[u8]) -> Vec<Vec<u8>> {
    let files = tree.view().walk(folder).filter(|hit| !hit.entry.is_dir());
    files.map(|hit| hit.entry.path.clone()).collect()
}

fn with_files(package: Package, files: impl IntoIterator<Item = Vec<u8>>) -> Package {
    Package { files: files.into_iter().collect(), ..package }
}

fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    if folder.is_empty() { name.to_vec() } else { [folder, b"/", name].concat() }
}

fn name_length(path: &[u8]) -> usize {
    path.iter().rev().take_while(|&&byte| byte != b'/').count()
}

fn parent(path: &[u8]) -> &[u8] {
    path[..path.len() - name_length(path)].strip_suffix(b"/").unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use crate::optimize::owner::testing::*;

    #[test]
    fn records_name_files_and_byte_code_goes_with_its_source() {
        let image = Image::new(&[
            ("venv/bin/flask", "#!"),
            ("venv/lib/flask/app.py", ""),
            ("venv/lib/flask/__pycache__/app.cpython-311.pyc", "code"),
            ("venv/lib/flask/__pycache__/apple.cpython-311.pyc", "other"),
            ("venv/lib/flask/odd,\"name.txt", ""),
            (
                "venv/lib/flask-3.dist-info/METADATA",
                "Metadata-Version: 2.1\nName: Flask\nVersion: 3.0\nClassifier: A :: B\n\
                 Classifier: License :: OSI Approved :: BSD License\n\nName: not this\n",
            ),
            (
                "venv/lib/flask-3.dist-info/RECORD",
                "flask/app.py,sha256=x,0\n../bin/flask,,\n\"flask/odd,\"\"name.txt\",,\n/etc/passwd,,\n../../../../gone,,\n",
            ),
        ]);
        let inventory = image.inventory();
        assert_eq!(
            listing(&inventory.packages),
            ["Flask 3.0: venv/bin/flask venv/lib/flask-3.dist-info/METADATA venv/lib/flask-3.dist-info/RECORD \
              venv/lib/flask/__pycache__/app.cpython-311.pyc venv/lib/flask/app.py venv/lib/flask/odd,\"name.txt"]
        );
        assert_eq!(inventory.packages[0].licences, ["BSD License"]);
    }

    #[test]
    fn older_installations_are_found_too() {
        let image = Image::new(&[
            ("lib/a.egg-info", "Name: a\nVersion: 1\nLicense: MIT\n"),
            ("lib/b.egg-info/PKG-INFO", "Name: b\nVersion: 2\n"),
            ("lib/b.egg-info/installed-files.txt", "../b.py\nPKG-INFO\n"),
            ("lib/b.py", ""),
            ("lib/c.dist-info/METADATA", "nothing\n"),
        ]);
        let found = listing(&image.inventory().packages);
        let b = "b 2: lib/b.egg-info/PKG-INFO lib/b.egg-info/installed-files.txt lib/b.py";
        assert_eq!(found, ["a 1: lib/a.egg-info", b]);
    }
}
