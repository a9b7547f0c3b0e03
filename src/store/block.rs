//! Blocks of layers, compressed once: where in blobs they are.

use super::{Store, StoreError};
use crate::image::{BlobDigest, ContentDigest};
use rusqlite::{OptionalExtension, params};
use std::os::unix::fs::FileExt as _;

/// A compressed block in a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Names the block and its encoding.
    pub key: ContentDigest,
    /// Where the compressed bytes begin in the blob.
    pub position: u64,
    /// How many they are.
    pub size: u64,
    /// Their digest.
    pub checksum: ContentDigest,
}

impl Store {
    /// Notes the blocks of a blob that is here, in place of where they were before.
    pub fn put_blocks(&self, blob: &BlobDigest, blocks: &[Block]) -> Result<(), StoreError> {
        self.index().write(|index| {
            let mut find = index.prepare_cached("SELECT id FROM blobs WHERE digest = ?1")?;
            let Some(id) = find.query_row([blob], |row| row.get::<_, i64>(0)).optional()? else { return Ok(()) };
            let mut put = index.prepare_cached("INSERT OR REPLACE INTO blocks VALUES (?1, ?2, ?3, ?4, ?5)")?;
            for block in blocks {
                put.execute(params![block.key, id, block.position, block.size, block.checksum])?;
            }
            Ok(())
        })
    }

    /// The compressed bytes of a block, if a blob that is here has them, whole and unchanged.
    pub fn compressed_block(&self, key: &ContentDigest) -> Result<Option<Vec<u8>>, StoreError> {
        let found = self.index().read(|index| {
            let mut query = index.prepare_cached(
                "SELECT digest, position, blocks.size, checksum FROM blocks JOIN blobs ON blobs.id = blob WHERE key = ?1",
            )?;
            let block = query.query_row([key], |row| {
                let (position, size, checksum) = (row.get(1)?, row.get(2)?, row.get(3)?);
                Ok((row.get::<_, BlobDigest>(0)?, Block { key: *key, position, size, checksum }))
            });
            Ok(block.optional()?)
        })?;
        let Some((blob, block)) = found else { return Ok(None) };
        let Some(file) = self.open_blob(&blob)? else { return Ok(None) };
        let mut bytes = vec![0; usize::try_from(block.size).unwrap_or(0)];
        let is_whole = file.read_exact_at(&mut bytes, block.position).is_ok();
        Ok((is_whole && ContentDigest::of(&bytes) == block.checksum).then_some(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn block(key: &[u8], position: u64, compressed: &[u8]) -> Block {
        let (key, checksum) = (ContentDigest::of(key), ContentDigest::of(compressed));
        Block { key, position, size: compressed.len() as u64, checksum }
    }

    #[test]
    fn a_block_is_found_until_its_blob_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let blob = store.put_blob(b"onetwo").unwrap();
        let two = block(b"2", 3, b"two");
        store.put_blocks(&blob, &[block(b"1", 0, b"one"), two.clone()]).unwrap();
        assert_eq!(store.compressed_block(&two.key).unwrap().unwrap(), b"two");
        assert_eq!(store.compressed_block(&ContentDigest::of(b"3")).unwrap(), None);

        let newer = store.put_blob(b"two!").unwrap();
        store.put_blocks(&newer, &[block(b"2", 0, b"two")]).unwrap();
        fs::remove_file(store.blob_path(&newer).unwrap().unwrap()).unwrap();
        assert_eq!(store.compressed_block(&two.key).unwrap(), None);
        // With the row of the blob, those of its blocks went.
        store.put_blob(b"two!").unwrap();
        assert_eq!(store.compressed_block(&two.key).unwrap(), None);
    }

    #[test]
    fn a_damaged_block_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let blob = store.put_blob(b"onetwo").unwrap();
        let two = block(b"2", 3, b"two");
        store.put_blocks(&blob, std::slice::from_ref(&two)).unwrap();
        let path = store.blob_path(&blob).unwrap().unwrap();
        fs::write(&path, b"onetvo").unwrap();
        assert_eq!(store.compressed_block(&two.key).unwrap(), None);
    }
}
