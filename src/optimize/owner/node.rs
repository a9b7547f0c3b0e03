//! Packages of npm, pnpm, yarn and bun: each is a folder in some `node_modules`, and has a `package.json`.

use super::{Ecosystem, ImageTree, Package};
use crate::layer::LayerError;
use serde::Deserialize;

/// Largest `package.json` that is read.
const MAX_MANIFEST: u64 = 4 << 20;

/// What of a `package.json` is looked at. Anything may be in it, so whatever has another shape counts as absent.
#[derive(Deserialize)]
struct Manifest {
    name: Option<String>,
    version: Option<String>,
    #[serde(default, alias = "licenses")]
    license: Stated,
}

/// A licence, in the three spellings that there have been.
#[derive(Deserialize, Default)]
#[serde(untagged)]
enum Stated {
    Name(String),
    Object {
        #[serde(rename = "type")]
        name: String,
    },
    Several(Vec<Stated>),
    Other(serde::de::IgnoredAny),
    #[default]
    Absent,
}

impl Stated {
    fn names(self) -> Vec<String> {
        match self {
            Self::Name(name) | Self::Object { name } => vec![name],
            Self::Several(several) => several.into_iter().flat_map(Self::names).collect(),
            Self::Other(_) | Self::Absent => Vec::new(),
        }
    }
}

pub(super) fn find(tree: &ImageTree<'_>) -> Result<Vec<Package>, LayerError> {
    let mut packages = Vec::new();
    for hit in tree.view().walk(b"") {
        let path = &hit.entry.path;
        let Some(folder) = path.strip_suffix(b"/package.json").filter(|folder| is_package(folder)) else { continue };
        let Some(bytes) = tree.read(path, MAX_MANIFEST)? else { continue };
        let Ok(Manifest { name: Some(name), version: Some(version), license }) = serde_json::from_slice(&bytes) else {
            continue;
        };
        let mut package = Package::new(Ecosystem::Node, name, version, path);
        package.licences = license.names();
        // Packages inside of it are packages of their own.
        let nested = [folder, b"/node_modules/"].concat();
        let own = tree.view().walk(folder).filter(|hit| !hit.entry.is_dir() && !hit.entry.path.starts_with(&nested));
        package.files = own.map(|hit| hit.entry.path.clone()).collect();
        packages.push(package);
    }
    Ok(packages)
}

/// Whether a folder is `…/node_modules/NAME` or `…/node_modules/@SCOPE/NAME`.
fn is_package(folder: &[u8]) -> bool {
    let mut names = folder.rsplit(|&byte| byte == b'/');
    let (name, above) = (names.next().unwrap_or_default(), names.next().unwrap_or_default());
    if name.starts_with(b".") || name.starts_with(b"@") {
        return false;
    }
    above == b"node_modules" || above.starts_with(b"@") && names.next() == Some(b"node_modules")
}

#[cfg(test)]
mod tests {
    use crate::optimize::owner::testing::*;

    #[test]
    fn each_folder_in_node_modules_is_a_package() {
        let image = Image::new(&[
            ("app/package.json", r#"{"name":"app","version":"0"}"#),
            ("app/node_modules/.package-lock.json", "{}"),
            ("app/node_modules/a/package.json", r#"{"name":"a","version":"1.0.0","license":"MIT"}"#),
            ("app/node_modules/a/lib/package.json", r#"{"type":"module"}"#),
            (
                "app/node_modules/a/node_modules/b/package.json",
                r#"{"name":"b","version":"2","license":{"type":"ISC"}}"#,
            ),
            ("app/node_modules/@s/c/package.json", r#"{"name":"@s/c","version":"3","licenses":[{"type":"X"},"Y",7]}"#),
            ("app/node_modules/d/package.json", "no JSON"),
        ]);
        let packages = image.inventory().packages;
        assert_eq!(
            listing(&packages),
            [
                "@s/c 3: app/node_modules/@s/c/package.json",
                "a 1.0.0: app/node_modules/a/lib/package.json app/node_modules/a/package.json",
                "b 2: app/node_modules/a/node_modules/b/package.json",
            ]
        );
        assert_eq!(packages[0].licences, ["X", "Y"]);
        assert_eq!((&*packages[1].licences[0], &*packages[2].licences[0]), ("MIT", "ISC"));
    }
}
