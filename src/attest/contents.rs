//! The packages of an image, as both formats of SBOM need them.

use crate::{
    image::{DiffId, Digest},
    layer::LayerError,
    optimize::owner::{Distribution, Ecosystem, ImageTree, Inventory, Package},
    store::{RecordKey, RecordKind, Store, StoreError},
};
use flashbuild_frontend::{
    graph::{Graph, NodeId, Op},
    package::{self, ArtifactHash, PackageLayout},
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Changes whenever other packages, or other facts of them, are found in equal layers.
const VERSION: &str = "flashbuild contents 1";

/// What an image contains.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// The packages, in an order of their own.
    pub components: Vec<Component>,
    /// What the image is made from, if it says so.
    pub distribution: Option<Distribution>,
    /// What could not be read, a sentence each.
    pub notes: Vec<String>,
}

/// A package of an image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Component {
    /// Where it came from.
    pub ecosystem: Ecosystem,
    /// As its ecosystem spells it.
    pub name: String,
    /// Likewise.
    pub version: String,
    /// What says that it is there: a path of the image, or `DEPS`.
    pub found_in: String,
    /// Its package URL.
    pub purl: String,
    /// Licences as it states them.
    pub licences: Vec<String>,
    /// Of the artifacts that it was unpacked from, where this build knows them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub hashes: BTreeSet<ArtifactHash>,
}

impl Contents {
    /// Finds what is in a tree.
    pub fn of(tree: &ImageTree<'_>) -> Result<Self, LayerError> {
        let Inventory { packages, distribution, notes, .. } = Inventory::of(tree)?;
        let component = |package: Package| Component {
            purl: package.purl(distribution.as_ref()),
            found_in: format!("/{}", String::from_utf8_lossy(&package.found_in)),
            ecosystem: package.ecosystem,
            name: package.name,
            version: package.version,
            licences: package.licences,
            hashes: BTreeSet::new(),
        };
        let mut components: Vec<Component> = packages.into_iter().map(component).collect();
        components.sort_unstable();
        components.dedup();
        Ok(Self { components, distribution, notes })
    }

    /// What was found in these layers before.
    pub fn known(store: &Store, layers: &[DiffId]) -> Result<Option<Self>, StoreError> {
        let key = key(layers);
        let value = store.records(&[key])?.remove(&key);
        Ok(value.and_then(|value| serde_json::from_slice(&value).ok()))
    }

    /// Remembers what was found in these layers.
    pub fn remember(&self, store: &Store, layers: &[DiffId]) -> Result<(), StoreError> {
        let value = serde_json::to_vec(self).expect("texts are plain data");
        store.put_record(key(layers), RecordKind::Content, &value, &[])
    }

    /// Adds what the build itself knows: the hashes of the artifacts that `DEPS` unpacked into the tree of `root`, and those
    /// packages of it that nothing in the tree speaks of.
    #[must_use]
    pub fn with_deps(mut self, graph: &Graph, root: NodeId) -> Self {
        let mut known: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (index, component) in self.components.iter().enumerate() {
            let same = identity(component.ecosystem, &component.name, &component.version);
            known.entry(same).or_default().push(index);
        }
        for package in packages_in(graph, root) {
            let ecosystem = ecosystem(&package.layout);
            let same = identity(ecosystem, &package.name, &package.version);
            if let Some(found) = known.get(&same) {
                for index in found {
                    self.components[*index].hashes.insert(package.artifact.clone());
                }
                continue;
            }
            known.insert(same, vec![self.components.len()]);
            self.components.push(Component {
                ecosystem,
                name: package.name.clone(),
                version: package.version.clone(),
                found_in: "DEPS".to_owned(),
                purl: purl(package, self.distribution.as_ref()),
                licences: Vec::new(),
                hashes: BTreeSet::from([package.artifact.clone()]),
            });
        }
        self.components.sort_unstable();
        self
    }
}

/// The package URL of a package of `DEPS`. The machine that a package of Debian is for is not in the plan.
pub(super) fn purl(package: &package::Package, distribution: Option<&Distribution>) -> String {
    let debian = Distribution { id: "debian".to_owned(), ..Distribution::default() };
    let named = bare(ecosystem(&package.layout), &package.name, &package.version);
    named.purl(Some(distribution.unwrap_or(&debian)))
}

/// The packages whose layers are in the tree of `root`, each once.
fn packages_in(graph: &Graph, root: NodeId) -> Vec<&package::Package> {
    let mut packages = Vec::new();
    let (mut waiting, mut seen) = (vec![root], BTreeSet::new());
    while let Some(id) = waiting.pop() {
        if !seen.insert(id) {
            continue;
        }
        let node = graph.node(id);
        match &node.op {
            Op::Package(op) => packages.extend(&op.packages),
            Op::Merge => waiting.extend(&node.inputs),
            Op::Exec(_) | Op::File(_) => waiting.extend(node.inputs.first()),
            Op::Image(_) | Op::Local(_) | Op::Http(_) | Op::Git(_) => {}
        }
    }
    packages
}

fn ecosystem(layout: &PackageLayout) -> Ecosystem {
    match layout {
        PackageLayout::Deb(_)
        | PackageLayout::DebAlternatives
        | PackageLayout::DebDatabase
        | PackageLayout::DebStatus => Ecosystem::Deb,
        PackageLayout::Tarball(_) => Ecosystem::Node,
        PackageLayout::File(_) | PackageLayout::MadeWheel(_) | PackageLayout::Wheel(_) => Ecosystem::Python,
    }
}

/// What two spellings of one package have in common.
fn identity(ecosystem: Ecosystem, name: &str, version: &str) -> String {
    bare(ecosystem, name, version).purl(None)
}

fn bare(ecosystem: Ecosystem, name: &str, version: &str) -> Package {
    Package {
        ecosystem,
        name: name.to_owned(),
        version: version.to_owned(),
        architecture: None,
        source: None,
        licences: Vec::new(),
        depends: Vec::new(),
        found_in: Vec::new(),
        files: Vec::new(),
        bytes: 0,
    }
}

fn key(layers: &[DiffId]) -> RecordKey {
    let mut text = VERSION.to_owned();
    for layer in layers {
        text.push(' ');
        text.push_str(&layer.to_string());
    }
    RecordKey(*Digest::of(text.as_bytes()).as_bytes())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use flashbuild_frontend::{
        graph::Node,
        package::{PackageOp, WheelLayout},
    };

    pub(in crate::attest) fn component(ecosystem: Ecosystem, name: &str, version: &str, licence: &str) -> Component {
        Component {
            ecosystem,
            name: name.to_owned(),
            version: version.to_owned(),
            found_in: "/var/lib/somewhere".to_owned(),
            purl: bare(ecosystem, name, version).purl(None),
            licences: vec![licence.to_owned()],
            hashes: BTreeSet::new(),
        }
    }

    /// A graph whose root has the package `name`.
    pub(in crate::attest) fn graph_of_wheel(name: &str, version: &str) -> (Graph, NodeId) {
        let text = String::new;
        let layout = WheelLayout {
            site: text(),
            scripts: text(),
            data: text(),
            headers: text(),
            interpreter: text(),
            requested: true,
            bytecode: None,
        };
        let package = package::Package {
            name: name.to_owned(),
            version: version.to_owned(),
            artifact: ArtifactHash::new("sha256", &"ab".repeat(32)).unwrap(),
            layout: PackageLayout::Wheel(layout),
            part: None,
        };
        let mut graph = Graph::new(None);
        let op = Op::Package(PackageOp { packages: vec![package], files: Vec::new() });
        let root = graph.add(Node {
            op,
            inputs: Vec::new(),
            platform: None,
            name: "DEPS python".to_owned(),
            span: None,
            targets: BTreeSet::new(),
            fresh: false,
        });
        (graph, root)
    }

    #[test]
    fn deps_give_hashes_to_what_is_found_and_name_what_is_not() {
        let found = Contents {
            components: vec![component(Ecosystem::Python, "Flask_Cors", "1.0", "MIT")],
            ..Contents::default()
        };
        let (graph, root) = graph_of_wheel("flask-cors", "1.0");
        let both = found.clone().with_deps(&graph, root);
        assert_eq!(both.components.len(), 1);
        assert_eq!(both.components[0].hashes.iter().next().unwrap().hex(), "ab".repeat(32));

        let (graph, root) = graph_of_wheel("flask", "2.0");
        let both = found.with_deps(&graph, root);
        let listed: Vec<_> = both.components.iter().map(|it| (it.purl.as_str(), it.found_in.as_str())).collect();
        assert_eq!(listed, [("pkg:pypi/flask-cors@1.0", "/var/lib/somewhere"), ("pkg:pypi/flask@2.0", "DEPS")]);
    }

    #[test]
    fn contents_are_remembered_by_their_layers() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let found = Contents {
            components: vec![component(Ecosystem::Deb, "bash", "5.2", "GPL-3+")],
            distribution: Some(Distribution {
                id: "debian".to_owned(),
                version: "12".to_owned(),
                title: "D".to_owned(),
            }),
            notes: vec!["a note".to_owned()],
        };
        let (one, other) = (DiffId(Digest::of(b"1")), DiffId(Digest::of(b"2")));
        assert_eq!(Contents::known(&store, &[one, other]).unwrap(), None);
        found.remember(&store, &[one, other]).unwrap();
        assert_eq!(Contents::known(&store, &[one, other]).unwrap(), Some(found));
        assert_eq!(Contents::known(&store, &[other, one]).unwrap(), None);
    }
}
