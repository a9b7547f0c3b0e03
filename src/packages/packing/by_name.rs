//! Packages of locks that mostly do not say how large an artifact is.
//!
//! - A package's bin follows from its *name* alone, never from its version, its size or its neighbours: what is around a
//!   package that changes stays where it is, in this image and in every other.
//! - Few packages get a layer each. Beyond [`MOST_LAYERS`], they share [`BINS`] bins: container engines stop at 127 layers,
//!   and whoever builds on the image needs some.
//! - Layers come in the order of their bins, and packages in that of their names, so that chains of layers stay stable.
//!
//! [`LARGE`] names what is known to be large and to change often: each gets a layer of its own in any case, and what is
//! [`huge`], several.

use super::huge::{self, WithSize};
use flashbuild_frontend::package::PackageOp;
use std::collections::BTreeMap;

/// Up to so many packages have a layer each.
const MOST_LAYERS: usize = 40;
/// How many bins there are beyond.
const BINS: u64 = 24;

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

/// One operation a layer. The packages come with the size of their artifacts, where a lock says it.
pub(in crate::packages) fn pack(mut packages: Vec<WithSize>) -> Vec<PackageOp> {
    packages.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
    let alone = packages.len() <= MOST_LAYERS;
    let mut bins: BTreeMap<(u64, String), Vec<WithSize>> = BTreeMap::new();
    for (package, bytes) in packages {
        let bin = if alone || is_large(&package.name) || huge::parts_of(&package, bytes) > 1 {
            (BINS, package.name.clone())
        } else {
            (bin_of(&package.name), String::new())
        };
        bins.entry(bin).or_default().push((package, bytes));
    }
    huge::layers(bins.into_values().collect())
}

fn is_large(name: &str) -> bool {
    // The libraries of a GPU, each of them hundreds of megabytes.
    LARGE.contains(&name) || name.starts_with("nvidia-")
}

/// The bin of a name, for ever (FNV-1a).
fn bin_of(name: &str) -> u64 {
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    hash % BINS
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

    /// How many layers of `after` are not in `before`.
    fn changed(before: &[PackageOp], after: &[PackageOp]) -> usize {
        after.iter().filter(|op| !before.contains(op)).count()
    }

    #[test]
    fn few_packages_have_a_layer_each() {
        assert_eq!(pack(many(MOST_LAYERS, "1")).len(), MOST_LAYERS);
    }

    #[test]
    fn many_packages_leave_room_and_large_ones_stay_alone() {
        let mut packages = many(900, "1");
        packages.push((package("numpy", "2"), None));
        packages.push((package("nvidia-cufft-cu12", "12"), None));
        let layers = pack(packages);
        assert_eq!(layers.len() as u64, BINS + 2);
        assert_eq!(layers.iter().map(|op| op.packages.len()).sum::<usize>(), 902);
        assert_eq!(layers.last().unwrap().packages[0].name, "nvidia-cufft-cu12");
    }

    #[test]
    fn a_change_of_one_package_is_a_change_of_one_layer() {
        let before = pack(many(300, "1"));
        let mut packages = many(300, "1");
        packages[17].0.version = "2".to_owned();
        assert_eq!(changed(&before, &pack(packages)), 1);
        let mut packages = many(300, "1");
        packages.push((package("another", "1"), None));
        assert_eq!(changed(&before, &pack(packages)), 1);
    }
}
