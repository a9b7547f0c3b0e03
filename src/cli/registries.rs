//! How registries are spoken to, for every command that does.

use super::config::registry_options;
use crate::{config::Config, registry};
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
    pub(super) fn options(&self, config: &Config) -> registry::Options {
        registry::Options { offline: self.offline, ..registry_options(config, &self.insecure_registry) }
    }
}
