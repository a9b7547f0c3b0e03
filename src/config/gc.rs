//! `[gc]`: what the store may hold. Keys and rules are those of `BuildKit`'s `gcpolicy`, so that a policy can be carried over.

use super::{
    Setting, Space,
    size::duration,
    value::{Raw, Value, Wrong, unknown_key},
};
use std::{fmt::Write as _, path::Path, time::Duration};
use toml::{Spanned, de::DeValue};

/// What the store may hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gc {
    /// Whether builds keep the store within its bounds.
    pub enabled: Setting<bool>,
    /// What the store may always take, whatever else is said.
    pub reserved_space: Setting<Option<Space>>,
    /// What the store may take at most.
    pub max_used_space: Setting<Option<Space>>,
    /// What of the file system the store leaves free, down to the reserved space.
    pub min_free_space: Setting<Option<Space>>,
    /// Rules in place of the usual ones, one after the other.
    pub policy: Setting<Vec<GcRule>>,
}

/// One rule: what to remove of what. Without any bound it removes all that it is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GcRule {
    /// What it is about: names of the store's kinds; all if there are none.
    pub kinds: Vec<String>,
    /// Only what was not used for so long.
    pub keep_duration: Option<Duration>,
    /// What may always stay.
    pub reserved_space: Option<Space>,
    /// What may stay at most.
    pub max_used_space: Option<Space>,
    /// What of the file system has to be free.
    pub min_free_space: Option<Space>,
    /// Also what belongs to named images.
    pub all: bool,
}

impl Default for Gc {
    fn default() -> Self {
        Self {
            enabled: Setting { value: true, ..Setting::default() },
            reserved_space: Setting::default(),
            max_used_space: Setting::default(),
            min_free_space: Setting::default(),
            policy: Setting::default(),
        }
    }
}

/// The keys of a rule.
const KEYS: [&str; 6] = ["kinds", "keep-duration", "reserved-space", "max-used-space", "min-free-space", "all"];

impl GcRule {
    fn read(value: &Spanned<DeValue<'_>>) -> Result<Self, Wrong> {
        let Some(table) = value.get_ref().as_table() else {
            return Err(Wrong::at(value.span(), "expected a table: [[gc.policy]]"));
        };
        let mut rule = Self::default();
        for (key, value) in table {
            let text = || match value.get_ref().as_str() {
                Some(text) => Ok(text),
                None => Err(Wrong::at(value.span(), format!("{}: expected a text, such as \"10GB\"", key.get_ref()))),
            };
            let space = || text()?.parse::<Space>().map(Some).map_err(|message| Wrong::at(value.span(), message));
            match &**key.get_ref() {
                "kinds" => rule.kinds = Vec::read(Raw::Toml(value), Path::new(""))?,
                "keep-duration" => {
                    let time = duration(text()?).map_err(|message| Wrong::at(value.span(), message))?;
                    rule.keep_duration = Some(time);
                }
                "reserved-space" => rule.reserved_space = space()?,
                "max-used-space" => rule.max_used_space = space()?,
                "min-free-space" => rule.min_free_space = space()?,
                "all" => rule.all = bool::read(Raw::Toml(value), Path::new(""))?,
                other => return Err(Wrong::at(key.span(), unknown_key(other, KEYS))),
            }
        }
        Ok(rule)
    }

    fn show(&self) -> String {
        let mut text = String::new();
        let mut add = |key: &str, value: Option<String>| {
            if let Some(value) = value {
                let comma = if text.is_empty() { "" } else { ", " };
                let _ = write!(text, "{comma}{key} = {value}");
            }
        };
        add("kinds", (!self.kinds.is_empty()).then(|| format!("{:?}", self.kinds)));
        add("keep-duration", self.keep_duration.map(|time| format!("\"{}s\"", time.as_secs())));
        add("reserved-space", self.reserved_space.map(|space| format!("\"{space}\"")));
        add("max-used-space", self.max_used_space.map(|space| format!("\"{space}\"")));
        add("min-free-space", self.min_free_space.map(|space| format!("\"{space}\"")));
        add("all", self.all.then(|| "true".to_owned()));
        format!("{{ {text} }}")
    }
}

impl Value for Vec<GcRule> {
    fn read(raw: Raw<'_>, _: &Path) -> Result<Self, Wrong> {
        match raw {
            Raw::Text(_) => Err(Wrong::new("rules can only be written in a file")),
            Raw::Toml(value) => match value.get_ref().as_array() {
                Some(rules) => rules.iter().map(GcRule::read).collect(),
                None => Err(Wrong::new("expected tables: [[gc.policy]]")),
            },
        }
    }

    fn show(&self) -> String {
        self.iter().map(GcRule::show).collect::<Vec<_>>().join("; ")
    }
}
