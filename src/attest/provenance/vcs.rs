//! Where the files of a build came from: the checkout that the context lies in, by the names that buildx has for it.

use crate::git::Checkout;
use serde::Serialize;
use std::path::Path;

/// A checkout (`buildkit_metadata.vcs`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Vcs {
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    /// With `-dirty` behind it, if something was not committed.
    revision: String,
    #[serde(rename = "localdir:context", skip_serializing_if = "Option::is_none")]
    context: Option<String>,
    #[serde(rename = "localdir:dockerfile", skip_serializing_if = "Option::is_none")]
    dockerfile: Option<String>,
}

impl Vcs {
    /// Of the checkout in which the folders of the context and of the Dockerfile lie.
    pub fn of(checkout: Checkout, context: &Path, dockerfile: &Path) -> Self {
        let dirty = if checkout.is_dirty { "-dirty" } else { "" };
        let inside = |folder: &Path| {
            let folder = folder.canonicalize().ok()?;
            let below = folder.strip_prefix(&checkout.root).ok()?.display().to_string();
            Some(if below.is_empty() { ".".to_owned() } else { below })
        };
        Self {
            revision: format!("{}{dirty}", checkout.commit),
            context: inside(context),
            dockerfile: inside(dockerfile),
            source: checkout.remote,
        }
    }
}
