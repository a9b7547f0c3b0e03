//! Addresses of repositories, with what else they say.
//!
//! | in the fragment | in the query | means |
//! |---|---|---|
//! | `#REF` | `ref=REF` | branch, tag or commit |
//! | | `branch=NAME`, `tag=NAME` | a branch, a tag |
//! | `#REF:DIR`, `#:DIR` | `subdir=DIR` | the folder to take |
//! | | `checksum=HEX`, `commit=HEX` | the commit that has to be found, or how it starts |
//! | | `keep-git-dir[=BOOL]` | whether `.git` stays |
//! | | `submodules[=BOOL]` | whether submodules are checked out (they are, if nothing is said) |
//! | | `mtime=checkout`, `mtime=commit` | the times of files |
//! | | `fetch-by-commit[=BOOL]` | the commit is fetched without asking what the reference means |

use super::{RemoteError, decode, host_of, path_of};
use crate::path::clean;

/// A repository, and what to take of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GitAddress {
    /// What `git` is given: the text without fragment and query.
    pub remote: String,
    /// Branch, tag or commit; `None` is the default branch.
    pub reference: Option<String>,
    /// Folder below the root, clean and relative; `None` is the root.
    pub subdir: Option<String>,
    /// How the commit has to start, in lower-case hexadecimal digits.
    pub checksum: Option<String>,
    /// Whether `.git` stays.
    pub keep_git_dir: Option<bool>,
    /// Whether submodules are checked out.
    pub submodules: Option<bool>,
    /// Whether files have the time of their commit.
    pub commit_times: bool,
    /// Whether the commit of `checksum` is fetched without asking what the reference means.
    pub fetch_by_commit: bool,
}

/// Whether a text is `user@host:path`.
pub(super) fn is_scp_like(text: &str) -> bool {
    let fits = |text: &str, others: &[char]| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || others.contains(&c))
    };
    let Some((user, rest)) = text.split_once('@') else { return false };
    let Some((host, _)) = rest.split_once(':') else { return false };
    fits(user, &['-', '_']) && fits(host, &['-', '.'])
}

impl GitAddress {
    /// Reads an address that is known to be one of a repository.
    ///
    /// # Errors
    /// If a part of it is malformed, contradicts another one, or could be taken for an option by `git`.
    pub fn read(text: &str) -> Result<Self, RemoteError> {
        let wrong = |what: String| RemoteError(format!("the address `{text}` {what}"));
        if text.contains(|c: char| c.is_control() || c == ' ') {
            return Err(wrong("holds a space or a control character".to_owned()));
        }
        let (before, fragment) = text.split_once('#').unwrap_or((text, ""));
        let (remote, query) = before.split_once('?').unwrap_or((before, ""));
        let is_url = remote.contains("://");
        let (host, path) = match remote.split_once('@').and_then(|(_, rest)| rest.split_once(':')) {
            Some(parts) if !is_url => parts,
            Some(_) | None => (host_of(remote), path_of(remote)),
        };
        if host.is_empty() || host.starts_with('-') || path.starts_with('-') {
            return Err(wrong("names no host".to_owned()));
        }
        let (reference, subdir) = fragment.split_once(':').unwrap_or((fragment, ""));
        let mut address = Self {
            remote: remote.to_owned(),
            reference: Some(decode(reference, false)).filter(|reference| !reference.is_empty()),
            subdir: folder(&decode(subdir, false)),
            ..Self::default()
        };
        let mut seen: Vec<&str> = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if seen.contains(&name) {
                return Err(wrong(format!("says `{name}` twice")));
            }
            seen.push(name);
            address.set(name, &decode(value, true)).map_err(wrong)?;
        }
        match &address.reference {
            Some(reference) if reference.starts_with('-') || reference.contains("..") => {
                Err(wrong(format!("has `{reference}` where a branch, tag or commit is expected")))
            }
            Some(_) | None => Ok(address),
        }
    }

    /// Takes one part of the query.
    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let switch = || match value {
            "" | "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
            other => Err(format!("has `{name}={other}`: expected true or false")),
        };
        match name {
            "keep-git-dir" => self.keep_git_dir = Some(switch()?),
            "submodules" => self.submodules = Some(switch()?),
            "fetch-by-commit" => self.fetch_by_commit = switch()?,
            _ if value.is_empty() => return Err(format!("says nothing behind `{name}=`")),
            "ref" => self.refer_to(value.to_owned())?,
            "branch" => self.refer_to(full("refs/heads/", value))?,
            "tag" => self.refer_to(full("refs/tags/", value))?,
            "subdir" => {
                let subdir = folder(value);
                if self.subdir.as_ref().is_some_and(|known| Some(known) != subdir.as_ref()) {
                    return Err("names two folders".to_owned());
                }
                self.subdir = subdir;
            }
            "checksum" | "commit" => self.checksum = Some(checksum(value)?),
            "mtime" => {
                self.commit_times = match value {
                    "checkout" => false,
                    "commit" => true,
                    other => return Err(format!("has `mtime={other}`: expected checkout or commit")),
                }
            }
            other => return Err(format!("asks for `{other}`, which is not known")),
        }
        Ok(())
    }

    fn refer_to(&mut self, reference: String) -> Result<(), String> {
        match &self.reference {
            Some(known) if *known != reference => Err(format!("names both `{known}` and `{reference}`")),
            Some(_) | None => {
                self.reference = Some(reference);
                Ok(())
            }
        }
    }

    /// The last part of the remote, without `.git`.
    pub fn short_name(&self) -> &str {
        let name = self.remote.trim_end_matches('/').rsplit(['/', ':']).next().unwrap_or_default();
        name.strip_suffix(".git").unwrap_or(name)
    }
}

/// A commit, or how it starts, in lower case.
pub fn checksum(text: &str) -> Result<String, String> {
    let fits = (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if fits { Ok(text.to_ascii_lowercase()) } else { Err(format!("has `{text}`, which is no commit")) }
}

/// Whether `text` is a whole commit, of SHA-1 or SHA-256.
pub fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn full(prefix: &str, name: &str) -> String {
    if name.starts_with(prefix) { name.to_owned() } else { format!("{prefix}{name}") }
}

fn folder(path: &str) -> Option<String> {
    let path = clean(&format!("/{path}"));
    Some(path.trim_start_matches('/').to_owned()).filter(|path| !path.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write as _;

    /// One case a line: an address, and what it means.
    #[test]
    fn cases() {
        let text = include_str!("../../../testdata/remote/git.txt");
        let mut count = 0;
        for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            let (address, expected) = line.split_once(" -> ").unwrap();
            assert_eq!(describe(address), expected, "{address}");
            count += 1;
        }
        assert!(count >= 30, "{count} cases");
    }

    fn describe(address: &str) -> String {
        let address = match GitAddress::read(address) {
            Ok(address) => address,
            Err(error) => {
                let message = error.to_string();
                let whole = format!("the address `{address}` ");
                return format!("error: {}", message.strip_prefix(&whole).unwrap_or(&message));
            }
        };
        let GitAddress { remote, reference, subdir, checksum, keep_git_dir, submodules, .. } = &address;
        let mut text = remote.clone();
        for (name, value) in [("ref", reference), ("subdir", subdir), ("checksum", checksum)] {
            if let Some(value) = value {
                write!(text, " {name}={value}").unwrap();
            }
        }
        for (name, value) in [("keep-git-dir", keep_git_dir), ("submodules", submodules)] {
            if let Some(value) = value {
                write!(text, " {name}={value}").unwrap();
            }
        }
        for (name, value) in [("commit-times", address.commit_times), ("by-commit", address.fetch_by_commit)] {
            text.push_str(if value { " " } else { "" });
            text.push_str(if value { name } else { "" });
        }
        text
    }
}
