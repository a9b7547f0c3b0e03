//! Values, from a file and from a variable.

use super::Space;
use flashbuild_frontend::{diagnostic::nearest, platform::Platform};
use std::{
    num::NonZeroUsize,
    ops::Range,
    path::{Path, PathBuf},
};
use toml::{Spanned, de::DeValue};

/// A value as it was written.
#[derive(Clone, Copy)]
pub(super) enum Raw<'a> {
    /// In a file.
    Toml(&'a Spanned<DeValue<'a>>),
    /// In a variable.
    Text(&'a str),
}

/// What is wrong with a value.
#[derive(Debug)]
pub(super) struct Wrong {
    /// Where in the file; `None` is where the value begins.
    pub(super) span: Option<Range<usize>>,
    pub(super) message: String,
}

impl Wrong {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { span: None, message: message.into() }
    }

    pub(super) fn at(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { span: Some(span), message: message.into() }
    }
}

/// What to say of a key that is not among `known`.
pub(super) fn unknown_key<'a>(key: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    if let Some(known) = nearest(key, known.clone()) {
        return format!("there is no key {key:?}: did you mean {known:?}?");
    }
    let known: Vec<&str> = known.into_iter().collect();
    format!("there is no key {key:?}; there are {}", known.join(", "))
}

/// Something that a key can be set to.
pub(super) trait Value: Sized {
    /// Reads it. Relative paths are below `folder`.
    fn read(raw: Raw<'_>, folder: &Path) -> Result<Self, Wrong>;
    /// As one writes it; empty if it is nothing.
    fn show(&self) -> String;
}

impl Raw<'_> {
    /// A single text: a string, or a number as it stands.
    fn text(&self) -> Result<String, Wrong> {
        match self {
            Self::Text(text) => Ok((*text).to_owned()),
            Self::Toml(value) => match value.get_ref() {
                DeValue::String(text) => Ok(text.to_string()),
                DeValue::Integer(number) => Ok(number.as_str().to_owned()),
                DeValue::Float(_)
                | DeValue::Boolean(_)
                | DeValue::Datetime(_)
                | DeValue::Array(_)
                | DeValue::Table(_) => {
                    Err(Wrong::new(format!("expected a text, found {}", value.get_ref().type_str())))
                }
            },
        }
    }

    /// Several texts: an array, or what commas part.
    fn texts(&self) -> Result<Vec<String>, Wrong> {
        match self {
            Self::Text(text) => {
                Ok(text.split(',').map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned).collect())
            }
            Self::Toml(value) => match value.get_ref().as_array() {
                None => Err(Wrong::new(format!("expected an array of texts, found {}", value.get_ref().type_str()))),
                Some(array) => array
                    .iter()
                    .map(|item| {
                        let expected = || Wrong::at(item.span(), "expected a text");
                        item.get_ref().as_str().map(str::to_owned).ok_or_else(expected)
                    })
                    .collect(),
            },
        }
    }
}

impl Value for bool {
    fn read(raw: Raw<'_>, _: &Path) -> Result<Self, Wrong> {
        match raw {
            Raw::Text("true" | "1") => Ok(true),
            Raw::Text("false" | "0") => Ok(false),
            Raw::Text(_) => Err(Wrong::new("expected true or false")),
            Raw::Toml(value) => value.get_ref().as_bool().ok_or_else(|| Wrong::new("expected true or false")),
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for Option<String> {
    fn read(raw: Raw<'_>, _: &Path) -> Result<Self, Wrong> {
        raw.text().map(Some)
    }

    fn show(&self) -> String {
        self.clone().unwrap_or_default()
    }
}

impl Value for Option<PathBuf> {
    fn read(raw: Raw<'_>, folder: &Path) -> Result<Self, Wrong> {
        raw.text().map(|path| Some(folder.join(path)))
    }

    fn show(&self) -> String {
        self.as_ref().map(|path| path.display().to_string()).unwrap_or_default()
    }
}

impl Value for Option<NonZeroUsize> {
    fn read(raw: Raw<'_>, _: &Path) -> Result<Self, Wrong> {
        raw.text()?.parse().map(Some).map_err(|_| Wrong::new("expected a number, at least 1"))
    }

    fn show(&self) -> String {
        self.map(|number| number.to_string()).unwrap_or_default()
    }
}

impl Value for Option<Space> {
    fn read(raw: Raw<'_>, _: &Path) -> Result<Self, Wrong> {
        raw.text()?.parse().map(Some).map_err(Wrong::new)
    }

    fn show(&self) -> String {
        self.map(|space| space.to_string()).unwrap_or_default()
    }
}

impl Value for Vec<String> {
    fn read(raw: Raw<'_>, _: &Path) -> Result<Self, Wrong> {
        raw.texts()
    }

    fn show(&self) -> String {
        self.join(",")
    }
}

impl Value for Vec<PathBuf> {
    fn read(raw: Raw<'_>, folder: &Path) -> Result<Self, Wrong> {
        Ok(raw.texts()?.into_iter().map(|path| folder.join(path)).collect())
    }

    fn show(&self) -> String {
        self.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(",")
    }
}

impl Value for Vec<Platform> {
    fn read(raw: Raw<'_>, _: &Path) -> Result<Self, Wrong> {
        let platform = |text: String| text.parse().map_err(|error| Wrong::new(format!("{error}")));
        raw.texts()?.into_iter().map(platform).collect()
    }

    fn show(&self) -> String {
        self.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    }
}
