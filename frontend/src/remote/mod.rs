//! Addresses of what is elsewhere: files behind URLs, and repositories.
//!
//! | text | means |
//! |---|---|
//! | `git://…`, `ssh://…`, `user@host:path` | a repository |
//! | `http://…`, `https://…` whose path ends in `.git` | a repository |
//! | any other `http://…`, `https://…` | a file |
//! | anything else | nothing that is elsewhere |
//!
//! What the texts say about a repository beyond its address is in [`git`]. Nothing is asked of any server here.

pub mod git;

pub use git::GitAddress;

/// What a text is the address of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remote {
    /// A file, to be downloaded.
    File(String),
    /// A repository, to be checked out.
    Repository(GitAddress),
}

/// Why an address cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RemoteError(pub String);

impl Remote {
    /// Reads an address; `None` if the text is none.
    ///
    /// # Errors
    /// If it clearly is one, and wrong.
    pub fn read(text: &str) -> Result<Option<Self>, RemoteError> {
        let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
        match scheme.as_deref() {
            Some("http" | "https") if path_of(text).strip_suffix(".git").is_none() => {
                let is_odd = |c: char| c.is_control() || c == ' ';
                if host_of(text).is_empty() || text.contains(is_odd) {
                    return Err(RemoteError(format!("`{text}` is no URL")));
                }
                Ok(Some(Self::File(text.to_owned())))
            }
            Some("http" | "https" | "git" | "ssh") => GitAddress::read(text).map(Self::Repository).map(Some),
            None if git::is_scp_like(text) => GitAddress::read(text).map(Self::Repository).map(Some),
            Some(_) | None => Ok(None),
        }
    }
}

/// The name that a file at `url` gets: the last part of its path, decoded. `__unnamed__` if the path has no parts, and
/// `download` if that part is no name for a file.
pub fn file_name(url: &str) -> String {
    let path = decode(path_of(url), false);
    let Some(name) = path.trim_end_matches('/').rsplit('/').next().filter(|name| !name.is_empty()) else {
        return "__unnamed__".to_owned();
    };
    let name = name.trim();
    let is_name = !matches!(name, "" | "." | "..") && name.len() <= 255 && !name.contains(char::is_control);
    if is_name { name.to_owned() } else { "download".to_owned() }
}

/// A URL for people, without the user and password in it.
pub fn shown(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    format!("{scheme}://{}{path}", authority.rsplit('@').next().unwrap_or_default())
}

fn host_of(url: &str) -> &str {
    let behind = url.split_once("://").map_or(url, |(_, behind)| behind);
    let authority = behind.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit('@').next().unwrap_or_default()
}

/// The path of a URL, as it is written there.
fn path_of(url: &str) -> &str {
    let behind = url.split_once("://").map_or(url, |(_, behind)| behind);
    let path = behind.find(['/', '?', '#']).map_or("", |start| &behind[start..]);
    path.split(['?', '#']).next().unwrap_or_default()
}

/// Decodes `%XX`, and `+` in queries; what is malformed stays as it is.
fn decode(text: &str, is_query: bool) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        let digits = behind.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let decoded = digits.filter(|_| byte == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(decoded.unwrap_or(if is_query && byte == b'+' { b' ' } else { byte }));
        rest = if decoded.is_some() { &behind[2..] } else { behind };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_by_the_path() {
        for (url, expected) in [
            ("https://h.example/a/b.tar.gz", "b.tar.gz"),
            ("https://h.example/a/b/", "b"),
            ("https://h.example/a?name=x/y", "a"),
            ("https://h.example/a#x/y", "a"),
            ("https://h.example", "__unnamed__"),
            ("https://h.example/", "__unnamed__"),
            ("https://h.example?x=/y", "__unnamed__"),
            ("https://h.example/a%20b", "a b"),
            ("https://h.example/a%2Fb", "b"),
            ("https://h.example/..", "download"),
            ("https://h.example/%2e%2e", "download"),
            ("https://h.example/%2e%2e%2f", "download"),
            ("https://h.example/a%00b", "download"),
            ("https://h.example/a%0Ab", "download"),
            ("https://h.example/%zz", "%zz"),
        ] {
            assert_eq!(file_name(url), expected, "{url}");
        }
    }

    #[test]
    fn addresses_are_told_from_paths() {
        let kind = |text: &str| match Remote::read(text) {
            Ok(Some(Remote::File(_))) => "file",
            Ok(Some(Remote::Repository(_))) => "repository",
            Ok(None) => "path",
            Err(_) => "error",
        };
        for (text, expected) in [
            ("https://h.example/a", "file"),
            ("HTTP://h.example/a", "file"),
            ("https://h.example/a.git", "repository"),
            ("https://h.example/a.git#main:sub", "repository"),
            ("https://h.example/a.git?branch=main", "repository"),
            ("https://h.example/a.git/b", "file"),
            ("https://h.example/a?b.git", "file"),
            ("git://h.example/a", "repository"),
            ("ssh://git@h.example/a", "repository"),
            ("git@h.example:a/b", "repository"),
            ("me@h.example:a", "repository"),
            ("h.example:a", "path"),
            ("a@b/c", "path"),
            ("ftp://h.example/a", "path"),
            ("file:///a.git", "path"),
            ("./a.git", "path"),
            ("https://", "error"),
            ("https:///a", "error"),
            ("https://h.example/a b", "error"),
            ("ssh://-oProxyCommand=x/a", "error"),
            ("git@-h.example:a", "error"),
            ("https://h.example/a.git#-x", "error"),
        ] {
            assert_eq!(kind(text), expected, "{text}");
        }
    }
}
