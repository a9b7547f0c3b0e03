//! What maintainer scripts would have made, for the packages where an image is incomplete without it.
//!
//! No script is run. Each file here follows from the package alone, so it belongs to the package's layer.
//!
//! | package | made |
//! |---|---|
//! | any | alternatives that its script installs in so many words |
//! | `base-files` | the rest of the file system's folders, `/var/run` and `/var/lock`, root's and everybody's profile |
//! | `base-passwd` | `/etc/passwd`, `/etc/group` |
//! | `ca-certificates` | the bundle, its configuration, the links by name and by hash |
//! | `libc-bin` | `/etc/nsswitch.conf` |

use super::{alternatives, ca_certificates, tree::PackageTree};
use crate::layer::LayerError;

/// Adds to `tree`, the files of the package `name`, what its script would have made.
pub(super) fn imitate(name: &str, postinst: &str, tree: &mut PackageTree<'_>) -> Result<(), LayerError> {
    alternatives::make(tree, postinst);
    match name {
        "base-files" => base_files(tree),
        "base-passwd" => copy(
            tree,
            &[
                ("usr/share/base-passwd/passwd.master", "etc/passwd"),
                ("usr/share/base-passwd/group.master", "etc/group"),
            ],
        ),
        "ca-certificates" => ca_certificates::make(tree),
        "libc-bin" => copy(tree, &[("usr/share/libc-bin/nsswitch.conf", "etc/nsswitch.conf")]),
        _ => Ok(()),
    }
}

fn base_files(tree: &mut PackageTree<'_>) -> Result<(), LayerError> {
    for folder in ["mnt", "srv", "opt", "media", "etc/opt", "var/opt", "usr/local"] {
        tree.folder(folder, 0o755);
    }
    for folder in ["bin", "etc", "games", "include", "lib", "sbin", "share", "share/man", "src"] {
        tree.folder(&format!("usr/local/{folder}"), 0o755);
    }
    tree.folder("run/lock", 0o1777);
    // The package has folders there, for systems older than these links.
    tree.link("var/run", "/run");
    tree.link("var/lock", "/run/lock");
    tree.link("usr/local/man", "share/man");
    if tree.get("etc/dpkg/origins/debian").is_some() {
        tree.link("etc/dpkg/origins/default", "debian");
    }
    copy(
        tree,
        &[
            ("usr/share/base-files/dot.profile", "root/.profile"),
            ("usr/share/base-files/dot.bashrc", "root/.bashrc"),
            ("usr/share/base-files/profile", "etc/profile"),
            ("usr/share/base-files/motd", "etc/motd"),
        ],
    )
}

/// Copies files of the package to where its script does, if they are there.
fn copy(tree: &mut PackageTree<'_>, files: &[(&str, &str)]) -> Result<(), LayerError> {
    for (from, to) in files {
        if let Some(bytes) = tree.read(from.as_bytes())? {
            tree.file(to, bytes);
        }
    }
    Ok(())
}
