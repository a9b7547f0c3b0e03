//! Packages whose sizes are known: the smallest share layers. Each goes where the hash of its *name* says, so a new version
//! changes one layer, and so does a new package. Huge ones are in [parts](super::huge).

use super::huge;
use flashbuild_frontend::package::{Package, PackageOp, Room};

/// How many layers the packages of one `DEPS` make at most, besides further parts of huge ones, if there is room for them.
pub(crate) const LAYERS: usize = 48;
/// In how many layers small packages are put together.
const SHARED: usize = 12;
/// The first size, in bytes, up to which a package counts as small when there are too many.
const SMALL: u64 = 64 << 10;

/// Something that goes into a layer.
pub(crate) struct Sized<T> {
    /// What decides where it goes if it is small.
    pub(crate) name: String,
    /// How large it is: the bytes of its artifact, or of its files.
    pub(crate) bytes: u64,
    pub(crate) item: T,
}

/// The layers of packages, each given with the size of its artifact: those of their own by name, then the shared ones.
pub(in crate::packages) fn pack(packages: Vec<(Package, u64)>, room: Room) -> Vec<PackageOp> {
    let sized =
        |(package, bytes): (Package, u64)| Sized { name: package.name.clone(), bytes, item: (package, Some(bytes)) };
    let most = if room == Room::Ample { LAYERS } else { super::alone(room) };
    huge::layers(pack_any(packages.into_iter().map(sized).collect(), most), room)
}

/// The same for whatever has a name and a size, in at most `most` layers.
pub(crate) fn pack_any<T>(mut items: Vec<Sized<T>>, most: usize) -> Vec<Vec<T>> {
    items.sort_by(|a, b| a.name.cmp(&b.name));
    let bins = SHARED.min(most.div_ceil(4));
    let small = threshold(&items, most, bins);
    let mut layers = Vec::new();
    let mut shared: Vec<Vec<T>> = (0..bins).map(|_| Vec::new()).collect();
    for Sized { name, bytes, item } in items {
        if bytes < small {
            let hash = blake3::hash(name.as_bytes());
            shared[usize::from(hash.as_bytes()[0]) % bins].push(item);
        } else {
            layers.push(vec![item]);
        }
    }
    layers.extend(shared.into_iter().filter(|layer| !layer.is_empty()));
    layers
}

/// Items smaller than this share layers. It moves in large steps, so that it seldom moves.
fn threshold<T>(items: &[Sized<T>], most: usize, bins: usize) -> u64 {
    if items.len() <= most {
        return 0;
    }
    let mut small = SMALL;
    while items.iter().filter(|item| item.bytes >= small).count() > most - bins {
        small = small.saturating_mul(4);
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
        (Package { name: name.to_owned(), version: version.to_owned(), artifact, layout, part: None }, size)
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
        let layers = pack(packages(48), Room::Ample);
        assert_eq!(layers.len(), 48);
        assert!(layers.is_sorted_by_key(|layer| layer.packages[0].name.clone()));
    }

    #[test]
    fn of_many_the_large_ones_are_and_none_is_lost() {
        for count in [49, 200, 3000] {
            let layers = pack(packages(count), Room::Ample);
            assert!(layers.len() <= LAYERS, "{count}: {}", layers.len());
            let all: usize = layers.iter().map(|layer| layer.packages.len()).sum();
            assert_eq!(all as u64, count);
        }
        let alone = |layer: &&PackageOp| layer.packages.len() == 1;
        assert!(pack(packages(200), Room::Ample).iter().filter(alone).count() >= 20);
    }

    #[test]
    fn a_change_of_one_package_changes_one_layer() {
        let before = pack(packages(200), Room::Ample);
        for (number, size) in [(3, 1 << 10), (10, 6 << 20)] {
            let mut newer = packages(200);
            newer[number] = package(&format!("p{number}"), "2", size);
            assert_eq!(changed(&before, &pack(newer, Room::Ample)), 1);
        }
        let mut more = packages(200);
        more.push(package("new", "1", 1 << 10));
        assert_eq!(changed(&before, &pack(more, Room::Ample)), 1);
    }
}
