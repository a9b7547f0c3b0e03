//! A base image without a registry: busybox, as the context of a build that starts from nothing.

use super::skip;
use std::fs;
use std::io;
use std::path::Path;
use tar::{Builder, EntryType, Header};

/// Start of a Dockerfile: a stage `busybox` for the platforms that the workspace has it for.
pub(crate) const BUSYBOX: &str = "\
FROM scratch AS busybox
ARG TARGETARCH
ADD busybox-$TARGETARCH.tar /
ENV PATH=/bin
";

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\napp:x:1234:1234:app:/home/app:/bin/sh\n";

const GROUP: &str = "root:x:0:\napp:x:1234:\n";

const APPLETS: [&str; 31] = [
    "cat",
    "chgrp",
    "chmod",
    "chown",
    "cp",
    "date",
    "dd",
    "echo",
    "false",
    "find",
    "head",
    "id",
    "ln",
    "ls",
    "mkdir",
    "mkfifo",
    "mknod",
    "mount",
    "mv",
    "printf",
    "rm",
    "rmdir",
    "seq",
    "sh",
    "sha256sum",
    "sleep",
    "stat",
    "touch",
    "true",
    "uname",
    "wget",
];

/// The root file system as a tar; nothing if busybox was not fetched for this architecture.
pub(super) fn root_archive(architecture: &str) -> Option<Vec<u8>> {
    let binary = Path::new(env!("CARGO_TARGET_TMPDIR")).join("busybox").join(format!("busybox-{architecture}"));
    let Ok(busybox) = fs::read(binary) else {
        skip(&format!("there is no busybox for {architecture}"));
        return None;
    };
    Some(archive(&busybox).expect("memory takes everything"))
}

fn archive(busybox: &[u8]) -> io::Result<Vec<u8>> {
    let mut archive = Builder::new(Vec::new());
    for (path, mode) in [("bin/", 0o755), ("etc/", 0o755), ("root/", 0o700), ("tmp/", 0o1777)] {
        archive.append_data(&mut header(EntryType::Directory, mode, 0), path, io::empty())?;
    }
    for (path, mode, content) in [
        ("bin/busybox", 0o755, busybox),
        ("etc/passwd", 0o644, PASSWD.as_bytes()),
        ("etc/group", 0o644, GROUP.as_bytes()),
    ] {
        archive.append_data(&mut header(EntryType::Regular, mode, content.len()), path, content)?;
    }
    for applet in APPLETS {
        archive.append_link(&mut header(EntryType::Symlink, 0o777, 0), format!("bin/{applet}"), "busybox")?;
    }
    archive.into_inner()
}

fn header(kind: EntryType, mode: u32, size: usize) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size as u64);
    header.set_mtime(1_700_000_000);
    header
}
