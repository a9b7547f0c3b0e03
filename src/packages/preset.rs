//! Lists of packages that many projects begin with, to have them before anybody needs them. They are names only: what they
//! mean is found out and pinned like any other names, through the configuration of whoever asks.

use super::{PackageError, node};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// A list of packages. One row each in [`PRESETS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preset {
    /// What it is called.
    pub name: &'static str,
    /// Requirements of Python packages.
    pub python: &'static [&'static str],
    /// Names of Node packages.
    pub node: &'static [&'static str],
}

/// All lists. What alone is larger than everything else is a list of its own.
pub const PRESETS: &[Preset] = &[
    Preset {
        name: "ml",
        python: &[
            "datasets",
            "huggingface-hub",
            "lightgbm",
            "matplotlib",
            "numpy",
            "onnxruntime",
            "pandas",
            "pillow",
            "polars",
            "pyarrow",
            "safetensors",
            "scikit-learn",
            "scipy",
            "sentencepiece",
            "tokenizers",
            "tqdm",
            "transformers",
        ],
        node: &[],
    },
    Preset { name: "torch", python: &["torch", "torchvision"], node: &[] },
    Preset {
        name: "web",
        python: &[
            "alembic",
            "celery",
            "django",
            "fastapi",
            "flask",
            "gunicorn",
            "httpx",
            "jinja2",
            "psycopg[binary]",
            "pydantic",
            "redis",
            "requests",
            "sqlalchemy",
            "uvicorn[standard]",
        ],
        node: &["axios", "express", "fastify", "react", "react-dom", "typescript", "vite", "ws", "zod"],
    },
];

impl Preset {
    /// The list of that name. An error says which there are.
    pub fn named(name: &str) -> Result<&'static Self, String> {
        let names = || PRESETS.iter().map(|preset| preset.name).collect::<Vec<_>>().join(", ");
        PRESETS.iter().find(|preset| preset.name == name).ok_or_else(|| format!("the presets are {}", names()))
    }

    /// Writes the files that mean this list into `folder`, and returns those for `cache warm` to read. What Node packages
    /// mean is asked for unless there is a lock; what Python packages mean is for the lock of `flashbuild lock` to say.
    pub async fn write(&self, folder: &Path) -> Result<Vec<PathBuf>, PackageError> {
        let mut files = Vec::new();
        if !self.python.is_empty() {
            let path = folder.join("requirements.txt");
            put(&path, &(self.python.join("\n") + "\n"))?;
            files.push(path);
        }
        if !self.node.is_empty() {
            let names: Vec<String> = self.node.iter().map(|name| format!("    \"{name}\": \"*\"")).collect();
            let path = folder.join("package.json");
            let is_new = put(&path, &format!("{{\n  \"dependencies\": {{\n{}\n  }}\n}}\n", names.join(",\n")))?;
            let lock = folder.join("package-lock.json");
            if is_new || !lock.is_file() {
                node::write_lock(folder).await?;
            }
            files.push(lock);
        }
        Ok(files)
    }
}

/// Writes a file, unless it is there; whether it was not.
fn put(path: &Path, text: &str) -> Result<bool, PackageError> {
    let failed = |error: io::Error| PackageError::Lock { file: path.display().to_string(), problem: error.to_string() };
    if fs::read_to_string(path).is_ok_and(|known| known == text) {
        return Ok(false);
    }
    fs::write(path, text).map_err(failed)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_lists_of_names_each_once() {
        for preset in PRESETS {
            for list in [preset.python, preset.node] {
                assert!(list.is_sorted() && list.windows(2).all(|pair| pair[0] != pair[1]), "{list:?}");
                // Nobody's address, nobody's version.
                assert!(list.iter().all(|name| !name.contains([':', '=', ' '])), "{list:?}");
            }
            assert_eq!(Preset::named(preset.name), Ok(preset));
        }
        assert_eq!(Preset::named("games").unwrap_err(), "the presets are ml, torch, web");
    }
}
