//! Alpine packages: `installed`, paragraphs of lines with a letter each (apk-tools, `apk-package(5)`, "installed database").

use super::{Ecosystem, ImageTree, Package};
use crate::layer::LayerError;

/// Where the database is: apk-tools 2, then those that keep everything below `/usr`.
const DATABASES: [&str; 2] = ["lib/apk/db/installed", "usr/lib/apk/db/installed"];
/// Largest database.
const MAX_DATABASE: u64 = 256 << 20;

pub(super) fn find(tree: &ImageTree<'_>) -> Result<Vec<Package>, LayerError> {
    for database in DATABASES {
        if let Some(text) = tree.read_text(database.as_bytes(), MAX_DATABASE)? {
            return Ok(text.split("\n\n").filter_map(|paragraph| read(tree, paragraph, database)).collect());
        }
    }
    Ok(Vec::new())
}

fn read(tree: &ImageTree<'_>, paragraph: &str, database: &str) -> Option<Package> {
    let mut package = Package::new(Ecosystem::Apk, "", "", database.as_bytes());
    let mut folder = "";
    for line in paragraph.lines() {
        let Some((letter, value)) = line.split_once(':') else { continue };
        match letter {
            "P" => value.clone_into(&mut package.name),
            "V" => value.clone_into(&mut package.version),
            "A" => package.architecture = Some(value.to_owned()),
            "o" => package.source = Some(value.to_owned()),
            "L" if !value.is_empty() => package.licences = vec![value.to_owned()],
            "F" => folder = value,
            "R" => package.files.extend(tree.file_at(format!("{folder}/{value}").as_bytes())),
            _ => {}
        }
    }
    (!package.name.is_empty() && !package.version.is_empty()).then_some(package)
}

#[cfg(test)]
mod tests {
    use crate::optimize::owner::testing::*;

    #[test]
    fn packages_have_their_folders_and_files() {
        let database = "C:Q1=\nP:musl\nV:1.2.5-r0\nA:x86_64\nL:MIT\no:musl\nF:lib\nR:ld-musl-x86_64.so.1\na:0:0:755\n\
                        F:usr\nR:gone\n\nP:\nV:1\n";
        let image = Image::new(&[("lib/apk/db/installed", database), ("lib/ld-musl-x86_64.so.1", "elf")]);
        let inventory = image.inventory();
        assert_eq!(listing(&inventory.packages), ["musl 1.2.5-r0: lib/ld-musl-x86_64.so.1"]);
        assert_eq!((inventory.packages[0].bytes, &*inventory.packages[0].licences[0]), (3, "MIT"));
    }
}
