//! What a step asked to have mounted over its tree.
//!
//! A [`StepMount`] names things of the host (layers, the folder of a cache, a socket), which the caller answers for,
//! and two paths that come from strangers: where to mount, and what of the source. Those are resolved at the time of
//! mounting, the one inside the root of the step, the other inside the root of the source, and what was found is used
//! by its descriptor: nothing that is renamed or replaced by a link meanwhile leads out (CVE-2024-23651, CVE-2024-1753).
//!
//! A target that had to be made is reported as a stub, and is in no layer; nothing is ever removed by its path
//! (CVE-2024-23652). A target in a file system of the kernel's own is refused: what is there protects the host.

mod appended;

pub use appended::Appended;
pub(super) use appended::append;

use super::failure::{Doing, Failure};
use super::mounts::{Attributes, FileSystem, INERT, Mount, READ_ONLY, is_dir};
use super::overlay::{self, Folders};
use super::shown::Hidden;
use super::tree::Tree;
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

/// Something mounted over the tree of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepMount {
    /// Where, inside the tree of the step; made if it is absent.
    pub target: PathBuf,
    /// What.
    pub source: MountSource,
    /// Whether the step may not write.
    pub read_only: bool,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MountSource {
    /// A part of another tree. What is written there is forgotten.
    Tree(TreeSource),
    /// A folder of the host, or a part of it.
    Folder(FolderSource),
    /// An empty file system in memory.
    Tmpfs {
        /// How many bytes it holds at most; `None` leaves it to the kernel.
        size: Option<u64>,
    },
    /// A file that lies in memory and nowhere else.
    File(FileSource),
    /// A socket of the host.
    Socket(PathBuf),
    /// A device, file or folder of the host that the person who builds allowed.
    Host(PathBuf),
    /// A file or folder of the host, with all that is mounted below it.
    HostTree(PathBuf),
}

/// A part of another tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeSource {
    /// Its layers, lowest first.
    pub lowers: Vec<PathBuf>,
    /// Where writes go: an existing empty folder that nobody else uses.
    pub upper: PathBuf,
    /// An empty folder on the file system of `upper`.
    pub work: PathBuf,
    /// The part: a path inside the tree.
    pub path: PathBuf,
}

/// A folder of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FolderSource {
    /// Which.
    pub folder: PathBuf,
    /// The part of it: a path inside, made if it is absent.
    pub path: PathBuf,
}

/// A file in memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSource {
    /// The bytes.
    pub content: Sensitive,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// Bytes that are shown to nobody but the step.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sensitive(pub Vec<u8>);

impl fmt::Debug for Sensitive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// Neither programs with the rights of others nor devices: what is mounted came from no image that was checked.
const GUEST: Attributes = Attributes::MOUNT_ATTR_NOSUID.union(Attributes::MOUNT_ATTR_NODEV);

/// `PROC_SUPER_MAGIC` and `SYSFS_MAGIC`, `statfs(2)`.
const KERNEL_FILE_SYSTEMS: [i64; 2] = [0x9fa0, 0x6265_6572];

/// Makes a mount and puts it over its target in `tree`.
pub(super) fn attach(mount: &StepMount, tree: &mut Tree, hidden: &mut Hidden) -> Result<(), Failure> {
    let attempt = || format!("mount on {}", mount.target.display());
    let source = open(&mount.source, hidden).map_err(|failure| within(attempt(), failure))?;
    let target =
        if is_dir(source.root())? { tree.folder_to_cover(&mount.target)? } else { tree.file_to_cover(&mount.target)? };
    if is_of_kernel(target.as_fd())? {
        return Err(Failure::new(attempt(), "nothing can be mounted inside /proc or /sys"));
    }
    let source = if mount.read_only { source.restrict(READ_ONLY, true)? } else { source };
    source.attach(target.as_fd()).map_err(|failure| within(attempt(), failure))?;
    Ok(())
}

fn open(source: &MountSource, hidden: &mut Hidden) -> Result<Mount, Failure> {
    match source {
        MountSource::Tree(TreeSource { lowers, upper, work, path }) => {
            let tree = overlay::mount_tree(Folders { lowers, upper, work })?;
            Mount::of(inside(tree.root())?.existing(path)?.as_fd())
        }
        MountSource::Folder(FolderSource { folder, path }) => {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let root = rustix::fs::open(folder, flags, Mode::empty()).doing(|| format!("open {}", folder.display()))?;
            Mount::of(Tree::new(root).folder(path)?.as_fd())?.restrict(GUEST, false)
        }
        MountSource::Tmpfs { size } => {
            let tmpfs = FileSystem::open("tmpfs")?.set("mode", "1777")?;
            let tmpfs = match size {
                Some(bytes) => tmpfs.set("size", &bytes.to_string())?,
                None => tmpfs,
            };
            tmpfs.mount(GUEST)
        }
        MountSource::File(FileSource { content, mode, uid, gid }) => {
            let file = hidden.file(&content.0, *mode)?.owned_by(*uid, *gid)?;
            file.restrict(INERT, false)
        }
        MountSource::Host(path) => Mount::of_host(path, false)?.restrict(Attributes::MOUNT_ATTR_NOSUID, false),
        MountSource::HostTree(path) => Mount::of_host(path, true)?.restrict(GUEST, true),
        MountSource::Socket(path) => Mount::of_host(path, false)?.restrict(INERT, false),
    }
}

fn inside(root: BorrowedFd<'_>) -> Result<Tree, Failure> {
    root.try_clone_to_owned().map(Tree::new).doing(|| "copy a descriptor".to_owned())
}

fn is_of_kernel(file: BorrowedFd<'_>) -> Result<bool, Failure> {
    let kind = rustix::fs::fstatfs(file).doing(|| "look at a file system".to_owned())?.f_type;
    #[expect(clippy::useless_conversion, reason = "the type differs by architecture")]
    let kind = i64::from(kind);
    Ok(KERNEL_FILE_SYSTEMS.contains(&kind))
}

fn within(doing: String, failure: Failure) -> Failure {
    let Failure { doing: inner, cause, hint } = failure;
    Failure { doing, cause: format!("cannot {inner}: {cause}"), hint }
}

impl TreeSource {
    /// A part of the tree of `lowers`; makes folders for what is written in the existing, empty `folder`.
    pub fn new(lowers: Vec<PathBuf>, path: impl Into<PathBuf>, folder: &Path) -> std::io::Result<Self> {
        let (upper, work) = (folder.join("upper"), folder.join("work"));
        for made in [&upper, &work] {
            std::fs::create_dir(made)?;
        }
        // The root of the tree, which every user may enter.
        std::fs::set_permissions(&upper, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        Ok(Self { lowers, upper, work, path: path.into() })
    }
}
