//! When a step need not run.
//!
//! | input | definition key | content key | why |
//! |---|---|---|---|
//! | operation and its parameters | yes | yes | they say what is done |
//! | platform of an `Exec` or `Image` | yes | yes | the result depends on it |
//! | definition keys of inputs | yes | no | known before anything runs |
//! | files selected from the context: name, type, mode, link, bytes | yes | yes | in place of the context's own key |
//! | digest of a downloaded file, its name; commit of a repository, what is kept of it | yes | yes | found out before keys are made |
//! | modification times | no | no | a checkout changes them without changing anything |
//! | layers of the first input | no | yes, for `Exec` | what a process sees |
//! | mounted files of the other inputs: name, type, mode, owner, link, bytes | no | yes | what a process sees of them |
//! | id, target and permissions of caches, secrets and agents | yes | yes | they are parameters |
//! | what caches hold, secrets' values, agents | no | no | a cache must not matter; secrets change and are nobody's business |
//! | entries that a `File` operation makes | no | yes | they are the result; the base matters only where it shows in them |
//! | `SOURCE_DATE_EPOCH` | yes | yes | it is in the times of the layer; in that of packages only if it is before 1980 |
//! | addresses of packages, their index, the stage below them | no | no | their hashes say what they hold |
//! | proxy variables, certificates of private authorities, display names, spans, number of jobs | no | no | they do not change the result |

use flashbuild_frontend::{
    graph::{Node, Op},
    package::PackageOp,
};

/// Changes whenever the meaning of a key does.
pub const SCHEMA: &str = "flashbuild-key-1";

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
pub(super) fn definition(node: &Node, epoch: Option<i64>, facts: &[u8], inputs: &[Key]) -> Key {
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
    let op = serde_json::to_vec(&node.op).expect("an operation is plain data");
    let platform = node.platform.as_ref().map(ToString::to_string).unwrap_or_default();
    let epoch = self::epoch(node, epoch);
    for part in [kind.as_bytes(), &op, platform.as_bytes(), epoch.as_bytes(), facts] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher
}
