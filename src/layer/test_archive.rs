//! Archives for tests, honest and other: headers are written as they are told.

use super::{
    LayerError,
    apply::{Nothing, apply},
    folder::{OverlayXattrs, open_root},
    pack::{Packed, Target},
    stream::Limits,
    toc::Entry,
};
use std::{fs, path::Path};

/// An archive being made.
#[derive(Default)]
pub(super) struct Archive(Vec<u8>);

impl Archive {
    pub(super) fn file(self, name: &str, content: &[u8]) -> Self {
        self.member(b'0', name.as_bytes(), b"", content)
    }

    pub(super) fn dir(self, name: &str) -> Self {
        self.member(b'5', format!("{name}/").as_bytes(), b"", b"")
    }

    pub(super) fn symlink(self, name: &str, target: &str) -> Self {
        self.member(b'2', name.as_bytes(), target.as_bytes(), b"")
    }

    pub(super) fn hard_link(self, name: &str, target: &str) -> Self {
        self.member(b'1', name.as_bytes(), target.as_bytes(), b"")
    }

    pub(super) fn member(self, kind: u8, name: &[u8], link: &[u8], content: &[u8]) -> Self {
        let size = format!("{:011o}\0", content.len());
        self.header(kind, name, link, &[(124, size.as_bytes())]).data(content)
    }

    /// A header with some fields overwritten, and a right checksum.
    pub(super) fn header(mut self, kind: u8, name: &[u8], link: &[u8], fields: &[(usize, &[u8])]) -> Self {
        let mut header = [0; 512];
        let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, name);
        put(100, if kind == b'5' { b"0000755\0" } else { b"0000644\0" });
        put(108, b"0000000\0");
        put(116, b"0000000\0");
        put(124, b"00000000000\0");
        put(136, b"00000000007\0");
        put(148, b"        ");
        put(156, &[kind]);
        put(157, link);
        put(257, b"ustar\x0000");
        for (at, bytes) in fields {
            put(*at, bytes);
        }
        let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.0.extend_from_slice(&header);
        self
    }

    /// Bytes, filled up to a whole block.
    pub(super) fn data(mut self, content: &[u8]) -> Self {
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    /// A pax header of one record for the next member.
    pub(super) fn pax(self, key: &str, value: &[u8]) -> Self {
        let rest = key.len() + value.len() + 3;
        let length = (rest + 1..rest + 9).find(|length| rest + length.to_string().len() == *length).unwrap();
        let record = [format!("{length} {key}=").as_bytes(), value, b"\n"].concat();
        self.member(b'x', b"pax", b"", &record)
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&[0; 1024]);
        self.0
    }

    /// Everything so far, without an end.
    pub(super) fn cut(self) -> Vec<u8> {
        self.0
    }
}

/// Unpacks `archive` into the folder `into`, which is made if it is not there.
pub(super) fn unpack(archive: &[u8], into: &Path) -> Result<Packed, LayerError> {
    fs::create_dir_all(into).unwrap();
    let target = Target { root: open_root(into)?, overlay: overlay() };
    apply(archive, Some(&target), &mut Nothing, Limits::DEFAULT)
}

/// The attributes that this process may set.
pub(super) fn overlay() -> OverlayXattrs {
    if is_root() { OverlayXattrs::Trusted } else { OverlayXattrs::User }
}

/// Whether this is root of the machine, not of a user namespace of its own.
pub(super) fn is_root() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    rustix::process::geteuid().is_root() && map.split_whitespace().eq(["0", "0", "4294967295"])
}

/// Says why a test does nothing, and returns whether it should.
pub(super) fn skip_without_root(what: &str) -> bool {
    if !is_root() {
        drop(std::io::Write::write_all(&mut std::io::stderr(), format!("skipped: {what} needs root\n").as_bytes()));
    }
    !is_root()
}

/// One line a path: type, mode, owner, time, and what it holds.
pub(super) fn listing(entries: &[Entry]) -> Vec<String> {
    use super::EntryKind::{BlockDevice, CharDevice, Dir, Fifo, File, HardLink, Symlink, Whiteout};
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let line = |entry: &Entry| {
        let path = text(&entry.path);
        match &entry.kind {
            File { size, .. } => format!("{path} {size}"),
            Dir { opaque: false } => format!("{path}/"),
            Dir { opaque: true } => format!("{path}/ opaque"),
            Symlink { target } => format!("{path} -> {}", text(target)),
            HardLink { target } => format!("{path} = {}", text(target)),
            CharDevice { major, minor } => format!("{path} c {major}:{minor}"),
            BlockDevice { major, minor } => format!("{path} b {major}:{minor}"),
            Fifo => format!("{path} |"),
            Whiteout => format!("{path} gone"),
        }
    };
    entries.iter().map(line).collect()
}
