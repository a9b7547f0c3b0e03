//! What went into an image, each with its digest.

use super::{Facts, Redactor};
use crate::{
    attest::{contents, image_purl::image_purl},
    context::{Fetched, FetchedDigest},
};
use flashbuild_frontend::{
    graph::{NodeId, Op},
    reference::Reference,
};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Something that went in: where it was, and what it was.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Material {
    pub(super) uri: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) digest: BTreeMap<&'static str, String>,
}

impl Material {
    fn new(uri: String, algorithm: &'static str, hex: &str) -> Self {
        Self { uri, digest: BTreeMap::from([(algorithm, hex.to_owned())]) }
    }

    /// A context that came from elsewhere.
    pub(super) fn fetched(context: &Fetched, redactor: &Redactor) -> Self {
        let uri = redactor.text(&context.address);
        match &context.digest {
            FetchedDigest::Commit(id) => Self::new(uri, commit_algorithm(id), id),
            FetchedDigest::File(blob) => Self::new(uri, "sha256", &blob.hex()),
        }
    }
}

/// All that went into `nodes`, and the contexts.
pub(super) fn of(facts: &Facts<'_>, nodes: &BTreeSet<NodeId>, redactor: &Redactor) -> BTreeSet<Material> {
    let mut materials: BTreeSet<Material> =
        facts.fetched.values().map(|context| Material::fetched(context, redactor)).collect();
    for id in nodes {
        let node = facts.graph.node(*id);
        match &node.op {
            Op::Image(op) => {
                let name = op.reference.parse::<Reference>();
                let uri = name.map_or_else(|_| op.reference.clone(), |name| image_purl(&name, node.platform.as_ref()));
                let hex = op.digest.rsplit(':').next().unwrap_or_default();
                materials.insert(Material::new(uri, "sha256", hex));
            }
            Op::Http(op) => {
                let digest = facts.downloads.get(id).map(|download| ("sha256", download.blob.hex()));
                materials.insert(Material { uri: redactor.text(&op.url), digest: digest.into_iter().collect() });
            }
            Op::Git(op) => {
                let reference = op.reference.as_ref().map(|reference| format!("#{reference}")).unwrap_or_default();
                let digest = facts.commits.get(id).map(|commit| (commit_algorithm(&commit.id), commit.id.clone()));
                let uri = redactor.text(&op.remote) + &reference;
                materials.insert(Material { uri, digest: digest.into_iter().collect() });
            }
            Op::Package(op) => materials.extend(op.packages.iter().map(|package| {
                let uri = contents::purl(package, facts.distribution);
                let algorithm = if package.artifact.algorithm() == "sha512" { "sha512" } else { "sha256" };
                Material::new(uri, algorithm, package.artifact.hex())
            })),
            Op::Local(_) | Op::Exec(_) | Op::File(_) | Op::Merge => {}
        }
    }
    materials
}

/// How a repository names its commits: by 40 digits, or by 64.
fn commit_algorithm(id: &str) -> &'static str {
    if id.len() == 64 { "sha256" } else { "sha1" }
}
