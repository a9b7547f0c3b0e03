//! What a new cache starts with: its own permissions, a copy of files of a tree, or what a build elsewhere left in it.
//!
//! The copy is made of the folder of a layer, which is read-only and ours, into a folder that nobody else sees yet. So
//! nothing changes while it is read; links are copied as links and never followed.

use super::{Exec, ExecError, Product, mounts};
use crate::{solver::event::Step, store::CacheIdentity};
use flashbuild_frontend::graph::CacheMount;
use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, Timespec, Timestamps, UTIME_OMIT, Uid};
use std::{
    fs, io,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
};

/// Makes the empty folder `data` of a cache what the mount says, or what a build elsewhere left in it.
pub(super) fn fill(
    exec: &Exec,
    cache: &CacheMount,
    inputs: &[Product],
    (identity, data): (&CacheIdentity, &Path),
    step: &Step,
) -> Result<(), ExecError> {
    let at = |error: io::Error| ExecError::Context { path: data.to_owned(), error };
    let restored = exec.sources.imported().restore(&exec.layers, identity, data, step);
    let is_restored = tokio::runtime::Handle::current().block_on(restored)?;
    if let Some(from) = cache.from.filter(|_| !is_restored) {
        // Lowering put the files into one layer of their own.
        for folder in mounts::folders(exec, &inputs[from])? {
            copy(&folder, data).map_err(at)?;
        }
    }
    fs::set_permissions(data, fs::Permissions::from_mode(cache.mode)).map_err(at)?;
    let (user, group) = (Uid::from_raw(cache.uid), Gid::from_raw(cache.gid));
    match rustix::fs::chown(data, Some(user), Some(group)) {
        // A namespace with one id has one owner for all files.
        Err(rustix::io::Errno::INVAL) if exec.single_id => Ok(()),
        result => result.map_err(|error| at(error.into())),
    }
}

/// Copies what is in the folder `from` to the empty folder `to`. Hard links become files of their own; sockets, pipes and
/// devices are left out.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, made) = (entry.path(), to.join(entry.file_name()));
        let metadata = fs::symlink_metadata(&source)?;
        match FileType::from_raw_mode(metadata.mode()) {
            FileType::Directory => {
                fs::create_dir(&made)?;
                copy(&source, &made)?;
            }
            FileType::RegularFile => drop(fs::copy(&source, &made)?),
            FileType::Symlink => std::os::unix::fs::symlink(fs::read_link(&source)?, &made)?,
            FileType::Fifo
            | FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown => continue,
        }
        let (user, group) = (Uid::from_raw(metadata.uid()), Gid::from_raw(metadata.gid()));
        rustix::fs::chownat(CWD, &made, Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW)?;
        if !metadata.is_symlink() {
            // After the change of owner, which takes set-id bits away.
            rustix::fs::chmod(&made, Mode::from_raw_mode(metadata.mode() & 0o7777))?;
        }
        let modified = Timespec { tv_sec: metadata.mtime(), tv_nsec: metadata.mtime_nsec() };
        let accessed = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
        let times = Timestamps { last_access: accessed, last_modification: modified };
        rustix::fs::utimensat(CWD, &made, &times, AtFlags::SYMLINK_NOFOLLOW)?;
    }
    Ok(())
}
