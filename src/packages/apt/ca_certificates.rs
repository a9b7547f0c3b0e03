//! What `update-ca-certificates` makes of the certificates in its package.

use super::{subject_hash, tree::PackageTree};
use crate::layer::{EntryKind, LayerError};
use std::{collections::BTreeMap, fmt::Write as _, path::Path};

const FOLDER: &str = "usr/share/ca-certificates/";

/// Makes the bundle that most programs read, the links that OpenSSL looks for, and the list that says which
/// certificates these are: all of the package's.
pub(super) fn make(tree: &mut PackageTree<'_>) -> Result<(), LayerError> {
    let has_extension = |path: &str| Path::new(path).extension().is_some_and(|extension| extension == "crt");
    let is_certificate = |path: &str| path.starts_with(FOLDER) && has_extension(path);
    let files = tree.entries().filter(|entry| matches!(entry.kind, EntryKind::File { .. }));
    let paths = files.filter_map(|entry| String::from_utf8(entry.path.clone()).ok());
    let mut certificates: Vec<String> = paths.filter(|path| is_certificate(path)).collect();
    certificates.sort_unstable();

    let mut bundle = Vec::new();
    let mut list = String::new();
    // How many certificates have the same hash.
    let mut same: BTreeMap<String, u32> = BTreeMap::new();
    for path in &certificates {
        let Some(certificate) = tree.read(path.as_bytes())? else { continue };
        bundle.extend_from_slice(&certificate);
        if !certificate.ends_with(b"\n") {
            bundle.push(b'\n');
        }
        let _ = writeln!(list, "{}", &path[FOLDER.len()..]);
        let name = format!("{}.pem", link_name(path));
        tree.link(&format!("etc/ssl/certs/{name}"), &format!("/{path}"));
        if let Some(hash) = subject_hash::of_pem(&certificate) {
            let number = same.entry(hash.clone()).or_default();
            tree.link(&format!("etc/ssl/certs/{hash}.{number}"), &name);
            *number += 1;
        }
    }
    tree.file("etc/ca-certificates.conf", list);
    tree.file("etc/ssl/certs/ca-certificates.crt", bundle);
    Ok(())
}

/// The file's name without its extension, with what is awkward in a name replaced as `update-ca-certificates` does.
fn link_name(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path).trim_end_matches(".crt");
    name.replace([' ', ','], "_").replace(['(', ')'], "=")
}
