//! The header of an rpm, as its database keeps it (rpm's documentation, "RPM v4 header", without the leading magic): how
//! many entries there are, how many bytes their values take, 16 bytes an entry, and the values. All numbers are big-endian.

use super::{Ecosystem, ImageTree, Package};
use std::collections::HashMap;

const NAME: u32 = 1000;
const VERSION: u32 = 1001;
const RELEASE: u32 = 1002;
const EPOCH: u32 = 1003;
const LICENCE: u32 = 1014;
const ARCHITECTURE: u32 = 1022;
const SOURCE: u32 = 1044;
const FOLDER_INDEXES: u32 = 1116;
const NAMES: u32 = 1117;
const FOLDERS: u32 = 1118;

/// Types of values: a 32-bit number, a text, several texts, a text in several languages.
const NUMBER: u32 = 4;
const TEXTS: [u32; 3] = [6, 8, 9];

struct Header<'a> {
    /// Type, place and count by tag.
    entries: HashMap<u32, (u32, usize, usize)>,
    values: &'a [u8],
}

/// The package of a header; `None` if it is none. Keys that rpm trusts are packages to it, but have no files or release.
pub(super) fn package(tree: &ImageTree<'_>, bytes: &[u8], found_in: &[u8]) -> Option<Package> {
    let header = Header::parse(bytes)?;
    let name = header.text(NAME).filter(|name| name != "gpg-pubkey")?;
    let version = format!("{}-{}", header.text(VERSION)?, header.text(RELEASE)?);
    let version = match header.number(EPOCH, 0) {
        None | Some(0) => version,
        Some(epoch) => format!("{epoch}:{version}"),
    };
    let mut package = Package::new(Ecosystem::Rpm, name, version, found_in);
    package.architecture = header.text(ARCHITECTURE);
    package.source = header.text(SOURCE);
    package.licences = header.text(LICENCE).into_iter().collect();
    let folders: Vec<&[u8]> = header.texts(FOLDERS).collect();
    for (index, name) in header.texts(NAMES).enumerate() {
        let folder = header.number(FOLDER_INDEXES, index).and_then(|folder| folders.get(usize::try_from(folder).ok()?));
        package.files.extend(folder.and_then(|folder| tree.file_at(&[folder, name].concat())));
    }
    Some(package)
}

impl<'a> Header<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let count = usize::try_from(number(bytes, 0)?).ok()?;
        let length = usize::try_from(number(bytes, 4)?).ok()?;
        let table = bytes.get(8..8usize.checked_add(count.checked_mul(16)?)?)?;
        let values = bytes.get(8 + table.len()..)?.get(..length)?;
        let entry = |entry: &[u8]| {
            let place = usize::try_from(number(entry, 8)?).ok()?;
            Some((number(entry, 0)?, (number(entry, 4)?, place, usize::try_from(number(entry, 12)?).ok()?)))
        };
        Some(Self { entries: table.chunks_exact(16).filter_map(entry).collect(), values })
    }

    fn number(&self, tag: u32, index: usize) -> Option<u32> {
        let &(kind, place, count) = self.entries.get(&tag)?;
        if kind != NUMBER || index >= count {
            return None;
        }
        number(self.values, place.checked_add(index.checked_mul(4)?)?)
    }

    fn texts(&self, tag: u32) -> impl Iterator<Item = &'a [u8]> {
        let (place, count) = match self.entries.get(&tag) {
            Some(&(kind, place, count)) if TEXTS.contains(&kind) => (place, count),
            Some(_) | None => (0, 0),
        };
        self.values.get(place..).unwrap_or_default().split(|&byte| byte == 0).take(count)
    }

    fn text(&self, tag: u32) -> Option<String> {
        self.texts(tag).next().map(|text| String::from_utf8_lossy(text).into_owned())
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A header with these files, each given with the index of its folder.
    pub(in crate::optimize::owner) fn header(
        name: &str,
        version: &str,
        release: &str,
        folders: &[&str],
        files: &[(&str, u32)],
    ) -> Vec<u8> {
        let joined = |texts: Vec<&str>| texts.iter().flat_map(|text| [text.as_bytes(), b"\0"].concat()).collect();
        let indexes: Vec<u8> = files.iter().flat_map(|(_, folder)| folder.to_be_bytes()).collect();
        let values: Vec<(u32, u32, usize, Vec<u8>)> = vec![
            (FOLDER_INDEXES, NUMBER, files.len(), indexes),
            (NAME, 6, 1, joined(vec![name])),
            (VERSION, 6, 1, joined(vec![version])),
            (RELEASE, 6, 1, joined(vec![release])),
            (FOLDERS, 8, folders.len(), joined(folders.to_vec())),
            (NAMES, 8, files.len(), joined(files.iter().map(|(name, _)| *name).collect())),
        ];
        let (mut table, mut data) = (Vec::new(), Vec::new());
        for (tag, kind, count, value) in &values {
            for number in [*tag, *kind, u32::try_from(data.len()).unwrap(), u32::try_from(*count).unwrap()] {
                table.extend(number.to_be_bytes());
            }
            data.extend(value);
        }
        let lengths = [values.len(), data.len()].map(|length| u32::try_from(length).unwrap().to_be_bytes());
        [&lengths.concat()[..], &table, &data].concat()
    }

    #[test]
    fn broken_headers_are_no_packages() {
        let whole = header("a", "1", "2", &["/"], &[("b", 0)]);
        let read = Header::parse(&whole).unwrap();
        assert_eq!((read.text(NAME).as_deref(), read.number(FOLDER_INDEXES, 0)), (Some("a"), Some(0)));
        assert_eq!((read.number(NAME, 0), read.number(FOLDER_INDEXES, 1)), (None, None));
        for end in 0..whole.len() {
            assert!(Header::parse(&whole[..end]).is_none());
        }
        assert!(Header::parse(&[0xff; 64]).is_none());
    }
}
