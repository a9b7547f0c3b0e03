//! What stays the same from one command to the next: the configuration files, and the variables over them.
//!
//! | read | if it is there; the later wins, key by key |
//! |---|---|
//! | `/etc/flashbuild/config.toml` | what this machine's owner says |
//! | `$XDG_CONFIG_HOME/flashbuild/config.toml`, else `~/.config/…` | what this user says |
//! | `FLASHBUILD_KEY`, such as `FLASHBUILD_CA_CERTIFICATES` | what this shell says; lists have commas |
//!
//! Flags win over all of it; whoever reads a flag asks here when it is absent. Every key is one row of the table in
//! `key`, which the files, the variables and `flashbuild config` share. A key that nobody knows is an error that names
//! its line and the nearest that somebody does: a typing error must not pass as a default.
//!
//! Paths in a file are relative to the folder of the file. Percentages are of the file system that holds the store.

mod error;
mod file;
mod gc;
mod key;
mod setting;
mod size;
mod value;

pub use error::ConfigError;
pub use gc::{Gc, GcRule};
pub use setting::{Origin, Setting};
pub use size::{Space, bytes, duration};

use flashbuild_frontend::platform::Platform;
use key::KEYS;
use setting::Given;
use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
};
use value::Raw;

/// All settings, each with where it came from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// Folder of the store.
    pub root: Setting<Option<PathBuf>>,
    /// What to build for; this machine's platform if there are none.
    pub platforms: Setting<Vec<Platform>>,
    /// How many steps may run at once.
    pub jobs: Setting<Option<NonZeroUsize>>,
    /// How progress is shown: a name of `progress::Mode`.
    pub progress: Setting<Option<String>>,
    /// PEM files of authorities that are trusted beside the system's.
    pub ca_certificates: Setting<Vec<PathBuf>>,
    /// What the store may hold.
    pub gc: Gc,
    /// How much of the past is kept.
    pub history: History,
}

/// `[history]`: how much of the past is kept; what is not said is left to the history itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// How many builds.
    pub builds: Setting<Option<NonZeroUsize>>,
    /// What all of them may take.
    pub max_size: Setting<Option<Space>>,
}

/// One setting, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The key, as a file has it: `gc.max-used-space`.
    pub key: &'static str,
    /// The value as one writes it; empty if there is none.
    pub value: String,
    /// Where it came from.
    pub origin: String,
    /// What it is for.
    pub what: &'static str,
}

impl Config {
    /// Reads the files and variables of this process.
    pub fn load() -> Result<Self, ConfigError> {
        Self::read(&files(), |name| std::env::var(name).ok())
    }

    /// Reads `files`, the later over the earlier, then what `variable` says.
    pub fn read(files: &[PathBuf], variable: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        for path in files {
            config.read_file(path)?;
        }
        for key in KEYS {
            let name = key.variable();
            let Some(text) = variable(&name).filter(|text| !text.is_empty()) else { continue };
            let given =
                Given { value: Raw::Text(&text), origin: Origin::Variable(name.clone()), folder: Path::new("") };
            (key.set)(&mut config, given).map_err(|wrong| ConfigError::Variable { name, message: wrong.message })?;
        }
        Ok(config)
    }

    /// Every setting, in the order of the table.
    pub fn shown(&self) -> Vec<Shown> {
        let shown = |key: &key::Key| {
            let (value, origin) = (key.show)(self);
            Shown { key: key.name, value, origin: origin.to_string(), what: key.what }
        };
        KEYS.iter().map(shown).collect()
    }
}

/// The files that are read, the later over the earlier; not all of them need be there.
pub fn files() -> Vec<PathBuf> {
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let own = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")));
    let mut files = vec![PathBuf::from("/etc/flashbuild/config.toml")];
    files.extend(own.map(|folder| folder.join("flashbuild/config.toml")));
    files
}

#[cfg(test)]
mod tests;
