//! Mounts as values: made detached, given their attributes, and only then attached to the tree.
//!
//! Every function works on descriptors, none on a path inside an image: whoever attaches a mount has opened its target
//! through [`Tree`](super::tree::Tree) or below a mount made here. A mount that is dropped before it is attached is gone.

use super::failure::{Doing, Failure};
use nix::libc;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// What a mount permits, fewer than its default: `MOUNT_ATTR_*`.
pub(super) type Attributes = MountAttrFlags;

/// Neither set-id programs, nor devices, nor programs at all.
pub(super) const INERT: Attributes =
    MountAttrFlags::MOUNT_ATTR_NOSUID.union(MountAttrFlags::MOUNT_ATTR_NODEV).union(MountAttrFlags::MOUNT_ATTR_NOEXEC);

/// No writes.
pub(super) const READ_ONLY: Attributes = MountAttrFlags::MOUNT_ATTR_RDONLY;

/// A file system being configured.
#[derive(Debug)]
pub(super) struct FileSystem {
    context: OwnedFd,
    kind: &'static str,
}

impl FileSystem {
    /// A file system of a kind that the kernel knows, such as `tmpfs`.
    pub(super) fn open(kind: &'static str) -> Result<Self, Failure> {
        let context =
            rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).doing(|| format!("open a new {kind}"))?;
        Ok(Self { context, kind })
    }

    /// Sets an option to a value. The raw error is kept, because its number says whether the kernel knows the option.
    pub(super) fn try_set(&self, option: &str, value: impl rustix::path::Arg) -> rustix::io::Result<()> {
        rustix::mount::fsconfig_set_string(self.context.as_fd(), option, value)
    }

    /// Sets an option to a value.
    pub(super) fn set(self, option: &str, value: &str) -> Result<Self, Failure> {
        self.try_set(option, value).doing(|| format!("set {option}={value} of a new {}", self.kind))?;
        Ok(self)
    }

    /// Sets an option that has no value.
    pub(super) fn set_flag(self, option: &str) -> Result<Self, Failure> {
        rustix::mount::fsconfig_set_flag(self.context.as_fd(), option)
            .doing(|| format!("set {option} of a new {}", self.kind))?;
        Ok(self)
    }

    /// Makes the file system, and a mount of it.
    pub(super) fn mount(self, attributes: Attributes) -> Result<Mount, Failure> {
        self.try_mount(attributes).doing(|| format!("mount a new {}", self.kind))
    }

    /// The same, with the raw error.
    pub(super) fn try_mount(&self, attributes: Attributes) -> rustix::io::Result<Mount> {
        rustix::mount::fsconfig_create(self.context.as_fd())?;
        rustix::mount::fsmount(self.context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes).map(Mount)
    }
}

/// A mount, by a descriptor of its root. It is detached until [`Mount::attach`].
#[derive(Debug)]
pub(super) struct Mount(OwnedFd);

impl Mount {
    /// A second mount of what lies at `path` of the host, with every mount below it if `recursive`.
    pub(super) fn of_host(path: &Path, recursive: bool) -> Result<Self, Failure> {
        clone_tree(CWD, path, recursive).map(Self).doing(|| format!("bind {}", path.display()))
    }

    /// A second mount of the file or folder of a descriptor.
    pub(super) fn of(file: BorrowedFd<'_>) -> Result<Self, Failure> {
        clone_tree(file, Path::new(""), false).map(Self).doing(|| "bind a file of the sandbox".to_owned())
    }

    /// A mount by a descriptor of its root.
    pub(super) fn from_root(root: OwnedFd) -> Self {
        Self(root)
    }

    /// Takes permissions away, below it too if `recursive`.
    pub(super) fn restrict(self, attributes: Attributes, recursive: bool) -> Result<Self, Failure> {
        set_attributes(self.0.as_fd(), attributes, recursive).doing(|| "restrict a mount".to_owned())?;
        Ok(self)
    }

    /// Puts the mount over the file or folder of a descriptor.
    pub(super) fn attach(self, target: BorrowedFd<'_>) -> Result<Self, Failure> {
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        rustix::mount::move_mount(self.0.as_fd(), "", target, "", flags).doing(|| "attach a mount".to_owned())?;
        Ok(self)
    }

    /// The root of the mount.
    pub(super) fn root(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Something below the root of the mount, never through a symbolic link. `None` if absent.
    ///
    /// For file systems of the kernel's own (`proc`, `sysfs`) and those made here, where a link would be an attack.
    pub(super) fn inside(&self, path: &str) -> Result<Option<OwnedFd>, Failure> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        match rustix::fs::openat2(self.0.as_fd(), path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve) {
            Ok(found) => Ok(Some(found)),
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => Ok(None),
            Err(error) => Err(error).doing(|| format!("open {path} of the sandbox")),
        }
    }

    /// Makes a folder below the root of the mount, and opens it.
    pub(super) fn make_dir(&self, name: &str) -> Result<OwnedFd, Failure> {
        let make = || {
            rustix::fs::mkdirat(self.0.as_fd(), name, Mode::from_raw_mode(0o755))?;
            rustix::fs::openat(self.0.as_fd(), name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
        };
        make().doing(|| format!("make the folder {name} of the sandbox"))
    }

    /// Gives the root of the mount to somebody.
    pub(super) fn owned_by(self, uid: u32, gid: u32) -> Result<Self, Failure> {
        let (user, group) = (rustix::fs::Uid::from_raw(uid), rustix::fs::Gid::from_raw(gid));
        rustix::fs::chownat(self.0.as_fd(), "", Some(user), Some(group), AtFlags::EMPTY_PATH)
            .doing(|| format!("give a file of the sandbox to {uid}:{gid}"))?;
        Ok(self)
    }

    /// Makes a file below the root of the mount, and opens it.
    pub(super) fn make_file(&self, name: &str, content: &[u8], mode: u32) -> Result<OwnedFd, Failure> {
        let make = || {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
            let file = rustix::fs::openat(self.0.as_fd(), name, flags, Mode::empty())?;
            // The umask is not to be trusted with a mode that somebody asked for.
            rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?;
            rustix::io::retry_on_intr(|| write_all(file.as_fd(), content))?;
            Ok::<_, rustix::io::Errno>(file)
        };
        make().doing(|| format!("make the file {name} of the sandbox"))
    }
}

fn write_all(file: BorrowedFd<'_>, mut content: &[u8]) -> rustix::io::Result<()> {
    while !content.is_empty() {
        content = &content[rustix::io::write(file, content)?..];
    }
    Ok(())
}

fn clone_tree(at: BorrowedFd<'_>, path: &Path, recursive: bool) -> rustix::io::Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    if path.as_os_str().is_empty() {
        flags |= OpenTreeFlags::AT_EMPTY_PATH;
    }
    rustix::mount::open_tree(at, path, flags)
}

/// `mount_setattr(2)`, which neither nix nor rustix has.
fn set_attributes(mount: BorrowedFd<'_>, attributes: Attributes, recursive: bool) -> std::io::Result<()> {
    let change = libc::mount_attr { attr_set: u64::from(attributes.bits()), attr_clr: 0, propagation: 0, userns_fd: 0 };
    let flags = if recursive { libc::AT_EMPTY_PATH | libc::AT_RECURSIVE } else { libc::AT_EMPTY_PATH };
    // SAFETY: the path is an empty C string, `change` lives across the call and its size is passed with it.
    #[expect(unsafe_code, reason = "a system call without a safe wrapper")]
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const change,
            size_of::<libc::mount_attr>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

/// Whether the file of a descriptor is a folder.
pub(super) fn is_dir(file: BorrowedFd<'_>) -> Result<bool, Failure> {
    let stat = rustix::fs::statat(file, "", AtFlags::EMPTY_PATH).doing(|| "look at a file".to_owned())?;
    Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}
