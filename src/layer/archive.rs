//! Archives as sources of files (`ADD`): unpacked aside, then copied like any other folder.
//!
//! The same reader as for layers, so nothing here is new to an attacker. But these archives are no layers: a name that
//! means a deletion there cannot be expressed in the layer that is made of them, and is refused.

use super::{
    Content, Entry, EntryKind, Item, LayerError, Layers, Toc, apply, decompress,
    entry_path::join,
    error::At,
    spool::{Spool, Spooled, SpooledContent},
    tar_reader::{ArchiveError, TarReader},
};
use crate::store::StageDir;
use std::{
    io::{self, Read},
    sync::Arc,
};

/// An archive whose contents lie in the store's `tmp/` for as long as this or one of its items lives.
#[derive(Debug)]
pub struct Unpacked {
    toc: Toc,
    pub(super) contents: Arc<Spooled>,
}

/// Whether `input` is a tar archive, compressed or not. Reads its beginning only.
pub fn is_archive(input: impl Read + Send) -> bool {
    /// Room for the longest headers before the first entry.
    const BEGINNING: u64 = 4 << 20;
    let Ok(content) = decompress::reader(input) else { return false };
    matches!(TarReader::new(content.take(BEGINNING)).next_entry(), Ok(Some(_)))
}

impl Layers {
    /// Unpacks an archive, compressed or not.
    pub fn unpack_archive(&self, archive: impl Read + Send) -> Result<Unpacked, LayerError> {
        let mut spool = Spool::new(&self.store)?;
        let toc = apply::read_into(&mut spool, archive, &mut apply::Nothing, self.limits)?.toc;
        Ok(Unpacked { toc, contents: spool.finish()? })
    }

    /// Unpacks an archive, compressed or not, into a folder of its own.
    pub fn unpack_archive_to_folder(&self, archive: impl Read + Send) -> Result<(Toc, StageDir), LayerError> {
        let (stage, target) = self.stage()?;
        let packed = apply::apply(archive, Some(&target), &mut self.below(&[]), self.limits)?;
        Ok((packed.toc, stage))
    }
}

impl Unpacked {
    /// What was in the archive; the folders on the way to its files are there too.
    pub fn toc(&self) -> &Toc {
        &self.toc
    }

    /// The archive's content inside of `folder` (in the spelling of [`Entry::path`]), ready to become part of a layer.
    pub fn items(&self, folder: &[u8]) -> Result<Vec<Item>, LayerError> {
        self.items_as(|entry| Some(Entry { path: join(folder, &entry.path), ..entry.clone() }))
    }

    /// The archive's content as `place` changes its entries, in path, owner, mode or time, without those that it gives
    /// none. A hard link stays only if its file does.
    pub fn items_as(&self, place: impl Fn(&Entry) -> Option<Entry>) -> Result<Vec<Item>, LayerError> {
        let item = |entry: &Entry| {
            let mut placed = place(entry)?;
            Some(match &mut placed.kind {
                EntryKind::Whiteout | EntryKind::Dir { opaque: true } => Err(LayerError::Inexpressible {
                    path: placed.path,
                    reason: "its name in the archive means a deletion, and files of that name cannot be in a layer",
                }),
                EntryKind::HardLink { target } => {
                    *target = place(self.toc.get(target)?)?.path;
                    Ok(Item::new(placed))
                }
                &mut EntryKind::File { size, digest } => {
                    Ok(Item::file(placed, Content::Stream(Arc::new(self.contents.file(digest, size)))))
                }
                EntryKind::Dir { opaque: false }
                | EntryKind::Symlink { .. }
                | EntryKind::CharDevice { .. }
                | EntryKind::BlockDevice { .. }
                | EntryKind::Fifo => Ok(Item::new(placed)),
            })
        };
        self.toc.entries().iter().filter_map(item).collect()
    }

    /// The bytes of a regular file of the archive, if it has one at `path`; an error if they are more than `limit`.
    pub fn read(&self, path: &[u8], limit: u64) -> Result<Option<Vec<u8>>, LayerError> {
        let Some(EntryKind::File { size, .. }) = self.toc.get(path).map(|entry| &entry.kind) else { return Ok(None) };
        if *size > limit {
            return Err(ArchiveError::Limit { limit, of: "bytes in a file that is read whole" }.into());
        }
        let mut bytes = Vec::new();
        self.open_file(path)?.read_to_end(&mut bytes).at_entry(path)?;
        Ok(Some(bytes))
    }

    /// Opens a regular file of the archive, by its path or that of a hard link.
    pub fn open_file(&self, path: &[u8]) -> Result<SpooledContent, LayerError> {
        let content = self.toc.file(path).and_then(|(size, digest)| self.contents.open(&digest, size));
        content.ok_or(io::ErrorKind::NotFound).at_entry(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        layer::{
            Form,
            test_archive::{Archive, listing, overlay},
        },
        store::Store,
    };
    use std::{
        io::Write,
        process::{Command, Stdio},
        thread,
    };

    fn compressed(tool: &str, content: &[u8]) -> Option<Vec<u8>> {
        let mut child = Command::new(tool).arg("-c").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
        let mut stdin = child.stdin.take().unwrap();
        let output = thread::scope(|scope| {
            scope.spawn(move || stdin.write_all(content).unwrap());
            child.wait_with_output().unwrap()
        });
        Some(output.stdout)
    }

    #[test]
    fn archives_of_all_compressions_become_files_in_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let layers = Layers::new(Store::open(folder.path()).unwrap(), overlay());
        let tar = Archive::default().file("d/f", &vec![7; 400_000]).hard_link("a", "d/f").symlink("l", "/etc").finish();
        let tools = ["gzip", "bzip2", "xz", "zstd"].iter().filter_map(|tool| compressed(tool, &tar));
        for archive in std::iter::once(tar.clone()).chain(tools) {
            assert!(is_archive(&archive[..]));
            let unpacked = layers.unpack_archive(&archive[..]).unwrap();
            let made = layers.from_files(unpacked.items(b"opt/x").unwrap(), None, Form::Folder).unwrap();
            let expected = ["opt/", "opt/x/", "opt/x/a 400000", "opt/x/d/", "opt/x/d/f = opt/x/a", "opt/x/l -> /etc"];
            assert_eq!(listing(made.toc.entries()), expected);
        }
    }

    #[test]
    fn other_files_are_no_archives() {
        let text = compressed("gzip", b"some text").unwrap_or_default();
        for content in [&b""[..], b"text", &[0; 2000], &text, b"\x1f\x8b but no gzip", b"BZh9 but no bzip2"] {
            assert!(!is_archive(content), "{content:?}");
        }
    }

    #[test]
    fn deletions_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let layers = Layers::new(Store::open(folder.path()).unwrap(), overlay());
        let tar = Archive::default().file("d/.wh.x", b"").finish();
        let error = layers.unpack_archive(&tar[..]).unwrap().items(b"").map(drop).unwrap_err();
        assert!(error.to_string().starts_with("/d/x cannot be part of a layer: its name in the archive"), "{error}");
    }
}
