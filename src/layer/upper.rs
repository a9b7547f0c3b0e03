//! What lies in an overlay upper directory, as it lies there.
//!
//! Overlay's own language is read here and nowhere else (kernel documentation, `filesystems/overlayfs.rst`,
//! "whiteouts and opaque directories"): a deletion is a character device 0:0, or an empty file with the attribute
//! `overlay.whiteout`; a folder that hides its former content has the attribute `overlay.opaque` = `y`. What says that
//! data is elsewhere (`redirect`, `metacopy`) is refused: mounts for building must be made without.

use super::{
    entry_path,
    error::{At, LayerError},
    files::check_name,
    folder::{Folder, is_whiteout_device, open_beneath},
    toc::{Entry, EntryKind},
};
use crate::image::ContentDigest;
use rustix::fs::{self, AtFlags, Dir, FileType, OFlags, Stat};
use std::{collections::BTreeMap, os::fd::OwnedFd, sync::Arc};

/// A path of an upper directory.
pub(super) struct Found {
    /// Files have no digest yet, and hard links are files.
    pub(super) entry: Entry,
    /// Whether the name of the file is one of several.
    pub(super) linked: bool,
    /// Names the file on its device.
    pub(super) inode: u64,
    /// Whether times on disk are exactly those of the entry.
    pub(super) time_is_whole: bool,
    /// Whether `security.capability` was rewritten.
    pub(super) capability_rewritten: bool,
}

/// Everything beneath `root`, sorted by path. A socket, which no layer can hold, becomes the deletion of whatever it
/// replaced, here and on disk.
pub(super) fn walk(root: &Arc<OwnedFd>) -> Result<Vec<Found>, LayerError> {
    let mut found = Vec::new();
    let mut folder = Folder::new(Arc::clone(root));
    let mut waiting = vec![Vec::new()];
    while let Some(path) = waiting.pop() {
        let opened = open_beneath(root, &path, OFlags::RDONLY | OFlags::DIRECTORY).at_entry(&path)?;
        let children = Dir::new(opened).at_entry(&path)?;
        for child in children {
            let child = child.at_entry(&path)?;
            let name = child.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            let path = entry_path::join(&path, name);
            check_name(&path)?;
            let child = read(&mut folder, path)?;
            if child.entry.is_dir() {
                waiting.push(child.entry.path.clone());
            }
            found.push(child);
        }
    }
    found.sort_unstable_by(|a, b| a.entry.path.cmp(&b.entry.path));
    Ok(found)
}

fn read(folder: &mut Folder, path: Vec<u8>) -> Result<Found, LayerError> {
    let (parent, name) = folder.place(&path).at_entry(&path)?;
    let stat = fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW).at_entry(&path)?;
    let file_type = FileType::from_raw_mode(stat.st_mode);
    let target = match file_type {
        FileType::Symlink => fs::readlinkat(parent, name, Vec::new()).at_entry(&path)?.into_bytes(),
        FileType::RegularFile
        | FileType::Directory
        | FileType::CharacterDevice
        | FileType::BlockDevice
        | FileType::Fifo
        | FileType::Socket
        | FileType::Unknown => Vec::new(),
    };
    let is_whiteout = file_type == FileType::CharacterDevice && is_whiteout_device(stat.st_rdev);
    let attributes = if is_whiteout { Vec::new() } else { folder.xattrs(&path).at_entry(&path)? };
    let Attributes { kept, opaque, whiteout, capability_rewritten } = sort_out(&path, attributes)?;
    let (major, minor) = (fs::major(stat.st_rdev), fs::minor(stat.st_rdev));
    let size = u64::try_from(stat.st_size).unwrap_or(0);
    let kind = match file_type {
        FileType::RegularFile if whiteout && size == 0 => EntryKind::Whiteout,
        FileType::RegularFile => EntryKind::File { size, digest: ContentDigest([0; 32]) },
        FileType::Directory => EntryKind::Dir { opaque },
        FileType::Symlink => EntryKind::Symlink { target },
        FileType::CharacterDevice if is_whiteout => EntryKind::Whiteout,
        FileType::CharacterDevice => EntryKind::CharDevice { major, minor },
        FileType::BlockDevice => EntryKind::BlockDevice { major, minor },
        FileType::Fifo => EntryKind::Fifo,
        FileType::Socket | FileType::Unknown => {
            folder.remove(&path).at_entry(&path)?;
            folder.make_whiteout(&path).at_entry(&path)?;
            EntryKind::Whiteout
        }
    };
    let linked = file_type == FileType::RegularFile && stat.st_nlink > 1;
    let time_is_whole = stat.st_mtime_nsec == 0;
    let entry = if kind == EntryKind::Whiteout { Entry::new(path, kind) } else { describe(path, kind, &stat, kept) };
    Ok(Found { entry, linked, inode: stat.st_ino, time_is_whole, capability_rewritten })
}

fn describe(path: Vec<u8>, kind: EntryKind, stat: &Stat, xattrs: BTreeMap<Vec<u8>, Vec<u8>>) -> Entry {
    let mode = stat.st_mode & 0o7777;
    Entry { path, kind, mode, uid: stat.st_uid, gid: stat.st_gid, mtime: stat.st_mtime, xattrs }
}

/// Attributes, told apart.
#[derive(Default)]
struct Attributes {
    kept: BTreeMap<Vec<u8>, Vec<u8>>,
    opaque: bool,
    whiteout: bool,
    capability_rewritten: bool,
}

/// A layer keeps what a program on another machine can mean: capabilities, access lists, and what users set. Labels of
/// this machine's security modules stay here, and so does what belongs to overlay.
fn sort_out(path: &[u8], attributes: Vec<(Vec<u8>, Vec<u8>)>) -> Result<Attributes, LayerError> {
    let mut sorted = Attributes::default();
    for (name, value) in attributes {
        if let Some(own) = overlay_name(&name) {
            match own {
                // Of mount options that were not asked for; an empty `metacopy` is one too.
                b"redirect" | b"metacopy" => {
                    let reason = "overlay left its data in a lower layer (the mount must have redirect_dir and \
                                  metacopy off)";
                    return Err(LayerError::Inexpressible { path: path.to_vec(), reason });
                }
                b"opaque" => sorted.opaque = value == b"y",
                b"whiteout" => sorted.whiteout = true,
                _ => {}
            }
        } else if name == b"security.capability" {
            let portable = capability_version_2(&value);
            sorted.capability_rewritten = portable != value;
            sorted.kept.insert(name, portable);
        } else if [&b"user."[..], b"trusted.", b"system.posix_acl_"].iter().any(|kept| name.starts_with(kept)) {
            sorted.kept.insert(name, value);
        }
    }
    Ok(sorted)
}

/// What follows `trusted.overlay.` or `user.overlay.`.
pub(super) fn overlay_name(attribute: &[u8]) -> Option<&[u8]> {
    attribute.strip_prefix(b"trusted.overlay.").or_else(|| attribute.strip_prefix(b"user.overlay."))
}

/// A capability of version 3 is bound to the user namespace that it was set in (`capabilities(7)`), which nobody else
/// has; version 2 is the same without. `struct vfs_ns_cap_data`: a word with version and flags, four words of bits, and
/// in version 3 the user id of the namespace's root.
fn capability_version_2(value: &[u8]) -> Vec<u8> {
    const VERSION_2: u8 = 2;
    const VERSION_3: u8 = 3;
    match value {
        // Little-endian: the version is the last byte of the first word.
        [a, b, c, VERSION_3, bits @ ..] if bits.len() == 20 => [&[*a, *b, *c, VERSION_2], &bits[..16]].concat(),
        _ => value.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_lose_their_namespace() {
        let bits: Vec<u8> = (10..26).collect();
        let version_2 = [&[1, 0, 0, 2], &bits[..]].concat();
        let version_3 = [&[1, 0, 0, 3], &bits[..], &[0xa0, 0x86, 1, 0]].concat();
        assert_eq!(capability_version_2(&version_3), version_2);
        assert_eq!(capability_version_2(&version_2), version_2);
    }

    #[test]
    fn attributes_of_overlay_and_of_this_machine_are_left_out() {
        let attribute = |name: &str, value: &str| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
        let sorted = sort_out(
            b"a",
            vec![
                attribute("trusted.overlay.opaque", "y"),
                attribute("user.overlay.origin", "?"),
                attribute("security.selinux", "label"),
                attribute("user.kept", "1"),
                attribute("system.posix_acl_access", "2"),
            ],
        )
        .unwrap();
        assert!(sorted.opaque && !sorted.whiteout);
        let names: Vec<_> = sorted.kept.keys().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        assert_eq!(names, ["system.posix_acl_access", "user.kept"]);
        assert!(sort_out(b"a", vec![attribute("user.overlay.redirect", "/etc")]).is_err());
        // `x` says only that whiteouts may be files.
        assert!(!sort_out(b"a", vec![attribute("user.overlay.opaque", "x")]).unwrap().opaque);
    }
}
