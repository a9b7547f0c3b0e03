//! How a tar is made of its files again: everything else that is in it, and where which file goes. With it, whoever has
//! pulled only some files can tell that they are those of the layer (vbatts/tar-split, package `storage`).
//!
//! One JSON object a line: a segment with bytes of the tar, or a file with its size and checksum.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Serialize;
use std::io::{self, Write};

const FILE: u8 = 1;
const SEGMENT: u8 = 2;

/// A line.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    kind: u8,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    payload: Option<String>,
    position: u64,
}

/// The lines so far, compressed.
pub(super) struct TarSplit {
    lines: zstd::stream::write::Encoder<'static, Vec<u8>>,
    level: i32,
    position: u64,
    size: u64,
}

impl TarSplit {
    pub(super) fn new(level: i32) -> io::Result<Self> {
        let lines = zstd::stream::write::Encoder::new(Vec::new(), level)?;
        Ok(Self { lines, level, position: 0, size: 0 })
    }

    /// How hard the layer is compressed.
    pub(super) fn level(&self) -> i32 {
        self.level
    }

    /// Bytes that are of no file.
    pub(super) fn segment(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.line(SEGMENT, "", None, Some(STANDARD.encode(bytes)))
    }

    /// An entry, and the checksum of its bytes if it has any.
    pub(super) fn file(&mut self, name: &str, size: u64, checksum: Crc64) -> io::Result<()> {
        let payload = (size > 0).then(|| STANDARD.encode(checksum.finish().to_be_bytes()));
        self.line(FILE, name, (size > 0).then_some(size), payload)
    }

    fn line(&mut self, kind: u8, name: &str, size: Option<u64>, payload: Option<String>) -> io::Result<()> {
        let mut line = serde_json::to_vec(&Line { kind, name, size, payload, position: self.position })?;
        line.push(b'\n');
        self.position += 1;
        self.size += line.len() as u64;
        self.lines.write_all(&line)
    }

    /// All lines, compressed, and the bytes that they were.
    pub(super) fn finish(self) -> io::Result<(Vec<u8>, u64)> {
        Ok((self.lines.finish()?, self.size))
    }
}

/// CRC-64 as ISO 3309 has it, the bits of a byte from the lowest, as Go's `hash/crc64` computes it.
pub(super) struct Crc64(u64);

impl Default for Crc64 {
    fn default() -> Self {
        Self(u64::MAX)
    }
}

impl Crc64 {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = TABLE[usize::from(self.0.to_le_bytes()[0] ^ byte)] ^ (self.0 >> 8);
        }
    }

    fn finish(self) -> u64 {
        !self.0
    }
}

const TABLE: [u64; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut value = index as u64;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 { (value >> 1) ^ 0xd800_0000_0000_0000 } else { value >> 1 };
            bit += 1;
        }
        table[index] = value;
        index += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::Crc64;

    #[test]
    fn the_checksum_is_that_of_its_catalogue_entry() {
        // CRC-64/GO-ISO.
        let mut checksum = Crc64::default();
        checksum.update(b"12345");
        checksum.update(b"6789");
        assert_eq!(checksum.finish(), 0xb909_56c7_75a4_1001);
    }
}
