//! An archive becomes a layer: a folder that overlay can use, and its table, in one pass.
//!
//! The archive may come from anybody. It is read strictly (`tar_reader`), within limits (`stream`); its names are
//! judged one by one (`archive_name`), put into a tree in memory first (`unpack_tree`), and only then written, beneath
//! the folder and through no link (`folder`). What this machine does not allow (devices, owners, attributes) is left
//! out of the folder, kept in the table, and said once (`notice`).
//!
//! Layers do not wait for the layers below them, with two exceptions, for which [`Below`] is asked: a hard link to a
//! file of a lower layer (its bytes are copied), and a folder that the archive fills but does not describe (it is as
//! it was).

use super::{
    archive_name::{Meaning, link_components, refused},
    error::{At, LayerError},
    folder::{Folder, set_file_metadata},
    notice::{NoticeKind, Notices},
    pack::{Packed, Target, finish_dirs},
    spool::Spool,
    stream::{Limits, Pieces, with_uncompressed},
    tar_reader::{ArchiveError, RawEntry, RawKind, TarReader},
    toc::{Entry, EntryKind, Toc},
    unpack_tree::UnpackTree,
    upper::overlay_name,
};
use crate::image::ContentDigest;
use std::{
    fs::File,
    io::{self, Read, Write},
    sync::Arc,
};

/// The layers below, for what cannot be told without them.
pub(super) trait Below {
    /// What they have at `path`.
    fn entry(&mut self, path: &[u8]) -> Result<Option<Entry>, LayerError>;
    /// The regular file that they have at `path`: its entry as a [`EntryKind::File`], and its bytes.
    fn file(&mut self, path: &[u8]) -> Result<Option<(Entry, File)>, LayerError>;
}

/// Unpacks `archive`, compressed or not, into `target`, an empty folder; without one, only the table is made.
pub(super) fn apply(
    archive: impl Read + Send,
    target: Option<&Target>,
    below: &mut dyn Below,
    limits: Limits,
) -> Result<Packed, LayerError> {
    let ((toc, notices), diff_id, size) = with_uncompressed(archive, limits, |pieces| {
        let folder = target.map(|target| Folder::new(Arc::clone(&target.root)));
        let mut unpacking = Unpacking::new(folder, None, below);
        unpacking.read_all(TarReader::new(pieces), limits.entries)?;
        unpacking.finish(target)
    })?;
    Ok(Packed { toc, diff_id, size, notices })
}

/// Reads `archive`, compressed or not, and puts the contents of its files into `spool`.
pub(super) fn read_into(
    spool: &mut Spool,
    archive: impl Read + Send,
    below: &mut dyn Below,
    limits: Limits,
) -> Result<Packed, LayerError> {
    let ((toc, notices), diff_id, size) = with_uncompressed(archive, limits, |pieces| {
        let mut unpacking = Unpacking::new(None, Some(spool), below);
        unpacking.read_all(TarReader::new(pieces), limits.entries)?;
        unpacking.finish(None)
    })?;
    Ok(Packed { toc, diff_id, size, notices })
}

/// There are no layers below.
pub(super) struct Nothing;

impl Below for Nothing {
    fn entry(&mut self, _: &[u8]) -> Result<Option<Entry>, LayerError> {
        Ok(None)
    }

    fn file(&mut self, _: &[u8]) -> Result<Option<(Entry, File)>, LayerError> {
        Ok(None)
    }
}

const PIECE: usize = 128 * 1024;

struct Unpacking<'a> {
    tree: UnpackTree,
    folder: Option<Folder>,
    spool: Option<&'a mut Spool>,
    below: &'a mut dyn Below,
    notices: Notices,
    buffer: Vec<u8>,
}

impl<'a> Unpacking<'a> {
    fn new(folder: Option<Folder>, spool: Option<&'a mut Spool>, below: &'a mut dyn Below) -> Self {
        let (tree, notices) = (UnpackTree::default(), Notices::default());
        Self { tree, folder, spool, below, notices, buffer: vec![0; PIECE] }
    }

    fn read_all(&mut self, mut archive: TarReader<Pieces>, limit: u64) -> Result<(), LayerError> {
        let mut entries = 0;
        while let Some(raw) = archive.next_entry()? {
            entries += 1;
            if entries > limit {
                return Err(ArchiveError::Limit { limit, of: "entries" }.into());
            }
            match Meaning::of(&raw.name)? {
                // The root is as every image's.
                Meaning::Path(components) if components.is_empty() => {}
                Meaning::Path(components) => {
                    let path = self.place(&components)?;
                    self.add(&raw, path, &mut archive)?;
                }
                Meaning::Whiteout(components) => {
                    let path = self.place(&components)?;
                    self.tree.white_out(&path);
                }
                Meaning::Opaque(components) => {
                    // The folder is on the way to its mark.
                    let mark = self.place(&[&components[..], &[b"mark"]].concat())?;
                    self.tree.make_opaque(super::entry_path::parent(&mark));
                }
                Meaning::Aufs => self.notices.add(NoticeKind::Aufs, &raw.name),
            }
        }
        Ok(())
    }

    /// Where an entry goes; the folders on its way are made.
    fn place(&mut self, components: &[&[u8]]) -> Result<Vec<u8>, LayerError> {
        let (path, made) = self.tree.place(components)?;
        if let Some(folder) = &mut self.folder {
            for path in &made {
                folder.make_dir(path).at_entry(path)?;
            }
        }
        Ok(path)
    }

    fn add(&mut self, raw: &RawEntry, path: Vec<u8>, data: &mut dyn Read) -> Result<(), LayerError> {
        let (major, minor) = raw.device;
        let kind = match raw.kind {
            RawKind::File => return self.add_file(entry(raw, path, no_content(raw.size)), data),
            RawKind::HardLink => return self.add_link(raw, path),
            RawKind::Dir => EntryKind::Dir { opaque: false },
            RawKind::Symlink => EntryKind::Symlink { target: raw.link.clone() },
            // Overlay's own mark of a deletion, packed as it lay there. It must not get another meaning on disk.
            RawKind::CharDevice if raw.device == (0, 0) => {
                self.clear(&path)?;
                self.tree.white_out(&path);
                return Ok(());
            }
            RawKind::CharDevice => EntryKind::CharDevice { major, minor },
            RawKind::BlockDevice => EntryKind::BlockDevice { major, minor },
            RawKind::Fifo => EntryKind::Fifo,
        };
        if raw.link.is_empty() && raw.kind == RawKind::Symlink {
            return Err(refused(&raw.name, "it is a link to nothing").into());
        }
        let entry = entry(raw, path, kind);
        let stays = entry.is_dir() && self.tree.get(&entry.path).is_some_and(Entry::is_dir);
        if !stays {
            self.clear(&entry.path)?;
            if let Some(folder) = &mut self.folder {
                if entry.is_dir() {
                    folder.make_dir(&entry.path).at_entry(&entry.path)?;
                } else {
                    folder.make_node(&entry, &mut self.notices)?;
                }
            }
        }
        self.insert(entry);
        Ok(())
    }

    fn add_file(&mut self, mut entry: Entry, data: &mut dyn Read) -> Result<(), LayerError> {
        self.clear(&entry.path)?;
        let mut file = match &mut self.folder {
            Some(folder) => Some(folder.create_file(&entry.path).at_entry(&entry.path)?),
            None => None,
        };
        let mut hasher = blake3::Hasher::new();
        let mut size = 0;
        loop {
            let count = match data.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(LayerError::at(entry.display_path(), error)),
            };
            hasher.update(&self.buffer[..count]);
            if let Some(file) = &mut file {
                file.write_all(&self.buffer[..count]).at_entry(&entry.path)?;
            }
            if let Some(spool) = &mut self.spool {
                spool.write(&self.buffer[..count])?;
            }
            size += count as u64;
        }
        let digest = hasher.finalize().into();
        entry.kind = EntryKind::File { size, digest };
        if let Some(spool) = &mut self.spool {
            spool.end(digest, size);
        }
        if let Some(file) = file {
            set_file_metadata(&file, &entry, &mut self.notices)?;
        }
        self.insert(entry);
        Ok(())
    }

    fn add_link(&mut self, raw: &RawEntry, path: Vec<u8>) -> Result<(), LayerError> {
        let target = link_components(&raw.link)?.join(&b'/');
        let is_link =
            |path: &[u8]| matches!(self.tree.get(path).map(|node| &node.kind), Some(EntryKind::Symlink { .. }));
        if super::entry_path::ancestors(&target).any(is_link) {
            return Err(refused(&raw.name, "it is a hard link through a symbolic link").into());
        }
        match self.tree.get(&target).map(Entry::is_dir) {
            // A file is linked to itself: nothing to do.
            Some(_) if target == path => Ok(()),
            Some(true) => Err(refused(&raw.name, "it is a hard link to a folder").into()),
            Some(false) => {
                if super::entry_path::is_below(&target, &path) {
                    return Err(refused(&raw.name, "it is a hard link into what it replaces").into());
                }
                self.clear(&path)?;
                if let Some(folder) = &mut self.folder {
                    match folder.link(&target, &path) {
                        // A device that could not be made has no second name either.
                        Err(rustix::io::Errno::NOENT) => self.notices.add(NoticeKind::Device, &path),
                        result => result.at_entry(&path)?,
                    }
                }
                self.tree.link(&target, &path);
                Ok(())
            }
            None => match self.below.file(&target)? {
                Some((lower, mut content)) => self.add_file(Entry { path, ..lower }, &mut content),
                None => Err(refused(&raw.name, "it is a hard link to a file that is not there").into()),
            },
        }
    }

    /// Makes room for another entry at `path`.
    fn clear(&mut self, path: &[u8]) -> Result<(), LayerError> {
        let gone = self.tree.remove(path);
        let Some(folder) = &mut self.folder else { return Ok(()) };
        for path in gone {
            match folder.remove(&path) {
                // A device that could not be made.
                Ok(()) | Err(rustix::io::Errno::NOENT) => {}
                Err(error) => return Err(LayerError::at(super::toc::display(&path), error.into())),
            }
        }
        Ok(())
    }

    fn insert(&mut self, entry: Entry) {
        let path = entry.path.clone();
        self.tree.insert(&path, Entry { path: Vec::new(), ..entry });
    }

    fn finish(self, target: Option<&Target>) -> Result<(Toc, Notices), LayerError> {
        let Self { tree, folder, below, mut notices, .. } = self;
        let toc = Toc::new(tree.into_entries(|path| below.entry(path))?)?;
        if let (Some(mut folder), Some(target)) = (folder, target) {
            for entry in toc.entries().iter().filter(|entry| entry.kind == EntryKind::Whiteout) {
                folder.make_whiteout(&entry.path).at_entry(&entry.path)?;
            }
            finish_dirs(&toc, &mut folder, target.overlay, &mut notices)?;
        }
        Ok((toc, notices))
    }
}

fn entry(raw: &RawEntry, path: Vec<u8>, kind: EntryKind) -> Entry {
    // What overlay would take for its own must not come from an archive: `redirect` shows other folders' content.
    let foreign = raw.xattrs.iter().filter(|(name, _)| overlay_name(name).is_none() && is_attribute_name(name));
    let xattrs = foreign.map(|(name, value)| (name.clone(), value.clone())).collect();
    Entry { path, kind, mode: raw.mode, uid: raw.uid, gid: raw.gid, mtime: raw.mtime, xattrs }
}

/// `namespace.name`, as long as the kernel takes (`xattr(7)`).
fn is_attribute_name(name: &[u8]) -> bool {
    name.len() <= 255 && name.iter().position(|&byte| byte == b'.').is_some_and(|dot| dot > 0 && dot + 1 < name.len())
}

fn no_content(size: u64) -> EntryKind {
    EntryKind::File { size, digest: ContentDigest([0; 32]) }
}

#[cfg(test)]
#[path = "apply_tests.rs"]
pub(in crate::layer) mod tests;
