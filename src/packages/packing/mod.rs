//! Which packages share a layer.
//!
//! A package of its own layer is the same layer in every project, and when it changes, nothing else does. But an image may
//! have some hundred layers at most, and who builds on it needs some of them. So once there are many, small packages
//! share layers, in a way that a change of one package changes one layer. What is small is told
//!
//! - by the size of the artifact, where an index says it ([`by_size()`]), or of the files, where they are there
//!   ([`by_size_of`]);
//! - by the name, where a lock says no more ([`by_name()`]).
//!
//! What is [`huge`] is several layers.
//!
//! All requests of an image share about 100 layers: each may make as many as [`Room`] says, which is less the more are below.

mod by_name;
mod by_size;
mod huge;

use flashbuild_frontend::package::Room;

pub(super) use by_name::{Share, pack as by_name};
pub(super) use by_size::pack as by_size;
pub(crate) use by_size::{LAYERS as MOST_LAYERS, Sized, pack_any as by_size_of};

/// Up to so many packages have a layer each.
fn alone(room: Room) -> usize {
    match room {
        Room::Ample => 40,
        Room::Half => 24,
        Room::Little => 10,
        Room::Last => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flashbuild_frontend::package::{ArtifactHash, DebLayout, Package, PackageLayout};

    fn packages(count: usize, name: &str) -> Vec<(Package, u64)> {
        let layout = PackageLayout::Deb(DebLayout { docs: true });
        let artifact = ArtifactHash::new("sha256", &"a".repeat(64)).unwrap();
        let package = |number: usize| {
            let name = format!("{name}{number}");
            let package = Package {
                name,
                version: "1".to_owned(),
                artifact: artifact.clone(),
                layout: layout.clone(),
                part: None,
            };
            // Every tenth is huge.
            (package, if number.is_multiple_of(10) { 900 << 20 } else { 1 << 20 })
        };
        (0..count).map(package).collect()
    }

    fn by_names(count: usize, name: &str, share: Share, room: Room) -> usize {
        let packages = packages(count, name).into_iter().map(|(package, bytes)| (package, Some(bytes))).collect();
        by_name(packages, share, room).len()
    }

    /// The layers of a distribution's packages, then of Python's, then of Node's, all of them many.
    #[test]
    fn an_image_has_room_for_more_however_many_requests_it_is_made_of() {
        for (base, count) in [(0, 60), (1, 300), (5, 41), (24, 1000), (30, 100), (60, 100)] {
            let mut layers: usize = base;
            let mut add = |more: &dyn Fn(Room) -> usize| {
                layers += more(Room::above(layers)) + 1;
                assert!(layers < 110, "{base} and {count}: {layers}");
            };
            add(&|room| by_size(packages(count, "lib"), room).len());
            add(&|room| by_names(count, "nvidia-", Share::Most, room));
            let node = |room| by_names(count, "a", Share::Most, room) + by_names(count / 4, "b", Share::Few, room);
            add(&node);
            add(&|room| by_names(count, "c", Share::Most, room));
        }
    }

    #[test]
    fn few_packages_have_a_layer_each_as_long_as_there_is_room() {
        for (layers, most) in [(0, 40), (24, 40), (25, 24), (52, 24), (53, 10), (84, 10), (85, 3), (200, 3)] {
            let small = packages(most, "p").into_iter().map(|(package, _)| (package, None)).collect();
            assert_eq!(by_name(small, Share::Most, Room::above(layers)).len(), most, "{layers}");
        }
    }
}
