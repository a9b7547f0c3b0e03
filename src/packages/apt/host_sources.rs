//! The host's own package sources (`sources.list(5)`), read where a flag asks for another suite of them.
//!
//! Without flags nothing here is needed: apt reads its files itself.

use super::{AptError, paragraph::Paragraph};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Archives of binary packages that were configured together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Entry {
    pub(super) uris: Vec<String>,
    pub(super) suites: Vec<String>,
    pub(super) components: Vec<String>,
    /// Which keys sign it: paths, fingerprints, or a key itself, as written. Absent: whichever apt trusts.
    pub(super) signed_by: Option<String>,
}

/// All that is enabled in `etc` (`/etc/apt`), in the order in which apt reads it.
pub(super) fn read(etc: &Path) -> Result<Vec<Entry>, AptError> {
    let mut entries = Vec::new();
    let main = etc.join("sources.list");
    if let Some(text) = read_if_there(&main)? {
        entries.extend(lines(&text));
    }
    for path in parts(&etc.join("sources.list.d"))? {
        let Some(text) = read_if_there(&path)? else { continue };
        if path.extension().is_some_and(|extension| extension == "list") {
            entries.extend(lines(&text));
        } else {
            let read = Paragraph::read_all(&text);
            let paragraphs =
                read.map_err(|line| AptError::Sources(format!("{}: cannot read {line:?}", path.display())))?;
            entries.extend(paragraphs.iter().filter_map(stanza));
        }
    }
    Ok(entries)
}

/// Of everything in `etc` that has a say in which packages a name means.
pub(super) fn digest(etc: &Path) -> Result<blake3::Hash, AptError> {
    let mut hasher = blake3::Hasher::new();
    let mut paths = vec![etc.join("sources.list"), etc.join("preferences")];
    for folder in ["sources.list.d", "preferences.d"] {
        paths.extend(files(&etc.join(folder))?);
    }
    for path in paths {
        if let Some(text) = read_if_there(&path)? {
            hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
        }
    }
    Ok(hasher.finalize())
}

/// The one-line style: `deb [signed-by=/path] URI suite component…`.
fn lines(text: &str) -> impl Iterator<Item = Entry> {
    text.lines().filter_map(|line| {
        let line = line.split('#').next()?.trim();
        let rest = line.strip_prefix("deb").filter(|rest| rest.starts_with([' ', '\t']))?.trim_start();
        let (options, rest) = match rest.strip_prefix('[') {
            Some(options) => options.split_once(']')?,
            None => ("", rest),
        };
        let signed_by = options.split_whitespace().find_map(|option| option.strip_prefix("signed-by="));
        let mut words = rest.split_whitespace().map(str::to_owned);
        Some(Entry {
            uris: vec![words.next()?],
            suites: vec![words.next()?],
            components: words.collect(),
            signed_by: signed_by.map(str::to_owned),
        })
    })
}

/// The paragraph style (`*.sources`).
fn stanza(paragraph: &Paragraph) -> Option<Entry> {
    let enabled = !matches!(paragraph.get("Enabled"), Some("no" | "false" | "0"));
    if !enabled || !paragraph.words("Types").iter().any(|kind| kind == "deb") {
        return None;
    }
    Some(Entry {
        uris: paragraph.words("URIs"),
        suites: paragraph.words("Suites"),
        components: paragraph.words("Components"),
        signed_by: paragraph.get("Signed-By").map(str::to_owned),
    })
}

/// The files that apt reads of a folder of sources, in its order.
fn parts(folder: &Path) -> Result<Vec<PathBuf>, AptError> {
    let mut paths = files(folder)?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "list" || extension == "sources"));
    Ok(paths)
}

/// What is in a folder, sorted; nothing if there is none.
fn files(folder: &Path) -> Result<Vec<PathBuf>, AptError> {
    let at = |error| AptError::Io { path: folder.to_owned(), error };
    let listing = match fs::read_dir(folder) {
        Ok(listing) => listing,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(at(error)),
    };
    let mut paths = listing.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, _>>().map_err(at)?;
    paths.sort_unstable();
    Ok(paths)
}

fn read_if_there(path: &Path) -> Result<Option<String>, AptError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(AptError::Io { path: path.to_owned(), error }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn both_styles_are_read() {
        let etc = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(etc.path().join(name), text).unwrap();
        fs::create_dir(etc.path().join("sources.list.d")).unwrap();
        write(
            "sources.list",
            "# deb http://off.example/ a b\n\
             deb [ arch=amd64,s390x signed-by=/k.gpg ] http://a.example/debian bookworm main contrib # more\n\
             deb-src http://a.example/debian bookworm main\n",
        );
        write(
            "sources.list.d/b.sources",
            "Types: deb deb-src\nURIs: http://b.example/\n http://c.example/\nSuites: x x-updates\nComponents: main\n\
             Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n\nTypes: deb\nEnabled: no\nURIs: http://off.example/\n",
        );
        write("sources.list.d/a.list", "deb\thttp://flat.example/ ./\n");
        write("sources.list.d/c.list.save", "deb http://off.example/ a b\n");
        let key = "\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .";
        let expected = [
            ("http://a.example/debian", "bookworm", "main contrib", Some("/k.gpg")),
            ("http://flat.example/", "./", "", None),
            ("http://b.example/ http://c.example/", "x x-updates", "main", Some(key)),
        ];
        let expected = expected.map(|(uris, suites, components, signed_by)| Entry {
            uris: words(uris),
            suites: words(suites),
            components: words(components),
            signed_by: signed_by.map(str::to_owned),
        });
        assert_eq!(read(etc.path()).unwrap(), expected);
    }

    #[test]
    fn a_host_without_sources_has_none() {
        let etc = tempfile::tempdir().unwrap();
        assert_eq!(read(etc.path()).unwrap(), []);
        let nothing = digest(etc.path()).unwrap();
        fs::write(etc.path().join("preferences"), "Package: *\n").unwrap();
        assert_ne!(digest(etc.path()).unwrap(), nothing);
    }
}
