//! One configuration file.

use super::{
    Config, ConfigError, Origin,
    key::KEYS,
    setting::Given,
    value::{Raw, Wrong, unknown_key},
};
use std::{
    fs, io,
    path::{Path, PathBuf},
};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

impl Config {
    /// Takes over what the file says, if it is there.
    pub(super) fn read_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(());
            }
            Err(error) => return Err(ConfigError::Unreadable { path: path.to_owned(), error }),
        };
        let file = File { path, text: &text };
        let table = DeTable::parse(&text)
            .map_err(|error| file.error(error.span().map_or(0, |span| span.start), error.message().to_owned()))?;
        self.read_table(&file, "", table.get_ref())
    }

    /// Takes over a table whose keys begin with `prefix`.
    fn read_table(&mut self, file: &File<'_>, prefix: &str, table: &DeTable<'_>) -> Result<(), ConfigError> {
        for (name, value) in table {
            let whole = format!("{prefix}{}", name.get_ref());
            let section = format!("{whole}.");
            if let Some(key) = KEYS.iter().find(|key| key.name == whole) {
                let line = file.line(name.span().start);
                let origin = Origin::File { path: file.path.to_owned(), line };
                let given = Given { value: Raw::Toml(value), origin, folder: file.folder() };
                (key.set)(self, given).map_err(|wrong| file.wrong(key.name, value, wrong))?;
            } else if KEYS.iter().any(|key| key.name.starts_with(&section)) {
                let Some(inner) = value.get_ref().as_table() else {
                    return Err(file.error(value.span().start, format!("{whole} is a section: [{whole}]")));
                };
                self.read_table(file, &section, inner)?;
            } else {
                let message = unknown_key(&whole, KEYS.iter().map(|key| key.name));
                return Err(file.error(name.span().start, message));
            }
        }
        Ok(())
    }
}

struct File<'a> {
    path: &'a Path,
    text: &'a str,
}

impl File<'_> {
    fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    /// The line of a byte, from 1.
    fn line(&self, position: usize) -> usize {
        let before = self.text.as_bytes().iter().take(position);
        before.filter(|byte| **byte == b'\n').count() + 1
    }

    fn error(&self, position: usize, message: String) -> ConfigError {
        ConfigError::File { path: PathBuf::from(self.path), line: self.line(position), message }
    }

    fn wrong(&self, key: &str, value: &Spanned<DeValue<'_>>, wrong: Wrong) -> ConfigError {
        let position = wrong.span.map_or(value.span().start, |span| span.start);
        self.error(position, format!("{key}: {}", wrong.message))
    }
}
