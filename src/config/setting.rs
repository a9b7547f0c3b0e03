//! A value, and where it came from.

use super::value::{Raw, Value, Wrong};
use std::{
    fmt,
    path::{Path, PathBuf},
};

/// A value, and where it came from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Setting<T> {
    /// The value.
    pub value: T,
    /// Where it came from.
    pub origin: Origin,
}

/// Where a value came from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said anything.
    #[default]
    Default,
    /// A file.
    File {
        /// Which.
        path: PathBuf,
        /// Where, from 1.
        line: usize,
    },
    /// A variable of the environment.
    Variable(String),
}

/// A value as somebody gave it.
pub(super) struct Given<'a> {
    pub(super) value: Raw<'a>,
    pub(super) origin: Origin,
    /// What relative paths are relative to; empty is this process's folder.
    pub(super) folder: &'a Path,
}

impl Given<'_> {
    pub(super) fn put<T: Value>(self, setting: &mut Setting<T>) -> Result<(), Wrong> {
        *setting = Setting { value: T::read(self.value, self.folder)?, origin: self.origin };
        Ok(())
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) => f.write_str(name),
        }
    }
}
