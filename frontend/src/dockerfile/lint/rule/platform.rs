//! Platforms of base images.

use super::{Rule, base::names};
use crate::{
    dockerfile::{
        lint::{BaseImage, BaseName, Check, Place, findings::Findings},
        lower::go::quoted,
    },
    platform::Platform,
};

pub(super) static REDUNDANT_TARGET_PLATFORM: Rule = Rule {
    name: "RedundantTargetPlatform",
    description: "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior",
    page: Some("redundant-target-platform"),
    experimental: false,
    check: Check::From(redundant),
};

pub(super) static FROM_PLATFORM_FLAG_CONST_DISALLOWED: Rule = Rule {
    name: "FromPlatformFlagConstDisallowed",
    description: "FROM --platform flag should not use a constant value",
    page: Some("from-platform-flag-const-disallowed"),
    experimental: false,
    check: Check::From(constant),
};

pub(super) static INVALID_BASE_IMAGE_PLATFORM: Rule = Rule {
    name: "InvalidBaseImagePlatform",
    description: "Base image platform does not match expected target platform",
    page: None,
    experimental: false,
    check: Check::Image(mismatch),
};

const TARGET_PLATFORM: &str = "TARGETPLATFORM";

fn redundant(base: &BaseName<'_>, findings: &mut Findings) {
    let Some(word) = &base.stage.from.platform else { return };
    let names = names(word, base.globals, base.escape);
    let only_target = names.unset.is_empty() && names.set.iter().eq([TARGET_PLATFORM]);
    let result = base.globals.expand(word, base.escape).ok();
    if only_target && result.as_deref() == base.globals.get(TARGET_PLATFORM) {
        let detail = format!(
            "Setting platform to predefined {} in FROM is redundant as this is the default behavior",
            word.value
        );
        findings.add(&REDUNDANT_TARGET_PLATFORM, Place::of(base.stage.instruction), detail);
    }
}

/// A stage whose name says for which platform it is may have that platform.
fn constant(base: &BaseName<'_>, findings: &mut Findings) {
    let Some(word) = &base.stage.from.platform else { return };
    let names = names(word, base.globals, base.escape);
    let Ok(text) = base.globals.expand(word, base.escape) else { return };
    let (true, true, Ok(platform)) = (names.set.is_empty(), names.unset.is_empty(), text.parse::<Platform>()) else {
        return;
    };
    let stage = base.stage.name().unwrap_or_default();
    if !stage.contains(&platform.os) && !stage.contains(&platform.arch) {
        let detail = format!("FROM --platform flag should not use constant value {}", quoted(&text));
        findings.add(&FROM_PLATFORM_FLAG_CONST_DISALLOWED, Place::of(base.stage.instruction), detail);
    }
}

fn mismatch(image: &BaseImage<'_>, findings: &mut Findings) {
    let BaseImage { instruction, name, wanted, actual } = image;
    if wanted.os != actual.os || wanted.arch != actual.arch {
        let (wanted, actual) = (quoted(&wanted.to_string()), quoted(&actual.to_string()));
        let detail =
            format!("Base image {name} was pulled with platform {actual}, expected {wanted} for current build");
        findings.add(&INVALID_BASE_IMAGE_PLATFORM, Place::of(instruction), detail);
    }
}
