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
use std::net::IpAddr;
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
        // Secrets lie here. Only root of the machine may keep a file system out of the swap area (Linux 6.4).
        let tmpfs = || FileSystem::open("tmpfs")?.set("mode", "0700");
        let mount = tmpfs()?.set_flag("noswap").and_then(|tmpfs| tmpfs.mount(Attributes::empty()));
        let mount = mount.or_else(|_| tmpfs()?.mount(Attributes::empty()))?;
        Ok(Self { mount: mount.attach(target.as_fd())?, files: 0 })
    }

    /// A new file, as a mount of its own.
    pub(super) fn file(&mut self, content: &[u8], mode: u32) -> Result<Mount, Failure> {
        let name = self.put(content, mode)?;
        Mount::of(self.mount.inside(&name)?.expect("it was just made").as_fd())
    }

    /// A new file, by its name.
    pub(super) fn put(&mut self, content: &[u8], mode: u32) -> Result<String, Failure> {
        let name = self.files.to_string();
        self.mount.make_file(&name, content, mode)?;
        self.files += 1;
        Ok(name)
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
    for (path, content) in etc(spec) {
        let target = tree.file_to_cover(Path::new(path))?;
        hidden.file(content.as_bytes(), 0o644)?.restrict(INERT, false)?.attach(target.as_fd())?;
    }
    Ok(())
}

/// Those files: where, and what they say.
pub(super) fn etc(spec: &Spec) -> [(&'static str, String); 3] {
    [
        ("/etc/resolv.conf", resolv_conf(spec.network)),
        ("/etc/hosts", hosts(spec)),
        ("/etc/hostname", format!("{}\n", spec.hostname)),
    ]
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
    match network {
        Network::None => String::new(),
        Network::Host => resolv_conf_of_host(),
        Network::Outbound(namespace) => without_loopback(&resolv_conf_of_host(), namespace.name_server),
    }
}

fn resolv_conf_of_host() -> String {
    let mut text = String::new();
    // A host without the file resolves names some other way, or not at all; so does the step.
    let read = std::fs::File::open("/etc/resolv.conf");
    let _ = read.and_then(|file| file.take(RESOLV_CONF_MAX).read_to_string(&mut text));
    text
}

/// A list of name servers (`resolv.conf(5)`) for a namespace where the host's loopback is not: `instead` takes the
/// place of the first server that is there, and of none at all, which means the same.
fn without_loopback(text: &str, instead: IpAddr) -> String {
    let server = |line: &str| line.trim().strip_prefix("nameserver").map(|rest| rest.trim().to_owned());
    let on_loopback =
        |line: &str| server(line).and_then(|address| address.parse::<IpAddr>().ok()?.is_loopback().then_some(()));
    let mut replaced = text.lines().all(|line| server(line).is_none());
    let mut list: String = if replaced { format!("nameserver {instead}\n") } else { String::new() };
    for line in text.lines() {
        if on_loopback(line).is_none() {
            list.extend([line, "\n"]);
        } else if !replaced {
            list.extend(["nameserver ", &instead.to_string(), "\n"]);
            replaced = true;
        }
    }
    list
}

fn hosts(spec: &Spec) -> String {
    let mut text = format!("127.0.0.1\tlocalhost {}\n::1\tlocalhost ip6-localhost ip6-loopback\n", spec.hostname);
    text.extend(spec.hosts.iter().map(|entry| format!("{}\t{}\n", entry.address, entry.name)));
    text
}

#[cfg(test)]
mod tests {
    use super::without_loopback;

    #[test]
    fn name_servers_on_the_loopback_of_the_host_are_replaced() {
        for (text, expected) in [
            ("search a b\nnameserver 192.0.2.1\n", "search a b\nnameserver 192.0.2.1\n"),
            ("nameserver 127.0.0.53\noptions edns0\n", "nameserver 10.0.2.3\noptions edns0\n"),
            (
                "nameserver ::1\nnameserver 127.0.0.1\nnameserver 192.0.2.1",
                "nameserver 10.0.2.3\nnameserver 192.0.2.1\n",
            ),
            ("", "nameserver 10.0.2.3\n"),
            ("nameserver fe80::1%eth0\n", "nameserver fe80::1%eth0\n"),
        ] {
            assert_eq!(without_loopback(text, [10, 0, 2, 3].into()), expected, "{text:?}");
        }
    }
}
