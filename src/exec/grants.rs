//! What the person who builds gives to steps, besides files. None of it is in a key.

use super::{Agents, Certificates};
use crate::secrets::Secrets;

/// What steps may use.
#[derive(Debug, Default)]
pub struct Grants {
    /// Whether steps for different platforms use the same cache mounts. Caches with programs in them would break.
    pub share_caches: bool,
    /// Secrets that steps can ask for.
    pub secrets: Secrets,
    /// Private authorities that steps trust.
    pub certificates: Certificates,
    /// SSH agents that steps can ask for.
    pub agents: Agents,
}
