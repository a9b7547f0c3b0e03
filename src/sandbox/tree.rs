//! Paths inside a tree, resolved inside that tree whatever links its image has planted.
//!
//! A path that exists is resolved by the kernel (`openat2`, `RESOLVE_IN_ROOT`, no magic links). A path that does not is
//! walked one name at a time, every name opened without following it and every link expanded here against the root of
//! the tree, so that what is missing can be made at the place where the kernel would look for it: a dangling
//! `/etc/resolv.conf -> ../run/resolve/stub.conf` gives a file in `/run/resolve` *of the tree*.
//!
//! Nothing of the image runs yet while paths are resolved, so there is nobody to race with; should there be, an opened
//! folder is still a folder inside the tree.

use super::failure::{Doing, Failure};
use super::mounts::is_dir;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Timespec, Timestamps};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

/// As many links in one path as the kernel follows.
const MAX_LINKS: usize = 40;

/// A root file system.
#[derive(Debug)]
pub(super) struct Tree {
    root: OwnedFd,
    stubs: Vec<PathBuf>,
}

/// What a path is to lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Folder,
}

/// What becomes of something that had to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Made {
    /// It stays: the step asked for it.
    Stays,
    /// It is only there to be mounted on; see [`Tree::into_stubs`].
    Stub,
}

impl Tree {
    /// The tree of a root folder.
    pub(super) fn new(root: OwnedFd) -> Self {
        Self { root, stubs: Vec::new() }
    }

    /// Goes on with another descriptor of the same root.
    pub(super) fn reopen(&mut self, root: OwnedFd) {
        self.root = root;
    }

    /// What was made only to mount something on, parents first, relative to the root.
    pub(super) fn into_stubs(self) -> Vec<PathBuf> {
        self.stubs
    }

    /// A folder right below the root to mount the kernel's own files on, made if absent.
    ///
    /// A link is refused: nothing that an image may bring is worth a `/proc` which is somewhere else.
    pub(super) fn kernel_folder(&mut self, name: &str) -> Result<OwnedFd, Failure> {
        match open_entry(self.root.as_fd(), OsStr::new(name)) {
            Ok(found) if is_dir(found.as_fd())? => Ok(found),
            Ok(_) => Err(Failure::new(format!("mount on /{name}"), "it is not a folder in this image")),
            Err(Errno::NOENT) => self.resolve(Path::new(name), Kind::Folder, Made::Stub),
            Err(error) => Err(error).doing(|| format!("open /{name}")),
        }
    }

    /// A folder to mount on, made if absent.
    pub(super) fn folder_to_cover(&mut self, path: &Path) -> Result<OwnedFd, Failure> {
        self.resolve(path, Kind::Folder, Made::Stub)
    }

    /// What is at a path, which must be there.
    pub(super) fn existing(&self, path: &Path) -> Result<OwnedFd, Failure> {
        // The kernel gives up on `..` when something is renamed meanwhile, which another step may do all the time.
        let mut patience = 10_000;
        loop {
            match openat2(&self.root, path) {
                Err(Errno::AGAIN) if patience > 0 => patience -= 1,
                found => return found.doing(|| format!("open {}", path.display())),
            }
        }
    }

    /// A file to mount on, made if absent.
    pub(super) fn file_to_cover(&mut self, path: &Path) -> Result<OwnedFd, Failure> {
        self.resolve(path, Kind::File, Made::Stub)
    }

    /// A folder of the step's own, made with its parents if absent.
    pub(super) fn folder(&mut self, path: &Path) -> Result<OwnedFd, Failure> {
        self.resolve(path, Kind::Folder, Made::Stays)
    }

    fn resolve(&mut self, path: &Path, kind: Kind, made: Made) -> Result<OwnedFd, Failure> {
        let found = match openat2(&self.root, path) {
            Ok(found) => found,
            // The kernel gives up on `..` when anything on the machine was renamed or mounted meanwhile; we need not.
            Err(Errno::NOENT | Errno::AGAIN) => {
                self.walk(path, kind, made).doing(|| format!("make {} in the image", path.display()))?
            }
            Err(error) => return Err(error).doing(|| format!("open {} in the image", path.display())),
        };
        match (is_dir(found.as_fd())?, kind) {
            (true, Kind::Folder) | (false, Kind::File) => Ok(found),
            (true, Kind::File) => Err(Failure::new(format!("show the file {}", path.display()), "it is a folder")),
            (false, Kind::Folder) => Err(Failure::new(format!("enter {}", path.display()), "it is not a folder")),
        }
    }

    /// Follows a path name by name, and makes what is missing.
    fn walk(&mut self, path: &Path, kind: Kind, made: Made) -> rustix::io::Result<OwnedFd> {
        let mut here = vec![(self.root.try_clone().map_err(|_| Errno::MFILE)?, OsString::new())];
        let mut ahead = names_reversed(path);
        let mut links = 0;
        while let Some(name) = ahead.pop() {
            let (folder, _) = here.last().expect("the root is never popped");
            if name == ".." {
                here.truncate((here.len() - 1).max(1));
                continue;
            }
            let entry = match open_entry(folder.as_fd(), &name) {
                Err(Errno::NOENT) => {
                    let kind = if ahead.is_empty() { kind } else { Kind::Folder };
                    make(folder.as_fd(), &name, kind, made)?;
                    if made == Made::Stub {
                        let path = here.iter().skip(1).map(|(_, name)| name).chain([&name]).collect();
                        self.stubs.push(path);
                    }
                    open_entry(folder.as_fd(), &name)?
                }
                other => other?,
            };
            match FileType::from_raw_mode(rustix::fs::statat(&entry, "", AtFlags::EMPTY_PATH)?.st_mode) {
                FileType::Symlink if links == MAX_LINKS => return Err(Errno::LOOP),
                FileType::Symlink => {
                    links += 1;
                    let target = rustix::fs::readlinkat(&entry, "", Vec::new())?.into_bytes();
                    let target = PathBuf::from(OsString::from_vec(target));
                    if target.is_absolute() {
                        here.truncate(1);
                    }
                    ahead.extend(names_reversed(&target));
                }
                FileType::Directory => here.push((entry, name)),
                file if ahead.is_empty() && file != FileType::Unknown => return Ok(entry),
                FileType::RegularFile
                | FileType::Fifo
                | FileType::Socket
                | FileType::CharacterDevice
                | FileType::BlockDevice
                | FileType::Unknown => return Err(Errno::NOTDIR),
            }
        }
        Ok(here.pop().expect("the root is never popped").0)
    }
}

/// What is at a path that exists, links followed inside the tree.
fn openat2(root: &OwnedFd, path: &Path) -> rustix::io::Result<OwnedFd> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    rustix::fs::openat2(root, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve)
}

/// The names of a path, the first one last; `..` is kept, because it is resolved after the links before it.
fn names_reversed(path: &Path) -> Vec<OsString> {
    let name = |component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    };
    path.components().rev().filter_map(name).collect()
}

fn open_entry(folder: BorrowedFd<'_>, name: &OsStr) -> rustix::io::Result<OwnedFd> {
    rustix::fs::openat(folder, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

fn make(folder: BorrowedFd<'_>, name: &OsStr, kind: Kind, made: Made) -> rustix::io::Result<()> {
    let before = rustix::fs::statat(folder, "", AtFlags::EMPTY_PATH)?;
    match kind {
        Kind::Folder => match rustix::fs::mkdirat(folder, name, Mode::from_raw_mode(0o755)) {
            // Made meanwhile by another step, in a cache that both use; it is looked at next.
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error),
        },
        Kind::File => {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
            rustix::fs::openat(folder, name, flags, Mode::from_raw_mode(0o644))?;
        }
    }
    if made == Made::Stub {
        // A stub leaves no trace, and a folder whose time changed would be one.
        let times = Timestamps { last_access: access_time(&before), last_modification: modification_time(&before) };
        rustix::fs::utimensat(folder, "", &times, AtFlags::EMPTY_PATH)?;
    }
    Ok(())
}

#[expect(clippy::cast_possible_wrap, reason = "nanoseconds are below 10^9; their type differs by architecture")]
fn access_time(stat: &rustix::fs::Stat) -> Timespec {
    Timespec { tv_sec: stat.st_atime as _, tv_nsec: stat.st_atime_nsec as _ }
}

#[expect(clippy::cast_possible_wrap, reason = "nanoseconds are below 10^9; their type differs by architecture")]
fn modification_time(stat: &rustix::fs::Stat) -> Timespec {
    Timespec { tv_sec: stat.st_mtime as _, tv_nsec: stat.st_mtime_nsec as _ }
}
