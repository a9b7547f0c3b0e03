//! A layer's folder on disk: an overlay lower directory (kernel documentation, `filesystems/overlayfs.rst`).
//!
//! A whiteout is a character device 0:0, an opaque folder has the attribute `trusted.overlay.opaque` (or
//! `user.overlay.opaque` where the mount is made without root). Everything else is as in the table.
//!
//! Content comes from strangers, so no path is ever followed by name: the folder that an entry is in is opened beneath
//! the layer's root by a call that refuses links on the way (`openat2` with `RESOLVE_BENEATH` and
//! `RESOLVE_NO_SYMLINKS`), and the entry itself is then made, opened or changed by its name in there, never through it.

use super::{
    entry_path,
    error::{At, LayerError},
    notice::{NoticeKind, Notices},
    toc::{Entry, EntryKind},
};
use rustix::{
    fs::{self, AtFlags, CWD, Dev, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid, XattrFlags},
    io::Errno,
};
use std::{
    fs::File,
    io,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::{Path, PathBuf},
    sync::Arc,
};

/// Which of overlay's attributes the mounts of this store read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OverlayXattrs {
    /// `trusted.overlay.*`: mounts by root of the initial user namespace.
    Trusted,
    /// `user.overlay.*`: mounts with the option `userxattr`.
    User,
}

impl OverlayXattrs {
    /// Those that mounts of this process read, or would if it could mount. A namespace with a single id is never the initial one.
    pub fn of_this_process() -> Self {
        if crate::sandbox::is_initial_user_namespace() && crate::sandbox::is_administrator() {
            Self::Trusted
        } else {
            Self::User
        }
    }

    fn opaque(self) -> &'static str {
        match self {
            Self::Trusted => "trusted.overlay.opaque",
            Self::User => "user.overlay.opaque",
        }
    }
}

/// A place for entries: the root of a layer's folder, and the sub-folder that was used last.
pub(super) struct Folder {
    root: Arc<OwnedFd>,
    last: Option<(Vec<u8>, OwnedFd)>,
}

/// Opens a folder to begin at. The path is the host's, and followed.
pub(super) fn open_root(path: &Path) -> Result<Arc<OwnedFd>, LayerError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(Arc::new(fs::open(path, flags, Mode::empty()).at(path)?))
}

/// Opens what is at `path` beneath `root`; a link, on the way or at the end, is refused (`ELOOP`).
pub(super) fn open_beneath(root: impl AsFd, path: &[u8], flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let path = if path.is_empty() { Path::new(".") } else { entry_path::as_path(path) };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    loop {
        match fs::openat2(&root, path, flags | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty(), resolve) {
            // Something was renamed meanwhile, or a signal came.
            Err(Errno::AGAIN | Errno::INTR) => {}
            result => return result,
        }
    }
}

/// Opens the regular file at `path` beneath `root`. Never waits, whatever is there instead.
pub(super) fn open_file(root: impl AsFd, path: &[u8]) -> io::Result<File> {
    let file = open_beneath(root, path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)?;
    if FileType::from_raw_mode(fs::fstat(&file)?.st_mode) != FileType::RegularFile {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file any more"));
    }
    Ok(file.into())
}

impl Folder {
    pub(super) fn new(root: Arc<OwnedFd>) -> Self {
        Self { root, last: None }
    }

    /// The folder that `path` is in, opened, and its name in there.
    pub(super) fn place<'p>(&mut self, path: &'p [u8]) -> rustix::io::Result<(&OwnedFd, &'p [u8])> {
        let (folder, name) = entry_path::split(path).unwrap_or((b"", b"."));
        if self.last.as_ref().is_none_or(|(last, _)| last != folder) {
            let opened = open_beneath(&self.root, folder, OFlags::PATH | OFlags::DIRECTORY)?;
            self.last = Some((folder.to_vec(), opened));
        }
        Ok((&self.last.as_ref().expect("it was just set").1, name))
    }

    /// Makes a folder, open to its owner only until [`Folder::set_metadata`].
    pub(super) fn make_dir(&mut self, path: &[u8]) -> rustix::io::Result<()> {
        let (parent, name) = self.place(path)?;
        fs::mkdirat(parent, name, Mode::RWXU)
    }

    /// Makes an empty file and opens it for writing.
    pub(super) fn create_file(&mut self, path: &[u8]) -> rustix::io::Result<File> {
        let (parent, name) = self.place(path)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(fs::openat(parent, name, flags, Mode::RUSR | Mode::WUSR)?.into())
    }

    /// Makes what is neither file nor folder, with its metadata. Devices that may not be made are left out.
    pub(super) fn make_node(&mut self, entry: &Entry, notices: &mut Notices) -> Result<(), LayerError> {
        let path = &entry.path;
        let device = |kind, major, minor| (kind, fs::makedev(major, minor));
        let (kind, number) = match &entry.kind {
            EntryKind::Symlink { target } => {
                let (parent, name) = self.place(path).at_entry(path)?;
                fs::symlinkat(&target[..], parent, name).at_entry(path)?;
                return self.set_metadata(entry, notices);
            }
            EntryKind::HardLink { target } => return self.link(target, path).at_entry(path),
            EntryKind::CharDevice { major, minor } => device(FileType::CharacterDevice, *major, *minor),
            EntryKind::BlockDevice { major, minor } => device(FileType::BlockDevice, *major, *minor),
            EntryKind::Fifo => device(FileType::Fifo, 0, 0),
            EntryKind::Whiteout => return self.make_whiteout(path).at_entry(path),
            EntryKind::File { .. } | EntryKind::Dir { .. } => return Ok(()),
        };
        let (parent, name) = self.place(path).at_entry(path)?;
        match fs::mknodat(parent, name, kind, Mode::RUSR | Mode::WUSR, number) {
            Err(Errno::PERM) if kind != FileType::Fifo => {
                notices.add(NoticeKind::Device, path);
                Ok(())
            }
            result => result.at_entry(path).and_then(|()| self.set_metadata(entry, notices)),
        }
    }

    /// Another name for the file at `target`.
    pub(super) fn link(&mut self, target: &[u8], path: &[u8]) -> rustix::io::Result<()> {
        let (folder, target_name) = entry_path::split(target).unwrap_or((b"", b"."));
        let target_folder = open_beneath(&self.root, folder, OFlags::PATH | OFlags::DIRECTORY)?;
        let (parent, name) = self.place(path)?;
        fs::linkat(&target_folder, target_name, parent, name, AtFlags::empty())
    }

    /// The kernel lets everybody make this one device.
    pub(super) fn make_whiteout(&mut self, path: &[u8]) -> rustix::io::Result<()> {
        let (parent, name) = self.place(path)?;
        fs::mknodat(parent, name, FileType::CharacterDevice, Mode::empty(), 0)
    }

    /// Makes a folder hide what is below it.
    pub(super) fn make_opaque(&mut self, path: &[u8], overlay: OverlayXattrs) -> rustix::io::Result<()> {
        let place = self.proc_path(path)?;
        fs::lsetxattr(place, overlay.opaque(), b"y", XattrFlags::empty())
    }

    /// Removes what is no folder, or an empty one.
    pub(super) fn remove(&mut self, path: &[u8]) -> rustix::io::Result<()> {
        if self.last.as_ref().is_some_and(|(last, _)| last == path) {
            self.last = None;
        }
        let (parent, name) = self.place(path)?;
        match fs::unlinkat(parent, name, AtFlags::empty()) {
            Err(Errno::ISDIR | Errno::PERM) => fs::unlinkat(parent, name, AtFlags::REMOVEDIR),
            result => result,
        }
    }

    /// Owner, attributes, permissions and time, in this order: a change of the owner takes set-id bits and
    /// capabilities away, and everything else changes times.
    pub(super) fn set_metadata(&mut self, entry: &Entry, notices: &mut Notices) -> Result<(), LayerError> {
        let path = &entry.path;
        let is_link = matches!(entry.kind, EntryKind::Symlink { .. });
        let in_proc = self.proc_path(path).at_entry(path)?;
        let (parent, name) = self.place(path).at_entry(path)?;
        if !is_our_own(entry) {
            let (uid, gid) = owner(entry);
            tolerate_owner(fs::chownat(parent, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW), path, notices)?;
        }
        for (attribute, value) in &entry.xattrs {
            let set = fs::lsetxattr(&in_proc, &attribute[..], value, XattrFlags::empty());
            tolerate_attribute(set, attribute, path, notices)?;
        }
        if !is_link {
            // The one way to change the mode of whatever has this name without following it, before Linux 6.6: through
            // a handle of the thing itself.
            let handle = fs::openat(parent, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
            let handle = handle.at_entry(path)?;
            let handle_path = format!("/proc/self/fd/{}", handle.as_raw_fd());
            fs::chmodat(CWD, handle_path, Mode::from_raw_mode(entry.mode), AtFlags::empty()).at_entry(path)?;
        }
        fs::utimensat(parent, name, &times(entry.mtime), AtFlags::SYMLINK_NOFOLLOW).at_entry(path)
    }

    /// A path for calls that take no handle. Its last part is never followed by the `l…xattr` calls, and what comes
    /// before it is a handle already.
    fn proc_path(&mut self, path: &[u8]) -> rustix::io::Result<PathBuf> {
        let (parent, name) = self.place(path)?;
        let parent = format!("/proc/self/fd/{}", parent.as_raw_fd());
        Ok(Path::new(&parent).join(entry_path::as_path(name)))
    }

    /// Names and values of the extended attributes of `path`.
    pub(super) fn xattrs(&mut self, path: &[u8]) -> rustix::io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let place = self.proc_path(path)?;
        let mut names = [0; 1024];
        let names = match fs::llistxattr(&place, &mut names) {
            Ok(0) | Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
            Ok(length) => names[..length].to_vec(),
            Err(Errno::RANGE) => grown(|buffer| fs::llistxattr(&place, buffer))?,
            Err(error) => return Err(error),
        };
        let names = names.split(|&byte| byte == 0).filter(|name| !name.is_empty());
        names.map(|name| Ok((name.to_vec(), grown(|buffer| fs::lgetxattr(&place, name, buffer))?))).collect()
    }
}

/// Metadata of a file that was just made: as [`Folder::set_metadata`], by its handle.
pub(super) fn set_file_metadata(file: &File, entry: &Entry, notices: &mut Notices) -> Result<(), LayerError> {
    let path = &entry.path;
    if !is_our_own(entry) {
        let (uid, gid) = owner(entry);
        tolerate_owner(fs::fchown(file, uid, gid), path, notices)?;
    }
    for (attribute, value) in &entry.xattrs {
        let set = fs::fsetxattr(file, &attribute[..], value, XattrFlags::empty());
        tolerate_attribute(set, attribute, path, notices)?;
    }
    fs::fchmod(file, Mode::from_raw_mode(entry.mode)).at_entry(path)?;
    fs::futimens(file, &times(entry.mtime)).at_entry(path)
}

pub(super) fn times(mtime: i64) -> Timestamps {
    let time = Timespec { tv_sec: mtime, tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}

/// Whether a device number is a whiteout's.
pub(super) fn is_whiteout_device(device: Dev) -> bool {
    device == 0
}

fn owner(entry: &Entry) -> (Option<Uid>, Option<Gid>) {
    (Some(Uid::from_raw(entry.uid)), Some(Gid::from_raw(entry.gid)))
}

/// What is made belongs to who makes it, as long as folders have no set-group-id bit; they get theirs last.
fn is_our_own(entry: &Entry) -> bool {
    entry.uid == rustix::process::geteuid().as_raw() && entry.gid == rustix::process::getegid().as_raw()
}

fn tolerate_owner(result: rustix::io::Result<()>, path: &[u8], notices: &mut Notices) -> Result<(), LayerError> {
    match result {
        // Without rights over others, and for ids that do not exist in this user namespace.
        Err(Errno::PERM | Errno::INVAL) => {
            notices.add(NoticeKind::Owner, path);
            Ok(())
        }
        result => result.at_entry(path),
    }
}

/// Capabilities make a program work or not: without them, the layer is not what it should be. All else may be missing.
fn tolerate_attribute(
    result: rustix::io::Result<()>,
    attribute: &[u8],
    path: &[u8],
    notices: &mut Notices,
) -> Result<(), LayerError> {
    match result {
        Err(Errno::PERM | Errno::OPNOTSUPP | Errno::ACCESS | Errno::INVAL) if attribute != b"security.capability" => {
            notices.add(NoticeKind::Attribute, path);
            Ok(())
        }
        result => result.at_entry(path),
    }
}

/// Calls until the buffer is large enough; what is asked for may grow in between.
fn grown(call: impl Fn(&mut [u8]) -> rustix::io::Result<usize>) -> rustix::io::Result<Vec<u8>> {
    let mut size = 256;
    loop {
        let mut buffer = vec![0; size];
        match call(&mut buffer) {
            Ok(length) => {
                buffer.truncate(length);
                return Ok(buffer);
            }
            Err(Errno::RANGE) if size < 1 << 20 => size *= 4,
            Err(error) => return Err(error),
        }
    }
}
