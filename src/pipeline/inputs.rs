//! What lowering needs to know: asked for until nothing is missing.

use super::{BuildError, Request, build_file::BuildFile};
use crate::{
    registry::Client,
    resolve::{self, Source},
    solver::event::Events,
    store::Store,
};
use flashbuild_frontend::dockerfile::{Dockerfile, Inputs, Missing};
use std::collections::BTreeMap;

/// Resolves the images of a Dockerfile: what lowering needs of them, and where their layers are.
pub(super) async fn resolve(
    store: &Store,
    client: &Client,
    request: &Request,
    dockerfile: &Dockerfile,
    source: &BuildFile,
    events: &Events,
) -> Result<(Inputs, BTreeMap<String, Source>), BuildError> {
    let mut inputs = Inputs::default();
    let mut images = BTreeMap::new();
    loop {
        let missing = dockerfile.missing(&request.options, &inputs).map_err(|errors| source.refuse(&errors))?;
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
            let pinned = pinned.map_err(|error| source.unresolved(missing, &error))?;
            images.insert(pinned.image.digest.clone(), pinned.source);
            inputs.insert(reference, platform, pinned.image);
        }
    }
}
