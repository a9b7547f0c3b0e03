//! Which view a build is shown by.

use super::{Screen, View, plain::Plain, quiet::Quiet, raw_json::RawJson, tty::Tty};
use std::{fmt, str::FromStr};

/// How progress is to be shown: the value of `--progress`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Mode {
    /// `tty` if somebody watches a capable terminal, else `plain`.
    #[default]
    Auto,
    /// Live, at a terminal.
    Tty,
    /// Line by line.
    Plain,
    /// One JSON object a line.
    RawJson,
    /// Nothing but errors.
    Quiet,
}

/// A text that names no [`Mode`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown progress mode {0:?}: expected auto, tty, plain, rawjson or quiet")]
pub struct UnknownMode(pub String);

impl Mode {
    /// All modes, in the order in which help lists them.
    pub const ALL: [Self; 5] = [Self::Auto, Self::Tty, Self::Plain, Self::RawJson, Self::Quiet];

    /// What a user types.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Tty => "tty",
            Self::Plain => "plain",
            Self::RawJson => "rawjson",
            Self::Quiet => "quiet",
        }
    }

    pub(super) fn view(self, screen: Screen) -> Box<dyn View> {
        match self {
            Self::Auto if screen.live => Box::new(Tty::new(screen)),
            Self::Tty => Box::new(Tty::new(screen)),
            Self::Auto | Self::Plain => Box::new(Plain::new(screen)),
            Self::RawJson => Box::new(RawJson::new(screen)),
            Self::Quiet => Box::new(Quiet::new(screen)),
        }
    }
}

impl FromStr for Mode {
    type Err = UnknownMode;

    fn from_str(text: &str) -> Result<Self, UnknownMode> {
        Self::ALL.into_iter().find(|mode| mode.name() == text).ok_or_else(|| UnknownMode(text.to_owned()))
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_and_nothing_else_does() {
        for mode in Mode::ALL {
            assert_eq!(mode.to_string().parse(), Ok(mode));
        }
        let error = "fancy".parse::<Mode>().unwrap_err();
        assert_eq!(error.to_string(), r#"unknown progress mode "fancy": expected auto, tty, plain, rawjson or quiet"#);
    }
}
