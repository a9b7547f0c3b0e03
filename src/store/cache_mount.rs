//! Folders of `RUN --mount=type=cache`: they outlive builds, and steps write to them.
//!
//! ```text
//! cache-mounts/<name>/       flock: shared by steps that share it, exclusive for one that is alone in it
//!   info.json                what it is, for people and archives
//!   data/                    what steps see
//! ```
//!
//! The name is made of the id, for people, and a digest of all that tells one cache from another, so that no id, however
//! it is spelled, is ever a path (CVE-2024-9675). A step that wants a folder to itself gets the first that is free of
//! `<name>`, `<name>.1`, `<name>.2`…
//!
//! A folder appears whole, with what it starts with, by a rename; it is removed by a rename under its exclusive lock. The
//! kernel lets go of a lock when its holder dies.

use super::{Store, StoreError, error::At, tree};
use rustix::{fs::FlockOperation, io::Errno};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File},
    io,
    os::unix::fs::{MetadataExt, PermissionsExt as _},
    path::{Path, PathBuf},
    time::SystemTime,
};

/// What tells one cache from another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CacheIdentity {
    /// As the Dockerfile calls it. Any text.
    pub id: String,
    /// The platform whose steps use it; none if those of all platforms do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// A digest of what it started with, if it did not start empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<String>,
}

/// How a step wants to use a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CacheUse {
    /// Together with others.
    Together,
    /// Alone, and another folder will do.
    AnyAlone,
    /// Alone, and in this very folder.
    Alone,
}

/// A cache in use. Others are kept out, as asked, until this is dropped or the process dies.
#[derive(Debug)]
pub struct CacheMount {
    path: PathBuf,
    _lock: File,
}

impl CacheMount {
    /// The folder that steps see.
    pub fn data(&self) -> PathBuf {
        self.path.join("data")
    }
}

/// A cache of the store, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheMountRow {
    /// Name of its folder.
    pub name: String,
    /// What it is.
    pub identity: CacheIdentity,
    /// The bytes that it takes on the disk.
    pub bytes: u64,
    /// When a step last used it.
    pub used: SystemTime,
}

impl CacheIdentity {
    /// The name of the folder: letters, digits, `-`, `_` and `.`, never beginning with a dot.
    fn name(&self) -> String {
        let plain = |character: char| if character.is_ascii_alphanumeric() { character } else { '-' };
        let shown: String = self.id.trim_matches('/').chars().take(40).map(plain).collect();
        let all = serde_json::to_vec(self).expect("an identity is plain data");
        format!("{shown}-{}", &blake3::hash(&all).to_hex()[..16])
    }
}

impl Store {
    /// Takes a cache into use, or says `None` if others use it in a way that excludes this one. A new folder is made
    /// ready by `fill`, which gets its empty `data/`.
    pub fn try_cache_mount<E: From<StoreError>>(
        &self,
        identity: &CacheIdentity,
        usage: CacheUse,
        fill: impl Fn(&Path) -> Result<(), E>,
    ) -> Result<Option<CacheMount>, E> {
        let name = identity.name();
        let mut number = 0_u32;
        loop {
            let name = if number == 0 { name.clone() } else { format!("{name}.{number}") };
            let path = self.cache_mounts().join(name);
            self.make_cache_mount(&path, identity, &fill)?;
            match (lock(&path, usage)?, usage) {
                (Locked::Held(lock), _) => {
                    // When it was used last. What fails to note it does not fail the step.
                    let now = SystemTime::now();
                    let _ = lock.set_modified(now);
                    return Ok(Some(CacheMount { path, _lock: lock }));
                }
                (Locked::InUse, CacheUse::AnyAlone) => number += 1,
                (Locked::InUse, CacheUse::Together | CacheUse::Alone) => return Ok(None),
                // Removed meanwhile: it is made anew.
                (Locked::Gone, _) => {}
            }
        }
    }

    /// The caches, by name.
    pub fn cache_mount_rows(&self) -> Result<Vec<CacheMountRow>, StoreError> {
        let folder = self.cache_mounts();
        let mut rows = Vec::new();
        for entry in fs::read_dir(&folder).at(&folder)? {
            let entry = entry.at(&folder)?;
            let path = entry.path();
            // What has no readable description was put there by somebody else.
            let Ok(text) = fs::read(path.join("info.json")) else { continue };
            let Ok(identity) = serde_json::from_slice(&text) else { continue };
            let used = entry.metadata().and_then(|metadata| metadata.modified()).at(&path)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            rows.push(CacheMountRow { name, identity, bytes: tree::disk_bytes(&path), used });
        }
        rows.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(rows)
    }

    /// Removes the cache called `name`, one of those that [`Store::cache_mount_rows`] tells. `false` if it is in use or
    /// absent.
    pub fn remove_cache_mount(&self, name: &str) -> Result<bool, StoreError> {
        if !self.cache_mount_rows()?.iter().any(|row| row.name == name) {
            return Ok(false);
        }
        let path = self.cache_mounts().join(name);
        let Locked::Held(_alone) = lock(&path, CacheUse::Alone)? else { return Ok(false) };
        let unwanted = self.stage_dir()?;
        tree::rename(&path, &unwanted.path().join("cache")).at(&path)?;
        Ok(true)
    }

    fn make_cache_mount<E: From<StoreError>>(
        &self,
        path: &Path,
        identity: &CacheIdentity,
        fill: &impl Fn(&Path) -> Result<(), E>,
    ) -> Result<(), E> {
        if path.is_dir() {
            return Ok(());
        }
        let stage = self.stage_dir()?;
        let (whole, data) = (stage.path().join("cache"), stage.path().join("cache/data"));
        let info = whole.join("info.json");
        fs::create_dir_all(&data).at(&data)?;
        fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).at(&data)?;
        fs::write(&info, serde_json::to_vec(identity).expect("an identity is plain data")).at(&info)?;
        fill(&data)?;
        match tree::rename(&whole, path) {
            // Somebody else was faster.
            Err(error) if matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists) => {
                Ok(())
            }
            result => Ok(result.at(path)?),
        }
    }
}

enum Locked {
    Held(File),
    InUse,
    Gone,
}

fn lock(path: &Path, usage: CacheUse) -> Result<Locked, StoreError> {
    let folder = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Locked::Gone),
        folder => folder.at(path)?,
    };
    let how = match usage {
        CacheUse::Together => FlockOperation::NonBlockingLockShared,
        CacheUse::AnyAlone | CacheUse::Alone => FlockOperation::NonBlockingLockExclusive,
    };
    loop {
        match rustix::fs::flock(&folder, how) {
            Ok(()) => break,
            Err(Errno::INTR) => {}
            Err(Errno::WOULDBLOCK) => return Ok(Locked::InUse),
            Err(error) => return Err(error).at(path),
        }
    }
    let ours = folder.metadata().at(path)?;
    let named = fs::symlink_metadata(path).ok();
    let is_ours = named.is_some_and(|named| (named.dev(), named.ino()) == (ours.dev(), ours.ino()));
    Ok(if is_ours { Locked::Held(folder) } else { Locked::Gone })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        (folder, store)
    }

    fn identity(id: &str) -> CacheIdentity {
        CacheIdentity { id: id.to_owned(), platform: None, seed: None }
    }

    fn take(store: &Store, id: &str, usage: CacheUse) -> Option<CacheMount> {
        store.try_cache_mount(&identity(id), usage, |_| Ok::<_, StoreError>(())).unwrap()
    }

    #[test]
    fn no_id_leads_anywhere_else() {
        let (folder, store) = store();
        for id in ["../../..", "..", ".", "", "/", "a/../../b", "/etc/passwd", "\0", "x\n", &"long".repeat(1000)] {
            let cache = take(&store, id, CacheUse::Alone).unwrap();
            let data = cache.data();
            assert!(data.is_dir(), "{id:?}");
            let parent = data.parent().unwrap().parent().unwrap();
            assert_eq!(parent.canonicalize().unwrap(), folder.path().join("cache-mounts").canonicalize().unwrap());
        }
        assert_eq!(store.cache_mount_rows().unwrap().len(), 10);
    }

    #[test]
    fn who_shares_excludes_who_is_alone() {
        let (_folder, store) = store();
        let one = take(&store, "a", CacheUse::Together).unwrap();
        let two = take(&store, "a", CacheUse::Together).unwrap();
        assert_eq!(one.data(), two.data());
        assert!(take(&store, "a", CacheUse::Alone).is_none());
        let other = take(&store, "a", CacheUse::AnyAlone).unwrap();
        assert_ne!(other.data(), one.data());
        drop((one, two));
        let alone = take(&store, "a", CacheUse::Alone).unwrap();
        assert!(take(&store, "a", CacheUse::Together).is_none());
        assert!(take(&store, "b", CacheUse::Alone).is_some());
        drop((alone, other));
        assert!(take(&store, "a", CacheUse::AnyAlone).is_some());
        assert_eq!(store.cache_mount_rows().unwrap().len(), 3);
    }

    #[test]
    fn platforms_and_seeds_are_kept_apart() {
        let mut names = std::collections::BTreeSet::new();
        for platform in [None, Some("linux/amd64"), Some("linux/arm64")] {
            for seed in [None, Some("x")] {
                let (platform, seed) = (platform.map(str::to_owned), seed.map(str::to_owned));
                names.insert(CacheIdentity { id: "/root/.cache".to_owned(), platform, seed }.name());
            }
        }
        assert_eq!(names.len(), 6);
        assert!(names.iter().all(|name| name.starts_with("root--cache-")));
    }

    #[test]
    fn a_folder_is_filled_once_and_keeps_what_is_put_there() {
        let (_folder, store) = store();
        let fill = |data: &Path| fs::write(data.join("seed"), "1").at(data);
        let cache = store.try_cache_mount(&identity("a"), CacheUse::Together, fill).unwrap().unwrap();
        fs::write(cache.data().join("seed"), "2").unwrap();
        drop(cache);
        let again = store.try_cache_mount(&identity("a"), CacheUse::Together, fill).unwrap().unwrap();
        assert_eq!(fs::read_to_string(again.data().join("seed")).unwrap(), "2");
    }

    #[test]
    fn one_in_use_is_not_removed() {
        let (_folder, store) = store();
        let cache = take(&store, "a", CacheUse::Together).unwrap();
        fs::write(cache.data().join("file"), "").unwrap();
        let name = store.cache_mount_rows().unwrap()[0].name.clone();
        assert!(!store.remove_cache_mount(&name).unwrap());
        drop(cache);
        assert!(!store.remove_cache_mount("../tmp").unwrap());
        assert!(store.remove_cache_mount(&name).unwrap());
        assert_eq!(fs::read_dir(store.cache_mounts()).unwrap().count(), 0);
    }
}
