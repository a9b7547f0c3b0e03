//! Trees of files whose modes and owners a build chose: moving, removing and measuring them.

use super::TreeRemover;
use rustix::io::Errno;
use std::{
    collections::HashSet,
    fs::{self, Metadata, Permissions},
    io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

/// Removes a file or a tree; it is fine if there is none. Folders that their modes close (overlay's own work folder has
/// none at all) are opened first; what belongs to somebody else is left to `fallback`.
pub(super) fn remove(path: &Path, fallback: Option<&TreeRemover>) -> io::Result<()> {
    let result = match remove_as_is(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            // If this fails, the removal will say so.
            drop(open_folders(path));
            remove_as_is(path)
        }
        result => result,
    };
    match (result, fallback) {
        (Err(error), Some(remover)) if error.kind() == io::ErrorKind::PermissionDenied => remover(path),
        (result, _) => result,
    }
}

fn remove_as_is(path: &Path) -> io::Result<()> {
    let remove = |metadata: Metadata| if metadata.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match fs::symlink_metadata(path).and_then(remove) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn open_folders(path: &Path) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_folders(&entry.path())?;
        }
    }
    Ok(())
}

/// Renames a file or a tree, and makes the folder it goes to. A folder that moves to another one has to be writable
/// for its owner (its `..` changes), so one that is not is opened for that moment.
pub(super) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    match rename_as_is(from, to) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let mode = fs::symlink_metadata(from)?.permissions();
            fs::set_permissions(from, Permissions::from_mode(mode.mode() | 0o700))?;
            rename_as_is(from, to)?;
            fs::set_permissions(to, mode)
        }
        result => result,
    }
}

fn rename_as_is(from: &Path, to: &Path) -> io::Result<()> {
    let missing_folder = |error: &io::Error| error.raw_os_error() == Some(Errno::NOENT.raw_os_error());
    match (fs::rename(from, to), to.parent()) {
        (Err(error), Some(folder)) if missing_folder(&error) && !folder.exists() => {
            fs::create_dir_all(folder)?;
            fs::rename(from, to)
        }
        (result, _) => result,
    }
}

/// The bytes that a tree takes on the disk, hard links once. What cannot be read counts as nothing.
pub(super) fn disk_bytes(path: &Path) -> u64 {
    fn measure(path: &Path, linked: &mut HashSet<u64>) -> u64 {
        let Ok(metadata) = fs::symlink_metadata(path) else { return 0 };
        if !metadata.is_dir() && metadata.nlink() > 1 && !linked.insert(metadata.ino()) {
            return 0;
        }
        let own = metadata.blocks() * 512;
        if !metadata.is_dir() {
            return own;
        }
        let Ok(entries) = fs::read_dir(path) else { return own };
        own + entries.flatten().map(|entry| measure(&entry.path(), linked)).sum::<u64>()
    }
    measure(path, &mut HashSet::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_folder_moves_and_stays_closed() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("shard/to"));
        fs::create_dir(&from).unwrap();
        fs::set_permissions(&from, Permissions::from_mode(0o555)).unwrap();
        rename(&from, &to).unwrap();
        assert_eq!(fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o555);
        assert!(!from.exists());
    }

    #[test]
    fn a_link_is_removed_and_not_what_it_leads_to() {
        let folder = tempfile::tempdir().unwrap();
        let (kept, link) = (folder.path().join("kept"), folder.path().join("link"));
        fs::create_dir(&kept).unwrap();
        std::os::unix::fs::symlink(&kept, &link).unwrap();
        remove(&link, None).unwrap();
        assert!(kept.exists() && fs::symlink_metadata(&link).is_err());
    }

    #[test]
    fn hard_links_are_measured_once() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), vec![1; 1 << 16]).unwrap();
        let once = disk_bytes(folder.path());
        fs::hard_link(folder.path().join("a"), folder.path().join("b")).unwrap();
        assert_eq!(disk_bytes(folder.path()), once);
    }
}
