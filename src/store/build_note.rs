//! What the last build of a name used. Who makes a note says what is in it.

use super::{
    Store, StoreError,
    freshness::{Moment, before, is_old, now, system_time},
};
use rusqlite::{OptionalExtension as _, params};
use std::time::{Duration, SystemTime};

/// How long a note is kept of a name that is not built any more.
const MEMORY: Duration = Duration::from_hours(24 * 180);

/// A note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildNoteRow {
    /// What was built.
    pub name: String,
    /// When, to the hour.
    pub made: SystemTime,
    /// The note.
    pub note: Vec<u8>,
}

impl Store {
    /// Notes what the build of `name` used, in place of what the one before did.
    pub fn put_build_note(&self, name: &str, note: &[u8]) -> Result<(), StoreError> {
        let known = self.index().read(|index| {
            let mut query = index.prepare_cached("SELECT made, note FROM build_notes WHERE name = ?1")?;
            Ok(query.query_row([name], |row| Ok((row.get::<_, Moment>(0)?, row.get::<_, Vec<u8>>(1)?))).optional()?)
        })?;
        if known.is_some_and(|(made, known)| known == note && !is_old(made)) {
            return Ok(());
        }
        self.index().write(|index| {
            index.prepare_cached("INSERT OR REPLACE INTO build_notes VALUES (?1, ?2, ?3)")?.execute(params![
                name,
                now(),
                note
            ])?;
            index.prepare_cached("DELETE FROM build_notes WHERE made < ?1")?.execute([before(now(), MEMORY)])?;
            Ok(())
        })
    }

    /// All notes, by name.
    pub fn build_notes(&self) -> Result<Vec<BuildNoteRow>, StoreError> {
        self.index().read(|index| {
            let mut query = index.prepare("SELECT name, made, note FROM build_notes ORDER BY name")?;
            let rows = query.query_map([], |row| {
                Ok(BuildNoteRow { name: row.get(0)?, made: system_time(row.get::<_, Moment>(1)?), note: row.get(2)? })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_build_of_a_name_counts() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path()).unwrap();
        store.put_build_note("b", b"1").unwrap();
        store.put_build_note("a", b"1").unwrap();
        store.put_build_note("b", b"2").unwrap();
        let notes = store.build_notes().unwrap();
        let notes: Vec<_> = notes.iter().map(|row| (row.name.as_str(), &row.note[..])).collect();
        assert_eq!(notes, [("a", &b"1"[..]), ("b", b"2")]);
        let before = store.stats().index_queries;
        store.put_build_note("b", b"2").unwrap();
        assert_eq!(store.stats().index_queries, before + 1, "what is known is not written again");
    }
}
