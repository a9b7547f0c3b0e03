//! What a process is shown over its tree: mounts, which are never part of a layer.

use serde::{Deserialize, Serialize};

/// Something mounted over the tree while a process runs. Targets are absolute paths inside the tree, made if absent and
/// gone afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mount {
    /// Files of another input.
    Bind(BindMount),
    /// A folder that outlives the build.
    Cache(CacheMount),
    /// An empty folder in memory.
    Tmpfs(TmpfsMount),
    /// A secret of the person who builds.
    Secret(SecretMount),
    /// A socket to an SSH agent of the person who builds.
    Ssh(SshMount),
}

/// Files of another input.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BindMount {
    /// Where.
    pub target: String,
    /// Index of the input, which is a tree.
    pub from: usize,
    /// Absolute path in that tree, links followed inside it.
    pub source: String,
    /// Whether the process may write; what it writes is forgotten.
    pub writable: bool,
}

/// A folder that outlives the build.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CacheMount {
    /// Where.
    pub target: String,
    /// Which: equal ids are one folder.
    pub id: String,
    /// Who else may use it at the same time.
    pub sharing: Sharing,
    /// Index of the input whose files a new folder starts with: a tree that holds them and nothing else.
    pub from: Option<usize>,
    /// Absolute path in the folder to mount, made if absent. With `from`, what it was taken from.
    pub source: String,
    /// Permission bits of a new folder.
    pub mode: u32,
    /// Owner of a new folder.
    pub uid: u32,
    /// Group of a new folder.
    pub gid: u32,
    /// Whether the process may not write.
    pub read_only: bool,
}

/// Who may use a cache at the same time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sharing {
    /// Everybody.
    #[default]
    Shared,
    /// Whoever comes while it is in use gets another folder.
    Private,
    /// Whoever comes while it is in use waits.
    Locked,
}

/// An empty folder in memory.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TmpfsMount {
    /// Where.
    pub target: String,
    /// How many bytes it holds at most; `None` leaves it to the kernel.
    pub size: Option<u64>,
}

/// A secret of the person who builds. The graph has its name, never its value.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SecretMount {
    /// Which.
    pub id: String,
    /// Where it is a file, if it is to be one.
    pub target: Option<String>,
    /// Which variable holds it, if one is to.
    pub env: Option<String>,
    /// Whether the process cannot do without.
    pub required: bool,
    /// Permission bits of the file.
    pub mode: u32,
    /// Owner of the file.
    pub uid: u32,
    /// Group of the file.
    pub gid: u32,
}

/// A socket to an SSH agent of the person who builds.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SshMount {
    /// Which agent.
    pub id: String,
    /// Where.
    pub target: String,
    /// Whether the process cannot do without.
    pub required: bool,
    /// Permission bits of the socket.
    pub mode: u32,
    /// Owner of the socket.
    pub uid: u32,
    /// Group of the socket.
    pub gid: u32,
}
