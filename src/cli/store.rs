//! Which store a command works on.

use super::{Failed, config};
use crate::{sandbox::is_initial_user_namespace, store::Store};
use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(super) struct StoreArgs {
    /// Folder of the store [default: root of the configuration, else this user's]
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
}

impl StoreArgs {
    /// Opens the store that was named, or this user's.
    pub(super) fn open(&self) -> Result<Store, Failed> {
        let configured = if self.root.is_none() { config::load()?.root.value } else { None };
        let root = self.root.clone().or(configured).or_else(default_root).ok_or_else(|| {
            Failed::usage("there is no HOME to keep a store in: name a folder with --root or FLASHBUILD_ROOT")
        })?;
        Store::open(&root).map_err(Failed::environment)
    }
}

/// `/var/lib/flashbuild` for root, else a folder of the user's.
fn default_root() -> Option<PathBuf> {
    if nix::unistd::geteuid().is_root() && is_initial_user_namespace() {
        return Some("/var/lib/flashbuild".into());
    }
    let data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share"));
    data.or_else(home).map(|data| data.join("flashbuild"))
}
