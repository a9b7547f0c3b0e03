//! Files that are in no layer yet, above all those of the person who builds: a listing made by one walk, without reading a
//! file.
//!
//! Symbolic links are listed as links and never followed, so nothing outside of the folder can be selected. Files
//! are opened through the folder's descriptor when they are copied; one that changes meanwhile fails the build.

use super::ExecError;
use crate::{
    context::Folder,
    image::ContentDigest,
    layer::{Entry, EntryKind, Toc},
    store::{FileStamp, StageDir, Store},
};
use flashbuild_frontend::ignore::IgnoreRules;
use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File},
    os::{
        fd::OwnedFd,
        unix::{
            ffi::OsStrExt as _,
            fs::{FileTypeExt as _, MetadataExt as _},
        },
    },
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

/// A folder of the person who builds.
#[derive(Debug)]
pub struct Context {
    /// Its entries. Owners are root's, and the digests of files are zero: nothing was read.
    pub toc: Arc<Toc>,
    /// The folder itself.
    pub root: Arc<OwnedFd>,
    path: PathBuf,
    stamps: BTreeMap<Vec<u8>, FileStamp>,
    /// What files held when they were first looked into: keys are made of it, so layers have to be, too.
    seen: Mutex<HashMap<Vec<u8>, ContentDigest>>,
    /// Keeps the folder, where it was made for this listing.
    _stage: Option<StageDir>,
}

impl Context {
    /// Lists the files of a context but for what `exclude` matches.
    pub fn of_folder(folder: &Folder, exclude: &[String]) -> Result<Self, ExecError> {
        let mut context = Self::list(&folder.path, exclude)?;
        if let Some(time) = folder.commit_time {
            context.as_of_commit(time)?;
        }
        Ok(context)
    }

    /// Lists the folder `path` but for what `exclude` matches.
    pub fn list(path: &Path, exclude: &[String]) -> Result<Self, ExecError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |error| ExecError::Context { path, error }
        };
        let root: OwnedFd = File::open(path).map_err(at(path))?.into();
        let rules = IgnoreRules::new(exclude).map_err(|error| ExecError::Path(error.to_string()))?;
        let mut entries = Vec::new();
        let mut stamps = BTreeMap::new();
        let mut waiting = vec![PathBuf::new()];
        while let Some(folder) = waiting.pop() {
            for found in fs::read_dir(path.join(&folder)).map_err(at(&path.join(&folder)))? {
                let found = found.map_err(at(&path.join(&folder)))?;
                let relative = folder.join(found.file_name());
                let name = relative.to_string_lossy();
                let kind = found.file_type().map_err(at(&found.path()))?;
                let ignored = rules.matches(&name);
                if kind.is_dir() && !(ignored && rules.prunes(&name)) {
                    waiting.push(relative.clone());
                }
                if ignored {
                    continue;
                }
                let metadata = match found.metadata() {
                    Ok(metadata) => metadata,
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(at(&found.path())(error)),
                };
                let key = relative.as_os_str().as_bytes().to_vec();
                let kind = if kind.is_dir() {
                    EntryKind::Dir { opaque: false }
                } else if kind.is_symlink() {
                    let target = fs::read_link(found.path()).map_err(at(&found.path()))?;
                    EntryKind::Symlink { target: target.as_os_str().as_bytes().to_vec() }
                } else if kind.is_fifo() || kind.is_socket() || kind.is_block_device() || kind.is_char_device() {
                    continue;
                } else {
                    stamps.insert(key.clone(), FileStamp::of(&metadata));
                    EntryKind::File { size: metadata.len(), digest: ContentDigest([0; 32]) }
                };
                let mut entry = Entry::new(key, kind);
                entry.mode = metadata.mode() & 0o7777;
                entry.mtime = metadata.mtime();
                entries.push(entry);
            }
        }
        add_parents(&mut entries);
        let toc = Toc::new(entries).map_err(|error| ExecError::Path(error.to_string()))?;
        let (path, seen) = (path.to_owned(), Mutex::default());
        Ok(Self { toc: Arc::new(toc), root: Arc::new(root), path, stamps, seen, _stage: None })
    }

    /// A listing of `entries`, whose files lie in `stage`.
    pub fn of_entries(entries: Vec<Entry>, stage: StageDir) -> Result<Self, ExecError> {
        let path = stage.path().to_owned();
        let at = |error| ExecError::Context { path: path.clone(), error };
        let root: OwnedFd = File::open(&path).map_err(at)?.into();
        let mut stamps = BTreeMap::new();
        for entry in entries.iter().filter(|entry| matches!(entry.kind, EntryKind::File { .. })) {
            let metadata = path.join(std::ffi::OsStr::from_bytes(&entry.path)).symlink_metadata().map_err(at)?;
            stamps.insert(entry.path.clone(), FileStamp::of(&metadata));
        }
        let toc = Toc::new(entries).map_err(|error| ExecError::Path(error.to_string()))?;
        let seen = Mutex::default();
        Ok(Self { toc: Arc::new(toc), root: Arc::new(root), path, stamps, seen, _stage: Some(stage) })
    }

    /// The same, whose files are gone when this is.
    #[must_use]
    pub fn held_by(self, stage: StageDir) -> Self {
        Self { _stage: Some(stage), ..self }
    }

    /// Says of the files of a checkout what their commit says: its time, and whether they can be executed. The rest is this
    /// machine's idea of permissions.
    pub fn as_of_commit(&mut self, time: i64) -> Result<(), ExecError> {
        let mut entries = self.toc.entries().to_vec();
        for entry in &mut entries {
            entry.mtime = time;
            entry.mode = match entry.kind {
                EntryKind::File { .. } if entry.mode & 0o100 == 0 => 0o644,
                EntryKind::Symlink { .. } => 0o777,
                EntryKind::File { .. }
                | EntryKind::Dir { .. }
                | EntryKind::HardLink { .. }
                | EntryKind::CharDevice { .. }
                | EntryKind::BlockDevice { .. }
                | EntryKind::Fifo
                | EntryKind::Whiteout => 0o755,
            };
        }
        self.toc = Arc::new(Toc::new(entries).map_err(|error| ExecError::Path(error.to_string()))?);
        Ok(())
    }

    /// Opens a listed file.
    pub fn open(&self, path: &[u8]) -> Result<File, ExecError> {
        use rustix::fs::{Mode, OFlags, ResolveFlags};
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let opened = rustix::fs::openat2(&*self.root, path, flags, Mode::empty(), ResolveFlags::BENEATH);
        opened.map(File::from).map_err(|error| ExecError::Context {
            path: self.path.join(std::ffi::OsStr::from_bytes(path)),
            error: error.into(),
        })
    }

    /// Digests of the bytes of listed files, as they were when somebody first asked: a file that changes after that fails
    /// the build when it is copied.
    pub fn digests(&self, store: &Store, paths: &[&[u8]]) -> Result<Vec<ContentDigest>, ExecError> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let new: Vec<&[u8]> = paths.iter().copied().filter(|path| !seen.contains_key(*path)).collect();
        let digests = self.look_into(store, &new)?;
        seen.extend(new.into_iter().map(<[u8]>::to_vec).zip(digests));
        Ok(paths.iter().map(|path| seen[*path]).collect())
    }

    /// Digests of files: from the stat cache where it knows them, else by reading, on all cores.
    fn look_into(&self, store: &Store, paths: &[&[u8]]) -> Result<Vec<ContentDigest>, ExecError> {
        let began = SystemTime::now();
        let stamps: Vec<FileStamp> = paths.iter().filter_map(|path| self.stamps.get(*path).copied()).collect();
        if stamps.len() != paths.len() {
            return Err(ExecError::Internal("a digest of what is no file of the context"));
        }
        let known = store.stat_cache_get_many(&stamps)?;
        let unknown: Vec<usize> = (0..paths.len()).filter(|index| known[*index].is_none()).collect();
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(unknown.len().max(1));
        let share = unknown.len().div_ceil(threads).max(1);
        let read: Vec<(usize, ContentDigest)> = std::thread::scope(|scope| {
            let readers: Vec<_> = unknown
                .chunks(share)
                .map(|part| {
                    scope.spawn(move || part.iter().map(|index| Ok((*index, self.hash(paths[*index])?))).collect())
                })
                .collect();
            let parts: Result<Vec<Vec<_>>, ExecError> =
                readers.into_iter().map(|reader| reader.join().expect("a reader does not panic")).collect();
            parts.map(|parts| parts.into_iter().flatten().collect::<Vec<_>>())
        })?;
        let learned: Vec<_> = read.iter().map(|(index, digest)| (stamps[*index], *digest)).collect();
        store.stat_cache_put_many(&learned, began)?;
        let read: BTreeMap<usize, ContentDigest> = read.into_iter().collect();
        Ok((0..paths.len()).filter_map(|index| known[index].or_else(|| read.get(&index).copied())).collect())
    }

    fn hash(&self, path: &[u8]) -> Result<ContentDigest, ExecError> {
        let mut hasher = blake3::Hasher::new();
        hasher
            .update_reader(self.open(path)?)
            .map_err(|error| ExecError::Context { path: self.path.join(std::ffi::OsStr::from_bytes(path)), error })?;
        Ok(hasher.finalize().into())
    }
}

/// A file that an exclusion let through again needs its folders, though they were excluded themselves.
fn add_parents(entries: &mut Vec<Entry>) {
    let mut known: std::collections::BTreeSet<Vec<u8>> = entries.iter().map(|entry| entry.path.clone()).collect();
    let mut missing = Vec::new();
    for entry in entries.iter() {
        let mut path = entry.path.as_slice();
        while let Some(slash) = path.iter().rposition(|byte| *byte == b'/') {
            path = &path[..slash];
            if !known.insert(path.to_vec()) {
                break;
            }
            missing.push(Entry::new(path, EntryKind::Dir { opaque: false }));
        }
    }
    entries.extend(missing);
}
