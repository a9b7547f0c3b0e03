//! The list of files, as JSON. Both formats have it of CRFS, from which they came, and differ in what they leave out.

use super::super::tar_reader::{RawEntry, RawKind};
use super::Chunked;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Serialize;
use std::{collections::BTreeMap, io};

/// A file, or another chunk of the file before it.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListEntry {
    #[serde(rename = "type")]
    kind: &'static str,
    pub(super) name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    link_name: String,
    #[serde(skip_serializing_if = "is_zero")]
    mode: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) size: u64,
    #[serde(skip_serializing_if = "is_zero")]
    uid: u64,
    #[serde(skip_serializing_if = "is_zero")]
    gid: u64,
    #[serde(rename = "modtime", skip_serializing_if = "String::is_empty")]
    modified: String,
    #[serde(skip_serializing_if = "is_zero")]
    dev_major: u64,
    #[serde(skip_serializing_if = "is_zero")]
    dev_minor: u64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    xattrs: BTreeMap<String, String>,
    /// Of the whole file.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) digest: String,
    /// Where its part of the blob begins.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) offset: u64,
    /// Where the last part of the file ends (zstd:chunked).
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) end_offset: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) chunk_size: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) chunk_offset: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) chunk_digest: String,
}

/// The list.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct List<'a> {
    pub(super) version: u32,
    pub(super) entries: &'a [ListEntry],
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) tar_split_digest: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl ListEntry {
    /// What the archive says of an entry. JSON holds text only.
    pub(super) fn of(raw: &RawEntry, format: Chunked) -> io::Result<Self> {
        let kind = match raw.kind {
            RawKind::File => "reg",
            RawKind::HardLink => "hardlink",
            RawKind::Symlink => "symlink",
            RawKind::CharDevice => "char",
            RawKind::BlockDevice => "block",
            RawKind::Dir => "dir",
            RawKind::Fifo => "fifo",
        };
        let mut xattrs = BTreeMap::new();
        for (name, value) in &raw.xattrs {
            xattrs.insert(text(name)?, STANDARD.encode(value));
        }
        // In eStargz, no time is the beginning of time.
        let has_time = raw.mtime != 0 || format == Chunked::Zstd;
        let modified = jiff::Timestamp::from_second(raw.mtime).ok().filter(|_| has_time);
        Ok(Self {
            kind,
            name: text(&raw.name)?,
            link_name: text(&raw.link)?,
            mode: raw.mode.into(),
            size: raw.size,
            uid: raw.uid.into(),
            gid: raw.gid.into(),
            modified: modified.map(|time| time.to_string()).unwrap_or_default(),
            dev_major: raw.device.0.into(),
            dev_minor: raw.device.1.into(),
            xattrs,
            ..Self::default()
        })
    }

    /// Another chunk of the file `name`.
    pub(super) fn chunk(name: &str) -> Self {
        Self { kind: "chunk", name: name.to_owned(), ..Self::default() }
    }
}

fn text(bytes: &[u8]) -> io::Result<String> {
    String::from_utf8(bytes.to_vec()).map_err(|error| {
        let name = String::from_utf8_lossy(error.as_bytes()).into_owned();
        io::Error::other(format!(
            "the list of files in estargz and zstd:chunked holds text only, and {name:?} is none: use gzip or zstd"
        ))
    })
}
