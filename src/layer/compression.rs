//! How a layer's tar is compressed into a blob: what is asked for, and what it is called.

use std::{fmt, str::FromStr};

/// An algorithm and how hard it tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Compression {
    algorithm: Algorithm,
    level: i32,
}

/// The forms of layers that engines read (image-spec `layer.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// Every engine reads it.
    Gzip,
    /// Smaller and faster; read by engines since about 2021.
    Zstd,
    /// Gzip that can be read file by file (stargz-snapshotter, `docs/estargz.md`): containers start before it is there.
    /// Its tar has two entries more than the layer's, so it has a [`DiffId`](crate::image::DiffId) of its own.
    Estargz,
    /// Zstd that can be read file by file, and of which Podman pulls only the files that it lacks (containers/storage,
    /// `docs/containers-storage-zstd-chunked.md`).
    ZstdChunked,
    /// The tar itself.
    None,
}

/// Why a text asks for no compression that there is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown compression {0:?}: expected gzip, zstd, estargz, zstd:chunked or uncompressed, with a level if need be \
     (gzip:9, zstd:19)"
)]
pub struct CompressionError(String);

impl Compression {
    /// No compression: the tar itself.
    pub const PLAIN: Self = Self::new(Algorithm::None);
    /// For what is not sent anywhere.
    pub const QUICK: Self = Self { algorithm: Algorithm::Zstd, level: 1 };

    /// `algorithm` at its default level.
    pub const fn new(algorithm: Algorithm) -> Self {
        Self { algorithm, level: algorithm.default_level() }
    }

    /// `algorithm` at `level`, if it has that level.
    pub fn with_level(algorithm: Algorithm, level: i32) -> Option<Self> {
        algorithm.levels().contains(&level).then_some(Self { algorithm, level })
    }

    /// The algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The level; 0 where nothing is compressed.
    pub fn level(&self) -> i32 {
        self.level
    }

    /// The media type of a layer in this form.
    pub fn media_type(&self) -> &'static str {
        self.algorithm.media_type()
    }

    /// Names the bytes that result: equal layers in equal encodings are equal blobs. The last part is the version of
    /// the encoder, the cutting of blocks included; whoever changes either changes it (a test notices).
    pub fn encoding(&self) -> String {
        match self.algorithm {
            Algorithm::Gzip => format!("gzip-{}-v2", self.level),
            Algorithm::Zstd => format!("zstd-{}-v2", self.level),
            Algorithm::Estargz => format!("estargz-{}-v1", self.level),
            Algorithm::ZstdChunked => format!("zstd-chunked-{}-v1", self.level),
            Algorithm::None => "tar".to_owned(),
        }
    }
}

impl Compression {
    /// This one, or where its blobs hold another tar than the layer's, one that holds the same.
    #[must_use]
    pub(super) fn of_the_same_tar(self) -> Self {
        match self.algorithm {
            Algorithm::Estargz => Self::new(Algorithm::Zstd),
            Algorithm::Gzip | Algorithm::Zstd | Algorithm::ZstdChunked | Algorithm::None => self,
        }
    }
}

impl Default for Compression {
    fn default() -> Self {
        Self::new(Algorithm::Gzip)
    }
}

impl Algorithm {
    /// The media type of a layer in this form.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Gzip | Self::Estargz => "application/vnd.oci.image.layer.v1.tar+gzip",
            Self::Zstd | Self::ZstdChunked => "application/vnd.oci.image.layer.v1.tar+zstd",
            Self::None => "application/vnd.oci.image.layer.v1.tar",
        }
    }

    /// What a media type of OCI or Docker says about a layer's compression, which is not whether it can be read file by
    /// file. `None` for what is no layer.
    pub fn of_media_type(media_type: &str) -> Option<Self> {
        let (_, suffix) = media_type.strip_prefix("application/vnd.")?.split_once(".tar")?;
        match suffix {
            "" => Some(Self::None),
            "+gzip" | ".gzip" => Some(Self::Gzip),
            "+zstd" | ".zstd" => Some(Self::Zstd),
            _ => None,
        }
    }

    const fn default_level(self) -> i32 {
        match self {
            Self::Gzip | Self::Estargz => 6,
            Self::Zstd | Self::ZstdChunked => 3,
            Self::None => 0,
        }
    }

    fn levels(self) -> std::ops::RangeInclusive<i32> {
        match self {
            Self::Gzip | Self::Estargz => 1..=12,
            Self::Zstd | Self::ZstdChunked => 1..=22,
            Self::None => 0..=0,
        }
    }
}

impl FromStr for Compression {
    type Err = CompressionError;

    fn from_str(text: &str) -> Result<Self, CompressionError> {
        let unknown = || CompressionError(text.to_owned());
        let (name, level) = match text.strip_prefix("zstd:chunked") {
            Some(rest) => ("zstd:chunked", rest.strip_prefix(':').or((!rest.is_empty()).then_some(rest))),
            None => text.split_once(':').map_or((text, None), |(name, level)| (name, Some(level))),
        };
        let algorithm = match name {
            "gzip" => Algorithm::Gzip,
            "zstd" => Algorithm::Zstd,
            "estargz" => Algorithm::Estargz,
            "zstd:chunked" => Algorithm::ZstdChunked,
            "uncompressed" | "none" => Algorithm::None,
            _ => return Err(unknown()),
        };
        match level {
            None => Ok(Self::new(algorithm)),
            Some(level) => level.parse().ok().and_then(|level| Self::with_level(algorithm, level)).ok_or_else(unknown),
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.algorithm {
            Algorithm::Gzip => write!(f, "gzip:{}", self.level),
            Algorithm::Zstd => write!(f, "zstd:{}", self.level),
            Algorithm::Estargz => write!(f, "estargz:{}", self.level),
            Algorithm::ZstdChunked => write!(f, "zstd:chunked:{}", self.level),
            Algorithm::None => f.write_str("uncompressed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_what_is_parsed() {
        for (text, shown) in [
            ("gzip", "gzip:6"),
            ("gzip:9", "gzip:9"),
            ("zstd", "zstd:3"),
            ("zstd:19", "zstd:19"),
            ("estargz", "estargz:6"),
            ("estargz:9", "estargz:9"),
            ("zstd:chunked", "zstd:chunked:3"),
            ("zstd:chunked:12", "zstd:chunked:12"),
            ("none", "uncompressed"),
            ("uncompressed", "uncompressed"),
        ] {
            let parsed: Compression = text.parse().unwrap();
            assert_eq!(parsed.to_string(), shown);
            assert_eq!(shown.parse(), Ok(parsed));
        }
        for bad in
            ["", "gz", "gzip:", "gzip:0", "gzip:13", "zstd:23", "none:1", "stargz", "zstd:chunkedx", "zstd:chunked:"]
        {
            assert!(bad.parse::<Compression>().is_err(), "{bad}");
        }
    }

    #[test]
    fn media_types_tell_the_algorithm() {
        for (media_type, algorithm) in [
            ("application/vnd.oci.image.layer.v1.tar", Some(Algorithm::None)),
            ("application/vnd.oci.image.layer.v1.tar+gzip", Some(Algorithm::Gzip)),
            ("application/vnd.oci.image.layer.v1.tar+zstd", Some(Algorithm::Zstd)),
            ("application/vnd.docker.image.rootfs.diff.tar.gzip", Some(Algorithm::Gzip)),
            ("application/vnd.docker.image.rootfs.diff.tar", Some(Algorithm::None)),
            ("application/vnd.oci.image.config.v1+json", None),
        ] {
            assert_eq!(Algorithm::of_media_type(media_type), algorithm, "{media_type}");
        }
    }
}
