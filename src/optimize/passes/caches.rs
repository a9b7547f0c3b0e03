//! Caches, logs and temporary files of package managers.

use super::{Action, Candidate, Pass, Trust, path};

pub(super) const PASS: Pass = Pass {
    name: "caches",
    title: "caches and logs of package managers",
    safe: "package managers make these files anew when they need them",
    trust: Trust::Proven,
    action: Action::Remove(takes),
};

/// Folders of the root whose content is a cache.
const FOLDERS: &[&str] = &[
    "var/lib/apt/lists",
    "var/cache/apt",
    "var/cache/apk",
    "var/cache/dnf",
    "var/cache/yum",
    "var/cache/libdnf5",
    "var/cache/zypp",
    "var/cache/pacman/pkg",
    "var/log/apt",
    "usr/local/share/.cache",
    "root/.npm/_cacache",
    "root/.npm/_logs",
    "root/.cargo/registry/cache",
    "root/.cargo/registry/src",
    "usr/local/cargo/registry/cache",
    "usr/local/cargo/registry/src",
    "go/pkg/mod/cache/download",
    "root/go/pkg/mod/cache/download",
];

/// Single files that package managers write about what they did.
const FILES: &[&str] = &[
    "var/lib/dpkg/status-old",
    "var/lib/dpkg/available-old",
    "var/lib/dpkg/diversions-old",
    "var/lib/dpkg/statoverride-old",
    "var/cache/debconf/config.dat-old",
    "var/cache/debconf/templates.dat-old",
    "var/cache/ldconfig/aux-cache",
    "var/log/dpkg.log",
    "var/log/alternatives.log",
    "var/log/bootstrap.log",
    "var/log/dnf.log",
    "var/log/dnf.rpm.log",
    "var/log/dnf.librepo.log",
    "var/log/yum.log",
    "var/log/apk.log",
];

/// Folders in somebody's `.cache`.
const OF_USERS: &[&str] = &[
    "pip", "uv", "pypoetry", "pipenv", "yarn", "pnpm", "node-gyp", "node", "go-build", "ccache", "sccache", "composer",
];

fn takes(file: &Candidate<'_>) -> bool {
    if path::is_in(file.path, FOLDERS) || FILES.iter().any(|known| known.as_bytes() == file.path) {
        return true;
    }
    let mut folders = path::folders(file.path);
    let in_home = |folder: Option<&[u8]>, names: &[&str]| {
        folder.is_some_and(|folder| names.iter().any(|name| name.as_bytes() == folder))
    };
    while let Some(folder) = folders.next() {
        let mut rest = folders.clone();
        match folder {
            b".cache" if in_home(rest.next(), OF_USERS) => return true,
            b".npm" if in_home(rest.next(), &["_cacache", "_logs"]) => return true,
            _ => {}
        }
    }
    false
}
