//! How an image came to be, as SLSA describes it.
//!
//! | question | from |
//! |---|---|
//! | what was asked? | arguments, labels, target; the context's address, if it came from elsewhere |
//! | what went in? | the sources among the graph's nodes (`materials`) |
//! | from which commit? | the checkout that the context lies in (`vcs`) |
//! | what was done? | the graph itself, with the lines of the Dockerfile (`steps`), in mode `max` |
//!
//! Names of fields are those that moby/buildkit writes (its `docs/attestations/slsa-definitions.md`), so that what reads its
//! provenance reads ours; the steps are ours and not LLB, therefore the type of the build is our own. Versions 1 and 0.2 hold
//! the same in another arrangement (`v1`, `v0_2`).
//!
//! There is no invocation id, and there are no times unless they are asked for: the same build would say something else each
//! time, and nothing of it could be compared.

mod materials;
mod steps;
mod v0_2;
mod v1;
mod vcs;

use super::Redactor;
use crate::{context::Fetched, git::Commit, http::Download, optimize::owner::Distribution};
use flashbuild_frontend::{
    dockerfile::Options as BuildOptions,
    graph::{Graph, Mount, Network, NodeId, Op},
    platform::Platform,
};
use materials::Material;
use serde::Serialize;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet};
use steps::{Source, Step};
pub use vcs::Vcs;

/// What our fields mean: the type of the build.
const BUILD_TYPE: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/docs/attestations.md#build-type");
/// Who builds, unless somebody says otherwise.
const BUILDER: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "@v", env!("CARGO_PKG_VERSION"));

/// What provenance is to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenanceOptions {
    /// How much.
    pub mode: ProvenanceMode,
    /// In which arrangement.
    pub version: SlsaVersion,
    /// Who builds, as a URI.
    pub builder: Option<String>,
    /// Whether whoever builds says that the same comes out each time.
    pub reproducible: bool,
    /// Whether the checkout is named that the context lies in.
    pub vcs: bool,
    /// When the build started, in seconds since 1970, if times are to be told.
    pub started: Option<i64>,
}

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProvenanceMode {
    /// Sources, and no arguments, labels or steps.
    Min,
    /// Everything but secrets.
    Max,
}

/// A version of SLSA's predicate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlsaVersion {
    /// <https://slsa.dev/spec/v1.1/provenance>
    V1,
    /// <https://slsa.dev/spec/v0.2/provenance>
    V02,
}

/// What is known of a build.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// What to say of it.
    pub options: &'a ProvenanceOptions,
    /// What was done.
    pub graph: &'a Graph,
    /// The node whose tree the image has.
    pub root: NodeId,
    /// What was asked.
    pub asked: &'a BuildOptions,
    /// Name and text of the Dockerfile.
    pub dockerfile: (&'a str, &'a str),
    /// The contexts that came from elsewhere, by name.
    pub fetched: &'a BTreeMap<String, Fetched>,
    /// What references of repositories meant.
    pub commits: &'a BTreeMap<NodeId, Commit>,
    /// What was at addresses.
    pub downloads: &'a BTreeMap<NodeId, Download>,
    /// The checkout that the context lies in.
    pub vcs: Option<&'a Vcs>,
    /// What the image is made from, if that is known.
    pub distribution: Option<&'a Distribution>,
}

/// A predicate, ready to be told.
#[derive(Debug, Clone)]
pub struct Provenance {
    version: SlsaVersion,
    predicate: Box<RawValue>,
}

/// What is told, whatever the arrangement.
struct Told<'a> {
    options: &'a ProvenanceOptions,
    /// Address and digest of the context, if it came from elsewhere.
    config: Option<Material>,
    /// The Dockerfile's name.
    path: &'a str,
    request: Request,
    builder_platform: String,
    materials: BTreeSet<Material>,
    steps: Option<Vec<Step>>,
    source: Option<Source>,
    vcs: Option<&'a Vcs>,
    hermetic: bool,
    /// Whether all that was asked is told.
    request_is_complete: bool,
    /// Whether all that went in is.
    materials_are_complete: bool,
    times: Option<(String, String)>,
}

/// What was asked (`externalParameters.request`).
#[derive(Clone, Serialize)]
struct Request {
    frontend: &'static str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    args: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    secrets: Vec<Grant>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ssh: Vec<Grant>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    locals: Vec<LocalSource>,
}

/// A secret or an agent that some step was lent; never its value.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Grant {
    id: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    optional: bool,
}

#[derive(Clone, Serialize)]
struct LocalSource {
    name: String,
}

/// Who built.
#[derive(Serialize)]
struct Builder<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    version: BTreeMap<&'static str, &'static str>,
}

impl Provenance {
    /// Puts together what is known.
    pub fn of(facts: &Facts<'_>) -> Result<Self, serde_json::Error> {
        let told = Told::of(facts);
        let version = facts.options.version;
        let predicate = match version {
            SlsaVersion::V1 => serde_json::value::to_raw_value(&v1::predicate(&told))?,
            SlsaVersion::V02 => serde_json::value::to_raw_value(&v0_2::predicate(&told))?,
        };
        Ok(Self { version, predicate })
    }

    /// What it is, as a URI.
    pub fn predicate_type(&self) -> &'static str {
        match self.version {
            SlsaVersion::V1 => "https://slsa.dev/provenance/v1",
            SlsaVersion::V02 => "https://slsa.dev/provenance/v0.2",
        }
    }

    /// What it says.
    pub fn predicate(&self) -> &RawValue {
        &self.predicate
    }
}

impl<'a> Told<'a> {
    fn of(facts: &Facts<'a>) -> Self {
        let Facts { options, graph, root, asked, dockerfile: (path, text), fetched, .. } = *facts;
        let nodes = below(graph, root);
        let redactor = Redactor::new(&asked.build_args, graph, &nodes);
        let is_max = options.mode == ProvenanceMode::Max;
        let (args, hidden) = if is_max { arguments(asked, &redactor) } else { (target(asked), has_arguments(asked)) };
        let (mut secrets, mut ssh) = (BTreeSet::new(), BTreeSet::new());
        let (mut locals, mut hermetic) = (BTreeSet::new(), true);
        for id in &nodes {
            match &graph.node(*id).op {
                Op::Exec(op) => {
                    hermetic &= op.network == Network::None;
                    for mount in &op.mounts {
                        match mount {
                            Mount::Secret(mount) => {
                                secrets.insert(Grant { id: mount.id.clone(), optional: !mount.required });
                            }
                            Mount::Ssh(mount) => {
                                ssh.insert(Grant { id: mount.id.clone(), optional: !mount.required });
                            }
                            Mount::Bind(_) | Mount::Cache(_) | Mount::Tmpfs(_) => {}
                        }
                    }
                }
                Op::Local(op) if !fetched.contains_key(&op.name) => {
                    locals.insert(op.name.clone());
                }
                Op::Local(_) | Op::Image(_) | Op::Http(_) | Op::Git(_) | Op::File(_) | Op::Merge | Op::Package(_) => {}
            }
        }
        let materials_are_complete = locals.is_empty();
        let is_ours = !fetched.contains_key("context") && !fetched.contains_key("dockerfile");
        locals.extend(is_ours.then(|| "dockerfile".to_owned()));
        Self {
            options,
            config: fetched.get("context").map(|context| Material::fetched(context, &redactor)),
            path,
            request: Request {
                frontend: "dockerfile.v0",
                args,
                secrets: if is_max { secrets.into_iter().collect() } else { Vec::new() },
                ssh: if is_max { ssh.into_iter().collect() } else { Vec::new() },
                locals: locals.into_iter().map(|name| LocalSource { name }).collect(),
            },
            builder_platform: Platform::host().to_string(),
            materials: materials::of(facts, &nodes, &redactor),
            steps: is_max.then(|| steps::of(graph, &nodes, &redactor)),
            source: is_max.then(|| Source::of(graph, &nodes, (path, text), &redactor)),
            vcs: facts.vcs,
            hermetic: hermetic && materials_are_complete,
            request_is_complete: !hidden,
            materials_are_complete,
            times: options.started.map(|started| (moment(started), moment(jiff::Timestamp::now().as_second()))),
        }
    }

    fn builder(&self) -> &str {
        self.options.builder.as_deref().unwrap_or(BUILDER)
    }
}

/// The nodes that the tree of `root` came from, itself among them.
fn below(graph: &Graph, root: NodeId) -> BTreeSet<NodeId> {
    let (mut waiting, mut seen) = (vec![root], BTreeSet::new());
    while let Some(id) = waiting.pop() {
        if seen.insert(id) {
            waiting.extend(&graph.node(id).inputs);
        }
    }
    seen
}

/// All that was asked, by the names that frontends of moby/buildkit have for it; and whether something of it is not told.
fn arguments(asked: &BuildOptions, redactor: &Redactor) -> (BTreeMap<String, String>, bool) {
    let mut args = target(asked);
    let mut hidden = false;
    let mut add = |prefix: &str, name: &str, value: &str| {
        let told = redactor.named(name, value);
        hidden |= told != value;
        args.insert(format!("{prefix}:{name}"), told);
    };
    asked.build_args.iter().for_each(|(name, value)| add("build-arg", name, value));
    asked.labels.iter().for_each(|(name, value)| add("label", name, value));
    if let Some(epoch) = asked.epoch {
        args.insert("build-arg:SOURCE_DATE_EPOCH".to_owned(), epoch.to_string());
    }
    (args, hidden)
}

fn has_arguments(asked: &BuildOptions) -> bool {
    !asked.build_args.is_empty() || !asked.labels.is_empty()
}

fn target(asked: &BuildOptions) -> BTreeMap<String, String> {
    asked.target.iter().map(|target| ("target".to_owned(), target.clone())).collect()
}

fn moment(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
}

#[cfg(test)]
mod tests;
