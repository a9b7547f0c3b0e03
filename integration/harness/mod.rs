//! What the tests have in common: a folder to work in, commands to run, peers to compare with.

mod actions_cache;
mod busybox;
mod containerd;
mod debian_archive;
mod dockerd;
mod events;
mod faulty;
mod installed;
mod invocation;
mod layout;
mod leaks;
mod moto;
mod peer;
mod registry;
mod repository;
mod served;
mod tree;
mod web;
mod workspace;

pub(crate) use actions_cache::{ActionsCache, TOKEN as ACTIONS_TOKEN};
pub(crate) use busybox::BUSYBOX;
pub(crate) use containerd::Containerd;
pub(crate) use debian_archive::{DEBIAN_STORE, DebianArchive, dpkg_unpack, with_debian};
pub(crate) use dockerd::Dockerd;
pub(crate) use faulty::{Fault, FaultyRegistry};
pub(crate) use installed::tree_of_installed;
pub(crate) use invocation::{Invocation, Run};
pub(crate) use layout::Layout;
pub(crate) use leaks::files_with;
pub(crate) use moto::{KEYS, Moto};
pub(crate) use peer::{is_root, peer, skip};
pub(crate) use registry::Registry;
pub(crate) use repository::GitServer;
pub(crate) use served::Served;
pub(crate) use tree::tree_report;
pub(crate) use web::{Asked, Web};
pub(crate) use workspace::Workspace;

/// A moment long ago, for `SOURCE_DATE_EPOCH`.
pub(crate) const EPOCH: &str = "1700000000";

/// The platform of this machine, as `--platform` takes it.
pub(crate) fn native_platform() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "linux/amd64",
        "aarch64" => "linux/arm64",
        "s390x" => "linux/s390x",
        other => panic!("no busybox is fetched for {other}"),
    }
}
