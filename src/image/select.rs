//! Which image of an index a platform runs.
//!
//! A processor runs code of its own variant and of the variants below it, so containerd's `platforms.Only` lets
//! `arm/v7` run `v7`, `v6`, `v5` and `amd64/v3` run `v3`, `v2`, `v1`, the best first. We do the same within one
//! architecture. We do not fall from `amd64` to `386` or from `arm64` to `arm` as containerd does: a build that asks
//! for one architecture and silently gets another is harder to understand than an error that lists what there is.

use super::{Descriptor, Index};
use flashbuild_frontend::platform::Platform;

/// How well an image for `image` runs on `machine`: 0 is best, `None` is not at all.
fn rank(image: &Platform, machine: &Platform) -> Option<u32> {
    if (&image.os, &image.arch) != (&machine.os, &machine.arch) {
        return None;
    }
    let (image, machine) = (image.implied_variant(), machine.implied_variant());
    if image == machine {
        return Some(0);
    }
    version(machine)?.checked_sub(version(image)?)
}

/// Whether an image for `image` runs on `machine`.
pub fn runs_on(image: &Platform, machine: &Platform) -> bool {
    rank(image, machine).is_some()
}

/// `v7` is 7; no variant is the first.
fn version(variant: Option<&str>) -> Option<u32> {
    variant.map_or(Some(1), |variant| variant.strip_prefix('v')?.parse().ok())
}

/// The entries of an index that may lead to an image for `machine`, the best first.
///
/// Entries without a platform come last: only what they point at can tell.
pub fn candidates<'a>(index: &'a Index, machine: &Platform) -> Vec<&'a Descriptor> {
    let mut ranked: Vec<(u32, &Descriptor)> = index
        .manifests
        .iter()
        .filter_map(|entry| match &entry.platform {
            Some(platform) => rank(&platform.normal(), machine).map(|rank| (rank, entry)),
            None => Some((u32::MAX, entry)),
        })
        .collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.into_iter().map(|(_, entry)| entry).collect()
}

#[cfg(test)]
mod tests {
    use super::candidates;
    use crate::image::{Descriptor, Index, MediaType};
    use std::collections::BTreeMap;

    fn choose(machine: &str, images: &[&str]) -> Vec<String> {
        let entry = |image: &&str| {
            let descriptor = Descriptor::of(MediaType::ImageManifest, image.as_bytes());
            match *image {
                "none" => descriptor,
                image => descriptor.with_platform(&image.parse().unwrap()),
            }
        };
        let index = Index {
            schema_version: 2,
            media_type: None,
            manifests: images.iter().map(entry).collect(),
            annotations: BTreeMap::new(),
            other: BTreeMap::new(),
        };
        let name = |entry: &Descriptor| {
            entry.platform.as_ref().map_or("none".to_owned(), |platform| platform.normal().to_string())
        };
        candidates(&index, &machine.parse().unwrap()).into_iter().map(name).collect()
    }

    #[test]
    fn lower_variants_run_and_the_best_comes_first() {
        for (machine, images, expected) in [
            (
                "linux/arm/v7",
                vec!["linux/arm/v5", "linux/arm/v6", "linux/arm/v8"],
                vec!["linux/arm/v6", "linux/arm/v5"],
            ),
            ("linux/arm/v6", vec!["linux/arm/v7"], vec![]),
            (
                "linux/amd64/v3",
                vec!["linux/amd64", "linux/amd64/v2", "linux/amd64/v4"],
                vec!["linux/amd64/v2", "linux/amd64"],
            ),
            ("linux/amd64", vec!["linux/386", "linux/amd64/v2"], vec![]),
            ("linux/arm64", vec!["linux/arm/v7", "none", "linux/arm64/v8"], vec!["linux/arm64", "none"]),
            ("linux/s390x", vec!["windows/s390x", "unknown/unknown"], vec![]),
        ] {
            assert_eq!(choose(machine, &images), expected, "{machine}");
        }
    }
}
