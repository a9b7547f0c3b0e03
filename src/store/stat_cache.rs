//! The stat cache: what a file holds, as long as `stat` says that it did not change.
//!
//! A file that is changed gets a new `mtime` and `ctime`, but the clock that they are read from has ticks: a file that
//! is changed twice within one may hold something else under the same stamp. Git calls such an entry [racy]. The rule
//! here is to keep no entry of a file whose stamp was younger than [`RACY`] when its hashing began: then any change
//! during or after the hashing has a later stamp. Two seconds are the coarsest tick of a file system in use (FAT).
//!
//! [racy]: https://git-scm.com/docs/racy-git

use super::{Store, StoreError, freshness::now};
use crate::image::ContentDigest;
use rusqlite::{OptionalExtension, params};
use std::{
    fs::Metadata,
    os::unix::fs::MetadataExt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// How old a stamp has to be.
const RACY: Duration = Duration::from_secs(2);

/// All that `stat` says about whether a file is the same and unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileStamp {
    /// The device that it is on.
    pub device: u64,
    /// Its number there.
    pub inode: u64,
    /// Its size, in bytes.
    pub size: u64,
    /// When its content changed, in nanoseconds since 1970.
    pub mtime: i64,
    /// When anything about it changed, in nanoseconds since 1970. Nobody can set it.
    pub ctime: i64,
    /// Type and permissions.
    pub mode: u32,
}

impl FileStamp {
    /// The stamp in `metadata`.
    pub fn of(metadata: &Metadata) -> Self {
        let nanoseconds = |seconds: i64, rest: i64| seconds.saturating_mul(1_000_000_000).saturating_add(rest);
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            mtime: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            ctime: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
            mode: metadata.mode(),
        }
    }

    /// Whether the file could change after `hashing_began` and keep this stamp.
    fn is_racy(&self, hashing_began: SystemTime) -> bool {
        let began = hashing_began.duration_since(UNIX_EPOCH).unwrap_or_default();
        let limit = began.saturating_sub(RACY).as_nanos();
        u128::try_from(self.mtime.max(self.ctime)).is_ok_and(|changed| changed >= limit)
    }
}

impl Store {
    /// What the files hold, where it is known; in the order of `stamps`.
    pub fn stat_cache_get_many(&self, stamps: &[FileStamp]) -> Result<Vec<Option<ContentDigest>>, StoreError> {
        self.index().read(|index| {
            let mut find = index.prepare_cached(
                "SELECT digest FROM stat_cache
                 WHERE device = ?1 AND inode = ?2 AND size = ?3 AND mtime = ?4 AND ctime = ?5 AND mode = ?6",
            )?;
            let mut digests = Vec::with_capacity(stamps.len());
            for stamp in stamps {
                let FileStamp { device, inode, size, mtime, ctime, mode } = *stamp;
                let key = params![device.cast_signed(), inode.cast_signed(), size.cast_signed(), mtime, ctime, mode];
                digests.push(find.query_row(key, |row| row.get(0)).optional()?);
            }
            Ok(digests)
        })
    }

    /// Notes what files hold, except the racy ones. A stamp is that of before the hashing; `hashing_began` is a moment
    /// between the two.
    pub fn stat_cache_put_many(
        &self,
        entries: &[(FileStamp, ContentDigest)],
        hashing_began: SystemTime,
    ) -> Result<(), StoreError> {
        let settled = || entries.iter().filter(|(stamp, _)| !stamp.is_racy(hashing_began));
        if settled().next().is_none() {
            return Ok(());
        }
        self.index().write(|index| {
            let mut put =
                index.prepare_cached("INSERT OR REPLACE INTO stat_cache VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?;
            let recorded = now();
            for (stamp, digest) in settled() {
                let FileStamp { device, inode, size, mtime, ctime, mode } = *stamp;
                let (device, inode, size) = (device.cast_signed(), inode.cast_signed(), size.cast_signed());
                put.execute(params![device, inode, size, mtime, ctime, mode, digest, recorded])?;
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn an_unchanged_file_is_known_and_a_changed_one_is_not() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path()).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "content").unwrap();
        let stamp = FileStamp::of(&file.path().metadata().unwrap());
        let digest = ContentDigest::of(b"content");
        let later = SystemTime::now() + RACY * 2;
        store.stat_cache_put_many(&[(stamp, digest)], later).unwrap();
        let changed = [
            stamp,
            FileStamp { size: 8, ..stamp },
            FileStamp { mtime: stamp.mtime + 1, ..stamp },
            FileStamp { ctime: stamp.ctime + 1, ..stamp },
            FileStamp { mode: stamp.mode ^ 0o100, ..stamp },
            FileStamp { inode: stamp.inode + 1, ..stamp },
            FileStamp { device: u64::MAX, ..stamp },
        ];
        let known = store.stat_cache_get_many(&changed).unwrap();
        assert_eq!(known, [Some(digest), None, None, None, None, None, None]);
    }

    #[test]
    fn a_file_that_changed_just_before_it_was_hashed_is_not_kept() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path()).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        let stamp = FileStamp::of(&file.path().metadata().unwrap());
        store.stat_cache_put_many(&[(stamp, ContentDigest::of(b""))], SystemTime::now()).unwrap();
        assert_eq!(store.stat_cache_get_many(&[stamp]).unwrap(), [None]);
    }
}
