//! What lowering needs to know: asked for until nothing is missing.

use super::{BuildError, Request, build_file::BuildFile};
use crate::{
    registry::Client,
    resolve::{self, ResolveError, Source},
    solver::event::Events,
    store::Store,
};
use flashbuild_frontend::{
    diagnostic::Diagnostic,
    dockerfile::{Dockerfile, Inputs, Missing},
};
use std::collections::BTreeMap;

/// Why lowering cannot know what it needs.
#[derive(Debug)]
pub(super) enum Unknown {
    /// Names in the file are wrong.
    File(Vec<Diagnostic>),
    /// An image cannot be looked at.
    Image(Box<(Missing, ResolveError)>),
}

impl Unknown {
    /// What to say of it, in terms of the file.
    pub(super) fn diagnostics(&self) -> Vec<Diagnostic> {
        match self {
            Self::File(errors) => errors.clone(),
            Self::Image(image) => vec![image.0.failed(&image.1.to_string())],
        }
    }

    pub(super) fn into_error(self, source: &BuildFile) -> BuildError {
        match self {
            Self::File(errors) => source.refuse(&errors),
            Self::Image(image) => source.unresolved(&image.0, &image.1),
        }
    }
}

/// Resolves the images of a Dockerfile: what lowering needs of them, and where their layers are.
pub(super) async fn resolve(
    store: &Store,
    client: &Client,
    request: &Request,
    dockerfile: &Dockerfile,
    events: &Events,
) -> Result<(Inputs, BTreeMap<String, Source>), Unknown> {
    let mut inputs = Inputs::default();
    let mut images = BTreeMap::new();
    loop {
        let missing = dockerfile.missing(&request.options, &inputs).map_err(Unknown::File)?;
        if missing.is_empty() {
            return Ok((inputs, images));
        }
        let ask = missing.iter().map(|missing| async move {
            let Missing::ImageConfig { reference, platform, .. } = missing;
            let step = events.step(format!("resolve {} for {platform}", reference.familiar()));
            let pinned = resolve::resolve(store, client, reference, platform, request.pull).await;
            match &pinned {
                Ok(_) => step.ran(),
                Err(error) => step.failed(error.to_string()),
            }
            (missing, pinned)
        });
        for (missing, pinned) in futures_util::future::join_all(ask).await {
            let Missing::ImageConfig { reference, platform, .. } = missing;
            let pinned = pinned.map_err(|error| Unknown::Image(Box::new((missing.clone(), error))))?;
            images.insert(pinned.image.digest.clone(), pinned.source);
            inputs.insert(reference, platform, pinned.image);
        }
    }
}
