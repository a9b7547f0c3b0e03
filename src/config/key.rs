//! The table of keys. A new setting is a field of [`Config`] and a row here; only what has an effect has a row.

use super::{
    Config, Origin,
    setting::Given,
    value::{Value as _, Wrong},
};

/// A key of the configuration.
pub(super) struct Key {
    /// As a file has it, sections first: `gc.max-used-space`.
    pub(super) name: &'static str,
    /// What it is for.
    pub(super) what: &'static str,
    /// Takes a value.
    pub(super) set: fn(&mut Config, Given<'_>) -> Result<(), Wrong>,
    /// The value as one writes it, and where it came from.
    pub(super) show: fn(&Config) -> (String, &Origin),
}

macro_rules! key {
    ($name:literal, $($field:ident).+, $what:literal) => {
        Key {
            name: $name,
            what: $what,
            set: |config, given| given.put(&mut config.$($field).+),
            show: |config| (config.$($field).+.value.show(), &config.$($field).+.origin),
        }
    };
}

/// All keys.
pub(super) const KEYS: &[Key] = &[
    key!("root", root, "folder of the store"),
    key!("platforms", platforms, "what to build for"),
    key!("jobs", jobs, "how many steps may run at once"),
    key!("progress", progress, "how progress is shown"),
    key!("ca-certificates", ca_certificates, "PEM files of authorities to trust beside the system's"),
    key!("gc.enabled", gc.enabled, "whether builds keep the store within its bounds"),
    key!("gc.reserved-space", gc.reserved_space, "what the store may always take"),
    key!("gc.max-used-space", gc.max_used_space, "what the store may take at most"),
    key!("gc.min-free-space", gc.min_free_space, "what of the disk the store leaves free"),
    key!("gc.policy", gc.policy, "rules in place of the usual ones"),
];

impl Key {
    /// The variable that sets it.
    pub(super) fn variable(&self) -> String {
        format!("FLASHBUILD_{}", self.name.to_ascii_uppercase().replace(['.', '-'], "_"))
    }
}
