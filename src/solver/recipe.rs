//! What a key was made of, kept beside the record so that a later miss can say what differs.
//!
//! A [`Recipe`] is not looked up and decides nothing: keys do. It holds names and short digests, and texts where people
//! want to see them; never the value of a secret (the graph has none), nor of a variable whose name sounds like one.

use super::{
    Key,
    key::{self, SCHEMA},
    parameters,
};
use flashbuild_frontend::graph::{Graph, Node, NodeId, Op};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Longer values are shown by their beginning.
const SHOWN: usize = 400;

/// What a key was made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipe {
    /// The version of all keys.
    pub schema: String,
    /// The image that an `Image` operation stands for, and its digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<(String, String)>,
    /// What the operation says, and what else is no file and no step.
    pub parameters: Vec<Parameter>,
    /// The files that it selects from contexts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileFact>,
    /// The steps that it takes something from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<InputFact>,
}

/// A named value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameter {
    /// What it is called.
    pub name: String,
    /// The value, if it may be shown; its beginning if it is long.
    pub shown: Option<String>,
    /// Of the whole value.
    pub digest: ShortDigest,
}

/// A file of a context.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileFact {
    /// Its path in the context.
    pub path: String,
    /// `file`, `folder`, `link`…
    pub kind: FileKind,
    /// Permission bits.
    pub mode: u32,
    /// Owner and group.
    pub owner: (u32, u32),
    /// Of the bytes, or of what a link says.
    pub content: ShortDigest,
}

/// What a file of a context is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileKind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
    /// Anything else.
    Other,
}

/// A step that another takes something from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputFact {
    /// What it is called, without its number.
    pub name: String,
    /// The beginning of its key.
    pub key: ShortDigest,
}

/// The first 8 bytes of a digest: enough to tell what changed, too short to trust.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ShortDigest(u64);

impl ShortDigest {
    /// Of bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self::from_digest(blake3::hash(bytes).as_bytes())
    }

    /// The beginning of a digest.
    pub fn from_digest(digest: &[u8; 32]) -> Self {
        let (first, _) = digest.split_first_chunk::<8>().expect("a digest has 32 bytes");
        Self(u64::from_le_bytes(*first))
    }
}

impl Parameter {
    /// A value that everybody may see.
    pub(super) fn new(name: impl Into<String>, value: impl AsRef<str>) -> Self {
        let value = value.as_ref();
        let end = value.floor_char_boundary(SHOWN);
        let shown = if end < value.len() { format!("{}…", &value[..end]) } else { value.to_owned() };
        Self { name: name.into(), shown: Some(shown), digest: ShortDigest::of(value.as_bytes()) }
    }

    /// A value that is not kept.
    pub(super) fn hidden(name: impl Into<String>, value: &str) -> Self {
        Self { name: name.into(), shown: None, digest: ShortDigest::of(value.as_bytes()) }
    }
}

impl Recipe {
    /// That of node `id`, which selects `files`; `facts` are those of all nodes of the graph.
    pub(super) fn of(
        graph: &Graph,
        id: NodeId,
        keys: &BTreeMap<NodeId, Key>,
        facts: &BTreeMap<NodeId, Vec<u8>>,
        files: Vec<FileFact>,
    ) -> Self {
        let node = graph.node(id);
        let mut parameters = parameters::of(&node.op);
        parameters.extend(node.platform.iter().map(|platform| Parameter::new("platform", platform.to_string())));
        parameters.push(Parameter::new("SOURCE_DATE_EPOCH", key::epoch(node, graph.epoch)));
        let mut recipe = Self { schema: SCHEMA.to_owned(), base: None, parameters, files, inputs: Vec::new() };
        if let Op::Image(image) = &node.op {
            recipe.base = Some((image.reference.clone(), image.digest.clone()));
        }
        let mut waiting: Vec<NodeId> = node.inputs.iter().rev().copied().collect();
        while let Some(input) = waiting.pop() {
            recipe.add_input(graph.node(input), keys[&input], facts.get(&input));
            if matches!(graph.node(input).op, Op::Merge) {
                waiting.extend(graph.node(input).inputs.iter().rev());
            }
        }
        recipe
    }

    fn add_input(&mut self, node: &Node, key: Key, facts: Option<&Vec<u8>>) {
        let found = || facts.map(|facts| String::from_utf8_lossy(facts).into_owned()).unwrap_or_default();
        match &node.op {
            Op::Image(_) | Op::Exec(_) | Op::File(_) | Op::Package(_) => {
                let name = super::identity::title(&node.name).to_owned();
                self.inputs.push(InputFact { name, key: ShortDigest::from_digest(&key.0) });
            }
            Op::Http(http) => self.parameters.push(Parameter::new(http.shown(), found())),
            Op::Git(git) => self.parameters.push(Parameter::new(git.shown(), found())),
            // What is taken of a context are the files; a merge is what it merges.
            Op::Local(_) | Op::Merge => {}
        }
    }
}
