//! What is known about layers, whether they are here or not.

use super::{Store, StoreError};
use crate::image::{BlobDigest, DiffId};
use rusqlite::{OptionalExtension, Row, Transaction, params};
use std::collections::{BTreeMap, HashMap};

/// A layer, apart from its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerRow {
    /// The layer.
    pub diff_id: DiffId,
    /// The blob with its contents table. Only said of one that is in the store.
    pub toc: Option<BlobDigest>,
    /// The size of its uncompressed tar, in bytes.
    pub size: u64,
    /// Whether that tar is the one that we would make of its contents: then it can be made again from a folder.
    pub canonical: bool,
}

/// A form in which a layer is stored and transferred.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerBlob {
    /// What made it: algorithm, level and encoder version (`gzip-6-v1`), `original:<media type>` for the blob that it
    /// came as, or `read:<digest>` for one whose content was found to be the layer.
    pub encoding: String,
    /// The blob.
    pub digest: BlobDigest,
    /// Its size, in bytes.
    pub size: u64,
    /// Its media type.
    pub media_type: String,
    /// Whether the blob is in the store. If not, it is still known what it would be: a registry may have it.
    pub here: bool,
    /// What there is to say of it if it can be read file by file.
    pub index: Option<BlobIndex>,
}

/// What there is to say of a blob that can be read file by file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobIndex {
    /// The tar that the blob holds.
    pub diff_id: DiffId,
    /// What its descriptor says of it, so that readers find and can trust the list of its files.
    pub annotations: BTreeMap<String, String>,
}

impl LayerBlob {
    /// The tar that the blob of the layer `diff_id` holds: that layer's, or, where the format adds entries of its own,
    /// another.
    pub fn content(&self, diff_id: &DiffId) -> DiffId {
        self.index.as_ref().map_or(*diff_id, |index| index.diff_id)
    }
}

impl Store {
    /// Notes what a layer is. A `toc` that is known stays if this one has none.
    pub fn put_layer(&self, layer: &LayerRow) -> Result<(), StoreError> {
        self.index().write(|index| {
            let mut put = index.prepare_cached(
                "INSERT INTO layers (diff_id, toc, size, canonical) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (diff_id) DO UPDATE SET
                     toc = coalesce(excluded.toc, toc), size = excluded.size, canonical = excluded.canonical",
            )?;
            put.execute(params![layer.diff_id, layer.toc, layer.size, layer.canonical])?;
            Ok(())
        })
    }

    /// What is known of a layer.
    pub fn layer(&self, diff_id: &DiffId) -> Result<Option<LayerRow>, StoreError> {
        self.index().read(|index| Ok(row(index, diff_id)?))
    }

    /// What is known of many layers, all at one moment. The unknown are left out.
    pub fn layers(&self, diff_ids: &[DiffId]) -> Result<HashMap<DiffId, LayerRow>, StoreError> {
        self.index().read(|index| {
            let mut known = HashMap::with_capacity(diff_ids.len());
            for diff_id in diff_ids {
                known.extend(row(index, diff_id)?.map(|layer| (*diff_id, layer)));
            }
            Ok(known)
        })
    }

    /// Notes that `digest` is `diff_id` in `encoding`. The blob itself need not be here.
    pub fn put_layer_blob(
        &self,
        diff_id: &DiffId,
        encoding: &str,
        digest: &BlobDigest,
        size: u64,
        media_type: &str,
    ) -> Result<(), StoreError> {
        self.index().write(|index| {
            let mut put = index.prepare_cached("INSERT OR REPLACE INTO layer_blobs VALUES (?1, ?2, ?3, ?4, ?5)")?;
            put.execute(params![diff_id, encoding, digest, size, media_type])?;
            Ok(())
        })
    }

    /// Notes what there is to say of a blob that can be read file by file.
    pub fn put_blob_index(&self, digest: &BlobDigest, blob: &BlobIndex) -> Result<(), StoreError> {
        let annotations = serde_json::to_string(&blob.annotations).expect("a map of strings is plain data");
        self.index().write(|index| {
            let mut put = index.prepare_cached("INSERT OR REPLACE INTO blob_indexes VALUES (?1, ?2, ?3)")?;
            put.execute(params![digest, blob.diff_id, annotations])?;
            Ok(())
        })
    }

    /// The layer in one encoding.
    pub fn layer_blob(&self, diff_id: &DiffId, encoding: &str) -> Result<Option<LayerBlob>, StoreError> {
        self.index().read(|index| {
            let mut query = index.prepare_cached(
                "SELECT encoding, digest, size, media_type, digest IN (SELECT digest FROM blobs),
                     blob_indexes.diff_id, annotations
                 FROM layer_blobs LEFT JOIN blob_indexes USING (digest)
                 WHERE layer_blobs.diff_id = ?1 AND encoding = ?2",
            )?;
            Ok(query.query_row(params![diff_id, encoding], layer_blob).optional()?)
        })
    }

    /// The layer in all its known encodings, those first that are here.
    pub fn layer_blobs(&self, diff_id: &DiffId) -> Result<Vec<LayerBlob>, StoreError> {
        self.index().read(|index| {
            let mut query = index.prepare_cached(
                "SELECT encoding, digest, size, media_type, digest IN (SELECT digest FROM blobs) AS here,
                     blob_indexes.diff_id, annotations
                 FROM layer_blobs LEFT JOIN blob_indexes USING (digest)
                 WHERE layer_blobs.diff_id = ?1 ORDER BY here DESC, encoding",
            )?;
            Ok(query.query_map([diff_id], layer_blob)?.collect::<Result<_, _>>()?)
        })
    }
}

fn row(index: &Transaction<'_>, diff_id: &DiffId) -> rusqlite::Result<Option<LayerRow>> {
    index
        .prepare_cached(
            "SELECT (SELECT digest FROM blobs WHERE digest = toc), size, canonical FROM layers WHERE diff_id = ?1",
        )?
        .query_row([diff_id], |row| {
            Ok(LayerRow { diff_id: *diff_id, toc: row.get(0)?, size: row.get(1)?, canonical: row.get(2)? })
        })
        .optional()
}

fn layer_blob(row: &Row<'_>) -> rusqlite::Result<LayerBlob> {
    let annotations: Option<String> = row.get(6)?;
    let annotations = annotations.and_then(|text| serde_json::from_str(&text).ok());
    let index = row.get::<_, Option<DiffId>>(5)?.zip(annotations);
    Ok(LayerBlob {
        encoding: row.get(0)?,
        digest: row.get(1)?,
        size: row.get(2)?,
        media_type: row.get(3)?,
        here: row.get(4)?,
        index: index.map(|(diff_id, annotations)| BlobIndex { diff_id, annotations }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Digest;

    #[test]
    fn a_contents_table_is_named_only_while_it_is_here() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let diff_id = DiffId(Digest::of(b"layer"));
        let toc = store.put_blob(b"contents").unwrap();
        let layer = LayerRow { diff_id, toc: Some(toc), size: 10_240, canonical: true };
        store.put_layer(&layer).unwrap();
        store.put_layer(&LayerRow { toc: None, ..layer.clone() }).unwrap();
        assert_eq!(store.layer(&diff_id).unwrap(), Some(layer.clone()));
        assert_eq!(store.layers(&[diff_id, DiffId::empty()]).unwrap(), HashMap::from([(diff_id, layer.clone())]));

        std::fs::remove_file(store.blob_path(&toc).unwrap().unwrap()).unwrap();
        assert_eq!(store.blob_path(&toc).unwrap(), None);
        assert_eq!(store.layer(&diff_id).unwrap(), Some(LayerRow { toc: None, ..layer }));
    }

    #[test]
    fn encodings_are_known_whether_they_are_here_or_not() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let diff_id = DiffId(Digest::of(b"layer"));
        let here = store.put_blob(b"compressed").unwrap();
        let away = BlobDigest(Digest::of(b"at a registry"));
        store.put_layer_blob(&diff_id, "gzip-6-v1", &away, 13, "gzip").unwrap();
        store.put_layer_blob(&diff_id, "zstd-3-v1", &here, 10, "zstd").unwrap();
        let listed = store.layer_blobs(&diff_id).unwrap();
        let listed: Vec<_> = listed.iter().map(|blob| (blob.digest, blob.here)).collect();
        assert_eq!(listed, [(here, true), (away, false)]);
        assert_eq!(store.layer_blob(&diff_id, "zstd-3-v1").unwrap().unwrap().size, 10);
        assert_eq!(store.layer_blob(&diff_id, "xz").unwrap(), None);

        let annotations = BTreeMap::from([("toc".to_owned(), "\"sha256:…\"".to_owned())]);
        let index = BlobIndex { diff_id: DiffId(Digest::of(b"with a list")), annotations };
        store.put_blob_index(&here, &index).unwrap();
        let found = store.layer_blobs(&diff_id).unwrap();
        assert_eq!((found[0].content(&diff_id), found[1].content(&diff_id)), (index.diff_id, diff_id));
        assert_eq!(found[0].index, Some(index));
    }
}
