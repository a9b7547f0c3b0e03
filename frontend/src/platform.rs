//! The machine that an image is for: operating system, architecture, variant.
//!
//! Spelled `os/arch[/variant]` as in the OCI image index. Names are normalised as containerd does
//! (`x86_64` is `amd64`, `aarch64` and `arm64/v8` are `arm64`, `armhf` is `arm/v7`).

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Architectures that flashbuild knows, with the emulator and ELF facts kept by `src/sandbox/`.
pub const KNOWN_ARCHITECTURES: [&str; 12] =
    ["386", "amd64", "arm", "arm64", "loong64", "mips64", "mips64le", "mipsle", "ppc64le", "riscv64", "s390x", "wasm"];

/// An `os/arch[/variant]` triple in normal form.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Platform {
    /// Operating system, as Go names it: `linux`.
    pub os: String,
    /// Architecture, as Go names it: `amd64`, `arm64`, `s390x`.
    #[serde(rename = "architecture")]
    pub arch: String,
    /// Variant of the architecture: `v7` of `arm`. Absent where the architecture alone says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// Why a text is no platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlatformError {
    /// Not one to three words joined by slashes.
    #[error("invalid platform {0:?}: expected os/arch or os/arch/variant, such as linux/arm64")]
    Form(String),
    /// A word holds characters that no platform has.
    #[error("invalid platform {0:?}: {1:?} must be of letters, digits, '.', '_' and '-'")]
    Word(String, String),
}

impl Platform {
    /// The platform of the parts, normalised.
    pub fn new(os: &str, arch: &str, variant: Option<&str>) -> Self {
        let os = match os.to_lowercase().as_str() {
            "macos" => "darwin".to_owned(),
            other => other.to_owned(),
        };
        let variant = variant.map(str::to_lowercase).filter(|variant| !variant.is_empty());
        let (arch, variant) = normalise(&arch.to_lowercase(), variant);
        Self { os, arch, variant }
    }

    /// `linux/<arch of this machine>`.
    pub fn host() -> Self {
        Self::new("linux", std::env::consts::ARCH, None)
    }

    /// The variant, or the one that the architecture implies (`arm` alone means `v7`).
    pub fn implied_variant(&self) -> Option<&str> {
        match (self.variant.as_deref(), self.arch.as_str()) {
            (Some(variant), _) => Some(variant),
            (None, "arm") => Some("v7"),
            (None, "arm64") => Some("v8"),
            (None, _) => None,
        }
    }
}

fn normalise(arch: &str, variant: Option<String>) -> (String, Option<String>) {
    match (arch, variant.as_deref()) {
        ("x86_64" | "x86-64" | "amd64", None | Some("v1")) => ("amd64".to_owned(), None),
        ("x86_64" | "x86-64", _) => ("amd64".to_owned(), variant),
        ("i386" | "i486" | "i586" | "i686" | "x86" | "386", _) => ("386".to_owned(), None),
        ("aarch64" | "arm64", None | Some("8" | "v8")) => ("arm64".to_owned(), None),
        ("aarch64", _) => ("arm64".to_owned(), variant),
        ("armhf", _) | ("arm", None | Some("7" | "v7")) => ("arm".to_owned(), Some("v7".to_owned())),
        ("armel", _) | ("arm", Some("6" | "v6")) => ("arm".to_owned(), Some("v6".to_owned())),
        ("arm", Some("5")) => ("arm".to_owned(), Some("v5".to_owned())),
        ("arm", Some("8")) => ("arm".to_owned(), Some("v8".to_owned())),
        ("powerpc64le" | "ppc64el", _) => ("ppc64le".to_owned(), variant),
        ("loongarch64", _) => ("loong64".to_owned(), variant),
        (other, _) => (other.to_owned(), variant),
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    /// Reads `os/arch[/variant]`; a lone word is an architecture of Linux, or an operating system on this architecture.
    fn from_str(text: &str) -> Result<Self, PlatformError> {
        let words: Vec<&str> = text.trim().split('/').collect();
        for word in &words {
            let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
            if !word.contains(|c: char| c.is_ascii_alphanumeric()) || !word.chars().all(fits) {
                return Err(PlatformError::Word(text.to_owned(), (*word).to_owned()));
            }
        }
        match words.as_slice() {
            [os @ ("linux" | "windows" | "darwin" | "freebsd")] => Ok(Self::new(os, std::env::consts::ARCH, None)),
            [arch] => Ok(Self::new("linux", arch, None)),
            [os, arch] => Ok(Self::new(os, arch, None)),
            [os, arch, variant] => Ok(Self::new(os, arch, Some(variant))),
            _ => Err(PlatformError::Form(text.to_owned())),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.arch)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_meet_in_one_normal_form() {
        for (text, expected) in [
            ("linux/x86_64", "linux/amd64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("aarch64", "linux/arm64"),
            ("linux/armhf", "linux/arm/v7"),
            ("linux/arm/v6", "linux/arm/v6"),
            ("linux/arm", "linux/arm/v7"),
            ("Linux/S390X", "linux/s390x"),
            ("linux/amd64/v3", "linux/amd64/v3"),
        ] {
            assert_eq!(text.parse::<Platform>().unwrap().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "linux/", "a/b/c/d", "linux/arm64 v8", "linux/../x"] {
            assert!(text.parse::<Platform>().is_err(), "{text}");
        }
    }
}
