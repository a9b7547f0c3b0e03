//! Files of ours in the tree of an image: `/etc/resolv.conf`, `/etc/hosts`, `/etc/hostname`, and what a step brings.
//!
//! They lie in a `tmpfs` which nobody sees; each is bound over its place. The three files of `/etc` can be written to,
//! as with other engines: a step may put a name server there, and it is forgotten with the step.

use super::failure::{Doing, Failure};
use super::mounts::{Attributes, FileSystem, INERT, Mount, READ_ONLY};
use super::spec::{Network, ShownFile, Spec};
use super::tree::Tree;
use rustix::fs::{CWD, Mode, OFlags};
use std::io::Read;
use std::os::fd::AsFd;
use std::path::Path;

/// Nobody has a longer list of name servers, and a device in the place of the host's file has no end.
const RESOLV_CONF_MAX: u64 = 64 << 10;

/// The hidden file system that shown files lie in.
#[derive(Debug)]
pub(super) struct Hidden {
    mount: Mount,
    files: usize,
}

impl Hidden {
    /// An empty one, over a folder of the host that nothing needs any more in this mount namespace.
    pub(super) fn over(folder: &Path) -> Result<Self, Failure> {
        let target = rustix::fs::openat(CWD, folder, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
            .doing(|| format!("open {}", folder.display()))?;
        let mount = FileSystem::open("tmpfs")?.set("mode", "0700")?.mount(Attributes::empty())?;
        Ok(Self { mount: mount.attach(target.as_fd())?, files: 0 })
    }

    /// A new file, as a mount of its own.
    pub(super) fn file(&mut self, content: &[u8], mode: u32) -> Result<Mount, Failure> {
        let file = self.mount.make_file(&self.files.to_string(), content, mode)?;
        self.files += 1;
        Mount::of(file.as_fd())
    }

    /// A new empty folder, as a mount of its own.
    pub(super) fn folder(&mut self) -> Result<Mount, Failure> {
        let folder = self.mount.make_dir(&self.files.to_string())?;
        self.files += 1;
        Mount::of(folder.as_fd())
    }
}

/// Shows the files that every step has in `/etc`.
pub(super) fn show_etc(spec: &Spec, tree: &mut Tree, hidden: &mut Hidden) -> Result<(), Failure> {
    let files = [
        ("/etc/resolv.conf", resolv_conf(spec.network)),
        ("/etc/hosts", hosts(spec)),
        ("/etc/hostname", format!("{}\n", spec.hostname)),
    ];
    for (path, content) in files {
        let target = tree.file_to_cover(Path::new(path))?;
        hidden.file(content.as_bytes(), 0o644)?.restrict(INERT, false)?.attach(target.as_fd())?;
    }
    Ok(())
}

/// Shows a file that the step brings, read-only.
pub(super) fn show(file: &ShownFile, tree: &mut Tree, hidden: &mut Hidden) -> Result<(), Failure> {
    let target = tree.file_to_cover(&file.path)?;
    // A script is to be executed: its mode says so, not its mount.
    hidden.file(&file.content, file.mode)?.restrict(READ_ONLY, false)?.attach(target.as_fd())?;
    Ok(())
}

/// The host's list of name servers, or nothing for a step that reaches none.
fn resolv_conf(network: Network) -> String {
    let mut text = String::new();
    match network {
        Network::None => {}
        Network::Host => {
            // A host without the file resolves names some other way, or not at all; so does the step.
            let read = std::fs::File::open("/etc/resolv.conf");
            let _ = read.and_then(|file| file.take(RESOLV_CONF_MAX).read_to_string(&mut text));
        }
    }
    text
}

fn hosts(spec: &Spec) -> String {
    let mut text = format!("127.0.0.1\tlocalhost {}\n::1\tlocalhost ip6-localhost ip6-loopback\n", spec.hostname);
    text.extend(spec.hosts.iter().map(|entry| format!("{}\t{}\n", entry.address, entry.name)));
    text
}
