//! What makes a gzipped tar an eStargz: a landmark, the list, and where that is (stargz-snapshotter, `docs/estargz.md`).

use super::{
    entry::{List, ListEntry},
    parts::Parts,
};
use crate::{
    image::{Digest, Sha256},
    layer::{
        tar_writer::TarWriter,
        toc::{Entry, EntryKind},
    },
};
use std::{
    collections::BTreeMap,
    io::{self, Write},
};

/// Name of the list in the tar.
const LIST: &[u8] = b"stargz.index.json";
/// The file that says that no file is wanted before the others.
const NO_PREFETCH: &[u8] = b".no.prefetch.landmark";
/// The file behind those that are.
const PREFETCH: &[u8] = b".prefetch.landmark";
/// What is in a landmark.
const LANDMARK: &[u8] = &[0x0f];
/// Annotation of a layer: the digest of its list.
pub(super) const LIST_DIGEST: &str = "containerd.io/snapshot/stargz/toc.digest";
/// Annotation of a layer: the size of its tar, for those who show it as a file system before it is there.
pub(super) const TAR_SIZE: &str = "io.containers.estargz.uncompressed-size";

/// Whether an entry is the format's, and not the layer's.
pub(super) fn is_own(name: &[u8]) -> bool {
    matches!(name.strip_prefix(b"./").unwrap_or(name), LIST | NO_PREFETCH | PREFETCH)
}

/// The landmark as it stands in the tar.
pub(super) fn landmark() -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    TarWriter::new(&mut bytes).file_bytes(&file(NO_PREFETCH, LANDMARK.len()), LANDMARK)?;
    Ok(bytes)
}

/// Writes the list and what leads to it; returns what the layer's descriptor says. `hash` and `size` are those of the
/// tar up to here.
pub(super) fn finish<W: Write>(
    parts: &mut Parts<W>,
    entries: &[ListEntry],
    hash: &mut Sha256,
    size: u64,
) -> io::Result<BTreeMap<String, String>> {
    let list = serde_json::to_vec(&List { version: 1, entries, tar_split_digest: String::new() })?;
    let mut tar = TarWriter::new(Vec::new());
    tar.file_bytes(&file(LIST, list.len()), &list)?;
    let (tar, _) = tar.finish()?;
    hash.update(&tar);
    let size = size + tar.len() as u64;
    let offset = parts.written();
    parts.add(tar, 0)?;
    parts.settle()?;
    parts.write(&footer(offset))?;
    let annotations = [(LIST_DIGEST, Digest::of(&list).to_string()), (TAR_SIZE, size.to_string())];
    Ok(annotations.map(|(name, value)| (name.to_owned(), value)).into())
}

fn file(name: &[u8], size: usize) -> Entry {
    let kind = EntryKind::File { size: size as u64, digest: crate::image::ContentDigest([0; 32]) };
    Entry::new(name, kind)
}

/// An empty gzip member (RFC 1952, section 2.3) whose extra field `SG` says where the list's begins.
fn footer(offset: u64) -> [u8; 51] {
    let mut footer = [0; 51];
    // ID1, ID2, deflate, FEXTRA; no time; system unknown.
    footer[..4].copy_from_slice(&[0x1f, 0x8b, 8, 4]);
    footer[9] = 255;
    footer[10..16].copy_from_slice(&[26, 0, b'S', b'G', 22, 0]);
    footer[16..38].copy_from_slice(format!("{offset:016x}STARGZ").as_bytes());
    // A last block without compression and of no bytes (RFC 1951, section 3.2.4); checksum and size are 0.
    footer[38..43].copy_from_slice(&[1, 0, 0, 0xff, 0xff]);
    footer
}
