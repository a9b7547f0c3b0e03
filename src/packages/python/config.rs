//! Where wheels are looked for: the configuration of pip and uv of the person who builds.
//!
//! | what | pip | uv |
//! |---|---|---|
//! | variables | `PIP_INDEX_URL`, `PIP_EXTRA_INDEX_URL`, `PIP_FIND_LINKS`, `PIP_NO_INDEX` | `UV_DEFAULT_INDEX` (`UV_INDEX_URL`), `UV_INDEX` (`UV_EXTRA_INDEX_URL`), `UV_FIND_LINKS`, `UV_NO_INDEX` |
//! | files | `PIP_CONFIG_FILE`, `~/.config/pip/pip.conf`, `~/.pip/pip.conf`, `/etc/pip.conf` | `UV_CONFIG_FILE`, `~/.config/uv/uv.toml`, `/etc/uv/uv.toml` |
//!
//! Variables win over files, the person's own files over the machine's. Without any of it, the index is the one that the pip
//! of this machine would ask: no address is written here.

use serde::Deserialize;
use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Where wheels are looked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Sources {
    /// The main index.
    pub(super) index: Option<String>,
    /// Further indexes.
    pub(super) extra: Vec<String>,
    /// Folders.
    pub(super) find_links: Vec<String>,
    /// Whether indexes are left alone.
    pub(super) no_index: bool,
}

impl Sources {
    /// Of whoever runs this.
    pub(super) fn of_this_machine() -> Self {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let file = |path: &Path| std::fs::read_to_string(path).ok();
        Self::read(&variable, &file)
    }

    /// Adds the index that pip asks if none is configured. Starts a process to find out.
    pub(super) fn complete(&mut self) {
        if self.index.is_none() && !self.no_index {
            self.index = default_of_pip();
        }
    }

    fn read(variable: &dyn Fn(&str) -> Option<String>, file: &dyn Fn(&Path) -> Option<String>) -> Self {
        let mut sources = Self::default();
        let words = |text: Option<String>| {
            let text = text.unwrap_or_default();
            text.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        let truth = |text: Option<String>| text.is_some_and(|text| is_true(&text));
        sources.add(Self {
            index: variable("UV_DEFAULT_INDEX").or_else(|| variable("UV_INDEX_URL")).map(|index| unnamed(&index)),
            extra: words(variable("UV_INDEX").or_else(|| variable("UV_EXTRA_INDEX_URL")))
                .iter()
                .map(|index| unnamed(index))
                .collect(),
            find_links: variable("UV_FIND_LINKS")
                .map_or_else(Vec::new, |list| list.split(',').map(str::to_owned).collect()),
            no_index: truth(variable("UV_NO_INDEX")),
        });
        sources.add(Self {
            index: variable("PIP_INDEX_URL"),
            extra: words(variable("PIP_EXTRA_INDEX_URL")),
            find_links: words(variable("PIP_FIND_LINKS")),
            no_index: truth(variable("PIP_NO_INDEX")),
        });
        let home = variable("HOME").map(PathBuf::from).unwrap_or_default();
        let config = variable("XDG_CONFIG_HOME").map_or_else(|| home.join(".config"), PathBuf::from);
        let uv = [config.join("uv/uv.toml"), PathBuf::from("/etc/uv/uv.toml")];
        let pip = [config.join("pip/pip.conf"), home.join(".pip/pip.conf"), PathBuf::from("/etc/pip.conf")];
        for path in variable("UV_CONFIG_FILE").map_or_else(|| uv.to_vec(), |path| vec![path.into()]) {
            sources.add(file(&path).map(|text| of_uv(&text)).unwrap_or_default());
        }
        for path in variable("PIP_CONFIG_FILE").map(PathBuf::from).into_iter().chain(pip) {
            sources.add(file(&path).map(|text| of_pip(&text)).unwrap_or_default());
        }
        sources
    }

    /// Adds what is configured with less weight.
    fn add(&mut self, other: Self) {
        self.index = self.index.take().or(other.index);
        self.extra.extend(other.extra);
        self.find_links.extend(other.find_links);
        self.no_index |= other.no_index;
    }
}

fn is_true(text: &str) -> bool {
    matches!(text.to_ascii_lowercase().as_str(), "1" | "true" | "yes" | "on" | "y" | "t")
}

/// An index of uv may have its name in front: `name=https://…`.
fn unnamed(index: &str) -> String {
    match index.split_once('=') {
        Some((name, url)) if !name.contains([':', '/']) => url.to_owned(),
        _ => index.to_owned(),
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case", default)]
struct UvConfig {
    index: Vec<UvIndex>,
    index_url: Option<String>,
    extra_index_url: Vec<String>,
    find_links: Vec<String>,
    no_index: bool,
    pip: UvPip,
}

#[derive(Deserialize)]
struct UvIndex {
    url: String,
    #[serde(default)]
    default: bool,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case", default)]
struct UvPip {
    index_url: Option<String>,
    extra_index_url: Vec<String>,
    find_links: Vec<String>,
}

fn of_uv(text: &str) -> Sources {
    let Ok(config) = toml::from_str::<UvConfig>(text) else { return Sources::default() };
    let (default, further): (Vec<_>, Vec<_>) = config.index.into_iter().partition(|index| index.default);
    let mut extra: Vec<String> = further.into_iter().map(|index| index.url).collect();
    extra.extend(config.extra_index_url);
    extra.extend(config.pip.extra_index_url);
    let index = default.into_iter().next().map(|index| index.url).or(config.index_url).or(config.pip.index_url);
    let find_links = config.find_links.into_iter().chain(config.pip.find_links).collect();
    Sources { index, extra, find_links, no_index: config.no_index }
}

/// An INI file; values go on in indented lines.
fn of_pip(text: &str) -> Sources {
    let mut sources = Sources::default();
    let mut section = String::new();
    let mut key = String::new();
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = trimmed.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
            name.trim().clone_into(&mut section);
            continue;
        }
        let value = match line.split_once(['=', ':']) {
            Some((name, value)) if !line.starts_with([' ', '\t']) => {
                key = name.trim().to_lowercase().replace('_', "-");
                value.trim()
            }
            _ => trimmed,
        };
        if !matches!(section.as_str(), "global" | "install" | "download") {
            continue;
        }
        let mut values = value.split_whitespace().map(str::to_owned);
        match key.as_str() {
            "index-url" => sources.index = values.next_back().or(sources.index),
            "extra-index-url" => sources.extra.extend(values),
            "find-links" => sources.find_links.extend(values),
            "no-index" => sources.no_index = is_true(value),
            _ => {}
        }
    }
    sources
}

/// What the pip of this machine asks if nobody tells it otherwise.
fn default_of_pip() -> Option<String> {
    let program = "from pip._internal.models.index import PyPI; print(PyPI.simple_url)";
    let output =
        Command::new("python3").args(["-c", program]).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let index = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    Some(index).filter(|index| output.status.success() && index.starts_with("https://"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(variables: &[(&str, &str)], files: &[(&str, &str)], expected: &Sources) {
        let find = |list: &[(&str, &str)], name: &str| {
            list.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        let variable = |name: &str| find(variables, name);
        let file = |path: &Path| find(files, path.to_str().unwrap());
        assert_eq!(Sources::read(&variable, &file), *expected);
    }

    #[test]
    fn variables_win_over_files() {
        check(
            &[("HOME", "/h"), ("PIP_INDEX_URL", "https://a.example/simple"), ("UV_INDEX", "x=https://b.example/s")],
            &[
                (
                    "/h/.config/pip/pip.conf",
                    "[global]\nindex-url = https://c.example/simple\nextra-index-url =\n  https://d.example/s\n  https://e.example/s\n[list]\nindex-url=no\n",
                ),
                ("/etc/pip.conf", "[install]\nfind_links: /wheels\n"),
            ],
            &Sources {
                index: Some("https://a.example/simple".to_owned()),
                extra: ["https://b.example/s", "https://d.example/s", "https://e.example/s"]
                    .map(str::to_owned)
                    .to_vec(),
                find_links: vec!["/wheels".to_owned()],
                no_index: false,
            },
        );
    }

    #[test]
    fn indexes_of_uv_may_be_the_default() {
        let toml = "find-links = [\"w\"]\n[[index]]\nname = \"a\"\nurl = \"https://a.example/\"\n[[index]]\nurl = \"https://b.example/\"\ndefault = true\n";
        check(
            &[("UV_CONFIG_FILE", "/c.toml"), ("PIP_NO_INDEX", "1")],
            &[("/c.toml", toml)],
            &Sources {
                index: Some("https://b.example/".to_owned()),
                extra: vec!["https://a.example/".to_owned()],
                find_links: vec!["w".to_owned()],
                no_index: true,
            },
        );
    }
}
