//! The graph of a build: plain data, the only contract between a frontend and the core.
//!
//! Invariants, kept by [`Graph::add`]:
//!
//! - A node's inputs were added before it: the order of ids is a topological order, and there are no circles.
//! - Equal work is one node. Two additions with the same operation, inputs and platform give the same id, so whatever
//!   two target platforms have in common is done once; [`Node::targets`] says for whom.
//! - A node has a platform only if its result depends on it: [`Op::Image`] and [`Op::Exec`] do, files, merges and
//!   packages do not.
//!
//! Every node but [`Op::Local`], [`Op::Http`] and [`Op::Git`] results in a *tree*, an ordered list of layers. [`Op::Exec`] and [`Op::File`] result in the
//! tree of their first input plus exactly one layer (possibly one without entries).
//!
//! Absent on purpose: how a node is keyed, run, stored or shown. No node holds a secret's value or a file's bytes from
//! the context.

mod mount;

pub use mount::{BindMount, CacheMount, Mount, SecretMount, Sharing, SshMount, TmpfsMount};

use crate::{config::ImageConfig, diagnostic::Span, package::PackageOp, platform::Platform, remote::shown};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A build as data.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Graph {
    nodes: Vec<Node>,
    by_work: HashMap<(Op, Vec<NodeId>, Option<Platform>), NodeId>,
    /// What the build is for: one image per target platform, in the order asked for.
    pub outputs: Vec<Output>,
    /// `SOURCE_DATE_EPOCH`, seconds since 1970: no time in a layer or a configuration made here is later.
    pub epoch: Option<i64>,
}

/// Position of a node in its graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NodeId(usize);

impl NodeId {
    /// The position as a number, dense from 0.
    pub fn index(self) -> usize {
        self.0
    }
}

/// One unit of work.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// What to do.
    pub op: Op,
    /// On what: all of them earlier nodes.
    pub inputs: Vec<NodeId>,
    /// The machine that the result is for, if it makes a difference.
    pub platform: Option<Platform>,
    /// Shown to people: `[build 2/5] RUN make`.
    pub name: String,
    /// The instruction in the source, if the node comes from one.
    pub span: Option<Span>,
    /// The target platforms whose images need the node; more than one means that the work is shared.
    pub targets: BTreeSet<Platform>,
    /// Whether it is to be done again, whatever is recorded: `--no-cache`.
    pub fresh: bool,
}

/// An operation. A closed set: whoever runs it matches every case.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Op {
    /// The tree of an image in a registry. No inputs.
    Image(ImageOp),
    /// Files of the person who builds. No inputs; results in a file listing, not in a tree.
    Local(LocalOp),
    /// A file at an address. No inputs; results in a listing of that file, not in a tree.
    Http(HttpOp),
    /// Files of a repository. No inputs; results in a file listing, not in a tree.
    Git(GitOp),
    /// A process run on the first input.
    Exec(Box<ExecOp>),
    /// Files copied or made on top of the first input, as one layer.
    File(FileOp),
    /// The layers of all inputs, in their order, on top of each other. Without inputs: the empty tree (`scratch`).
    Merge,
    /// Packages of a lock file, unpacked into one layer. No inputs.
    Package(PackageOp),
}

/// One image for one platform, pinned.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ImageOp {
    /// Normalised name with tag or digest, as resolved: `docker.io/library/debian:bookworm`.
    pub reference: String,
    /// Digest of the manifest of this platform: what the name meant when it was resolved.
    pub digest: String,
}

/// A set of files on the machine of the person who builds.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LocalOp {
    /// Which set: `context`, or the name of a `--build-context`.
    pub name: String,
    /// `.dockerignore` patterns in their order, comments and blanks removed; see [`crate::ignore`].
    pub exclude: Vec<String>,
}

/// One file at an address.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HttpOp {
    /// `http:` or `https:`.
    pub url: String,
    /// What the file is called in the listing: one component of a path.
    pub name: String,
    /// The digest that it must have: `sha256:` and 64 hexadecimal digits.
    pub checksum: Option<String>,
}

/// Files of a repository, as of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct GitOp {
    /// What `git` is given; checked by [`crate::remote::GitAddress`].
    pub remote: String,
    /// Branch, tag or commit; `None` is the default branch.
    pub reference: Option<String>,
    /// How the commit has to start, in lower-case hexadecimal digits.
    pub checksum: Option<String>,
    /// Whether `.git` stays.
    pub keep_git_dir: bool,
    /// Whether submodules are checked out.
    pub submodules: bool,
    /// Whether the commit is the checksum, without asking what the reference means.
    pub fetch_by_commit: bool,
}

/// A process, run to completion in a sandbox on the tree of input 0. Further inputs are the trees of its mounts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ExecOp {
    /// Program and arguments; the program is looked up in `PATH` of `env` inside the tree.
    pub args: Vec<String>,
    /// `NAME=value`, complete but for proxy variables.
    pub env: Vec<String>,
    /// Absolute path of the working directory; made if absent.
    pub cwd: String,
    /// `user[:group]` by name or number, looked up in the tree; empty means root.
    pub user: String,
    /// The name of the host that the process sees; none means the usual one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// What the process reaches of the network.
    pub network: Network,
    /// How far the process is kept from the machine that it runs on.
    pub security: Security,
    /// Devices of that machine which the process uses.
    pub devices: Vec<Device>,
    /// What is mounted over the tree while the process runs; in order, the later over the earlier.
    pub mounts: Vec<Mount>,
    /// Files shown to the process that never become part of a layer (the body of a heredoc that is a script).
    pub files: Vec<ScriptFile>,
    /// Programs without which it is not started.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<NeededProgram>,
    /// No time in its layer is later, in seconds since 1970; an earlier [`Graph::epoch`] wins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<i64>,
}

/// A program that has to be in the tree before a process can do its work.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NeededProgram {
    /// Its name, looked up in `PATH`.
    pub name: String,
    /// What to do where it is absent.
    pub hint: String,
}

/// What a process reaches of the network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Network {
    /// The outside world.
    #[default]
    Default,
    /// Loopback of its own, nothing else.
    None,
    /// Everything that the host reaches, its loopback included.
    Host,
}

/// How far a process is kept from the machine that it runs on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Security {
    /// As container engines do by default.
    #[default]
    Sandbox,
    /// Hardly: only for builds that are trusted with the machine.
    Insecure,
}

/// A device of the machine that a process runs on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Device {
    /// A path such as `/dev/kvm`, or a name of the Container Device Interface such as `vendor.com/class=name`.
    pub name: String,
    /// Whether the process cannot do without.
    pub required: bool,
}

/// A read-only file placed over the tree while a process runs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ScriptFile {
    /// Absolute path inside the tree.
    pub path: String,
    /// The bytes.
    pub content: String,
    /// Permission bits.
    pub mode: u32,
}

/// Changes of files, done in order, that together are one layer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FileOp {
    /// The changes.
    pub actions: Vec<FileAction>,
}

/// One change of files.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileAction {
    /// Copies from another input.
    Copy(CopyAction),
    /// Makes a folder and its missing parents; an existing folder stays as it is.
    MakeDir(MakeDir),
    /// Makes a file of given content.
    MakeFile(MakeFile),
}

/// Files of one input, placed into the tree of input 0.
///
/// A source that is a folder gives its contents, not itself (Dockerfile reference, `COPY`). Symbolic links among the
/// copied files stay links; links in the path of a source or of the destination are followed inside their tree.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CopyAction {
    /// Index into the node's inputs: a [`Op::Local`] or any tree.
    pub from: usize,
    /// What of that input, in this order.
    pub sources: Vec<CopySource>,
    /// Patterns of [`crate::ignore`], relative to each source: what they match stays behind.
    pub exclude: Vec<String>,
    /// Absolute path in the tree.
    pub dest: String,
    /// Whether `dest` is a folder to copy into (it ends in `/`, or there are several sources).
    pub into_dir: bool,
    /// Owner of everything copied. `None` keeps a tree's owners and gives files of the person who builds to root.
    pub owner: Option<Owner>,
    /// Permissions of everything copied; `None` keeps them.
    pub mode: Option<Mode>,
    /// Whether a source that is a tar archive (plain, gzip, bzip2, xz, zstd) is unpacked instead (`ADD`).
    pub unpack: bool,
}

/// What to copy. All paths are absolute inside the input and [patterns](crate::glob) where
/// [`crate::glob::has_wildcards`]; none leads outside. A pattern may match nothing, a plain path must exist.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CopySource {
    /// A file, or the contents of a folder, placed right into the destination.
    Flat(String),
    /// What is below a folder, placed with all the folders from there on (`--parents`).
    WithParents {
        /// The folder: what is before `/./` in the Dockerfile, or the root.
        pivot: String,
        /// A pattern of [`crate::ignore`], relative to the pivot; `.` is all of it.
        below: String,
    },
}

/// A folder to make.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MakeDir {
    /// Absolute path in the tree.
    pub path: String,
    /// Permission bits of what is made.
    pub mode: u32,
    /// Owner of what is made; `None` is root.
    pub owner: Option<Owner>,
}

/// A file to make, over whatever file is there.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MakeFile {
    /// Absolute path in the tree, or of the folder to make it in if it ends in `/`.
    pub path: String,
    /// Name of the file where `path` is a folder.
    pub name: String,
    /// The bytes.
    pub content: String,
    /// Permissions.
    pub mode: Option<Mode>,
    /// Owner; `None` is root.
    pub owner: Option<Owner>,
}

/// A user and a group.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Owner {
    /// The user.
    pub user: Id,
    /// The group; `None` is the user's primary group, or the same number where the user is a number.
    pub group: Option<Id>,
    /// Index of the input whose `/etc/passwd` and `/etc/group` give names their numbers.
    pub names_in: usize,
}

/// A user or a group, by number or name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Id {
    /// By number.
    Number(u32),
    /// By name, to be looked up inside a tree.
    Name(String),
}

/// A change of permission bits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Exactly these bits, set-id and sticky bits included.
    Octal(u32),
    /// As `chmod` reads it: `u=rwX,go=rX`.
    Symbolic(String),
}

/// One image that the build is for.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// Its platform.
    pub platform: Platform,
    /// The node whose tree it holds.
    pub root: NodeId,
    /// Its configuration. `rootfs` and `history` hold what the base image brought; [`Output::steps`] continue them.
    pub config: ImageConfig,
    /// What the build added, oldest first: as many steps with a layer as `root`'s tree has layers above the base's.
    pub steps: Vec<HistoryStep>,
}

/// One future entry of an image's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryStep {
    /// The instruction, as engines show it.
    pub created_by: String,
    /// Whether a layer belongs to it.
    pub layer: bool,
}

impl HttpOp {
    /// The address for people, without a password.
    pub fn shown(&self) -> String {
        shown(&self.url)
    }
}

impl GitOp {
    /// The address for people, without a password, and the reference.
    pub fn shown(&self) -> String {
        let reference = self.reference.as_ref().map(|reference| format!("#{reference}")).unwrap_or_default();
        shown(&self.remote) + &reference
    }
}

impl Graph {
    /// An empty graph whose times end at `epoch`.
    pub fn new(epoch: Option<i64>) -> Self {
        Self { epoch, ..Self::default() }
    }

    /// Adds a node, or finds the one that does the same work and adds the targets to it.
    ///
    /// # Panics
    /// If an input is not in the graph.
    pub fn add(&mut self, node: Node) -> NodeId {
        assert!(node.inputs.iter().all(|input| input.0 < self.nodes.len()), "an input must be added before its user");
        let work = (node.op.clone(), node.inputs.clone(), node.platform.clone());
        if let Some(&known) = self.by_work.get(&work) {
            self.aim(known, &node.targets);
            self.nodes[known.0].fresh |= node.fresh;
            return known;
        }
        let id = NodeId(self.nodes.len());
        let targets = node.targets.clone();
        self.nodes.push(node);
        self.by_work.insert(work, id);
        self.aim(id, &targets);
        id
    }

    /// The node of an id of this graph.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    /// All nodes, inputs before their users.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = (NodeId, &Node)> + DoubleEndedIterator {
        self.nodes.iter().enumerate().map(|(index, node)| (NodeId(index), node))
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Nodes that some output needs, with how many of the outputs need each.
    pub fn needed(&self) -> BTreeMap<NodeId, usize> {
        let mut counts = BTreeMap::new();
        for output in &self.outputs {
            let mut seen = BTreeSet::new();
            let mut waiting = vec![output.root];
            while let Some(id) = waiting.pop() {
                if seen.insert(id) {
                    waiting.extend(&self.node(id).inputs);
                }
            }
            for id in seen {
                *counts.entry(id).or_default() += 1;
            }
        }
        counts
    }

    /// What the outputs of `other` need was done just now: where this graph needs it too, it is not done again.
    pub fn done(&mut self, other: &Self) {
        let mut same: HashMap<NodeId, NodeId> = HashMap::new();
        for id in other.needed().into_keys() {
            let node = other.node(id);
            let Some(inputs) = node.inputs.iter().map(|input| same.get(input).copied()).collect() else { continue };
            if let Some(&known) = self.by_work.get(&(node.op.clone(), inputs, node.platform.clone())) {
                self.nodes[known.0].fresh = false;
                same.insert(id, known);
            }
        }
    }

    fn aim(&mut self, id: NodeId, targets: &BTreeSet<Platform>) {
        self.nodes[id.0].targets.extend(targets.iter().cloned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(target: &str) -> Node {
        Node {
            op: Op::Local(LocalOp { name: "context".to_owned(), exclude: Vec::new() }),
            inputs: Vec::new(),
            platform: None,
            name: "load build context".to_owned(),
            span: None,
            targets: BTreeSet::from([target.parse().unwrap()]),
            fresh: false,
        }
    }

    #[test]
    fn equal_work_of_two_targets_is_one_node() {
        let mut graph = Graph::new(None);
        let first = graph.add(local("linux/amd64"));
        let second = graph.add(local("linux/arm64"));
        assert_eq!(first, second);
        assert_eq!(graph.len(), 1);
        assert_eq!(graph.node(first).targets.len(), 2);
    }

    #[test]
    fn what_another_graph_did_is_not_done_again() {
        let node = |name: &str, inputs: Vec<NodeId>| Node {
            op: Op::Local(LocalOp { name: name.to_owned(), exclude: Vec::new() }),
            inputs,
            fresh: true,
            ..local("linux/amd64")
        };
        let mut part = Graph::new(None);
        let low = part.add(node("low", Vec::new()));
        let root = part.add(node("high", vec![low]));
        part.outputs =
            vec![Output { platform: Platform::host(), root, config: ImageConfig::default(), steps: Vec::new() }];
        let mut whole = Graph::new(None);
        let other = whole.add(node("other", Vec::new()));
        let low = whole.add(node("low", Vec::new()));
        let (high, above) = (whole.add(node("high", vec![low])), whole.add(node("high", vec![other])));
        whole.done(&part);
        let fresh: Vec<bool> = [low, high, other, above].iter().map(|id| whole.node(*id).fresh).collect();
        assert_eq!(fresh, [false, false, true, true]);
    }

    #[test]
    #[should_panic(expected = "an input must be added before its user")]
    fn an_unknown_input_is_refused() {
        let mut graph = Graph::new(None);
        graph.add(Node { inputs: vec![NodeId(7)], op: Op::Merge, ..local("linux/amd64") });
    }
}
