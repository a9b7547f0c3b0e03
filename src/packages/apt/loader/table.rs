//! The format of `/etc/ld.so.cache` since glibc 2.2 (`sysdeps/generic/dl-cache.h` there), in the byte order of its machine.
//!
//! | bytes | hold |
//! |---|---|
//! | 0..20 | `glibc-ld.so.cache1.1` |
//! | 20..24 | how many libraries |
//! | 24..28 | bytes of the strings |
//! | 28 | byte order: 2 is little-endian, 3 big-endian |
//! | 32..36 | where extensions begin; none here |
//! | 48.. | 24 bytes a library: flags, where its name is, where its path is, 4 bytes unused, 8 bytes of required hardware |
//! | after | strings, each with a zero behind it |
//!
//! The loader searches it by halves, so the order is the loader's own: falling, digits compared as numbers.

use std::cmp::{Ordering, Reverse};

const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
/// Of the format before, in which newer files hide theirs for old loaders.
const OLD_MAGIC: &[u8] = b"ld.so-1.7.0";
const HEADER: usize = 48;
const ENTRY: usize = 24;
/// Libraries that are read of a file at most; a large desktop has 5,000.
const MOST: usize = 200_000;

/// What the table says of a library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::packages::apt) struct Library {
    /// Absolute path; it ends in the name.
    pub(super) path: String,
    /// For whom it is.
    pub(super) flags: u32,
}

impl Library {
    fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }
}

/// Whether machines of Debian's `architecture` have the byte of the highest value first.
pub(super) fn is_big_endian(architecture: &str) -> bool {
    architecture == "s390x"
}

/// The file. Of libraries with the same name for the same programs, the first given comes first.
pub(super) fn write(architecture: &str, mut libraries: Vec<Library>) -> Vec<u8> {
    libraries.sort_by(|a, b| compare(b.name(), a.name()).then_with(|| Reverse(a.flags).cmp(&Reverse(b.flags))));
    let number = |number: usize| {
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        if is_big_endian(architecture) { number.to_be_bytes() } else { number.to_le_bytes() }
    };
    let strings: usize = libraries.iter().map(|library| library.path.len() + 1).sum();
    let mut file = Vec::with_capacity(HEADER + libraries.len() * ENTRY + strings);
    file.extend_from_slice(MAGIC);
    file.extend(number(libraries.len()));
    file.extend(number(strings));
    file.push(if is_big_endian(architecture) { 3 } else { 2 });
    file.resize(HEADER, 0);
    let mut at = HEADER + libraries.len() * ENTRY;
    for library in &libraries {
        let name = at + library.path.len() - library.name().len();
        for value in [library.flags as usize, name, at, 0, 0, 0] {
            file.extend(number(value));
        }
        at += library.path.len() + 1;
    }
    for library in &libraries {
        file.extend_from_slice(library.path.as_bytes());
        file.push(0);
    }
    file
}

/// What a file says, as far as it makes sense; nothing if it is none. Libraries for special hardware are left out.
pub(super) fn read(architecture: &str, file: &[u8]) -> Option<Vec<Library>> {
    let number = |bytes: &[u8], at: usize| {
        let bytes: [u8; 4] = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
        let number = if is_big_endian(architecture) { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) };
        usize::try_from(number).ok()
    };
    let mut file = file;
    if file.starts_with(OLD_MAGIC) {
        let old = number(file, 12)?.checked_mul(12)?.checked_add(16)?.checked_next_multiple_of(8)?;
        file = file.get(old..)?;
    }
    let count = number(file, 20).filter(|count| file.starts_with(MAGIC) && *count <= MOST)?;
    let string = |at: usize| {
        let text = file.get(at..)?.split(|&byte| byte == 0).next()?;
        std::str::from_utf8(text).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '))
    };
    let library = |index: usize| {
        let at = HEADER + index * ENTRY;
        let is_plain = number(file, at + 16)? == 0 && number(file, at + 20)? == 0;
        let (name, path) = (string(number(file, at + 4)?)?, string(number(file, at + 8)?)?);
        let is_called_so = path.starts_with('/') && path.rsplit('/').next() == Some(name);
        let flags = u32::try_from(number(file, at)?).ok()?;
        (is_plain && is_called_so).then(|| Library { path: path.to_owned(), flags })
    };
    Some((0..count).filter_map(library).collect())
}

/// How the loader compares names (`_dl_cache_libcmp`): digits are numbers, of as many bits as it has for them.
pub(super) fn compare(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.bytes().peekable(), b.bytes().peekable());
    loop {
        let (first, second) = (a.peek().copied(), b.peek().copied());
        let is_digit = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_digit());
        let order = match (is_digit(first), is_digit(second)) {
            (true, true) => number(&mut a).cmp(&number(&mut b)),
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => {
                a.next();
                b.next();
                first.cmp(&second)
            }
        };
        if order.is_ne() || first.is_none() {
            return order;
        }
    }
}

fn number(bytes: &mut std::iter::Peekable<std::str::Bytes<'_>>) -> i32 {
    let mut number = 0_i32;
    while let Some(digit) = bytes.next_if(u8::is_ascii_digit) {
        number = number.wrapping_mul(10).wrapping_add(i32::from(digit - b'0'));
    }
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    fn library(path: &str, flags: u32) -> Library {
        Library { path: path.to_owned(), flags }
    }

    #[test]
    fn names_are_compared_as_the_loader_does() {
        let falling =
            ["lib9.so", "libz.so.1", "libz.so", "libm.so.10", "libm.so.9", "libm.so.6", "libm-2.so", "lib.so"];
        for pair in falling.windows(2) {
            assert_eq!(compare(pair[0], pair[1]), Ordering::Greater, "{pair:?}");
            assert_eq!(compare(pair[1], pair[0]), Ordering::Less, "{pair:?}");
        }
        assert_eq!(compare("libc.so.6", "libc.so.06"), Ordering::Equal);
    }

    #[test]
    fn what_is_written_is_read_in_the_order_of_the_loader() {
        let given = vec![
            library("/lib/libm.so.6", 3),
            library("/usr/local/lib/libz.so.1", 0x303),
            library("/lib/libm.so.6", 0x303),
            library("/lib/libz.so.1", 0x303),
        ];
        let expected = [given[1].clone(), given[3].clone(), given[2].clone(), given[0].clone()];
        for (architecture, order, first) in [("amd64", 2, [3, 3, 0, 0]), ("s390x", 3, [0, 0, 3, 3])] {
            let file = write(architecture, given.clone());
            assert_eq!((file[28], &file[48..52]), (order, &first[..]));
            assert_eq!(read(architecture, &file).unwrap(), expected);
        }
    }

    #[test]
    fn what_is_broken_is_no_table_or_less_of_one() {
        let file = write("amd64", vec![library("/lib/liba.so", 3), library("/lib/libb.so", 3)]);
        for length in 0..file.len() {
            let found = read("amd64", &file[..length]).unwrap_or_default();
            assert!(found.len() <= 2, "{length}");
        }
        assert_eq!(read("s390x", &file), None);
        assert_eq!(read("amd64", b"ld.so-1.7.0\0\xff\xff\xff\xff"), None);
        let mut many = file.clone();
        many[20..24].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(read("amd64", &many), None);
        // For old loaders, the same lies behind an older table.
        let mut both = b"ld.so-1.7.0\0\x01\0\0\0".to_vec();
        both.resize(32, 0);
        both.extend(&file);
        assert_eq!(read("amd64", &both).unwrap().len(), 2);
    }
}
