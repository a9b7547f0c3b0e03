//! What was asked for.

use super::Destination;
use crate::{context::Given, exec::StepOptions, layer::Compression};
use flashbuild_frontend::{dockerfile::Options, reference::Reference};

/// What was asked for.
#[derive(Debug)]
pub struct Request {
    /// The files, the Dockerfile and the contexts that it may name.
    pub given: Given,
    /// What lowering needs, but for what is found out about these.
    pub options: Options,
    /// Names of the image.
    pub tags: Vec<Reference>,
    /// Where it goes besides the local store.
    pub outputs: Vec<Destination>,
    /// How layers are compressed.
    pub compression: Compression,
    /// How processes run on this machine.
    pub steps: StepOptions,
    /// How many processes may run at once.
    pub jobs: usize,
    /// Whether records are not looked up.
    pub no_cache: bool,
    /// Whether names are always asked of their registry.
    pub pull: bool,
    /// Whether this process is root of a namespace with a single id.
    pub single_id: bool,
}
