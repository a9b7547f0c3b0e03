//! Where wheels are looked for: the configuration of pip and uv of the person who builds.
//!
//! | what | pip | uv |
//! |---|---|---|
//! | variables | `PIP_INDEX_URL`, `PIP_EXTRA_INDEX_URL`, `PIP_FIND_LINKS`, `PIP_NO_INDEX` | `UV_DEFAULT_INDEX` (`UV_INDEX_URL`), `UV_INDEX` (`UV_EXTRA_INDEX_URL`), `UV_FIND_LINKS`, `UV_NO_INDEX` |
//! | files | `PIP_CONFIG_FILE`, `~/.config/pip/pip.conf`, `~/.pip/pip.conf`, `/etc/pip.conf` | `UV_CONFIG_FILE`, `~/.config/uv/uv.toml`, `/etc/uv/uv.toml` |
//!
//! | credentials | the index's address, netrc; `PIP_KEYRING_PROVIDER`, `keyring-provider` of its files | the same; `UV_INDEX_<NAME>_USERNAME` and `UV_INDEX_<NAME>_PASSWORD` for an index with a name; `UV_KEYRING_PROVIDER`, `keyring-provider` of its files |
//!
//! Of what a keyring can be asked through, only `subprocess` is known here (module `keyring`). Variables win over files, the person's own files over the machine's. Without any of it, the index is the one that the pip
//! of this machine would ask: no address is written here.

use serde::Deserialize;
use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use url::Url;

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
    /// Whether passwords may be asked of a keyring; `None` if nobody says.
    pub(super) keyring: Option<bool>,
    /// Whether requirements need hashes, whatever their file says.
    pub(super) require_hashes: bool,
}

impl Sources {
    /// Of whoever runs this.
    pub(super) fn of_this_machine() -> Self {
        let file = |path: &Path| std::fs::read_to_string(path).ok();
        Self::read(&own_variable, &file)
    }

    /// Adds the index that pip asks if none is configured. Starts a process to find out.
    pub(super) fn complete(&mut self) {
        if self.index.is_none() && !self.no_index {
            self.index = default_of_pip();
        }
    }

    /// The same without what only servers may know, for keys.
    pub(super) fn without_credentials(&self) -> Self {
        let stripped = |text: &String| match Url::parse(text) {
            Ok(mut url) if url.has_host() => {
                let _ = url.set_username("");
                let _ = url.set_password(None);
                url.to_string()
            }
            Ok(_) | Err(_) => text.clone(),
        };
        Self {
            index: self.index.as_ref().map(stripped),
            extra: self.extra.iter().map(stripped).collect(),
            find_links: self.find_links.iter().map(stripped).collect(),
            no_index: self.no_index,
            // What it changes is what is asked, or whether.
            keyring: None,
            require_hashes: false,
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
            index: variable("UV_DEFAULT_INDEX")
                .or_else(|| variable("UV_INDEX_URL"))
                .map(|index| named(&index, variable)),
            extra: words(variable("UV_INDEX").or_else(|| variable("UV_EXTRA_INDEX_URL")))
                .iter()
                .map(|index| named(index, variable))
                .collect(),
            find_links: variable("UV_FIND_LINKS")
                .map_or_else(Vec::new, |list| list.split(',').map(str::to_owned).collect()),
            no_index: truth(variable("UV_NO_INDEX")),
            keyring: variable("UV_KEYRING_PROVIDER").map(|provider| is_program(&provider)),
            require_hashes: truth(variable("UV_REQUIRE_HASHES")),
        });
        sources.add(Self {
            index: variable("PIP_INDEX_URL"),
            extra: words(variable("PIP_EXTRA_INDEX_URL")),
            find_links: words(variable("PIP_FIND_LINKS")),
            no_index: truth(variable("PIP_NO_INDEX")),
            keyring: variable("PIP_KEYRING_PROVIDER").map(|provider| is_program(&provider)),
            require_hashes: truth(variable("PIP_REQUIRE_HASHES")),
        });
        let home = variable("HOME").map(PathBuf::from).unwrap_or_default();
        let config = variable("XDG_CONFIG_HOME").map_or_else(|| home.join(".config"), PathBuf::from);
        let uv = [config.join("uv/uv.toml"), PathBuf::from("/etc/uv/uv.toml")];
        let pip = [config.join("pip/pip.conf"), home.join(".pip/pip.conf"), PathBuf::from("/etc/pip.conf")];
        for path in variable("UV_CONFIG_FILE").map_or_else(|| uv.to_vec(), |path| vec![path.into()]) {
            sources.add(file(&path).map(|text| of_uv(&text, variable)).unwrap_or_default());
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
        self.keyring = self.keyring.or(other.keyring);
        self.require_hashes |= other.require_hashes;
    }
}

/// A variable of whoever runs this.
pub(super) fn own_variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn is_true(text: &str) -> bool {
    matches!(text.to_ascii_lowercase().as_str(), "1" | "true" | "yes" | "on" | "y" | "t")
}

/// Whether a keyring is asked by starting its program.
fn is_program(provider: &str) -> bool {
    provider == "subprocess"
}

/// An index of uv may have its name in front: `name=https://…`.
fn named(index: &str, variable: &dyn Fn(&str) -> Option<String>) -> String {
    match index.split_once('=') {
        Some((name, url)) if !name.contains([':', '/']) => with_credentials(url, Some(name), variable),
        _ => index.to_owned(),
    }
}

/// The address of an index with the credentials that variables have for its name ("Providing credentials directly" of uv).
fn with_credentials(url: &str, name: Option<&str>, variable: &dyn Fn(&str) -> Option<String>) -> String {
    let Some(name) = name else { return url.to_owned() };
    let name = name.replace(|c: char| !c.is_ascii_alphanumeric(), "_").to_ascii_uppercase();
    let of_name = |what| variable(&format!("UV_INDEX_{name}_{what}"));
    match (of_name("USERNAME"), of_name("PASSWORD"), Url::parse(url)) {
        (None, None, _) | (_, _, Err(_)) => url.to_owned(),
        (user, password, Ok(mut url)) => {
            // Everything else that means something in an address is written otherwise by these functions themselves.
            let written = |text: String| text.replace('%', "%25");
            let _ = url.set_username(&written(user.unwrap_or_default()));
            let _ = url.set_password(password.map(written).as_deref());
            url.to_string()
        }
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
    keyring_provider: Option<String>,
    pip: UvPip,
}

#[derive(Deserialize)]
struct UvIndex {
    name: Option<String>,
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
    keyring_provider: Option<String>,
    require_hashes: bool,
}

/// `pyproject.toml`, as far as uv has indexes in it.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Project {
    tool: Tool,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Tool {
    uv: ToolUv,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ToolUv {
    index: Vec<UvIndex>,
}

/// The indexes that a project has names for, those with credentials in variables for these names.
pub(super) fn credentials_for_project(pyproject: &str, variable: &dyn Fn(&str) -> Option<String>) -> Vec<Url> {
    let project: Project = toml::from_str(pyproject).unwrap_or_default();
    let address = |index: UvIndex| {
        let with = with_credentials(&index.url, index.name.as_deref(), variable);
        Url::parse(&with).ok().filter(|_| with != index.url)
    };
    project.tool.uv.index.into_iter().filter_map(address).collect()
}

fn of_uv(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Sources {
    let Ok(config) = toml::from_str::<UvConfig>(text) else { return Sources::default() };
    let (default, further): (Vec<_>, Vec<_>) = config.index.into_iter().partition(|index| index.default);
    let address = |index: UvIndex| with_credentials(&index.url, index.name.as_deref(), variable);
    let mut extra: Vec<String> = further.into_iter().map(address).collect();
    extra.extend(config.extra_index_url);
    extra.extend(config.pip.extra_index_url);
    let index = default.into_iter().next().map(address).or(config.index_url).or(config.pip.index_url);
    let find_links = config.find_links.into_iter().chain(config.pip.find_links).collect();
    let provider = config.keyring_provider.or(config.pip.keyring_provider);
    let keyring = provider.map(|provider| is_program(&provider));
    Sources { index, extra, find_links, no_index: config.no_index, keyring, require_hashes: config.pip.require_hashes }
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
            "require-hashes" => sources.require_hashes = is_true(value),
            "keyring-provider" => sources.keyring = Some(is_program(value)),
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
                ..Sources::default()
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
                ..Sources::default()
            },
        );
    }

    #[test]
    fn variables_have_credentials_for_names() {
        check(
            &[
                ("UV_CONFIG_FILE", "/c.toml"),
                ("UV_INDEX", "other=https://b.example/s https://c.example/s"),
                ("UV_INDEX_MY_OWN_USERNAME", "ann@example"),
                ("UV_INDEX_MY_OWN_PASSWORD", "50%41/:"),
                ("UV_INDEX_OTHER_PASSWORD", "token"),
            ],
            &[("/c.toml", "[[index]]\nname = \"my-own\"\nurl = \"https://x@a.example/s\"\ndefault = true\n")],
            &Sources {
                index: Some("https://ann%40example:50%2541%2F%3A@a.example/s".to_owned()),
                extra: vec!["https://:token@b.example/s".to_owned(), "https://c.example/s".to_owned()],
                ..Sources::default()
            },
        );
    }

    #[test]
    fn a_keyring_is_asked_only_if_somebody_says_so() {
        let pip = ("/etc/pip.conf", "[global]\nkeyring-provider = subprocess\n");
        let uv = ("/etc/uv/uv.toml", "keyring-provider = \"subprocess\"\n");
        let expected = |keyring| Sources { keyring, ..Sources::default() };
        check(&[], &[], &expected(None));
        check(&[], &[pip], &expected(Some(true)));
        check(&[], &[uv], &expected(Some(true)));
        check(&[("PIP_KEYRING_PROVIDER", "disabled")], &[pip], &expected(Some(false)));
        check(&[("UV_KEYRING_PROVIDER", "subprocess")], &[], &expected(Some(true)));
        check(&[("PIP_KEYRING_PROVIDER", "import")], &[], &expected(Some(false)));
    }

    #[test]
    fn credentials_are_in_no_key() {
        let sources =
            |index: &str| Sources { index: Some(index.to_owned()), extra: vec!["w".to_owned()], ..Sources::default() };
        let with = sources("https://ann:secret@a.example/s").without_credentials();
        assert_eq!(with, sources("https://a.example/s"));
    }

    #[test]
    fn a_project_names_indexes_and_variables_say_the_rest() {
        let toml = "[[tool.uv.index]]\nname = \"a\"\nurl = \"https://a.example/s\"\nexplicit = true\n\
                    [[tool.uv.index]]\nname = \"b\"\nurl = \"https://b.example/s\"\n";
        let variable = |name: &str| (name == "UV_INDEX_A_PASSWORD").then(|| "token".to_owned());
        let found = credentials_for_project(toml, &variable);
        assert_eq!(found, ["https://:token@a.example/s".parse().unwrap()]);
        assert_eq!(credentials_for_project("no toml", &variable), []);
    }

    #[test]
    fn hashes_are_required_by_either_tool() {
        let expected = Sources { require_hashes: true, ..Sources::default() };
        check(&[("PIP_REQUIRE_HASHES", "1")], &[], &expected);
        check(&[("UV_REQUIRE_HASHES", "true")], &[], &expected);
        check(&[], &[("/etc/pip.conf", "[install]\nrequire-hashes = yes\n")], &expected);
        check(&[], &[("/etc/uv/uv.toml", "[pip]\nrequire-hashes = true\n")], &expected);
    }
}
