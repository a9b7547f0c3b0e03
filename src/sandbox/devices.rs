//! `/dev`: the six devices that every program may use, terminals of its own, shared memory, and links.
//!
//! Nothing of the image's `/dev` shows through, and `/dev/console` is absent: a step has no console.
//!
//! In the first user namespace devices are made; elsewhere nobody may make one that works, and the host's are bound.

use super::failure::{Doing, Failure};
use super::limits::Limits;
use super::mounts::{Attributes, FileSystem, INERT, Mount, READ_ONLY};
use super::tree::Tree;
use rustix::fs::{FileType, Mode, OFlags, makedev};
use rustix::io::Errno;
use std::os::fd::AsFd;
use std::path::Path;

const DEVICES: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

/// The group `tty`, by the number that every distribution gives it.
const TTY_GROUP: &str = "5";

/// Mounts `/dev` and what belongs below it.
pub(super) fn mount_dev(tree: &mut Tree, limits: &Limits) -> Result<(), Failure> {
    let target = tree.kernel_folder("dev")?;
    let attributes = Attributes::MOUNT_ATTR_NOSUID | Attributes::MOUNT_ATTR_NOEXEC;
    let dev = FileSystem::open("tmpfs")?.set("mode", "0755")?.set("size", "64k")?.mount(attributes)?;
    let dev = dev.attach(target.as_fd())?;

    for (name, major, minor) in DEVICES {
        add_device(&dev, name, major, minor)?;
    }
    for (name, target) in LINKS {
        rustix::fs::symlinkat(target, dev.root(), name).doing(|| format!("make /dev/{name}"))?;
    }
    let size = limits.shared_memory.unwrap_or(Limits::SHARED_MEMORY).to_string();
    let shared_memory = FileSystem::open("tmpfs")?.set("mode", "1777")?.set("size", &size)?.mount(INERT)?;
    shared_memory.attach(dev.make_dir("shm")?.as_fd())?;
    FileSystem::open("mqueue")?.mount(INERT)?.attach(dev.make_dir("mqueue")?.as_fd())?;
    terminals()?.attach(dev.make_dir("pts")?.as_fd())?;
    Ok(())
}

/// Makes the devices and links in an ordinary folder, where nothing can be mounted. There are no terminals then.
pub(super) fn fill(dev: &Path) -> Result<(), Failure> {
    let folder = rustix::fs::open(dev, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .doing(|| format!("open {}", dev.display()))?;
    for (name, major, minor) in DEVICES {
        let mode = Mode::from_raw_mode(0o666);
        rustix::fs::mknodat(&folder, name, FileType::CharacterDevice, mode, makedev(major, minor))
            .doing(|| format!("make /dev/{name}"))
            .map_err(|failure| failure.hint("--isolation chroot needs the capability to make devices, CAP_MKNOD"))?;
    }
    for (name, target) in LINKS {
        rustix::fs::symlinkat(target, &folder, name).doing(|| format!("make /dev/{name}"))?;
    }
    rustix::fs::mkdirat(&folder, "shm", Mode::from_raw_mode(0o1777)).doing(|| "make /dev/shm".to_owned())
}

fn add_device(dev: &Mount, name: &str, major: u32, minor: u32) -> Result<(), Failure> {
    let mode = Mode::from_raw_mode(0o666);
    match rustix::fs::mknodat(dev.root(), name, FileType::CharacterDevice, mode, makedev(major, minor)) {
        Err(Errno::PERM) => {
            let place = dev.make_file(name, b"", 0o666)?;
            // Devices can be written to all the same, but nobody changes the modes and owners of the host's: where root of the
            // namespace is root of the host, the kernel would let it.
            let device = Mount::of_host(&Path::new("/dev").join(name), false)?.restrict(READ_ONLY, false)?;
            device.attach(place.as_fd())?;
            Ok(())
        }
        other => other.doing(|| format!("make /dev/{name}")),
    }
}

fn terminals() -> Result<Mount, Failure> {
    let attributes = Attributes::MOUNT_ATTR_NOSUID | Attributes::MOUNT_ATTR_NOEXEC;
    let devpts = || FileSystem::open("devpts")?.set_flag("newinstance")?.set("ptmxmode", "0666")?.set("mode", "0620");
    // Where only one id exists there is no group to give terminals to.
    devpts()?.set("gid", TTY_GROUP).and_then(|devpts| devpts.mount(attributes)).or_else(|_| devpts()?.mount(attributes))
}
