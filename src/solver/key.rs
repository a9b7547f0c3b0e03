//! When a step need not run.
//!
//! The last column names what proves the row: a change of `testdata/cache/changes.txt`, or a test.
//!
//! | input | definition key | content key | why | proof |
//! |---|---|---|---|---|
//! | operation and its parameters | yes | yes | they say what is done | a command; the owner of copied files; the network of a step |
//! | environment and user of a process | yes | yes | it sees them | an ENV before some; a build argument that the stage declares; the user of steps |
//! | platform of an `Exec` or `Image` | yes | yes | the result depends on it | one more platform |
//! | definition keys of inputs | yes | no | known before anything runs | a step that does nothing, before others |
//! | files selected from the context: name, type, mode, link, bytes | yes | yes | in place of the context's own key | a copied file; a copied file's permissions; a copied file's name; a new file in a copied folder; where a symbolic link leads |
//! | owners of files of the context | no | no | they become root's | a copied file's owner here |
//! | other files of the context, patterns of `.dockerignore` | no | no | only what is selected is copied | a file that no step copies; a file that .dockerignore leaves out; a pattern in .dockerignore that leaves out nothing more |
//! | digest of a downloaded file, its name | yes | yes | found out before keys are made | `urls::a_file_that_did_not_change_is_not_downloaded_again` |
//! | commit of a repository, what is kept of it | yes | yes | found out before keys are made | `git::the_commit_is_the_key` |
//! | digest of a base image | yes | no | a tag is looked up before keys are made | a tag that means another image; a base image that was built again as it was |
//! | modification times | no | no | a checkout changes them without changing anything | a copied file's time alone; a copied file, replaced by another of the same size and time |
//! | layers of the first input, but for empty ones | no | yes, for `Exec` | what a process sees | a file of which a later stage takes what came out differently; a step that does nothing, before others |
//! | mounted files of the other inputs: name, type, mode, owner, link, bytes | no | yes | what a process sees of them | `mounts::files_that_are_mounted_decide_whether_a_step_runs`; `mounts::only_the_part_of_a_stage_that_is_mounted_counts` |
//! | id, target and permissions of caches, secrets and agents | yes | yes | they are parameters | the id of a secret; the id of a cache mount |
//! | what caches hold, secrets' values, agents | no | no | a cache must not matter; secrets change and are nobody's business | what a cache mount holds; the value of a secret |
//! | entries that a `File` operation makes | no | yes | they are the result; the base matters only where it shows in them | a file of which a later stage takes what came out the same; an ENV before some |
//! | `SOURCE_DATE_EPOCH` | yes | yes | it is in the times of the layer; in that of packages only if it is before 1980 | SOURCE_DATE_EPOCH |
//! | addresses of packages, their index, the stage below them | no | no | their hashes say what they hold | `deps_python::each_package_is_a_layer_that_platforms_and_builds_share` |
//! | proxy variables, limits, host entries, number of jobs | no | no | they do not change the result | a proxy variable; how many steps may run at once, and what they may use |
//! | certificates of private authorities | no | no | a step trusts them, and no layer has them | `certificates::a_step_trusts_what_its_layer_does_not_have` |
//! | display names, spans, names of stages, the configuration of the image | no | no | no step sees them | the name of a stage; a comment in the Dockerfile; LABEL, CMD, EXPOSE |

use flashbuild_frontend::{
    graph::{Node, Op},
    package::PackageOp,
};

/// Changes whenever the meaning of a key does.
pub const SCHEMA: &str = "flashbuild-key-2";

/// What a record is found by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(pub [u8; 32]);

impl Key {
    /// The key as 64 hexadecimal digits.
    pub fn hex(&self) -> String {
        blake3::Hash::from_bytes(self.0).to_hex().to_string()
    }
}

/// The definition key of `node`: its work, `facts` about the files it selects, and the keys of its other inputs.
pub fn definition(node: &Node, epoch: Option<i64>, facts: &[u8], inputs: &[Key]) -> Key {
    let mut hasher = work("definition", node, epoch, facts);
    for input in inputs {
        hasher.update(&input.0);
    }
    Key(*hasher.finalize().as_bytes())
}

/// The content key of `node`: its work and `facts` about what its inputs came out as.
pub(super) fn content(node: &Node, epoch: Option<i64>, facts: &[u8]) -> Key {
    Key(*work("content", node, epoch, facts).finalize().as_bytes())
}

/// What of `SOURCE_DATE_EPOCH` the result of a node depends on.
pub(super) fn epoch(node: &Node, epoch: Option<i64>) -> String {
    match node.op {
        Op::Exec(_) | Op::File(_) => format!("{epoch:?}"),
        Op::Package(_) => format!("{:?}", epoch.filter(|epoch| *epoch < PackageOp::TIME)),
        Op::Image(_) | Op::Local(_) | Op::Http(_) | Op::Git(_) | Op::Merge => String::new(),
    }
}

fn work(kind: &str, node: &Node, epoch: Option<i64>, facts: &[u8]) -> blake3::Hasher {
    let mut hasher = blake3::Hasher::new_derive_key(SCHEMA);
    // What a context leaves out shows in the files that are selected from it.
    let local = if let Op::Local(local) = &node.op { Some(&local.name) } else { None };
    let op = local.map_or_else(|| serde_json::to_vec(&node.op), serde_json::to_vec);
    let op = op.expect("an operation is plain data");
    let platform = node.platform.as_ref().map(ToString::to_string).unwrap_or_default();
    let epoch = self::epoch(node, epoch);
    for part in [kind.as_bytes(), &op, platform.as_bytes(), epoch.as_bytes(), facts] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher
}
