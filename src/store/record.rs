//! Records: what a step came to, by key.
//!
//! A record names the layers that its value speaks of, and is returned only while each of them can be used: its
//! contents table is here, and its folder, one of its blobs, or a registry that has it. So a record that is returned
//! need not be checked, and one query answers for a whole graph.

use super::{Store, StoreError};
use crate::image::DiffId;
use rusqlite::{OptionalExtension as _, ToSql, params, params_from_iter};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeSet, HashMap},
    sync::LazyLock,
};

/// Names a record: the digest of what a step does and to what. The solver says how it comes about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RecordKey(pub [u8; 32]);

impl From<RecordKey> for String {
    fn from(key: RecordKey) -> Self {
        blake3::Hash::from_bytes(key.0).to_string()
    }
}

impl TryFrom<String> for RecordKey {
    type Error = blake3::HexError;

    fn try_from(text: String) -> Result<Self, blake3::HexError> {
        blake3::Hash::from_hex(text).map(|hash| Self(hash.into()))
    }
}

/// What a record's key was made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordKind {
    /// The step's definition and its inputs' definitions.
    Definition,
    /// The step's definition and its inputs' content.
    Content,
}

/// A layer that a record speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordLayer {
    /// The layer.
    pub diff_id: DiffId,
    /// A registry has it: its content need not be here, only its contents table.
    pub remote: bool,
}

/// The origin of what somebody imported into this store by hand. All builds find that.
pub const EXPLICIT_IMPORT: &str = "import";

/// A record that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundRecord {
    /// What the step came to.
    pub value: Vec<u8>,
    /// The caches that it rests on; none if it rests on this store alone.
    pub origins: BTreeSet<String>,
}

/// How many keys one statement asks for. All have as many, the first one repeated, so that it is prepared once.
const BATCH: usize = 128;

/// Holds of a row `named`, of a layer and of whether it is remote, if the layer can be used.
pub(super) const USABLE: &str = "(
    EXISTS (SELECT 1 FROM layers JOIN blobs ON blobs.digest = layers.toc WHERE layers.diff_id = named.diff_id)
    AND (named.remote
        OR EXISTS (SELECT 1 FROM layer_dirs WHERE layer_dirs.diff_id = named.diff_id)
        OR EXISTS (SELECT 1 FROM layer_blobs JOIN blobs ON blobs.digest = layer_blobs.digest
                   WHERE layer_blobs.diff_id = named.diff_id)))";

/// The steps of a build share most of their layers, so each layer is looked at once, not once a record.
static FIND: LazyLock<String> = LazyLock::new(|| {
    let marks = vec!["?"; BATCH].join(",");
    format!(
        "WITH wanted AS MATERIALIZED (SELECT id FROM records WHERE key IN ({marks})),
              named AS MATERIALIZED (SELECT DISTINCT diff_id, remote FROM record_layers WHERE record IN wanted),
              gone AS MATERIALIZED (SELECT diff_id, remote FROM named WHERE NOT {USABLE})
         SELECT id, key, value, last_used,
                (SELECT json_group_array(origin) FROM record_origins WHERE record = records.id)
         FROM records
         WHERE id IN wanted
         AND NOT EXISTS (
             SELECT 1 FROM gone CROSS JOIN record_layers USING (diff_id, remote) WHERE record = records.id)
         AND NOT EXISTS (
             SELECT 1 FROM record_origins WHERE record = records.id AND origin NOT IN (SELECT value FROM json_each(?)))"
    )
});

/// Renews the layers that a record is about to lose. They were as fresh as the record, and a build may have just been
/// told of them.
const RENEW_LAYERS: [&str; 2] = [
    "UPDATE layer_dirs SET last_used = ?2
     WHERE diff_id IN (SELECT diff_id FROM record_layers WHERE record = ?1)",
    "UPDATE blobs SET last_used = ?2
     WHERE digest IN (SELECT toc FROM layers JOIN record_layers USING (diff_id) WHERE record = ?1
                      UNION ALL
                      SELECT digest FROM layer_blobs JOIN record_layers USING (diff_id) WHERE record = ?1)",
];

impl Store {
    /// The values of those `keys` that have a record whose layers can be used, and that rests on no cache.
    pub fn records(&self, keys: &[RecordKey]) -> Result<HashMap<RecordKey, Vec<u8>>, StoreError> {
        let found = self.records_from(keys, &BTreeSet::new())?;
        Ok(found.into_iter().map(|(key, record)| (key, record.value)).collect())
    }

    /// Like [`Store::records`], with the records that rest on some of the caches `origins` and no other.
    pub fn records_from(
        &self,
        keys: &[RecordKey],
        origins: &BTreeSet<String>,
    ) -> Result<HashMap<RecordKey, FoundRecord>, StoreError> {
        let origins: Vec<&str> = origins.iter().map(String::as_str).chain([EXPLICIT_IMPORT]).collect();
        let origins = serde_json::to_string(&origins).expect("names are plain data");
        let mut found = HashMap::with_capacity(keys.len());
        let mut stale = Vec::new();
        self.index().read(|index| {
            let mut find = index.prepare_cached(&FIND)?;
            for batch in keys.chunks(BATCH) {
                let padding = std::iter::repeat_n(&batch[0], BATCH - batch.len());
                let keys = batch.iter().chain(padding).map(|key| key as &dyn ToSql);
                let mut rows = find.query(params_from_iter(keys.chain([&origins as &dyn ToSql])))?;
                while let Some(row) = rows.next()? {
                    let key: RecordKey = row.get(1)?;
                    if self.is_stale(row.get(3)?) {
                        stale.push((row.get::<_, i64>(0)?, key));
                    }
                    let origins = serde_json::from_str(&row.get::<_, String>(4)?).unwrap_or_default();
                    found.insert(key, FoundRecord { value: row.get(2)?, origins });
                }
            }
            Ok(())
        })?;
        if !stale.is_empty() {
            self.index().write(|index| {
                let mut touch = index.prepare_cached("UPDATE records SET last_used = ?2 WHERE id = ?1")?;
                let now = self.used_now();
                for (id, key) in &stale {
                    if touch.execute(params![id, now])? == 0 {
                        found.remove(key);
                    }
                }
                Ok(())
            })?;
        }
        Ok(found)
    }

    /// Keeps `value` under `key`, in place of what was there. `layers` are all the layers that it speaks of.
    pub fn put_record(
        &self,
        key: RecordKey,
        kind: RecordKind,
        value: &[u8],
        layers: &[RecordLayer],
    ) -> Result<(), StoreError> {
        self.put_record_from(key, kind, value, layers, &BTreeSet::new())
    }

    /// Like [`Store::put_record`], for a value that rests on the caches `origins`. It never takes the place of one that
    /// rests on none.
    pub fn put_record_from(
        &self,
        key: RecordKey,
        kind: RecordKind,
        value: &[u8],
        layers: &[RecordLayer],
        origins: &BTreeSet<String>,
    ) -> Result<(), StoreError> {
        let kind = match kind {
            RecordKind::Definition => 0,
            RecordKind::Content => 1,
        };
        self.index().write(|index| {
            let mut trusted = index.prepare_cached(
                "SELECT 1 FROM records WHERE key = ?1
                 AND NOT EXISTS (SELECT 1 FROM record_origins WHERE record = records.id)",
            )?;
            if !origins.is_empty() && trusted.exists([key])? {
                return Ok(());
            }
            let id: i64 = index
                .prepare_cached(
                    "INSERT INTO records (key, kind, value, last_used) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT (key) DO UPDATE SET
                         kind = excluded.kind, value = excluded.value, last_used = excluded.last_used
                     RETURNING id",
                )?
                .query_row(params![key, kind, value, self.used_now()], |row| row.get(0))?;
            for renew in RENEW_LAYERS {
                index.prepare_cached(renew)?.execute(params![id, self.used_now()])?;
            }
            index.prepare_cached("DELETE FROM record_layers WHERE record = ?1")?.execute([id])?;
            // A layer that is named twice is remote if one of the two says so.
            let mut name = index.prepare_cached(
                "INSERT INTO record_layers VALUES (?1, ?2, ?3)
                 ON CONFLICT DO UPDATE SET remote = max(remote, excluded.remote)",
            )?;
            for layer in layers {
                name.execute(params![id, layer.diff_id, layer.remote])?;
            }
            index.prepare_cached("DELETE FROM record_origins WHERE record = ?1")?.execute([id])?;
            let mut mark = index.prepare_cached("INSERT INTO record_origins VALUES (?1, ?2)")?;
            for origin in origins {
                mark.execute(params![id, origin])?;
            }
            Ok(())
        })
    }

    /// Notes that what is recorded under the key `definition` of a definition is recorded under `content`, too.
    pub fn put_record_content(&self, definition: RecordKey, content: RecordKey) -> Result<(), StoreError> {
        self.index().write(|index| {
            index
                .prepare_cached("INSERT OR REPLACE INTO record_contents SELECT id, ?2 FROM records WHERE key = ?1")?
                .execute(params![definition, content])?;
            Ok(())
        })
    }

    /// The content keys of those definitions that have one.
    pub fn record_contents(&self, definitions: &[RecordKey]) -> Result<HashMap<RecordKey, RecordKey>, StoreError> {
        self.index().read(|index| {
            let mut query = index.prepare_cached(
                "SELECT content FROM record_contents JOIN records ON records.id = record WHERE key = ?1",
            )?;
            let mut contents = HashMap::new();
            for definition in definitions {
                let content: Option<RecordKey> = query.query_row([definition], |row| row.get(0)).optional()?;
                contents.extend(content.map(|content| (*definition, content)));
            }
            Ok(contents)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        image::Digest,
        store::{
            LayerRow,
            freshness::{self, Moment},
        },
    };
    use std::{fs, path::Path};

    fn key(number: usize) -> RecordKey {
        RecordKey(*Digest::of(&number.to_le_bytes()).as_bytes())
    }

    fn layer(store: &Store, name: &str) -> DiffId {
        let diff_id = DiffId(Digest::of(name.as_bytes()));
        let toc = store.put_blob(format!("contents of {name}").as_bytes()).unwrap();
        store.put_layer(&LayerRow { diff_id, toc: Some(toc), size: 1024, canonical: true }).unwrap();
        diff_id
    }

    fn folder_of(store: &Store, diff_id: &DiffId) {
        store.commit_layer_dir(store.stage_dir().unwrap().path(), diff_id).unwrap();
    }

    fn has(store: &Store, number: usize) -> bool {
        store.records(&[key(number)]).unwrap().contains_key(&key(number))
    }

    #[test]
    fn a_record_needs_every_layer_in_some_form() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path()).unwrap();
        let put = |number, layers: &[RecordLayer]| {
            store.put_record(key(number), RecordKind::Definition, b"value", layers).unwrap();
        };
        let (folder, blob) = (layer(&store, "folder"), layer(&store, "blob"));
        let local = |diff_id| RecordLayer { diff_id, remote: false };
        put(0, &[]);
        put(1, &[local(folder), local(blob)]);
        put(2, &[RecordLayer { diff_id: folder, remote: true }]);
        put(3, &[RecordLayer { diff_id: DiffId::empty(), remote: true }]);
        assert!(has(&store, 0));
        assert!(!has(&store, 1), "a contents table alone is no form");
        assert!(has(&store, 2), "a registry has it");
        assert!(!has(&store, 3), "it has no contents table");

        folder_of(&store, &folder);
        assert!(!has(&store, 1), "one of two");
        let compressed = store.put_blob(b"compressed").unwrap();
        store.put_layer_blob(&blob, "gzip-6-v1", &compressed, 10, "gzip").unwrap();
        assert!(has(&store, 1));

        fs::remove_dir_all(store.layer_dir(&folder).unwrap().unwrap()).unwrap();
        assert!(has(&store, 1), "nobody has noticed");
        assert_eq!(store.layer_dir(&folder).unwrap(), None);
        assert!(!has(&store, 1));
    }

    #[test]
    fn a_record_is_replaced_with_its_layers() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path()).unwrap();
        let away = [RecordLayer { diff_id: DiffId::empty(), remote: false }];
        store.put_record(key(0), RecordKind::Content, b"old", &away).unwrap();
        assert!(!has(&store, 0));
        store.put_record(key(0), RecordKind::Content, b"new", &[]).unwrap();
        assert_eq!(store.records(&[key(0)]).unwrap()[&key(0)], b"new");
    }

    #[test]
    fn a_graph_of_a_thousand_steps_is_one_transaction() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path()).unwrap();
        let diff_id = layer(&store, "base");
        folder_of(&store, &diff_id);
        let keys: Vec<_> = (0..1000).map(key).collect();
        for key in &keys[..900] {
            store.put_record(*key, RecordKind::Definition, &key.0, &[RecordLayer { diff_id, remote: false }]).unwrap();
        }
        let before = store.stats();
        let found = store.records(&keys).unwrap();
        assert_eq!(found.len(), 900);
        assert!(found.iter().all(|(key, value)| key.0 == value[..]));
        let after = store.stats();
        assert_eq!(after.index_queries, before.index_queries + 1);
        assert_eq!((after.blob_opens, after.layer_lookups), (before.blob_opens, before.layer_lookups));
    }

    #[test]
    fn what_rests_on_a_cache_is_found_by_those_who_name_it() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path()).unwrap();
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<BTreeSet<String>>();
        let put = |number, value: &[u8], origins: &[&str]| {
            store.put_record_from(key(number), RecordKind::Definition, value, &[], &names(origins)).unwrap();
        };
        let found = |number, origins: &[&str]| {
            store.records_from(&[key(number)], &names(origins)).unwrap().remove(&key(number))
        };
        put(0, b"imported", &["main", "pull"]);
        assert!(!has(&store, 0));
        assert_eq!(found(0, &["main"]), None);
        let record = FoundRecord { value: b"imported".to_vec(), origins: names(&["main", "pull"]) };
        assert_eq!(found(0, &["main", "pull", "other"]), Some(record));

        put(0, b"ours", &[]);
        put(0, b"poison", &["pull"]);
        assert_eq!(store.records(&[key(0)]).unwrap()[&key(0)], b"ours");
    }

    #[test]
    fn the_content_of_a_definition_is_remembered() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path()).unwrap();
        store.put_record(key(0), RecordKind::Definition, b"", &[]).unwrap();
        store.put_record_content(key(0), key(1)).unwrap();
        store.put_record_content(key(2), key(1)).unwrap();
        assert_eq!(store.record_contents(&[key(0), key(2)]).unwrap(), HashMap::from([(key(0), key(1))]));
    }

    fn last_used(root: &Path) -> Moment {
        let index = rusqlite::Connection::open(root.join("index.db")).unwrap();
        index.query_row("SELECT last_used FROM records", [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn the_first_use_of_the_hour_is_written_down_and_no_other() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path()).unwrap();
        store.put_record(key(0), RecordKind::Definition, b"", &[]).unwrap();
        let fresh = last_used(root.path());
        assert!(has(&store, 0));
        assert_eq!(last_used(root.path()), fresh);
        let long_ago = freshness::before(fresh, freshness::GRANULARITY * 2);
        store.index().write(|index| Ok(index.execute("UPDATE records SET last_used = ?1", [long_ago])?)).unwrap();
        assert!(has(&store, 0));
        assert!(last_used(root.path()) >= fresh);
    }
}
