//! The root file system: the layers of a tree under one writable folder.
//!
//! | lower layers | root |
//! |---|---|
//! | none | the upper folder itself, bound: with nothing below there is nothing to hide |
//! | 1 to 500 | an overlay, one `lowerdir+` a layer, so that no option string has a limit |
//! | the same, before Linux 6.7 | an overlay by `mount(2)`; layers are named by the numbers of open descriptors, short enough for 500 of them in a page |
//!
//! Options are all explicit, because their defaults are a matter of how the kernel was built, and the folder that a
//! step leaves behind must mean the same everywhere: no redirects (a renamed folder is copied, as with other engines),
//! no metadata-only copies, no index, no synchronous writes (a step that was interrupted is never used).

use super::failure::{Doing, Failure};
use super::mounts::{Attributes, FileSystem, Mount};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::MountFlags;
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

const OPTIONS: [(&str, &str); 4] =
    [("redirect_dir", "nofollow"), ("index", "off"), ("metacopy", "off"), ("xino", "off")];

/// `mount(2)` takes a page of options and cuts what is longer without a word.
const OPTIONS_MAX: usize = 4095;

/// `PROC_USER_INIT_INO`: the inode number of the first user namespace, part of the kernel's interface.
const INITIAL_USER_NAMESPACE: u64 = 0xEFFF_FFFD;

/// The folders that make a tree.
#[derive(Debug, Clone, Copy)]
pub(super) struct Folders<'a> {
    /// The layers below, lowest first.
    pub(super) lowers: &'a [PathBuf],
    /// Where changes go.
    pub(super) upper: &'a Path,
    /// For overlayfs' own use, on the file system of `upper`.
    pub(super) work: &'a Path,
}

/// Mounts a tree over its own upper folder, in the mount namespace of this process.
///
/// That place is taken because it is sure to exist and to belong to nobody else; the overlay itself has opened the
/// folder before.
pub(super) fn mount_tree(folders: Folders<'_>) -> Result<Mount, Failure> {
    let upper = open(folders.upper)?;
    if folders.lowers.is_empty() {
        return Mount::of_host(folders.upper, false)?.attach(upper.as_fd());
    }
    let in_user_namespace = !is_initial_user_namespace();
    let overlay = configure(folders, in_user_namespace)?;
    match overlay.map(|overlay| overlay.try_mount(Attributes::empty())) {
        Some(Ok(overlay)) => overlay.attach(upper.as_fd()),
        // Before Linux 6.5 an overlay keeps options as text, and refuses what it does not know only here.
        None | Some(Err(Errno::INVAL)) => mount_by_option_string(folders, in_user_namespace, &upper),
        Some(Err(error)) => Err(error)
            .doing(|| "mount the tree".to_owned())
            .map_err(|failure| failure.hint("the work folder must be empty; the kernel log may say more")),
    }
}

/// Whether this process is in the user namespace that the machine started with. Where that cannot be seen, it is taken
/// for another one, which may do less.
pub fn is_initial_user_namespace() -> bool {
    rustix::fs::stat("/proc/self/ns/user").is_ok_and(|namespace| namespace.st_ino == INITIAL_USER_NAMESPACE)
}

/// An overlay ready to be mounted, or `None` if the kernel cannot append layers.
fn configure(folders: Folders<'_>, in_user_namespace: bool) -> Result<Option<FileSystem>, Failure> {
    let mut overlay = FileSystem::open("overlay")?;
    // The first layer named is the topmost.
    for lower in folders.lowers.iter().rev() {
        match overlay.try_set("lowerdir+", lower) {
            Err(Errno::INVAL) => return Ok(None),
            other => other.doing(|| format!("use the layer {}", lower.display()))?,
        }
    }
    for (option, folder) in [("upperdir", folders.upper), ("workdir", folders.work)] {
        let set = overlay.try_set(option, folder);
        // An overlay refuses to be written into another one, which is what the root of a container mostly is.
        let is_unfit = matches!(set, Err(Errno::INVAL));
        set.doing(|| format!("use {} as {option}", folder.display())).map_err(|failure| {
            let hint = "the store needs a file system that overlays can write to: in a container, a volume";
            if is_unfit { failure.hint(hint) } else { failure }
        })?;
    }
    for (option, value) in OPTIONS {
        overlay = overlay.set(option, value)?;
    }
    overlay = overlay.set_flag("volatile")?;
    if in_user_namespace {
        overlay = overlay.set_flag("userxattr")?;
    }
    Ok(Some(overlay))
}

/// The third row of the table above.
pub(super) fn mount_by_option_string(
    folders: Folders<'_>,
    in_user_namespace: bool,
    upper: &OwnedFd,
) -> Result<Mount, Failure> {
    let work = open(folders.work)?;
    let lowers = folders.lowers.iter().rev().map(|lower| open(lower)).collect::<Result<Vec<_>, _>>()?;
    let options = option_string(&lowers, upper, &work, in_user_namespace);
    if options.len() > OPTIONS_MAX {
        let cause = format!("{} layers are too many for a kernel older than Linux 6.7", lowers.len());
        return Err(Failure::new("mount the tree", cause));
    }
    let options = CString::new(options).expect("numbers and words hold no NUL");
    // Names of descriptors are relative to this folder.
    rustix::process::chdir("/proc/self/fd").doing(|| "enter /proc/self/fd".to_owned())?;
    rustix::mount::mount("overlay", folders.upper, "overlay", MountFlags::empty(), options.as_c_str())
        .doing(|| "mount the tree".to_owned())?;
    // The descriptor of the folder is still that of the folder; what covers it has to be opened anew.
    open(folders.upper).map(Mount::from_root)
}

fn option_string(lowers: &[OwnedFd], upper: &OwnedFd, work: &OwnedFd, in_user_namespace: bool) -> String {
    let numbers: Vec<String> = lowers.iter().map(|lower| lower.as_raw_fd().to_string()).collect();
    let folders = format!("lowerdir={},upperdir={},workdir={}", numbers.join(":"), upper.as_raw_fd(), work.as_raw_fd());
    let fixed = OPTIONS.map(|(option, value)| format!("{option}={value}")).join(",");
    let attributes = if in_user_namespace { ",userxattr" } else { "" };
    format!("{folders},{fixed},volatile{attributes}")
}

fn open(folder: &Path) -> Result<OwnedFd, Failure> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, folder, flags, Mode::empty()).doing(|| format!("open {}", folder.display()))
}
