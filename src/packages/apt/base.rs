//! What lies below all packages where there is no other base: links, and who is who.
//!
//! `base-files` comes with it, so that the system says what it is (`/etc/os-release`) and has its folders.

use super::merged_usr;
use flashbuild_frontend::package::{PackageContent, PackageFile, PackageOp};

/// The package that every `scratch` gets.
pub(super) const PACKAGE: &str = "base-files";

/// As Debian numbers them. `base-passwd` brings the complete files if it is asked for.
const PASSWD: &str = "\
root:x:0:0:root:/root:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
";
const GROUP: &str = "\
root:x:0:
tty:x:5:
mail:x:8:
staff:x:50:
nogroup:x:65534:
";
/// Local names first: without this file, the C library asks the network for `localhost`.
const NSSWITCH: &str = "\
passwd: files
group: files
shadow: files
hosts: files dns
networks: files
protocols: files
services: files
";

/// The layer, for Debian's `architecture`.
pub(super) fn layer(architecture: &str) -> PackageOp {
    let link = |name: &&str| PackageFile {
        path: format!("/{name}"),
        mode: 0o777,
        content: PackageContent::Link(format!("usr/{name}")),
    };
    let folder =
        |name: &&str| PackageFile { path: format!("/usr/{name}"), mode: 0o755, content: PackageContent::Folder };
    let file = |(path, text): &(&str, &str)| PackageFile {
        path: (*path).to_owned(),
        mode: 0o644,
        content: PackageContent::Text((*text).to_owned()),
    };
    let links = merged_usr::links(architecture);
    let texts = [("/etc/passwd", PASSWD), ("/etc/group", GROUP), ("/etc/nsswitch.conf", NSSWITCH)];
    let files = links.iter().map(link).chain(links.iter().map(folder)).chain(texts.iter().map(file));
    PackageOp { packages: Vec::new(), files: files.collect() }
}
