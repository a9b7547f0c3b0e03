//! Packages that are too large for one layer: some registries refuse layers of several hundred megabytes or are slow with them,
//! and a layer is pulled by one connection. They become several layers, whose files follow from their paths
//! ([`parts`](crate::packages::parts)).
//!
//! How many parts a package has follows from its name, where [`NAMED`] has it, else from the size that its lock tells: so
//! two projects whose locks say different things of one package still share its layers. Sizes are counted in powers
//! of two, so that the number seldom changes with a version. A file is never divided, and many of these packages are mostly
//! one file.

use flashbuild_frontend::package::{Package, PackageLayout, PackageOp, PackagePart, Room};

/// What a part holds at most on average, in bytes of the artifact.
const PART: u64 = 256 << 20;
/// Into how many parts a package comes at most.
const MOST_PARTS: u32 = 16;
/// How many layers the packages of one `DEPS` make at most beyond one each.
fn most_more(room: Room) -> u32 {
    match room {
        Room::Ample => 16,
        Room::Half => 8,
        Room::Little => 4,
        Room::Last => 0,
    }
}

/// Wheels of more than [`PART`], and what their few large files are good for. Locks without sizes name them too.
const NAMED: &[(&str, u32)] = &[
    ("nvidia-cublas-cu11", 2),
    ("nvidia-cublas-cu12", 2),
    ("nvidia-cudnn-cu11", 4),
    ("nvidia-cudnn-cu12", 4),
    // One file.
    ("nvidia-cusparse-cu12", 1),
    ("nvidia-cusparselt-cu12", 1),
    ("nvidia-nccl-cu12", 1),
    ("open3d", 2),
    ("tensorflow", 4),
    ("torch", 4),
];

/// A package, and how many bytes its artifact has, if that is known.
pub(in crate::packages) type WithSize = (Package, Option<u64>);

/// In how many layers a package comes whose artifact has so many bytes, if that is known.
pub(super) fn parts_of(package: &Package, bytes: Option<u64>) -> u32 {
    let named = match &package.layout {
        PackageLayout::Wheel(_) => NAMED.iter().find(|(name, _)| *name == package.name),
        PackageLayout::Deb(_) | PackageLayout::Tarball(_) => None,
        // What a step makes has another size than what is locked; the others are small.
        PackageLayout::DebAlternatives
        | PackageLayout::DebDatabase
        | PackageLayout::DebStatus
        | PackageLayout::File(_)
        | PackageLayout::MadeWheel(_) => return 1,
    };
    named.map_or_else(|| by_size(bytes.unwrap_or(0)), |(_, parts)| *parts)
}

fn by_size(bytes: u64) -> u32 {
    let parts = u32::try_from(bytes.div_ceil(PART)).unwrap_or(MOST_PARTS);
    parts.clamp(1, MOST_PARTS).next_power_of_two()
}

/// The operations of `bins`: one for each, and for a huge package that is alone in one, one for each part.
pub(super) fn layers(bins: Vec<Vec<WithSize>>, room: Room) -> Vec<PackageOp> {
    let parts = |bin: &Vec<WithSize>| match bin.as_slice() {
        [(package, bytes)] => parts_of(package, *bytes),
        _ => 1,
    };
    let counts = bounded(bins.iter().map(parts).collect(), most_more(room));
    let mut layers = Vec::with_capacity(bins.len());
    for (bin, of) in bins.into_iter().zip(counts) {
        let packages: Vec<Package> = bin.into_iter().map(|(package, _)| package).collect();
        if of == 1 {
            layers.push(PackageOp { packages, files: Vec::new() });
            continue;
        }
        for number in 1..=of {
            let part = |package: &Package| Package { part: Some(PackagePart { number, of }), ..package.clone() };
            layers.push(PackageOp { packages: packages.iter().map(part).collect(), files: Vec::new() });
        }
    }
    layers
}

/// The same numbers, but for those of the largest packages where all of them would be too many layers.
fn bounded(mut counts: Vec<u32>, most_more: u32) -> Vec<u32> {
    while counts.iter().map(|count| count - 1).sum::<u32>() > most_more {
        let most = counts.iter().copied().max().unwrap_or(1);
        counts.iter_mut().filter(|count| **count == most).for_each(|count| *count /= 2);
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use flashbuild_frontend::package::{ArtifactHash, DebLayout, WheelLayout};

    fn package(name: &str, layout: PackageLayout) -> Package {
        let artifact = ArtifactHash::new("sha256", &blake3::hash(name.as_bytes()).to_hex()).unwrap();
        Package { name: name.to_owned(), version: "1".to_owned(), artifact, layout, part: None }
    }

    fn deb(name: &str) -> Package {
        package(name, PackageLayout::Deb(DebLayout { docs: true }))
    }

    fn wheel(name: &str) -> Package {
        let text = String::new;
        let layout = WheelLayout {
            site: text(),
            scripts: text(),
            data: text(),
            headers: text(),
            interpreter: text(),
            requested: false,
            bytecode: None,
        };
        package(name, PackageLayout::Wheel(layout))
    }

    #[test]
    fn the_name_decides_then_the_class_of_the_size() {
        for (package, megabytes, parts) in [
            (deb("x"), None, 1),
            (deb("x"), Some(256), 1),
            (deb("x"), Some(257), 2),
            (deb("x"), Some(513), 4),
            (deb("x"), Some(1024), 4),
            (deb("x"), Some(1 << 30), 16),
            (deb("torch"), None, 1),
            (wheel("x"), None, 1),
            (wheel("x"), Some(600), 4),
            (wheel("torch"), None, 4),
            (wheel("torch"), Some(100), 4),
            (wheel("nvidia-nccl-cu12"), Some(300), 1),
        ] {
            let bytes: Option<u64> = megabytes.map(|megabytes: u64| megabytes << 20);
            assert_eq!(parts_of(&package, bytes), parts, "{} {megabytes:?}", package.name);
        }
    }

    #[test]
    fn a_huge_package_is_several_layers_and_others_are_what_they_were() {
        let made =
            layers(vec![vec![(wheel("a"), None)], vec![(wheel("torch"), None)], vec![(wheel("z"), None)]], Room::Ample);
        let names: Vec<String> = made.iter().map(PackageOp::summary).collect();
        assert_eq!(
            names,
            ["a 1", "torch 1 (1 of 4)", "torch 1 (2 of 4)", "torch 1 (3 of 4)", "torch 1 (4 of 4)", "z 1"]
        );
        // Keys of layers that were made before parts were known stay.
        let text = serde_json::to_string(&made[0]).unwrap();
        assert!(!text.contains("part"), "{text}");
        let other = serde_json::to_string(&made[1]).unwrap();
        assert!(other.contains(r#""part":{"number":1,"of":4}"#), "{other}");
    }

    #[test]
    fn many_huge_packages_do_not_make_too_many_layers() {
        for count in [1, 5, 6, 17, 200] {
            let bins = (0..count).map(|number| vec![(deb(&format!("p{number}")), Some(900 << 20))]).collect();
            let made: u32 = layers(bins, Room::Ample).len().try_into().unwrap();
            assert!(made >= count && made <= count + most_more(Room::Ample), "{count}: {made}");
        }
    }
}
