//! What a step changed: an overlay upper directory becomes a layer. The cost follows the change, never the base.
//!
//! 1. Walk the directory (`upper`); find out what is a whiteout, an opaque folder, a hard link.
//! 2. Drop what is no change:
//!
//!    | in the upper directory | dropped if |
//!    |---|---|
//!    | a file, link, device or pipe | the lower tree has the same there, times apart: it was opened for writing and left |
//!    | a folder | nothing in it is kept, and the lower tree has the same one |
//!    | a whiteout | the lower tree has nothing there |
//!    | a stub (a mount point that the sandbox made) | it is still empty |
//!    | a socket | always, like a whiteout: nobody listens in an image |
//!
//! 3. Make the directory what the table says: remove what was dropped, round times down to seconds and let none be
//!    after the epoch. So a later step sees the same whether it runs on this directory or on the layer pulled again.
//! 4. Read and hash what is left (`pack`).

use super::{
    entry_path,
    error::{At, LayerError},
    files::clamp,
    folder::{Folder, open_file, open_root, times},
    ordered::{Ordered, processors},
    pack::{Check, Packable, Source},
    toc::EntryKind,
    upper::{self, Found},
    view::View,
};
use crate::image::ContentDigest;
use rustix::{
    fs::{AtFlags, XattrFlags, lsetxattr, utimensat},
    io::Errno,
};
use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::{Path, PathBuf},
    sync::Arc,
};

/// An overlay upper directory that a step has left behind.
#[derive(Debug, Clone, Copy)]
pub struct UpperDir<'a> {
    /// Where it is: in the store's `tmp/`, so that it can become the layer's folder. Nothing may use it any more.
    pub path: &'a Path,
    /// The tree that the step ran on.
    pub lower: &'a View,
    /// Mount points that were made for the step, absolute paths in the tree; the folders made for them too.
    pub stubs: &'a [PathBuf],
    /// No time of the layer is later (`SOURCE_DATE_EPOCH`).
    pub epoch: Option<i64>,
    /// What owners on the disk mean.
    pub owners: Owners,
}

/// What the owners of files on the disk mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owners {
    /// What they say.
    Real,
    /// Nothing: only one id exists in the user namespace. What the lower tree has keeps its owner, all else is root's.
    Single,
}

/// How many files are read by one thread before it takes others.
const FEW: usize = 32;

/// A path of the upper directory, and whether it belongs to the layer.
struct Change {
    found: Found,
    kept: bool,
    check: Check,
}

/// Steps 1 to 3. What is returned is sorted and ready to be packed.
pub(super) fn diff(upper: &UpperDir<'_>) -> Result<Vec<Packable>, LayerError> {
    let root = open_root(upper.path)?;
    let mut changes: Vec<Change> =
        upper::walk(&root)?.into_iter().map(|found| Change { found, kept: true, check: Check::Compute }).collect();
    compare(&mut changes, upper, &root)?;
    drop_empty(&mut changes, upper);
    tidy(&changes, upper.epoch, &root)?;
    Ok(into_packable(changes, upper.epoch, &root))
}

/// See [`Layers::mark_deletions`](super::Layers::mark_deletions).
pub(super) fn mark_deletions(folder: &Path, lower: &View, absent: &[Vec<u8>]) -> Result<(), LayerError> {
    let mut folder = Folder::new(open_root(folder)?);
    for hit in lower.walk(b"") {
        let path = &hit.entry.path;
        if absent.binary_search(path).is_ok() {
            continue;
        }
        let (parent, name) = match folder.place(path) {
            Ok(place) => place,
            // What the folder was is deleted, or something else is in its place and hides all that was in it.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => continue,
            Err(error) => return Err(error).at_entry(path),
        };
        match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => {}
            Err(Errno::NOENT) => folder.make_whiteout(path).at_entry(path)?,
            Err(error) => return Err(error).at_entry(path),
        }
    }
    Ok(())
}

/// All that is in a folder that is no upper directory, sorted and ready to be packed. Sockets are removed.
pub(super) fn everything(path: &Path) -> Result<Vec<Packable>, LayerError> {
    let root = open_root(path)?;
    let mut folder = Folder::new(Arc::clone(&root));
    let mut changes = Vec::new();
    for mut found in upper::walk(&root)? {
        if found.entry.kind == EntryKind::Whiteout {
            folder.remove(&found.entry.path).at_entry(&found.entry.path)?;
            continue;
        }
        if let EntryKind::Dir { opaque } = &mut found.entry.kind {
            *opaque = false;
        }
        changes.push(Change { found, kept: true, check: Check::Compute });
    }
    Ok(into_packable(changes, None, &root))
}

/// Marks what the lower tree has just the same, folders apart.
fn compare(changes: &mut [Change], upper: &UpperDir<'_>, root: &Arc<OwnedFd>) -> Result<(), LayerError> {
    let mut to_read: Vec<(usize, ContentDigest)> = Vec::new();
    for (index, change) in changes.iter_mut().enumerate() {
        let Found { entry, linked, .. } = &mut change.found;
        let lower = upper.lower.lookup(&entry.path);
        if upper.owners == Owners::Single {
            (entry.uid, entry.gid) = lower.map_or((0, 0), |lower| (lower.entry.uid, lower.entry.gid));
        }
        let same_metadata = lower.is_some_and(|lower| lower.entry.same_metadata(entry));
        match &mut entry.kind {
            EntryKind::File { size, .. } => match lower.and_then(|lower| lower.file()) {
                // Names of one file are a change even if the lower tree has two equal files.
                Some((lower_size, digest)) if same_metadata && lower_size == *size && !*linked => {
                    to_read.push((index, digest));
                }
                Some(_) | None => {}
            },
            // What hides nothing is not opaque.
            EntryKind::Dir { opaque } => *opaque &= lower.is_some_and(|lower| lower.entry.is_dir()),
            EntryKind::Whiteout => change.kept = lower.is_some(),
            EntryKind::Symlink { .. }
            | EntryKind::HardLink { .. }
            | EntryKind::CharDevice { .. }
            | EntryKind::BlockDevice { .. }
            | EntryKind::Fifo => {
                change.kept = !lower.is_some_and(|lower| lower.entry.same_but_time(entry));
            }
        }
    }
    for ((index, lower), digest) in to_read.iter().zip(digests(changes, &to_read, root)?) {
        let change = &mut changes[*index];
        change.kept = digest != *lower;
        change.check = Check::Trust;
        if let EntryKind::File { size, .. } = change.found.entry.kind {
            change.found.entry.kind = EntryKind::File { size, digest };
        }
    }
    Ok(())
}

/// The digests of some files, read by all processors.
fn digests(
    changes: &[Change],
    which: &[(usize, ContentDigest)],
    root: &Arc<OwnedFd>,
) -> Result<Vec<ContentDigest>, LayerError> {
    if which.is_empty() {
        return Ok(Vec::new());
    }
    let root = Arc::clone(root);
    let read = move |path: &Vec<u8>| open_file(&root, path).and_then(|file| digest(&file)).at_entry(path);
    let paths: Vec<Vec<u8>> = which.iter().map(|(index, _)| changes[*index].found.entry.path.clone()).collect();
    // A few files are read sooner than threads are started.
    if paths.len() <= FEW {
        return paths.iter().map(read).collect();
    }
    let mut readers = Ordered::new(processors(), move || {
        let read = read.clone();
        move |paths: Vec<Vec<u8>>| paths.iter().map(&read).collect::<Result<Vec<_>, _>>()
    });
    let mut digests = Vec::with_capacity(which.len());
    for batch in paths.chunks(FEW) {
        if readers.is_full()
            && let Some(batch) = readers.next()
        {
            digests.extend(batch?);
        }
        readers.submit(batch.to_vec());
    }
    while let Some(batch) = readers.next() {
        digests.extend(batch?);
    }
    Ok(digests)
}

fn digest(file: &File) -> io::Result<ContentDigest> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file)?;
    Ok(hasher.finalize().into())
}

/// Marks stubs that are still empty, and folders in which nothing is left that the lower tree does not have.
fn drop_empty(changes: &mut [Change], upper: &UpperDir<'_>) {
    let stubs: HashSet<Vec<u8>> = upper.stubs.iter().map(|stub| canonical(stub)).collect();
    let mut needed: HashSet<Vec<u8>> = HashSet::new();
    // From the end: what is in a folder comes before the folder.
    for change in changes.iter_mut().rev() {
        let entry = &change.found.entry;
        let is_stub = stubs.contains(&entry.path);
        match entry.kind {
            EntryKind::Dir { opaque } => {
                let lower = upper.lower.lookup(&entry.path).filter(|lower| lower.entry.is_dir());
                let is_same = !opaque && lower.is_some_and(|lower| lower.entry.same_metadata(entry));
                change.kept = needed.contains(&entry.path) || !(is_same || is_stub);
            }
            EntryKind::File { size: 0, .. } if is_stub => change.kept = false,
            EntryKind::File { .. }
            | EntryKind::Symlink { .. }
            | EntryKind::HardLink { .. }
            | EntryKind::CharDevice { .. }
            | EntryKind::BlockDevice { .. }
            | EntryKind::Fifo
            | EntryKind::Whiteout => {}
        }
        if change.kept {
            needed.insert(entry_path::parent(&entry.path).to_vec());
        }
    }
}

/// Makes the directory on disk what the table will say.
fn tidy(changes: &[Change], epoch: Option<i64>, root: &Arc<OwnedFd>) -> Result<(), LayerError> {
    let mut folder = Folder::new(Arc::clone(root));
    for Change { found, .. } in changes.iter().rev().filter(|change| !change.kept) {
        folder.remove(&found.entry.path).at_entry(&found.entry.path)?;
    }
    for Change { found: Found { entry, time_is_whole, capability_rewritten, .. }, .. } in
        changes.iter().rev().filter(|change| change.kept)
    {
        let mtime = clamp(entry.mtime, epoch);
        let is_right = *time_is_whole && mtime == entry.mtime && !entry.is_dir();
        if entry.kind == EntryKind::Whiteout || (is_right && !capability_rewritten) {
            continue;
        }
        let (parent, name) = folder.place(&entry.path).at_entry(&entry.path)?;
        if let Some(value) = entry.xattrs.get(&b"security.capability"[..]).filter(|_| *capability_rewritten) {
            let parent = format!("/proc/self/fd/{}", parent.as_raw_fd());
            let place = Path::new(&parent).join(entry_path::as_path(name));
            lsetxattr(place, "security.capability", value, XattrFlags::empty()).at_entry(&entry.path)?;
        }
        utimensat(parent, name, &times(mtime), AtFlags::SYMLINK_NOFOLLOW).at_entry(&entry.path)?;
    }
    Ok(())
}

fn into_packable(changes: Vec<Change>, epoch: Option<i64>, root: &Arc<OwnedFd>) -> Vec<Packable> {
    let mut first_names: HashMap<u64, Vec<u8>> = HashMap::new();
    let packable = |Change { found, check, .. }: Change| {
        let Found { mut entry, linked, inode, .. } = found;
        entry.mtime = clamp(entry.mtime, epoch);
        if linked {
            // They are sorted, so whoever comes first has the bytes.
            match first_names.get(&inode) {
                Some(first) => entry.kind = EntryKind::HardLink { target: first.clone() },
                None => drop(first_names.insert(inode, entry.path.clone())),
            }
        }
        let source = Source::beneath(root, &entry);
        Packable { entry, source, check }
    };
    changes.into_iter().filter(|change| change.kept).map(packable).collect()
}

/// A path of the host's making in the spelling of tables.
fn canonical(path: &Path) -> Vec<u8> {
    let names = path.as_os_str().as_bytes().split(|&byte| byte == b'/').filter(|name| !matches!(*name, b"" | b"."));
    names.collect::<Vec<_>>().join(&b'/')
}

#[cfg(test)]
#[path = "diff_tests.rs"]
mod tests;
