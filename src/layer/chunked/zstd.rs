//! What makes a zstd-compressed tar a zstd:chunked one: frames that decoders skip (RFC 8878, section 3.1.2), with the
//! list, with what else is in the tar, and with where both are.

use super::{
    entry::{List, ListEntry},
    parts::Parts,
    tar_split::TarSplit,
};
use crate::{image::Digest, layer::compress::zstd_frame};
use std::{
    collections::BTreeMap,
    io::{self, Write},
};

/// Annotation of a layer: the digest of its compressed list.
pub(super) const LIST_DIGEST: &str = "io.github.containers.zstd-chunked.manifest-checksum";
/// Annotation of a layer: `OFFSET:SIZE:UNCOMPRESSED:KIND` of its list.
pub(super) const LIST_POSITION: &str = "io.github.containers.zstd-chunked.manifest-position";
/// Annotation of a layer: `OFFSET:SIZE:UNCOMPRESSED` of what else is in the tar.
pub(super) const SPLIT_POSITION: &str = "io.github.containers.zstd-chunked.tarsplit-position";
/// A list like that of CRFS, the only kind that there is.
const KIND: u64 = 1;
const SKIPPED: [u8; 4] = 0x184d_2a50_u32.to_le_bytes();
const FRAME_HEADER: u64 = 8;
const MAGIC: &[u8; 8] = b"GNUlInUx";

/// Writes the list, `split` and the footer; returns what the layer's descriptor says.
pub(super) fn finish<W: Write>(
    parts: &mut Parts<W>,
    entries: &[ListEntry],
    split: TarSplit,
) -> io::Result<BTreeMap<String, String>> {
    let level = split.level();
    let (split, split_size) = split.finish()?;
    let tar_split_digest = Digest::of(&split).to_string();
    let list = serde_json::to_vec(&List { version: 1, entries, tar_split_digest })?;
    let list_size = list.len() as u64;
    let list = zstd_frame(level)(list)?;

    let list_offset = parts.written() + FRAME_HEADER;
    skipped_frame(parts, &list)?;
    let split_offset = parts.written() + FRAME_HEADER;
    skipped_frame(parts, &split)?;
    let list_place = [list_offset, list.len() as u64, list_size, KIND];
    let split_place = [split_offset, split.len() as u64, split_size];
    let mut footer: Vec<u8> = list_place.iter().chain(&split_place).flat_map(|number| number.to_le_bytes()).collect();
    footer.extend_from_slice(MAGIC);
    skipped_frame(parts, &footer)?;

    let shown = |numbers: &[u64]| numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(":");
    let annotations = [
        (LIST_DIGEST, Digest::of(&list).to_string()),
        (LIST_POSITION, shown(&list_place)),
        (SPLIT_POSITION, shown(&split_place)),
    ];
    Ok(annotations.map(|(name, value)| (name.to_owned(), value)).into())
}

fn skipped_frame<W: Write>(parts: &mut Parts<W>, content: &[u8]) -> io::Result<()> {
    let length = u32::try_from(content.len())
        .map_err(|_| io::Error::other("the layer has too many files for zstd:chunked: use zstd"))?;
    parts.write(&[SKIPPED, length.to_le_bytes()].concat())?;
    parts.write(content)
}
