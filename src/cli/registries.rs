//! How registries are spoken to, for every command that does.

use crate::registry;
use clap::Args;

#[derive(Debug, Args)]
pub(super) struct RegistriesArgs {
    /// Registry that may speak plain HTTP (repeatable)
    #[arg(long, value_name = "HOST")]
    insecure_registry: Vec<String>,
    /// Ask nobody: what is not in the store is an error that names it
    #[arg(long)]
    offline: bool,
}

impl RegistriesArgs {
    /// The options of a client. Mirrors and certificates come from the files of other tools.
    pub(super) fn options(&self) -> registry::Options {
        let (insecure, offline) = (self.insecure_registry.clone(), self.offline);
        registry::Options { insecure, offline, ..registry::Options::default() }
    }
}
