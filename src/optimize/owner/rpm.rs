//! Packages of rpm: a header (`rpm_header`) a package, in one of the databases that rpm has had.
//!
//! | database | file | used by |
//! |---|---|---|
//! | sqlite | `rpmdb.sqlite`, table `Packages` | Fedora 33, Red Hat 9 and later |
//! | ndb | `Packages.db`: slots of 16 bytes that lead to blobs | SUSE |
//! | Berkeley DB | `Packages` | Red Hat 8 and earlier; not read here, and said so |

use super::{ImageTree, Package, rpm_header, tree::shown};
use crate::layer::LayerError;
use rusqlite::{Connection, OpenFlags};
use std::{fs::File, os::fd::AsRawFd as _};

/// Where rpm keeps its database: as ever, as SUSE and image-based systems do, as immutable systems do.
const FOLDERS: [&str; 3] = ["var/lib/rpm", "usr/lib/sysimage/rpm", "usr/share/rpm"];
/// Largest database.
const MAX_DATABASE: u64 = 1 << 30;
/// Packages in it.
const MOST_PACKAGES: usize = 100_000;
/// Largest header; rpm's own limit is 256 MB, real ones stay below 10.
const MAX_HEADER: usize = 64 << 20;

/// Bytes of a page, of a slot and of a block of ndb (rpm, `lib/backend/ndb/rpmpkg.c`).
const PAGE: usize = 4096;
const SLOT: usize = 16;
const BLOCK: usize = 16;

pub(super) fn find(tree: &ImageTree<'_>) -> Result<Vec<Package>, LayerError> {
    for folder in FOLDERS {
        let path = format!("{folder}/rpmdb.sqlite").into_bytes();
        if let Some((size, file)) = tree.open(&path)? {
            let headers = if size > MAX_DATABASE { Err("it is too large".to_owned()) } else { sqlite(&file) };
            return Ok(read(tree, &path, headers));
        }
        let path = format!("{folder}/Packages.db").into_bytes();
        if let Some(bytes) = tree.read(&path, MAX_DATABASE)? {
            return Ok(read(tree, &path, ndb(&bytes).ok_or_else(|| "it is no database of ndb".to_owned())));
        }
        let path = format!("{folder}/Packages").into_bytes();
        if tree.view().lookup(&path).is_some() {
            tree.note(format!("{} is a Berkeley DB, which is not read: its packages are missing here", shown(&path)));
        }
    }
    Ok(Vec::new())
}

fn read(tree: &ImageTree<'_>, path: &[u8], headers: Result<Vec<Vec<u8>>, String>) -> Vec<Package> {
    let headers = headers.unwrap_or_else(|problem| {
        tree.note(format!("{} cannot be read: {problem}", shown(path)));
        Vec::new()
    });
    headers.iter().filter_map(|header| rpm_header::package(tree, header, path)).collect()
}

/// The headers of a database of `SQLite`, which is opened by its descriptor and never written.
fn sqlite(file: &File) -> Result<Vec<Vec<u8>>, String> {
    let uri = format!("file:/proc/self/fd/{}?immutable=1", file.as_raw_fd());
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let read = || -> rusqlite::Result<Vec<Vec<u8>>> {
        let database = Connection::open_with_flags(&uri, flags)?;
        database.execute_batch("PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;")?;
        // Whoever wrote the file wrote its schema: a view or a generated column could compute for ever.
        let schema: String =
            database.query_row("SELECT sql FROM sqlite_schema WHERE name = 'Packages'", [], |row| row.get(0))?;
        let schema = schema.to_ascii_uppercase();
        if !schema.starts_with("CREATE TABLE") || schema.split(|it: char| !it.is_alphabetic()).any(|word| word == "AS")
        {
            return Ok(Vec::new());
        }
        let mut select = database.prepare("SELECT blob FROM Packages WHERE length(blob) <= ?1 LIMIT ?2")?;
        let rows = select.query_map((MAX_HEADER, MOST_PACKAGES), |row| row.get(0))?;
        rows.collect()
    };
    read().map_err(|error| error.to_string())
}

/// The headers of a database of ndb.
fn ndb(bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let number = |at: usize| -> Option<usize> {
        let bytes = bytes.get(at..at.checked_add(4)?)?;
        usize::try_from(u32::from_le_bytes(bytes.try_into().ok()?)).ok()
    };
    if bytes.get(..4)? != b"RpmP" {
        return None;
    }
    let slots = number(12)?.checked_mul(PAGE)?.min(bytes.len()) / SLOT;
    let mut headers = Vec::new();
    // The first two slots are the file's own header.
    for slot in (2..slots).map(|slot| slot * SLOT) {
        let Some(package) = number(slot + 4).filter(|&package| package != 0) else { continue };
        let at = number(slot + 8)?.checked_mul(BLOCK)?;
        if bytes.get(slot..slot + 4)? != b"Slot" || bytes.get(at..at + 4)? != b"BlbS" || number(at + 4)? != package {
            continue;
        }
        let length = number(at + 12)?;
        if headers.len() < MOST_PACKAGES && length <= MAX_HEADER {
            headers.push(bytes.get(at + 16..(at + 16).checked_add(length)?)?.to_vec());
        }
    }
    Some(headers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimize::owner::{rpm_header::tests::header, testing::*};

    fn sample() -> Vec<u8> {
        header("bash", "5.2", "1.fc40", &["/usr/bin/", "/usr/share/"], &[("bash", 0), ("bash.txt", 1), ("gone", 1)])
    }

    #[track_caller]
    fn check(name: &str, database: &[u8]) {
        let image = Image::of_layers(&[vec![
            file(name, database),
            program("usr/bin/bash", "bash"),
            file("usr/share/bash.txt", "text"),
        ]]);
        let inventory = image.inventory();
        assert_eq!(listing(&inventory.packages), ["bash 5.2-1.fc40: usr/bin/bash usr/share/bash.txt"]);
        assert_eq!(inventory.packages[0].bytes, 8);
    }

    #[test]
    fn databases_of_sqlite_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rpmdb.sqlite");
        let database = Connection::open(&path).unwrap();
        database
            .execute_batch("CREATE TABLE Packages (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL)")
            .unwrap();
        database.execute("INSERT INTO Packages (blob) VALUES (?1)", [sample()]).unwrap();
        database.execute("INSERT INTO Packages (blob) VALUES (x'00')", []).unwrap();
        drop(database);
        check("usr/lib/sysimage/rpm/rpmdb.sqlite", &std::fs::read(&path).unwrap());
    }

    #[test]
    fn databases_of_ndb_are_read() {
        let header = sample();
        let mut database = vec![0; PAGE];
        database[..4].copy_from_slice(b"RpmP");
        database[12..16].copy_from_slice(&1u32.to_le_bytes());
        let slot = [b"Slot".as_slice(), &1u32.to_le_bytes(), &256u32.to_le_bytes(), &9u32.to_le_bytes()].concat();
        database[32..48].copy_from_slice(&slot);
        let length = u32::try_from(header.len()).unwrap().to_le_bytes();
        database.extend([b"BlbS".as_slice(), &1u32.to_le_bytes(), &0u32.to_le_bytes(), &length, &header].concat());
        check("usr/lib/sysimage/rpm/Packages.db", &database);
        for end in [0, 3, 40, PAGE, database.len() - 1] {
            ndb(&database[..end]);
        }
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let image = Image::new(&[("var/lib/rpm/Packages", "\0\0")]);
        assert!(image.inventory().notes[0].contains("Berkeley DB"));
        let image = Image::new(&[("var/lib/rpm/rpmdb.sqlite", "no database, but more than a page of text")]);
        assert!(image.inventory().notes[0].starts_with("/var/lib/rpm/rpmdb.sqlite cannot be read: "));
    }
}
