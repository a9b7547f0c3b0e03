//! Values of flags that are keys and values themselves, as buildx spells them: `type=local,dest=/cache`.

use super::Failed;
use crate::layer::{Algorithm, Compression};
use std::collections::BTreeMap;

/// The keys of a flag's value that were not asked for yet.
pub(super) struct Keys<'a> {
    flag: &'static str,
    spec: &'a str,
    /// What is left.
    pub(super) values: BTreeMap<String, String>,
}

impl<'a> Keys<'a> {
    /// Reads comma-separated fields, which may be quoted as in CSV.
    pub(super) fn read(flag: &'static str, spec: &'a str) -> Result<Self, Failed> {
        let mut keys = Self { flag, spec, values: BTreeMap::new() };
        for field in split_outside(spec, ',', '"', '"') {
            let field = field.trim().trim_matches('"').replace("\"\"", "\"");
            let Some((key, value)) = field.split_once('=') else {
                return Err(keys.wrong(&format!("{field:?} is not KEY=VALUE")));
            };
            keys.values.insert(key.trim().to_owned(), value.trim().to_owned());
        }
        Ok(keys)
    }

    /// What is wrong with the value.
    pub(super) fn wrong(&self, why: &str) -> Failed {
        Failed::usage(format!("{} {:?}: {why}", self.flag, self.spec))
    }

    /// The value of a key, if it has one.
    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        self.values.remove(key).filter(|value| !value.is_empty())
    }

    /// What a key that is true or false says.
    pub(super) fn flag(&mut self, key: &str) -> Result<Option<bool>, Failed> {
        match self.values.remove(key).as_deref() {
            None => Ok(None),
            Some("true" | "1" | "") => Ok(Some(true)),
            Some("false" | "0") => Ok(Some(false)),
            Some(other) => Err(self.wrong(&format!("{key}={other}: expected true or false"))),
        }
    }

    /// How layers are to be compressed.
    pub(super) fn compression(&mut self, default: Compression) -> Result<Compression, Failed> {
        let named = match self.text("compression") {
            None => default,
            Some(name) => {
                name.parse().map_err(|error: crate::layer::CompressionError| self.wrong(&error.to_string()))?
            }
        };
        let Some(text) = self.text("compression-level") else { return Ok(named) };
        let level = text.parse().map_err(|_| self.wrong(&format!("compression-level={text}: expected a number")))?;
        match (named.algorithm(), level) {
            (Algorithm::None, _) => Ok(named),
            (algorithm, level) => Compression::with_level(algorithm, level)
                .ok_or_else(|| self.wrong(&format!("compression-level={level}: {named} has no such level"))),
        }
    }

    /// There must be no other key.
    pub(super) fn end(&self) -> Result<(), Failed> {
        match self.values.keys().next() {
            None => Ok(()),
            Some(key) => Err(self.wrong(&format!("unknown key {key:?} for this type"))),
        }
    }
}

/// Splits at `separator`, but not between `open` and `close`.
pub(super) fn split_outside(text: &str, separator: char, open: char, close: char) -> Vec<&str> {
    let (mut parts, mut start, mut inside) = (Vec::new(), 0, false);
    for (position, character) in text.char_indices() {
        if character == separator && !inside {
            parts.push(&text[start..position]);
            start = position + separator.len_utf8();
        } else if character == close && inside {
            inside = false;
        } else if character == open {
            inside = true;
        }
    }
    parts.push(&text[start..]);
    parts
}
