//! Plain files: the tree that an image's layers make together.
//!
//! The destination may hold anything, links set as traps included. So the folder that an entry is in is opened beneath
//! the destination by a call that follows no link, and the entry is made by its name in there. What is in an entry's
//! place and is no folder goes; a folder stays, and with it what it holds.

use super::{ExportError, error::At};
use crate::{
    image::DiffId,
    layer::{Entry, EntryKind, Layers},
};
use rustix::{
    fs::{
        self, AtFlags, CWD, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid, XattrFlags, makedev,
    },
    io::Errno,
};
use std::{
    collections::{HashMap, hash_map},
    ffi::OsStr,
    fs::File,
    io,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::{Path, PathBuf},
};

/// What becomes of several names of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HardLinks {
    /// They are names of one file again.
    Kept,
    /// Each names a copy.
    Copied,
}

/// Writes the tree of the layers `diff_ids`, lowest first, to the folder `dest`. Owners are only kept by root.
///
/// Returns the devices that this user may not make, in the spelling of [`Entry::path`].
pub fn write_tree(
    layers: &Layers,
    diff_ids: &[DiffId],
    dest: &Path,
    links: HardLinks,
) -> Result<Vec<Vec<u8>>, ExportError> {
    let view = layers.view(diff_ids)?;
    std::fs::create_dir_all(dest).at(dest)?;
    let mut tree = Tree { root: open_dir(dest)?, dest, is_root: rustix::process::geteuid().is_root(), last: None };
    let mut sources: HashMap<usize, OwnedFd> = HashMap::new();
    // Where a file of a layer was written first: its other names become links.
    let mut written: HashMap<(usize, &[u8]), &[u8]> = HashMap::new();
    let mut left_out = Vec::new();
    for hit in view.walk(b"") {
        let entry = hit.entry;
        let first_name = match &entry.kind {
            EntryKind::File { .. } => &entry.path,
            EntryKind::HardLink { target } => target,
            EntryKind::Dir { .. }
            | EntryKind::Symlink { .. }
            | EntryKind::CharDevice { .. }
            | EntryKind::BlockDevice { .. }
            | EntryKind::Fifo
            | EntryKind::Whiteout => {
                if !tree.make(entry)? {
                    left_out.push(entry.path.clone());
                }
                continue;
            }
        };
        if let Some(first) = written.get(&(hit.layer, first_name.as_slice()))
            && links == HardLinks::Kept
        {
            tree.link(first, &entry.path)?;
            continue;
        }
        written.insert((hit.layer, first_name), &entry.path);
        let source = match sources.entry(hit.layer) {
            hash_map::Entry::Occupied(known) => known.into_mut(),
            hash_map::Entry::Vacant(new) => new.insert(open_dir(&layers.folder(&diff_ids[hit.layer])?)?),
        };
        let source = open_beneath(&*source, first_name, OFlags::RDONLY | OFlags::NONBLOCK);
        tree.write(entry, &source.at(as_path(first_name))?.into())?;
    }
    // What is made in a folder changes its time, and may need a permission that it is not to have.
    for hit in view.walk(b"").rev().filter(|hit| hit.entry.is_dir()) {
        tree.set_metadata(hit.entry)?;
    }
    Ok(left_out)
}

/// The tree being written, and the folder that was used last.
struct Tree<'a> {
    root: OwnedFd,
    dest: &'a Path,
    is_root: bool,
    last: Option<(Vec<u8>, OwnedFd)>,
}

impl Tree<'_> {
    /// Makes what is no file; `false` if it is a device that may not be made.
    fn make(&mut self, entry: &Entry) -> Result<bool, ExportError> {
        let at = self.path(&entry.path);
        let (parent, name) = self.place(&entry.path)?;
        if !clear(parent, name, entry.is_dir()).at(&at)? {
            // A folder that is there has to be writable until it gets its own permissions.
            let folder = open_beneath(parent, name, OFlags::PATH | OFlags::DIRECTORY).at(&at)?;
            return fs::chmodat(CWD, handle_path(&folder), Mode::RWXU, AtFlags::empty()).at(&at).map(|()| true);
        }
        let node = |kind, device| match fs::mknodat(parent, name, kind, Mode::RUSR | Mode::WUSR, device) {
            Err(Errno::PERM) if kind != FileType::Fifo => Ok(false),
            result => result.map(|()| true),
        };
        let made = match &entry.kind {
            EntryKind::Dir { .. } => return fs::mkdirat(parent, name, Mode::RWXU).at(&at).map(|()| true),
            EntryKind::Symlink { target } => fs::symlinkat(&target[..], parent, name).map(|()| true),
            EntryKind::CharDevice { major, minor } => node(FileType::CharacterDevice, makedev(*major, *minor)),
            EntryKind::BlockDevice { major, minor } => node(FileType::BlockDevice, makedev(*major, *minor)),
            EntryKind::Fifo => node(FileType::Fifo, 0),
            EntryKind::File { .. } | EntryKind::HardLink { .. } | EntryKind::Whiteout => return Ok(true),
        };
        let made = made.at(&at)?;
        if made {
            self.set_metadata(entry)?;
        }
        Ok(made)
    }

    fn write(&mut self, entry: &Entry, mut source: &File) -> Result<(), ExportError> {
        let at = self.path(&entry.path);
        let (parent, name) = self.place(&entry.path)?;
        clear(parent, name, false).at(&at)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(fs::openat(parent, name, flags, Mode::RUSR | Mode::WUSR).at(&at)?);
        io::copy(&mut source, &mut file).at(&at)?;
        drop(file);
        self.set_metadata(entry)
    }

    fn link(&mut self, first: &[u8], path: &[u8]) -> Result<(), ExportError> {
        let at = self.path(path);
        let (folder, first_name) = split(first);
        let folder = open_beneath(&self.root, folder, OFlags::PATH | OFlags::DIRECTORY).at(&at)?;
        let (parent, name) = self.place(path)?;
        clear(parent, name, false).at(&at)?;
        fs::linkat(&folder, first_name, parent, name, AtFlags::empty()).at(&at)
    }

    /// Owner, attributes, permissions and time, in this order: each takes away or changes what comes after it.
    fn set_metadata(&mut self, entry: &Entry) -> Result<(), ExportError> {
        let (at, is_root) = (self.path(&entry.path), self.is_root);
        let (parent, name) = self.place(&entry.path)?;
        if is_root {
            let (uid, gid) = (Uid::from_raw(entry.uid), Gid::from_raw(entry.gid));
            match fs::chownat(parent, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW) {
                // Root of a user namespace that does not have this owner.
                Err(Errno::PERM | Errno::INVAL) => {}
                result => result.at(&at)?,
            }
        }
        // The parent is a handle, and the last part is not followed.
        let place = Path::new(&handle_path(parent)).join(as_path(name));
        for (attribute, value) in &entry.xattrs {
            match fs::lsetxattr(&place, &attribute[..], value, XattrFlags::empty()) {
                Err(Errno::PERM | Errno::OPNOTSUPP | Errno::INVAL | Errno::ACCESS) => {}
                result => result.at(&at)?,
            }
        }
        if !matches!(entry.kind, EntryKind::Symlink { .. }) {
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let handle = fs::openat(parent, name, flags, Mode::empty()).at(&at)?;
            let mode = Mode::from_raw_mode(entry.mode);
            fs::chmodat(CWD, handle_path(&handle), mode, AtFlags::empty()).at(&at)?;
        }
        let time = Timespec { tv_sec: entry.mtime, tv_nsec: 0 };
        let times = Timestamps { last_access: time, last_modification: time };
        fs::utimensat(parent, name, &times, AtFlags::SYMLINK_NOFOLLOW).at(&at)
    }

    /// The folder that `path` is in, opened, and its name in there.
    fn place<'p>(&mut self, path: &'p [u8]) -> Result<(&OwnedFd, &'p [u8]), ExportError> {
        let (folder, name) = split(path);
        if self.last.as_ref().is_none_or(|(last, _)| last != folder) {
            let opened = open_beneath(&self.root, folder, OFlags::PATH | OFlags::DIRECTORY).at(&self.path(folder))?;
            self.last = Some((folder.to_vec(), opened));
        }
        Ok((&self.last.as_ref().expect("it was just set").1, name))
    }

    /// The path for messages.
    fn path(&self, path: &[u8]) -> PathBuf {
        self.dest.join(as_path(path))
    }
}

/// Makes room for an entry; `false` if a folder is to be there and is.
fn clear(parent: &OwnedFd, name: &[u8], for_folder: bool) -> rustix::io::Result<bool> {
    let there = match fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(true),
        there => FileType::from_raw_mode(there?.st_mode),
    };
    match (there == FileType::Directory, for_folder) {
        (true, true) => return Ok(false),
        // Empty, or an error: nothing that was not asked for is removed with all it holds.
        (true, false) => fs::unlinkat(parent, name, AtFlags::REMOVEDIR)?,
        (false, _) => fs::unlinkat(parent, name, AtFlags::empty())?,
    }
    Ok(true)
}

/// Opens a folder whose path is the host's, and followed.
fn open_dir(path: &Path) -> Result<OwnedFd, ExportError> {
    fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).at(path)
}

fn open_beneath(root: impl AsFd, path: &[u8], flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let path = if path.is_empty() { Path::new(".") } else { as_path(path) };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    loop {
        match fs::openat2(&root, path, flags | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty(), resolve) {
            // Something was renamed meanwhile, or a signal came.
            Err(Errno::AGAIN | Errno::INTR) => {}
            result => return result,
        }
    }
}

fn handle_path(handle: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", handle.as_raw_fd())
}

fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (&[], path),
    }
}

fn as_path(path: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(path))
}
