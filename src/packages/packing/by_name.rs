//! Packages of locks that mostly do not say how large an artifact is.
//!
//! - A package's bin follows from its *name* alone, never from its version, its size or its neighbours: what is around a
//!   package that changes stays where it is, in this image and in every other.
//! - Few packages get a layer each. Beyond that, they share [bins], which are fewer: container engines stop at 127
//!   layers, and whoever builds on the image needs some.
//! - Layers come in the order of their bins, and packages in that of their names, so that chains of layers stay stable.
//!
//! [`LARGE`] names what is known to be large and to change often: each gets a layer of its own, unless that would be too
//! many, and what is [`huge`], several.

use super::huge::{self, WithSize};
use flashbuild_frontend::package::{PackageOp, Room};
use std::collections::BTreeMap;

/// Which of a request's packages these are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::packages) enum Share {
    /// All, or nearly.
    Most,
    /// A few besides.
    Few,
}

/// Large packages (8 MB and more, unpacked), which would make a bin dear: Python's, then Node's.
const LARGE: &[&str] = &[
    "aiohttp",
    "babel",
    "boto3",
    "botocore",
    "catboost",
    "cryptography",
    "cython",
    "django",
    "duckdb",
    "faiss-cpu",
    "fonttools",
    "grpcio",
    "grpcio-tools",
    "h5py",
    "jax",
    "jaxlib",
    "jedi",
    "kubernetes",
    "lightgbm",
    "llvmlite",
    "lxml",
    "matplotlib",
    "mypy",
    "networkx",
    "nltk",
    "numba",
    "numpy",
    "onnxruntime",
    "opencv-python",
    "opencv-python-headless",
    "pandas",
    "pillow",
    "pip",
    "plotly",
    "polars",
    "psycopg-binary",
    "psycopg2-binary",
    "pyarrow",
    "pydantic-core",
    "pygments",
    "pymongo",
    "pymupdf",
    "pyspark",
    "rasterio",
    "ruff",
    "scikit-image",
    "scikit-learn",
    "scipy",
    "sentencepiece",
    "shapely",
    "spacy",
    "sqlalchemy",
    "statsmodels",
    "sympy",
    "tensorflow",
    "tokenizers",
    "torch",
    "torchaudio",
    "torchvision",
    "transformers",
    "triton",
    "uv",
    "uvloop",
    "xgboost",
    "@esbuild/linux-arm64",
    "@esbuild/linux-x64",
    "@next/swc-linux-arm64-gnu",
    "@next/swc-linux-x64-gnu",
    "@prisma/client",
    "@swc/core",
    "next",
    "prisma",
    "sharp",
    "typescript",
];

/// One operation a layer.
pub(in crate::packages) fn pack(mut packages: Vec<WithSize>, share: Share, room: Room) -> Vec<PackageOp> {
    packages.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
    let most = match share {
        Share::Most => super::alone(room),
        Share::Few => super::alone(room).div_ceil(4),
    };
    let are_few = packages.len() <= most;
    let is_alone =
        |(package, bytes): &WithSize| are_few || is_large(&package.name) || huge::parts_of(package, *bytes) > 1;
    let is_crowded = packages.iter().filter(|package| is_alone(package)).count() > most;
    let mut layers: BTreeMap<(bool, u64, String), Vec<WithSize>> = BTreeMap::new();
    for package in packages {
        let name = package.0.name.clone();
        let layer = match (is_alone(&package), is_crowded) {
            (true, false) => (true, 0, name),
            (true, true) => (true, bin_of(&name, most), String::new()),
            (false, _) => (false, bin_of(&name, bins(most)), String::new()),
        };
        layers.entry(layer).or_default().push(package);
    }
    huge::layers(layers.into_values().collect(), room)
}

/// How many bins there are where up to so many packages have a layer each.
fn bins(most: usize) -> usize {
    (most * 3 / 5).max(1)
}

fn is_large(name: &str) -> bool {
    // The libraries of a GPU, each of them hundreds of megabytes.
    LARGE.contains(&name) || name.starts_with("nvidia-")
}

/// The bin of a name, for ever (FNV-1a).
fn bin_of(name: &str, bins: usize) -> u64 {
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    hash % bins as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use flashbuild_frontend::package::{Package, PackageLayout, WheelLayout};

    fn package(name: &str, version: &str) -> Package {
        let layout = WheelLayout {
            site: String::new(),
            scripts: String::new(),
            data: String::new(),
            headers: String::new(),
            interpreter: String::new(),
            requested: false,
            bytecode: None,
        };
        let artifact = format!("sha256:{:0>64}", format!("{:x}", name.len() + version.len())).parse().unwrap();
        let layout = PackageLayout::Wheel(layout);
        Package { name: name.to_owned(), version: version.to_owned(), artifact, layout, part: None }
    }

    fn many(count: usize, version: &str) -> Vec<WithSize> {
        (0..count).map(|number| (package(&format!("package-{number}"), version), None)).collect()
    }

    fn all(packages: Vec<WithSize>) -> Vec<PackageOp> {
        pack(packages, Share::Most, Room::Ample)
    }

    /// How many layers of `after` are not in `before`.
    fn changed(before: &[PackageOp], after: &[PackageOp]) -> usize {
        after.iter().filter(|op| !before.contains(op)).count()
    }

    #[test]
    fn few_packages_have_a_layer_each() {
        assert_eq!(all(many(40, "1")).len(), 40);
    }

    #[test]
    fn many_packages_leave_room_and_large_ones_stay_alone() {
        let mut packages = many(900, "1");
        packages.push((package("numpy", "2"), None));
        packages.push((package("nvidia-cufft-cu12", "12"), None));
        let layers = all(packages);
        assert_eq!(layers.len(), 24 + 2);
        assert_eq!(layers.iter().map(|op| op.packages.len()).sum::<usize>(), 902);
        assert_eq!(layers.last().unwrap().packages[0].name, "nvidia-cufft-cu12");
    }

    #[test]
    fn a_change_of_one_package_is_a_change_of_one_layer() {
        let before = all(many(300, "1"));
        let mut packages = many(300, "1");
        packages[17].0.version = "2".to_owned();
        assert_eq!(changed(&before, &all(packages)), 1);
        let mut packages = many(300, "1");
        packages.push((package("another", "1"), None));
        assert_eq!(changed(&before, &all(packages)), 1);
    }
}
