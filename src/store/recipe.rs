//! Recipes: what the keys of steps were made of. They explain misses, and find nothing.

use super::{
    Store, StoreError,
    freshness::{before, now},
    index::Failure,
    record::RecordKey,
};
use rusqlite::{Transaction, params};
use std::time::Duration;

/// How many of one step are kept: as many states as people go back and forth between.
const KEPT: i64 = 8;

/// How many of one step are looked at.
const COMPARED: i64 = 8;

/// After so long nobody remembers what was.
const AGE: Duration = Duration::from_hours(24 * 60);

/// Bytes of all of them together, after a collection of garbage.
const MOST: u64 = 64 << 20;

/// Bytes of one, uncompressed.
const LARGEST: usize = 64 << 20;

/// The level of `zstd`: they are written while somebody waits.
const LEVEL: i32 = 1;

/// Digests that tell which step it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepIdentity {
    /// The project.
    pub project: [u8; 32],
    /// The instruction.
    pub text: [u8; 32],
    /// Where it stands.
    pub place: [u8; 32],
}

/// A recipe of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipeRow {
    /// The record that it is of.
    pub key: RecordKey,
    /// What the solver made of it.
    pub value: Vec<u8>,
    /// Whether it is of the same project.
    pub same_project: bool,
}

impl Store {
    /// Keeps a recipe, and of its step only the latest.
    pub fn put_recipe(&self, step: &StepIdentity, key: RecordKey, value: &[u8]) -> Result<(), StoreError> {
        // What cannot be compressed is not kept: nothing depends on it.
        let Ok(value) = zstd::bulk::compress(value, LEVEL) else { return Ok(()) };
        self.index().write(|index| {
            // A row that is written again is the latest again.
            index
                .prepare_cached("INSERT OR REPLACE INTO recipes (key, project, text, place, value, made) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
                .execute(params![key, step.project, step.text, step.place, value, now()])?;
            index
                .prepare_cached(
                    "DELETE FROM recipes WHERE project = ?1 AND place = ?2 AND id NOT IN (
                         SELECT id FROM recipes WHERE project = ?1 AND place = ?2 ORDER BY id DESC LIMIT ?3)",
                )?
                .execute(params![step.project, step.place, KEPT])?;
            Ok(())
        })
    }

    /// The recipes of a step: its own project's first, then the latest.
    pub fn recipes(&self, step: &StepIdentity) -> Result<Vec<RecipeRow>, StoreError> {
        self.index().read(|index| {
            let mut query = index.prepare_cached(
                "SELECT key, value, project = ?1 AS own FROM recipes
                 WHERE text = ?2 OR (project = ?1 AND place = ?3)
                 ORDER BY own DESC, text = ?2 DESC, id DESC LIMIT ?4",
            )?;
            let rows = query.query_map(params![step.project, step.text, step.place, COMPARED], |row| {
                Ok((row.get(0)?, row.get::<_, Vec<u8>>(1)?, row.get(2)?))
            })?;
            let mut recipes = Vec::new();
            for row in rows {
                let (key, value, same_project) = row?;
                // One that cannot be read is as good as none.
                if let Ok(value) = zstd::bulk::decompress(&value, LARGEST) {
                    recipes.push(RecipeRow { key, value, same_project });
                }
            }
            Ok(recipes)
        })
    }
}

/// Removes what is too old, and the oldest of what is too much.
pub(super) fn forget_old(index: &Transaction<'_>) -> Result<(), Failure> {
    index.execute("DELETE FROM recipes WHERE made < ?1", [before(now(), AGE)])?;
    index.execute(
        "DELETE FROM recipes WHERE id IN (
             SELECT id FROM (SELECT id, sum(length(value)) OVER (ORDER BY id DESC) AS so_far FROM recipes)
             WHERE so_far > ?1)",
        [MOST],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(project: u8, text: u8, place: u8) -> StepIdentity {
        StepIdentity { project: [project; 32], text: [text; 32], place: [place; 32] }
    }

    fn found(store: &Store, of: &StepIdentity) -> Vec<(u8, bool)> {
        store.recipes(of).unwrap().into_iter().map(|row| (row.value[0], row.same_project)).collect()
    }

    #[test]
    fn the_same_project_and_the_same_text_come_first() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        for (number, identity) in
            [step(9, 1, 7), step(1, 1, 2), step(1, 5, 1), step(1, 6, 6), step(9, 6, 1)].iter().enumerate()
        {
            let number = u8::try_from(number).unwrap();
            store.put_recipe(identity, RecordKey([number; 32]), &[number]).unwrap();
        }
        assert_eq!(found(&store, &step(1, 1, 1)), [(1, true), (2, true), (0, false)]);
        assert_eq!(found(&store, &step(3, 3, 3)), []);
    }

    #[test]
    fn only_the_latest_of_a_step_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        for number in 0..20 {
            store.put_recipe(&step(1, number, 1), RecordKey([number; 32]), &[number]).unwrap();
        }
        let left: i64 = store
            .index()
            .read(|index| Ok(index.query_row("SELECT count(*) FROM recipes", [], |row| row.get(0))?))
            .unwrap();
        assert_eq!(left, KEPT);
        assert_eq!(found(&store, &step(1, 0, 1))[0], (19, true));
    }
}
