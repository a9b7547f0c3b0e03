//! Blobs: bytes by their digest, hashed while they are written.

use super::{Store, StoreError, error::At, freshness::Moment, index::Failure, tree};
use crate::image::{BlobDigest, Digest, Sha256};
use rusqlite::{OptionalExtension, Transaction, params};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::atomic::Ordering,
};

/// How much is collected before it is written.
const BUFFER: usize = 64 * 1024;

/// A blob being written. It is nowhere until [`BlobWriter::finish`]; dropped before, it leaves nothing.
pub struct BlobWriter {
    store: Store,
    file: BufWriter<File>,
    staged: Staged,
    hash: Sha256,
    size: u64,
}

/// A file in `tmp/`, removed unless it was renamed.
struct Staged(PathBuf);

impl Drop for Staged {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.0));
    }
}

impl BlobWriter {
    /// Keeps the blob under the digest of what was written; returns that and the size in bytes. If the digest is not
    /// the `expected` one, nothing is kept. If the store has the blob, this copy is dropped.
    pub fn finish(self, expected: Option<&BlobDigest>) -> Result<(BlobDigest, u64), StoreError> {
        let digest = BlobDigest(self.hash.finish());
        if let Some(&expected) = expected.filter(|expected| **expected != digest) {
            return Err(StoreError::DigestMismatch { expected, actual: digest });
        }
        drop(self.file.into_inner().map_err(io::IntoInnerError::into_error).at(&self.staged.0)?);
        self.store.commit_blob(&self.staged.0, &digest, self.size)?;
        Ok((digest, self.size))
    }

    /// How many bytes were written so far.
    pub fn size(&self) -> u64 {
        self.size
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Store {
    /// Begins a blob.
    pub fn blob_writer(&self) -> Result<BlobWriter, StoreError> {
        let path = self.scratch_path()?;
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).at(&path)?;
        let file = BufWriter::with_capacity(BUFFER, file);
        Ok(BlobWriter { store: self.clone(), file, staged: Staged(path), hash: Sha256::default(), size: 0 })
    }

    /// Keeps `bytes`.
    pub fn put_blob(&self, bytes: &[u8]) -> Result<BlobDigest, StoreError> {
        let digest = BlobDigest(Digest::of(bytes));
        if self.find_blob(&digest)?.is_none() {
            let staged = Staged(self.scratch_path()?);
            fs::write(&staged.0, bytes).at(&staged.0)?;
            self.commit_blob(&staged.0, &digest, bytes.len() as u64)?;
        }
        Ok(digest)
    }

    /// Where the blob is, if the store has it. The file must not be changed.
    pub fn blob_path(&self, digest: &BlobDigest) -> Result<Option<PathBuf>, StoreError> {
        self.shared.blob_opens.fetch_add(1, Ordering::Relaxed);
        Ok(self.find_blob(digest)?.map(|(path, _)| path))
    }

    /// The size of the blob in bytes, if the store has it.
    pub fn blob_size(&self, digest: &BlobDigest) -> Result<Option<u64>, StoreError> {
        Ok(self.find_blob(digest)?.map(|(_, size)| size))
    }

    /// Opens the blob for reading, if the store has it.
    pub fn open_blob(&self, digest: &BlobDigest) -> Result<Option<File>, StoreError> {
        let Some(path) = self.blob_path(digest)? else { return Ok(None) };
        match File::open(&path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).at(&path),
        }
    }

    /// Reads the blob, if the store has it. One of more than `limit` bytes is an error: who reads a manifest does not
    /// expect a layer.
    pub fn read_blob(&self, digest: &BlobDigest, limit: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(mut file) = self.open_blob(digest)? else { return Ok(None) };
        let path = self.blob_file(digest);
        let size = file.metadata().at(&path)?.len();
        if size > limit {
            return Err(StoreError::TooLarge { digest: *digest, size, limit });
        }
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        file.read_to_end(&mut bytes).at(&path)?;
        Ok(Some(bytes))
    }

    /// Where the blob is if it is here.
    pub(super) fn blob_file(&self, digest: &BlobDigest) -> PathBuf {
        let hex = digest.hex();
        self.root().join("blobs/sha256").join(&hex[..2]).join(hex)
    }

    fn find_blob(&self, digest: &BlobDigest) -> Result<Option<(PathBuf, u64)>, StoreError> {
        let Some((size, last_used)) = self.index().read(|index| Ok(row(index, digest)?))? else { return Ok(None) };
        let path = self.blob_file(digest);
        let here = if !is_whole(&path, size)? {
            // On the disk before anybody writes the file anew: after a power cut, the row would speak of the new file.
            self.index().write_synced(|index| {
                if !is_whole(&path, size)? {
                    index.execute("DELETE FROM blobs WHERE digest = ?1", [digest])?;
                }
                Ok(false)
            })?
        } else if self.is_stale(last_used) {
            self.index().write(|index| touch(index, digest, self.used_now()))?
        } else {
            true
        };
        Ok(here.then_some((path, size)))
    }

    fn commit_blob(&self, staged: &Path, digest: &BlobDigest, size: u64) -> Result<(), StoreError> {
        if self.find_blob(digest)?.is_some() {
            return Ok(());
        }
        let path = self.blob_file(digest);
        self.index().write(|index| {
            // Somebody may have been faster.
            if row(index, digest)?.is_some() && is_whole(&path, size)? {
                return Ok(());
            }
            // Over whatever has that name. Who reads that now keeps reading it.
            tree::rename(staged, &path).at(&path)?;
            index
                .prepare_cached("INSERT OR REPLACE INTO blobs (digest, size, boot, last_used) VALUES (?1, ?2, ?3, ?4)")?
                .execute(params![digest, size, self.shared.boot, self.used_now()])?;
            Ok(())
        })
    }
}

/// The blob's size and its last use.
fn row(index: &Transaction<'_>, digest: &BlobDigest) -> rusqlite::Result<Option<(u64, Moment)>> {
    index
        .prepare_cached("SELECT size, last_used FROM blobs WHERE digest = ?1")?
        .query_row([digest], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
}

/// Notes a use; whether the blob is still here.
fn touch(index: &Transaction<'_>, digest: &BlobDigest, now: Moment) -> Result<bool, Failure> {
    let mut update = index.prepare_cached("UPDATE blobs SET last_used = ?2 WHERE digest = ?1")?;
    Ok(update.execute(params![digest, now])? > 0)
}

/// Whether the file that a row points at is there, and not cut short by anybody.
fn is_whole(path: &Path, size: u64) -> Result<bool, StoreError> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(metadata.is_file() && metadata.len() == size),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).at(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        (folder, store)
    }

    fn files_below(path: &Path) -> usize {
        let count = |entry: fs::DirEntry| if entry.path().is_dir() { files_below(&entry.path()) } else { 1 };
        fs::read_dir(path).unwrap().map(|entry| count(entry.unwrap())).sum()
    }

    #[test]
    fn what_is_written_is_read() {
        let (_folder, store) = store();
        let mut writer = store.blob_writer().unwrap();
        writer.write_all(b"hello ").unwrap();
        writer.write_all(b"world").unwrap();
        let (digest, size) = writer.finish(None).unwrap();
        assert_eq!((digest, size), (BlobDigest(Digest::of(b"hello world")), 11));
        assert_eq!(store.read_blob(&digest, 11).unwrap().unwrap(), b"hello world");
        assert_eq!(store.blob_size(&digest).unwrap(), Some(11));
        assert!(matches!(store.read_blob(&digest, 10), Err(StoreError::TooLarge { size: 11, limit: 10, .. })));
    }

    #[test]
    fn a_mismatch_leaves_nothing() {
        let (folder, store) = store();
        let expected = BlobDigest(Digest::of(b"promised"));
        let mut writer = store.blob_writer().unwrap();
        writer.write_all(b"delivered").unwrap();
        let error = writer.finish(Some(&expected)).unwrap_err();
        assert!(error.to_string().contains(&expected.to_string()), "{error}");
        assert!(store.blob_path(&expected).unwrap().is_none());
        assert_eq!(files_below(&folder.path().join("tmp")) + files_below(&folder.path().join("blobs")), 0);
    }

    #[test]
    fn a_second_copy_is_dropped() {
        let (folder, store) = store();
        let digest = store.put_blob(b"same").unwrap();
        let path = store.blob_path(&digest).unwrap().unwrap();
        let first = File::open(&path).unwrap();
        let mut writer = store.blob_writer().unwrap();
        writer.write_all(b"same").unwrap();
        writer.finish(Some(&digest)).unwrap();
        let inode = |file: &File| std::os::unix::fs::MetadataExt::ino(&file.metadata().unwrap());
        assert_eq!(inode(&first), inode(&File::open(&path).unwrap()));
        assert_eq!(files_below(&folder.path().join("tmp")), 0);
    }

    #[test]
    fn a_file_that_somebody_removed_or_cut_is_a_miss() {
        let (_folder, store) = store();
        let digest = store.put_blob(b"content").unwrap();
        let path = store.blob_path(&digest).unwrap().unwrap();
        fs::write(&path, b"cont").unwrap();
        assert!(store.open_blob(&digest).unwrap().is_none());
        store.put_blob(b"content").unwrap();
        fs::remove_file(&path).unwrap();
        assert!(store.open_blob(&digest).unwrap().is_none());
        store.put_blob(b"content").unwrap();
        assert_eq!(store.read_blob(&digest, 7).unwrap().unwrap(), b"content");
    }

    #[test]
    fn a_file_without_a_row_is_no_blob() {
        let (_folder, store) = store();
        let digest = BlobDigest(Digest::of(b"content"));
        let path = store.blob_file(&digest);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, b"torn").unwrap();
        assert!(store.blob_path(&digest).unwrap().is_none());
        store.put_blob(b"content").unwrap();
        assert_eq!(store.read_blob(&digest, 7).unwrap().unwrap(), b"content");
    }
}
