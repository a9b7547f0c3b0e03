//! Debian's names of architectures.

use super::AptError;
use flashbuild_frontend::platform::Platform;

/// What Debian calls the machine of `platform` (its `dpkg --print-architecture`).
pub(super) fn debian_name(platform: &Platform) -> Result<&'static str, AptError> {
    match (platform.arch.as_str(), platform.variant.as_deref()) {
        ("amd64", _) => Ok("amd64"),
        ("386", _) => Ok("i386"),
        ("arm64", _) => Ok("arm64"),
        ("arm", Some("v5" | "v6")) => Ok("armel"),
        ("arm", _) => Ok("armhf"),
        ("s390x", _) => Ok("s390x"),
        ("ppc64le", _) => Ok("ppc64el"),
        ("riscv64", _) => Ok("riscv64"),
        ("mips64le", _) => Ok("mips64el"),
        ("loong64", _) => Ok("loong64"),
        _ => Err(AptError::Platform(platform.to_string())),
    }
}
