//! A slim image becomes whole again: with what was removed, which its sibling image has, on top.

use super::{BuildError, OpenImage, error::ended, open};
use crate::{
    exec::Need,
    export::{self, ImageOptions},
    image::DiffId,
    layer::{Algorithm, Compression, Layers},
    registry::Client,
    solver::event::Events,
    store::Store,
};
use flashbuild_frontend::{config::ImageConfig, platform::Platform, reference::Reference};

/// What is put together.
#[derive(Debug, Clone)]
pub struct RestoreRequest {
    /// The slim image.
    pub slim: Reference,
    /// Its sibling, which has what was removed.
    pub dropped: Reference,
    /// Whose images.
    pub platforms: Vec<Platform>,
    /// Names of the result.
    pub names: Vec<Reference>,
}

/// The sibling of a slim image, unless another name was chosen: `app:slim-dropped` of `app:slim`.
pub fn sibling(slim: &Reference) -> Result<Reference, String> {
    let tag = format!("{}-dropped", slim.tag().unwrap_or("latest"));
    slim.with_tag(&tag).map_err(|error| format!("{slim}: {error}; name the image for what is removed with --dropped"))
}

/// Puts a slim image and what was removed of it together, and names the result. They have to belong together: the sibling is
/// the slim image with one more layer.
pub async fn restore(
    store: &Store,
    client: &Client,
    request: &RestoreRequest,
    events: &Events,
) -> Result<(), BuildError> {
    let mut images: Vec<(Platform, ImageConfig, Vec<DiffId>)> = Vec::new();
    let (mut layers, mut compression): (Option<Layers>, Compression) = (None, Compression::default());
    for platform in &request.platforms {
        let step = events.step(format!("restore {} for {platform}", request.slim.familiar()));
        let whole = ended(step, whole(store, client, request, platform).await)?;
        let last = whole.blobs.last().and_then(|blob| Algorithm::of_media_type(blob.media_type.as_ref()));
        compression = last.map_or(compression, Compression::new);
        images.push((platform.clone(), whole.config, whole.layers));
        layers = Some(whole.store);
    }
    let Some(layers) = layers else { return Ok(()) };
    let options = ImageOptions { compression, ..ImageOptions::default() };
    let built = tokio::task::block_in_place(|| export::assemble(&layers, images, &options, |_| true, None))?;
    built.bundle().save(store, &request.names.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    Ok(())
}

/// The image with what was removed.
async fn whole(
    store: &Store,
    client: &Client,
    request: &RestoreRequest,
    platform: &Platform,
) -> Result<OpenImage, BuildError> {
    let slim = open(store, client, &request.slim, platform, Need::Tables).await?;
    let whole = open(store, client, &request.dropped, platform, Need::Blobs).await?;
    if belongs_to(&whole, &slim) {
        return Ok(whole);
    }
    let (slim, dropped) = (request.slim.familiar(), request.dropped.familiar());
    let text = format!("{dropped} does not have what was removed of {slim}: it is not that image and one more layer");
    Err(BuildError::Rewrite(text))
}

fn belongs_to(whole: &OpenImage, slim: &OpenImage) -> bool {
    whole.layers.strip_prefix(slim.layers.as_slice()).is_some_and(|dropped| dropped.len() <= 1)
}
