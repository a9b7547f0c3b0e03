//! Images by name: what was built or loaded here.
//!
//! A name keeps its image's blobs: everything that its descriptor leads to, through indexes and manifests, is noted
//! when the name is given, so that neither listing images nor collecting garbage reads a blob.

use super::{
    Store, StoreError,
    freshness::{Moment, now, system_time},
};
use crate::image::BlobDigest;
use rusqlite::{OptionalExtension, params};
use serde::Deserialize;
use std::{
    collections::{BTreeMap, btree_map::Entry},
    time::SystemTime,
};

/// An image that has a name in this store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRow {
    /// Its name.
    pub name: String,
    /// The descriptor of its index or manifest, in JSON (image-spec `descriptor.md`).
    pub descriptor: String,
    /// When it got this name.
    pub created: SystemTime,
    /// The bytes of all blobs that it consists of, each once, whether they are here or not.
    pub size: u64,
}

/// The most that a document may have; registries accept no larger manifests.
const DOCUMENT_LIMIT: u64 = 4 << 20;

impl Store {
    /// Gives `name` to the image that `descriptor` describes. Another image of that name loses it.
    pub fn put_image(&self, name: &str, descriptor: &str) -> Result<(), StoreError> {
        let described: Reference = serde_json::from_str(descriptor)
            .map_err(|error| StoreError::Descriptor { name: name.to_owned(), error })?;
        let mut blobs = BTreeMap::new();
        self.follow(&described, &mut blobs)?;
        let size: u64 = blobs.values().sum();
        self.index().write(|index| {
            index.execute("DELETE FROM images WHERE name = ?1", [name])?;
            index.execute("INSERT INTO images VALUES (?1, ?2, ?3, ?4)", params![name, descriptor, now(), size])?;
            let mut keep = index.prepare_cached("INSERT INTO image_blobs VALUES (?1, ?2)")?;
            for digest in blobs.keys() {
                keep.execute(params![name, digest])?;
            }
            Ok(())
        })
    }

    /// The descriptor of the image called `name`, in JSON.
    pub fn image(&self, name: &str) -> Result<Option<String>, StoreError> {
        self.index().read(|index| {
            let mut query = index.prepare_cached("SELECT descriptor FROM images WHERE name = ?1")?;
            Ok(query.query_row([name], |row| row.get(0)).optional()?)
        })
    }

    /// All images, by name.
    pub fn images(&self) -> Result<Vec<ImageRow>, StoreError> {
        self.index().read(|index| {
            let mut query = index.prepare("SELECT name, descriptor, created, size FROM images ORDER BY name")?;
            let rows = query.query_map([], |row| {
                Ok(ImageRow {
                    name: row.get(0)?,
                    descriptor: row.get(1)?,
                    created: system_time(row.get::<_, Moment>(2)?),
                    size: row.get(3)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// Takes the name away; whether there was one. The blobs stay until they are collected, and count as used just now:
    /// a build may have been reading them under that name.
    pub fn remove_image(&self, name: &str) -> Result<bool, StoreError> {
        self.index().write(|index| {
            index.execute(
                "UPDATE blobs SET last_used = ?2
                 WHERE digest IN (SELECT digest FROM image_blobs WHERE image = ?1)",
                params![name, self.used_now()],
            )?;
            Ok(index.execute("DELETE FROM images WHERE name = ?1", [name])? > 0)
        })
    }

    /// Collects the blobs that `reference` leads to, with their sizes.
    fn follow(&self, reference: &Reference, blobs: &mut BTreeMap<BlobDigest, u64>) -> Result<(), StoreError> {
        // A digest by an algorithm that we do not keep blobs by leads to none of ours.
        let Ok(digest) = reference.digest.parse::<BlobDigest>() else { return Ok(()) };
        let Entry::Vacant(entry) = blobs.entry(digest) else { return Ok(()) };
        entry.insert(reference.size);
        // What is not here, or is no document after all, leads nowhere.
        if reference.size > DOCUMENT_LIMIT {
            return Ok(());
        }
        let Some(bytes) = self.read_blob(&digest, DOCUMENT_LIMIT)? else { return Ok(()) };
        let Ok(document) = serde_json::from_slice::<Document>(&bytes) else { return Ok(()) };
        for part in document.config.iter().chain(&document.layers) {
            if let Ok(digest) = part.digest.parse() {
                blobs.insert(digest, part.size);
            }
        }
        document.manifests.iter().try_for_each(|manifest| self.follow(manifest, blobs))
    }
}

/// What all descriptors have.
#[derive(Deserialize)]
struct Reference {
    digest: String,
    size: u64,
}

/// An index or a manifest: what it leads to.
#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    manifests: Vec<Reference>,
    config: Option<Reference>,
    #[serde(default)]
    layers: Vec<Reference>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes an index of one manifest of one layer; returns the index's descriptor.
    fn image(store: &Store, layer: &[u8]) -> String {
        let describe = |bytes: &[u8]| {
            let digest = store.put_blob(bytes).unwrap();
            format!(r#"{{"mediaType":"x","digest":"{digest}","size":{}}}"#, bytes.len())
        };
        let (config, layer) = (describe(b"{}"), describe(layer));
        let manifest = describe(format!(r#"{{"config":{config},"layers":[{layer}]}}"#).as_bytes());
        describe(format!(r#"{{"manifests":[{manifest}]}}"#).as_bytes())
    }

    #[test]
    fn images_come_and_go_by_name() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path()).unwrap();
        let (first, second) = (image(&store, b"layer"), image(&store, b"another layer"));
        store.put_image("b:1", &first).unwrap();
        store.put_image("a:1", &first).unwrap();
        store.put_image("b:1", &second).unwrap();
        assert_eq!(store.image("b:1").unwrap(), Some(second));
        let names: Vec<_> = store.images().unwrap().into_iter().map(|image| image.name).collect();
        assert_eq!(names, ["a:1", "b:1"]);
        assert!(store.remove_image("b:1").unwrap());
        assert!(!store.remove_image("b:1").unwrap());
        assert_eq!(store.image("b:1").unwrap(), None);
    }

    #[test]
    fn the_size_is_of_all_that_it_leads_to() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path()).unwrap();
        store.put_image("a", &image(&store, b"layer")).unwrap();
        let blobs = store.disk_usage().unwrap().image_blobs;
        assert_eq!((store.images().unwrap()[0].size, 4), (blobs.bytes, blobs.count));
    }

    #[test]
    fn nonsense_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path()).unwrap();
        assert!(matches!(store.put_image("a", "{}"), Err(StoreError::Descriptor { .. })));
    }
}
