//! Reading what is compressed, told by its first bytes. A media type or a file's name is only a claim.

use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::MultiGzDecoder;
use lzma_rust2::XzReader;
use std::io::{self, BufRead, BufReader, Cursor, Read};

/// How bytes are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// RFC 1952, any number of members.
    Gzip,
    /// RFC 8878, any number of frames.
    Zstd,
    /// In archives only, never in layers; any number of streams.
    Bzip2,
    /// In archives only, never in layers; any number of streams.
    Xz,
    /// None of these.
    Plain,
}

/// How many bytes [`Format::detect`] looks at.
const MAGIC_LENGTH: u64 = 6;
/// Largest window that a zstd frame may ask for, as a power of two: 128 MiB, what `zstd -d` allows by default.
const MAX_WINDOW_LOG: u32 = 27;
/// What an xz block may ask for, in KiB: more than `xz -9` does (65 MiB).
const MAX_XZ_MEMORY: u32 = 128 * 1024;
const BUFFER: usize = 128 * 1024;

impl Format {
    /// What begins with `start`. A zstd stream may begin with a skippable frame.
    pub fn detect(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            [b'B', b'Z', b'h', ..] => Self::Bzip2,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            _ => Self::Plain,
        }
    }
}

/// The content of `input`, whatever it is compressed with.
pub(super) fn reader<'a>(mut input: impl Read + Send + 'a) -> io::Result<Box<dyn Read + Send + 'a>> {
    let mut start = Vec::new();
    input.by_ref().take(MAGIC_LENGTH).read_to_end(&mut start)?;
    let format = Format::detect(&start);
    let whole = BufReader::with_capacity(BUFFER, Cursor::new(start).chain(input));
    match format {
        Format::Gzip => Ok(Box::new(MultiGzDecoder::new(whole))),
        Format::Zstd => Ok(Box::new(zstd_reader(whole)?)),
        Format::Bzip2 => Ok(Box::new(MultiBzDecoder::new(whole))),
        Format::Xz => Ok(Box::new(XzReader::new_mem_limit(whole, true, MAX_XZ_MEMORY))),
        Format::Plain => Ok(Box::new(whole)),
    }
}

fn zstd_reader<'a>(input: impl BufRead + Send + 'a) -> io::Result<impl Read + Send + 'a> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
    decoder.window_log_max(MAX_WINDOW_LOG)?;
    Ok(decoder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(input: &[u8]) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        reader(input)?.read_to_end(&mut content)?;
        Ok(content)
    }

    #[test]
    fn formats_are_told_by_their_first_bytes() {
        for (start, format) in [
            (&b"\x1f\x8b\x08"[..], Format::Gzip),
            (b"\x28\xb5\x2f\xfd\0", Format::Zstd),
            (b"\x50\x2a\x4d\x18", Format::Zstd),
            (b"BZh9", Format::Bzip2),
            (b"\xfd7zXZ\0", Format::Xz),
            (b"", Format::Plain),
            (b"etc/", Format::Plain),
        ] {
            assert_eq!(Format::detect(start), format, "{start:?}");
        }
        assert_eq!(read(b"abc").unwrap(), b"abc");
        assert_eq!(read(b"").unwrap(), b"");
    }

    #[test]
    fn a_window_beyond_the_limit_is_refused() {
        // A frame header (RFC 8878, 3.1.1.1) that asks for 2^31 bytes, and an empty last block.
        let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, (31 - 10) << 3, 0x01, 0x00, 0x00];
        assert!(read(&frame).is_err());
        let allowed = [0x28, 0xb5, 0x2f, 0xfd, 0x00, (27 - 10) << 3, 0x01, 0x00, 0x00];
        assert_eq!(read(&allowed).unwrap(), b"");
    }

    #[test]
    fn a_stream_that_is_cut_short_is_an_error() {
        let whole = zstd::encode_all(&[7; 5000][..], 3).unwrap();
        assert!(read(&whole[..whole.len() - 2]).is_err());
    }
}
