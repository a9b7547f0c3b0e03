//! Packages whose sizes are known: the smallest share layers. Each goes where the hash of its *name* says, so a new version
//! changes one layer, and so does a new package.

use flashbuild_frontend::package::{Package, PackageOp};

/// How many layers the packages of one `DEPS` make at most.
const LAYERS: usize = 48;
/// In how many layers small packages are put together.
const SHARED: usize = 12;
/// The first size, in bytes of the artifact, up to which a package counts as small when there are too many.
const SMALL: u64 = 64 << 10;

/// The layers of packages, each given with the size of its artifact: those of their own by name, then the shared ones.
pub(in crate::packages) fn pack(mut packages: Vec<(Package, u64)>) -> Vec<PackageOp> {
    packages.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
    let small = threshold(&packages);
    let mut layers = Vec::new();
    let mut shared = vec![Vec::new(); SHARED];
    for (package, size) in packages {
        if size < small {
            let hash = blake3::hash(package.name.as_bytes());
            shared[usize::from(hash.as_bytes()[0]) % SHARED].push(package);
        } else {
            layers.push(vec![package]);
        }
    }
    layers.extend(shared.into_iter().filter(|layer| !layer.is_empty()));
    layers.into_iter().map(|packages| PackageOp { packages, files: Vec::new() }).collect()
}

/// Packages smaller than this share layers. It moves in large steps, so that it seldom moves.
fn threshold(packages: &[(Package, u64)]) -> u64 {
    if packages.len() <= LAYERS {
        return 0;
    }
    let mut small = SMALL;
    while packages.iter().filter(|(_, size)| *size >= small).count() > LAYERS - SHARED {
        small *= 4;
    }
    small
}

#[cfg(test)]
mod tests {
    use super::*;
    use flashbuild_frontend::package::{ArtifactHash, DebLayout, PackageLayout};

    fn package(name: &str, version: &str, size: u64) -> (Package, u64) {
        let artifact =
            ArtifactHash::new("sha256", &blake3::hash(format!("{name} {version}").as_bytes()).to_hex()).unwrap();
        let layout = PackageLayout::Deb(DebLayout { docs: true });
        (Package { name: name.to_owned(), version: version.to_owned(), artifact, layout }, size)
    }

    /// So many packages, every tenth of them large.
    fn packages(count: u64) -> Vec<(Package, u64)> {
        let size = |number: u64| if number.is_multiple_of(10) { 5 << 20 } else { 1 << 10 };
        (0..count).map(|number| package(&format!("p{number}"), "1", size(number))).collect()
    }

    fn changed(before: &[PackageOp], after: &[PackageOp]) -> usize {
        after.iter().filter(|layer| !before.contains(layer)).count()
    }

    #[test]
    fn few_packages_are_layers_of_their_own() {
        let layers = pack(packages(48));
        assert_eq!(layers.len(), 48);
        assert!(layers.is_sorted_by_key(|layer| layer.packages[0].name.clone()));
    }

    #[test]
    fn of_many_the_large_ones_are_and_none_is_lost() {
        for count in [49, 200, 3000] {
            let layers = pack(packages(count));
            assert!(layers.len() <= LAYERS, "{count}: {}", layers.len());
            let all: usize = layers.iter().map(|layer| layer.packages.len()).sum();
            assert_eq!(all as u64, count);
        }
        let alone = |layer: &&PackageOp| layer.packages.len() == 1;
        assert!(pack(packages(200)).iter().filter(alone).count() >= 20);
    }

    #[test]
    fn a_change_of_one_package_changes_one_layer() {
        let before = pack(packages(200));
        for (number, size) in [(3, 1 << 10), (10, 6 << 20)] {
            let mut newer = packages(200);
            newer[number] = package(&format!("p{number}"), "2", size);
            assert_eq!(changed(&before, &pack(newer)), 1);
        }
        let mut more = packages(200);
        more.push(package("new", "1", 1 << 10));
        assert_eq!(changed(&before, &pack(more)), 1);
    }
}
