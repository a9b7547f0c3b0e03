//! An image becomes another one that does the same, and is started to prove it.
//!
//! 1. Each platform's image is opened, with its blobs: layers that stay keep them.
//! 2. It is split or slimmed ([`crate::optimize::rewrite`]), which compares the files of both.
//! 3. Both are started, one after the other, and have to end alike ([`proof`]).
//! 4. Only then the new image gets its names.

use super::{
    BuildError, OpenImage,
    analyze::base_of,
    open,
    proof::{self, Proof, Smoke},
};
use crate::{
    exec::Need,
    export::{self, BuiltIndex, ImageOptions},
    image::DiffId,
    layer::{Algorithm, Compression, Layers},
    optimize::{
        passes::Pass,
        rewrite::{self, RewriteError, Rewritten, slim, split},
    },
    registry::Client,
    solver::event::Events,
    store::Store,
};
use flashbuild_frontend::{config::ImageConfig, platform::Platform, reference::Reference};
use serde::Serialize;

/// What is to become of an image.
#[derive(Debug, Clone)]
pub enum How {
    /// Other layers with the same files.
    Split(split::Options),
    /// The same layers without what these passes take away.
    Slim(Vec<&'static Pass>),
}

/// An image to rewrite.
#[derive(Debug, Clone)]
pub struct RewriteRequest {
    /// Its name.
    pub source: Reference,
    /// Whose images.
    pub platforms: Vec<Platform>,
    /// What is to become of it.
    pub how: How,
    /// Whether layers of the image that it was built on are rewritten too.
    pub base: bool,
    /// Names of the result; none to find out only.
    pub names: Vec<Reference>,
    /// A name for the result with what was removed on top, which makes it whole again.
    pub dropped: Option<Reference>,
    /// How it is proven to work; `None` not to.
    pub smoke: Option<Smoke>,
}

/// What became of the image of one platform.
#[derive(Debug, Serialize)]
pub struct RewriteReport {
    /// The machine that it is for.
    pub platform: String,
    /// Layers before.
    pub layers_before: usize,
    /// Layers after; as before if nothing was made.
    pub layers_after: usize,
    /// Layers that are the same as before.
    pub layers_kept: usize,
    /// Bytes of blobs before.
    pub compressed_before: u64,
    /// Bytes of blobs after; absent if nothing was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compressed_after: Option<u64>,
    /// What each pass saved.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub savings: Vec<slim::Saving>,
    /// Paths that are no longer there.
    #[serde(serialize_with = "as_text", skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<Vec<u8>>,
    /// How it was proven to work.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub proofs: Vec<Proof>,
}

/// What is made of one platform's image.
struct Done {
    report: RewriteReport,
    rewritten: Rewritten,
    dropped: Option<DiffId>,
}

/// Rewrites an image.
pub async fn rewrite(
    store: &Store,
    client: &Client,
    request: &RewriteRequest,
    events: &Events,
) -> Result<Vec<RewriteReport>, BuildError> {
    let mut all = Vec::new();
    let mut options = ImageOptions::default();
    let mut kept = Vec::new();
    let mut layers = None;
    for platform in &request.platforms {
        let step = events.step(format!("rewrite {} for {platform}", request.source.familiar()));
        let image = open(store, client, &request.source, platform, Need::Blobs).await?;
        let done = tokio::task::block_in_place(|| one(store, request, &image));
        let done = match done {
            Ok(done) => done,
            Err(error) => {
                step.failed(error.to_string());
                return Err(error);
            }
        };
        step.ran();
        options.compression = compression_of(&image);
        kept.extend(image.layers.iter().copied());
        layers = Some(image.store);
        all.push((platform.clone(), done));
    }
    let Some(layers) = layers.filter(|_| !request.names.is_empty()) else {
        return Ok(all.into_iter().map(|(_, done)| done.report).collect());
    };
    let assemble = |images| assemble(&layers, images, &options, &kept);
    let images = all.iter().map(|(platform, done)| (platform.clone(), done.rewritten.clone())).collect();
    let built = assemble(images)?;
    if let Some(smoke) = &request.smoke {
        for ((platform, done), _) in all.iter_mut().zip(&built.images) {
            done.report.proofs = proof::prove(store, client, &request.source, &built, platform, smoke, events).await?;
        }
    }
    for ((_, done), image) in all.iter_mut().zip(&built.images) {
        done.report.layers_after = image.layers.len();
        done.report.compressed_after = Some(image.layers.iter().map(|(_, blob)| blob.size).sum());
        let before = &kept;
        done.report.layers_kept = image.layers.iter().filter(|(diff_id, _)| before.contains(diff_id)).count();
    }
    if let Some(name) = &request.dropped {
        let whole = |(platform, done): &(Platform, Done)| {
            let mut rewritten = done.rewritten.clone();
            rewritten.diff_ids.extend(done.dropped);
            (platform.clone(), rewritten)
        };
        assemble(all.iter().map(whole).collect())?.bundle().save(store, &[name.to_string()])?;
    }
    built.bundle().save(store, &request.names.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    Ok(all.into_iter().map(|(_, done)| done.report).collect())
}

fn one(store: &Store, request: &RewriteRequest, opened: &OpenImage) -> Result<Done, BuildError> {
    let image = rewrite::Image {
        config: &opened.config,
        diff_ids: &opened.layers,
        view: &opened.files,
        layers: &opened.store,
        base: if request.base { 0 } else { base_of(store, &opened.layers)? },
        compression: compression_of(opened),
    };
    let mut report = RewriteReport {
        platform: opened.config.platform().to_string(),
        layers_before: opened.layers.len(),
        layers_after: opened.layers.len(),
        layers_kept: opened.layers.len(),
        compressed_before: opened.blobs.iter().map(|blob| blob.size).sum(),
        compressed_after: None,
        savings: Vec::new(),
        removed: Vec::new(),
        proofs: Vec::new(),
    };
    let unchanged = || Rewritten { config: opened.config.clone(), diff_ids: opened.layers.clone() };
    let (rewritten, dropped) = match &request.how {
        How::Split(_) if request.names.is_empty() => (unchanged(), None),
        How::Split(options) => (split::split(&image, *options, |_| true)?, None),
        How::Slim(passes) => {
            let plan = slim::plan(&image, passes)?;
            report.savings.clone_from(&plan.savings);
            report.removed.clone_from(&plan.removed);
            let makes = !request.names.is_empty();
            let dropped = if makes && request.dropped.is_some() { Some(plan.dropped(&image)?) } else { None };
            (if makes { plan.make(&image)? } else { unchanged() }, dropped)
        }
    };
    Ok(Done { report, rewritten, dropped })
}

/// The same algorithm as the image's topmost layer.
fn compression_of(image: &OpenImage) -> Compression {
    let algorithm = image.blobs.last().and_then(|blob| Algorithm::of_media_type(blob.media_type.as_ref()));
    algorithm.map_or_else(Compression::default, Compression::new)
}

fn assemble(
    layers: &Layers,
    images: Vec<(Platform, Rewritten)>,
    options: &ImageOptions,
    kept: &[DiffId],
) -> Result<BuiltIndex, BuildError> {
    let images: Vec<(Platform, ImageConfig, Vec<DiffId>)> =
        images.into_iter().map(|(platform, done)| (platform, done.config, done.diff_ids)).collect();
    let assembled = tokio::task::block_in_place(|| {
        export::assemble(layers, images, options, |diff_id| kept.contains(diff_id), None)
    });
    Ok(assembled?)
}

impl From<RewriteError> for BuildError {
    fn from(error: RewriteError) -> Self {
        match error {
            RewriteError::Layer(error) => Self::Environment(error.to_string()),
            RewriteError::Differs { .. } => Self::Rewrite(error.to_string()),
        }
    }
}

fn as_text<S: serde::Serializer>(paths: &[Vec<u8>], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(paths.iter().map(|path| format!("/{}", String::from_utf8_lossy(path))))
}
