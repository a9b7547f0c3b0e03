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
    fs::{self, DirEntry, File},
    io,
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

/// Files or folders that are not worth a thread.
const FEW: usize = 16;

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
        let root: OwnedFd = File::open(path).map_err(|error| failed(path, error))?.into();
        let rules = IgnoreRules::new(exclude).map_err(|error| ExecError::Path(error.to_string()))?;
        let mut entries = Vec::new();
        let mut stamps = BTreeMap::new();
        // Level by level, so that there is work for all processors wherever the tree is broad.
        let mut level = vec![PathBuf::new()];
        while !level.is_empty() {
            let list = |folders: &[PathBuf]| Listed::of_folders(path, folders, &rules);
            let mut next = Vec::new();
            for listed in on_all_processors(&level, list)? {
                entries.extend(listed.entries);
                stamps.extend(listed.stamps);
                next.extend(listed.folders);
            }
            level = next;
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

    /// Digests of files: from the stat cache where it knows them, else by reading, on all processors.
    fn look_into(&self, store: &Store, paths: &[&[u8]]) -> Result<Vec<ContentDigest>, ExecError> {
        let began = SystemTime::now();
        let stamps: Vec<FileStamp> = paths.iter().filter_map(|path| self.stamps.get(*path).copied()).collect();
        if stamps.len() != paths.len() {
            return Err(ExecError::Internal("a digest of what is no file of the context"));
        }
        let known = store.stat_cache_get_many(&stamps)?;
        let unknown: Vec<usize> = (0..paths.len()).filter(|index| known[*index].is_none()).collect();
        let hash = |indices: &[usize]| {
            indices.iter().map(|&index| Ok((index, self.hash(paths[index])?))).collect::<Result<Vec<_>, ExecError>>()
        };
        let read = on_all_processors(&unknown, hash)?.concat();
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

/// What is in some folders of a context.
#[derive(Default)]
struct Listed {
    entries: Vec<Entry>,
    /// Of the files.
    stamps: Vec<(Vec<u8>, FileStamp)>,
    /// Folders to look into next.
    folders: Vec<PathBuf>,
}

impl Listed {
    fn of_folders(root: &Path, folders: &[PathBuf], rules: &IgnoreRules) -> Result<Self, ExecError> {
        let mut listed = Self::default();
        for folder in folders {
            let path = root.join(folder);
            for found in fs::read_dir(&path).map_err(|error| failed(&path, error))? {
                listed.add(folder, &found.map_err(|error| failed(&path, error))?, rules)?;
            }
        }
        Ok(listed)
    }

    fn add(&mut self, folder: &Path, found: &DirEntry, rules: &IgnoreRules) -> Result<(), ExecError> {
        let relative = folder.join(found.file_name());
        let name = relative.to_string_lossy();
        let kind = found.file_type().map_err(|error| failed(&found.path(), error))?;
        let ignored = rules.matches(&name);
        if kind.is_dir() && !(ignored && rules.prunes(&name)) {
            self.folders.push(relative.clone());
        }
        if ignored {
            return Ok(());
        }
        let metadata = match found.metadata() {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(failed(&found.path(), error)),
        };
        let path = relative.as_os_str().as_bytes().to_vec();
        let kind = if kind.is_dir() {
            EntryKind::Dir { opaque: false }
        } else if kind.is_symlink() {
            let target = fs::read_link(found.path()).map_err(|error| failed(&found.path(), error))?;
            EntryKind::Symlink { target: target.as_os_str().as_bytes().to_vec() }
        } else if kind.is_fifo() || kind.is_socket() || kind.is_block_device() || kind.is_char_device() {
            return Ok(());
        } else {
            self.stamps.push((path.clone(), FileStamp::of(&metadata)));
            EntryKind::File { size: metadata.len(), digest: ContentDigest([0; 32]) }
        };
        let mut entry = Entry::new(path, kind);
        entry.mode = metadata.mode() & 0o7777;
        entry.mtime = metadata.mtime();
        self.entries.push(entry);
        Ok(())
    }
}

/// Shares `items` among threads; the results in the order of the items.
fn on_all_processors<T: Sync, R: Send>(
    items: &[T],
    work: impl Fn(&[T]) -> Result<R, ExecError> + Sync,
) -> Result<Vec<R>, ExecError> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = items.len().div_ceil(threads);
    if items.len() < FEW || share == items.len() {
        return Ok(vec![work(items)?]);
    }
    std::thread::scope(|scope| {
        let work = &work;
        let workers: Vec<_> = items.chunks(share).map(|part| scope.spawn(move || work(part))).collect();
        workers.into_iter().map(|worker| worker.join().expect("a worker does not panic")).collect()
    })
}

fn failed(path: &Path, error: io::Error) -> ExecError {
    ExecError::Context { path: path.to_owned(), error }
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
