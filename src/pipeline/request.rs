//! What was asked for.

use super::{CacheExport, Destination, Division, Entitlement, Smoke};
use crate::{
    attest,
    cache::CacheSource,
    context::Given,
    exec::{Grants, StepOptions},
    export::ImageOptions,
    store::GcPolicy,
};
use flashbuild_frontend::{dockerfile::Options, reference::Reference};
use std::sync::Arc;

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
    /// What the image's documents are like where nothing else is said.
    pub image: ImageOptions,
    /// What becomes of the layers that were built.
    pub division: Division,
    /// How it is proven to work if something is left out of it; `None` not to.
    pub smoke: Option<Smoke>,
    /// What is said of it.
    pub attest: attest::Options,
    /// Who signs what is pushed.
    pub signer: Option<attest::Signer>,
    /// How processes run on this machine.
    pub steps: StepOptions,
    /// How many processes may run at once.
    pub jobs: usize,
    /// How many may while the machine has something left.
    pub most_jobs: usize,
    /// Whether people are told of every step why it ran.
    pub explains: bool,
    /// What the store is kept within meanwhile, if it is.
    pub gc: Option<GcPolicy>,
    /// Caches to look into.
    pub cache_from: Vec<CacheSource>,
    /// Caches to write.
    pub cache_to: Vec<CacheExport>,
    /// Whether names are always asked of their registry.
    pub pull: bool,
    /// What steps may do to this machine.
    pub allow: Vec<Entitlement>,
    /// What steps may use.
    pub grants: Arc<Grants>,
    /// Whether this process is root of a namespace with a single id.
    pub single_id: bool,
}
