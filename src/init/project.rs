//! What is known of a project before anything is decided.

use super::InitError;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// Largest file that is read, in bytes.
const MAX_TEXT: u64 = 16 << 20;

/// Files that say something, where they are there.
const TELLING: [&str; 22] = [
    ".node-version",
    ".nvmrc",
    ".python-version",
    "Pipfile.lock",
    "app.py",
    "app/main.py",
    "bun.lock",
    "main.py",
    "npm-shrinkwrap.json",
    "package-lock.json",
    "package.json",
    "pnpm-lock.yaml",
    "poetry.lock",
    "pylock.toml",
    "pyproject.toml",
    "requirements.txt",
    "server.py",
    "src/main.py",
    "tsconfig.json",
    "uv.lock",
    "wsgi.py",
    "yarn.lock",
];

/// A project's files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Project {
    names: BTreeSet<String>,
    texts: BTreeMap<String, String>,
}

impl Project {
    /// Reads what says something about the project in `folder`.
    pub fn read(folder: &Path) -> Result<Self, InitError> {
        let failed = |error: std::io::Error| InitError::Folder {
            path: folder.display().to_string(),
            problem: error.to_string(),
        };
        if !folder.is_dir() {
            return Err(InitError::NoFolder(folder.display().to_string()));
        }
        let mut project = Self::default();
        for entry in fs::read_dir(folder).map_err(failed)? {
            project.names.insert(entry.map_err(failed)?.file_name().to_string_lossy().into_owned());
        }
        for entry in fs::read_dir(folder.join("src")).into_iter().flatten().flatten() {
            project.names.insert(format!("src/{}", entry.file_name().to_string_lossy()));
        }
        for name in TELLING {
            let path = folder.join(name);
            let small = path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() <= MAX_TEXT);
            if let Some(text) = small.then(|| fs::read_to_string(&path).ok()).flatten() {
                project.texts.insert(name.to_owned(), text);
            }
        }
        Ok(project)
    }

    /// Whether there is something of this name at the top of the project, or right below its `src`.
    pub(super) fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// The text of a file that says something.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.texts.get(name).map(String::as_str)
    }

    /// The first of the names that there is.
    pub(super) fn first<'n>(&self, names: &[&'n str]) -> Option<&'n str> {
        names.iter().copied().find(|name| self.texts.contains_key(*name))
    }

    /// A project of these files.
    #[cfg(test)]
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        let shown = |name: &str| {
            let mut parts = name.split('/');
            match (parts.next(), parts.next()) {
                (Some("src"), Some(below)) => vec!["src".to_owned(), format!("src/{below}")],
                (top, _) => top.map(str::to_owned).into_iter().collect(),
            }
        };
        Self {
            names: files.iter().flat_map(|(name, _)| shown(name)).collect(),
            texts: files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect(),
        }
    }
}
