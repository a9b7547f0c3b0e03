//! Into containerd: content, an image under each name, and, if asked, the snapshots to run it from.
//!
//! Spoken to over its socket (containerd, `api/services`). Only what it lacks is sent. Everything is made under a lease,
//! and ends up pointed at by labels as containerd's own client sets them (`docs/garbage-collection.md`), so that nothing
//! of the image is collected before the image is.

#[cfg(feature = "containerd")]
mod client;
#[cfg(feature = "containerd")]
mod snapshots;

use std::{env, path::PathBuf};

/// A containerd, and what is asked of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Containerd {
    /// Its socket.
    pub address: PathBuf,
    /// Whose images.
    pub namespace: String,
    /// Whether the layers for this machine are unpacked.
    pub unpack: bool,
    /// What unpacks them.
    pub snapshotter: String,
}

impl Default for Containerd {
    /// As containerd's own tools are told by the environment, and else assume.
    fn default() -> Self {
        let variable = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            address: variable("CONTAINERD_ADDRESS").unwrap_or("/run/containerd/containerd.sock".to_owned()).into(),
            namespace: variable("CONTAINERD_NAMESPACE").unwrap_or("default".to_owned()),
            unpack: false,
            snapshotter: variable("CONTAINERD_SNAPSHOTTER").unwrap_or("overlayfs".to_owned()),
        }
    }
}

#[cfg(feature = "containerd")]
pub use client::send_to_containerd;

/// Says that this program cannot.
#[cfg(not(feature = "containerd"))]
pub async fn send_to_containerd(
    containerd: &Containerd,
    _: &crate::store::Store,
    _: &super::BuiltIndex,
    _: &[String],
) -> Result<(), super::ExportError> {
    let why = "this flashbuild was built without the feature `containerd`: use type=docker or type=oci and `ctr images import`";
    Err(super::ExportError::Engine(format!("{}: {why}", containerd.address.display())))
}
