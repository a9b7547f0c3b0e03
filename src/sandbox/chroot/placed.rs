//! Mounts without mounting: what is to be seen is renamed into the tree, and what was there is put aside; after the
//! step both go back.
//!
//! The step may do anything to the tree meanwhile. So each place is held by a descriptor of its folder and a name, which
//! is never followed: a link that a step puts there is renamed itself (CVE-2024-23652), and a folder of a cache only
//! goes home if it is the very one that came.

use super::super::devices;
use super::super::failure::{Doing, Failure};
use super::super::mount::{FolderSource, MountSource};
use super::super::mounts::is_dir;
use super::super::shown;
use super::super::spec::Spec;
use super::super::tree::Tree;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use std::ffi::OsString;
use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// What was put into a tree for the time of a step.
#[derive(Debug)]
pub(in crate::sandbox) struct Placed {
    pub(super) root: OwnedFd,
    pub(super) stubs: Vec<PathBuf>,
    /// A folder of the host for what is not in use, on the file system of the tree.
    aside: OwnedFd,
    places: Vec<Place>,
}

#[derive(Debug)]
struct Place {
    folder: OwnedFd,
    name: OsString,
    /// Where it goes afterwards, if it is to be kept.
    home: Option<Home>,
}

#[derive(Debug)]
struct Home {
    path: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
    is_folder: bool,
}

impl Placed {
    /// Puts everything in its place that the specification asks for, in its order.
    pub(in crate::sandbox) fn new(spec: &Spec) -> Result<Self, Failure> {
        let root = super::open_tree(spec)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let aside =
            rustix::fs::open(&spec.work, flags, Mode::empty()).doing(|| format!("open {}", spec.work.display()))?;
        let mut tree = Tree::new(super::copy(&root)?);
        let mut placed = Self { root, stubs: Vec::new(), aside, places: Vec::new() };
        let done = placed.place_all(spec, &mut tree);
        placed.stubs = tree.into_stubs();
        match done {
            Ok(()) => Ok(placed),
            Err(failure) => {
                placed.undo();
                Err(failure)
            }
        }
    }

    fn place_all(&mut self, spec: &Spec, tree: &mut Tree) -> Result<(), Failure> {
        for (path, content) in shown::etc(spec) {
            let target = tree.file_to_cover(Path::new(path))?;
            let file = self.file(&spec.work, content.as_bytes(), 0o644)?;
            self.place(&target, &file, None)?;
        }
        for name in ["proc", "sys"] {
            let target = tree.kernel_folder(name)?;
            let folder = self.folder(&spec.work, 0o755)?;
            self.place(&target, &folder, None)?;
        }
        let target = tree.kernel_folder("dev")?;
        let dev = self.folder(&spec.work, 0o755)?;
        devices::fill(&dev)?;
        self.place(&target, &dev, None)?;
        for file in &spec.files {
            let target = tree.file_to_cover(&file.path)?;
            let source = self.file(&spec.work, &file.content, file.mode)?;
            self.place(&target, &source, None)?;
        }
        for mount in &spec.mounts {
            let (source, kept) = match &mount.source {
                MountSource::Folder(FolderSource { folder, path }) => (inside(folder, path)?, true),
                MountSource::Socket(path) => (path.clone(), true),
                MountSource::Tmpfs { .. } => (self.folder(&spec.work, 0o1777)?, false),
                MountSource::Tree(_) | MountSource::File(_) | MountSource::Host(_) | MountSource::HostTree(_) => {
                    return Err(Failure::new(format!("mount on {}", mount.target.display()), "nothing can be mounted"));
                }
            };
            let found = fs::symlink_metadata(&source).doing(|| format!("look at {}", source.display()))?;
            let target =
                if found.is_dir() { tree.folder_to_cover(&mount.target)? } else { tree.file_to_cover(&mount.target)? };
            self.place(&target, &source, kept.then(|| source.clone()))?;
        }
        Ok(())
    }

    /// Renames what is at `target` of the tree aside, and `source` into its place.
    fn place(&mut self, target: &OwnedFd, source: &Path, home: Option<PathBuf>) -> Result<(), Failure> {
        let (folder, name) = position(target)?;
        let stat = rustix::fs::statat(CWD, source, AtFlags::SYMLINK_NOFOLLOW)
            .doing(|| format!("look at {}", source.display()))?;
        let covered = covered(self.places.len());
        rustix::fs::renameat(&folder, &name, &self.aside, &covered)
            .doing(|| "put a file of the image aside".to_owned())?;
        let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        let home = home.map(|path| Home { path, identity: (stat.st_dev, stat.st_ino), is_folder });
        let moved = rustix::fs::renameat(CWD, source, &folder, &name);
        self.places.push(Place { folder, name, home });
        moved.doing(|| format!("bring {} into the tree", source.display()))
    }

    /// Puts everything back, last first. What the step has taken away stays away.
    pub(in crate::sandbox) fn undo(&mut self) {
        while let Some(Place { folder, name, home }) = self.places.pop() {
            let number = self.places.len();
            let used = format!("used-{number}");
            if rustix::fs::renameat(&folder, &name, &self.aside, &used).is_ok()
                && let Some(Home { path, identity, .. }) = &home
                && rustix::fs::statat(&self.aside, &used, AtFlags::SYMLINK_NOFOLLOW)
                    .is_ok_and(|stat| (stat.st_dev, stat.st_ino) == *identity)
            {
                let _ = rustix::fs::renameat(&self.aside, &used, CWD, path);
            }
            if let Some(Home { path, is_folder: true, .. }) = &home {
                // A folder that a step has removed is an empty one for the next.
                let _ = fs::create_dir(path);
            }
            // Where the folder that it was in is gone, so is all that was in there.
            let _ = rustix::fs::renameat(&self.aside, covered(number), &folder, &name);
        }
    }

    fn file(&self, aside: &Path, content: &[u8], mode: u32) -> Result<PathBuf, Failure> {
        let path = aside.join(format!("new-{}", self.places.len()));
        fs::write(&path, content)
            .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(mode)))
            .doing(|| format!("make {}", path.display()))?;
        Ok(path)
    }

    fn folder(&self, aside: &Path, mode: u32) -> Result<PathBuf, Failure> {
        let path = aside.join(format!("new-{}", self.places.len()));
        fs::create_dir(&path)
            .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(mode)))
            .doing(|| format!("make {}", path.display()))?;
        Ok(path)
    }
}

fn covered(number: usize) -> String {
    format!("covered-{number}")
}

/// The part of a folder of the host, resolved inside it, and made if it is absent.
fn inside(folder: &Path, path: &Path) -> Result<PathBuf, Failure> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(folder, flags, Mode::empty()).doing(|| format!("open {}", folder.display()))?;
    let mut tree = Tree::new(root);
    let found = match tree.existing(path) {
        Ok(found) if !is_dir(std::os::fd::AsFd::as_fd(&found))? => found,
        Ok(_) | Err(_) => tree.folder(path)?,
    };
    path_of(&found)
}

/// The folder that something is in, and its name there.
fn position(of: &OwnedFd) -> Result<(OwnedFd, OsString), Failure> {
    let path = path_of(of)?;
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Failure::new("mount on /", "the root of the tree cannot be covered"));
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::fs::open(folder, flags, Mode::empty()).doing(|| format!("open {}", folder.display()))?;
    Ok((opened, name.to_owned()))
}

/// Where something is on the host, by its descriptor: nothing runs in the tree yet, so that it stays there.
fn path_of(of: &OwnedFd) -> Result<PathBuf, Failure> {
    fs::read_link(format!("/proc/self/fd/{}", of.as_raw_fd())).doing(|| "look where a file is".to_owned())
}
