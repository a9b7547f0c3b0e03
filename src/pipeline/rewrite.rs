//! An image becomes another one that does the same, and is started to prove it.
//!
//! 1. Each platform's image is opened, with its blobs: layers that stay keep them.
//! 2. If asked to, it is run and observed ([`observe`](super::observe)).
//! 3. It is split or slimmed ([`crate::optimize::rewrite`]), which compares the files of both.
//! 4. Both are started, one after the other, and have to end alike ([`proof`]).
//! 5. Only then the new image gets its names.

use super::{
    BuildError, OpenImage,
    analyze::base_of,
    error::ended,
    observe::{Observation, Observed, Session},
    open,
    proof::{self, Proof, Rewriting, Smoke},
};
use crate::{
    exec::{Need, StepOptions},
    export::{self, Annotation, AnnotationLevel, BuiltImage, BuiltIndex, ImageOptions},
    image::DiffId,
    layer::{Algorithm, Compression, Layers},
    optimize::{
        observed::{self, Dropped},
        rewrite::{self, RewriteError, Rewritten, slim, split},
    },
    registry::Client,
    solver::event::Events,
    store::Store,
};
use flashbuild_frontend::{
    config::{History, ImageConfig},
    platform::Platform,
    reference::Reference,
};
use serde::Serialize;

/// What is to become of an image.
#[derive(Debug, Clone)]
pub enum How {
    /// Other layers with the same files.
    Split(split::Options),
    /// The same layers without what passes take away, and nobody asks for, if the image is to be observed.
    Slim(slim::Options, Option<Observation>),
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
    /// Names for the result with what was removed on top, which makes it whole again.
    pub dropped: Vec<Reference>,
    /// A name for an image of the debug sections that were taken out of programs.
    pub debug: Option<Reference>,
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
    /// What nobody asked for, if that was observed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dropped: Option<Dropped>,
    /// Where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dropped_to: Option<String>,
    /// What was left alone though a pass asks for it, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// How it was proven to work.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub proofs: Vec<Proof>,
}

/// What is made of one platform's image.
struct Done {
    report: RewriteReport,
    before: Rewritten,
    rewritten: Rewritten,
    dropped: Option<DiffId>,
    debug: Option<DiffId>,
    session: Option<Session>,
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
        let done = async {
            let image = open(store, client, &request.source, platform, Need::Blobs).await?;
            let session = observe(store, client, request, platform, events).await?;
            let done = tokio::task::block_in_place(|| one(store, request, &image, session))?;
            Ok::<_, BuildError>((image, done))
        };
        let (image, done) = ended(step, done.await)?;
        options.compression = compression_of(&image);
        kept.extend(image.layers.iter().copied());
        layers = Some(image.store);
        all.push((platform.clone(), done));
    }
    let Some(layers) = layers.filter(|_| !request.names.is_empty()) else {
        return Ok(all.into_iter().map(|(_, done)| done.report).collect());
    };
    let images = all.iter().map(|(platform, done)| (platform.clone(), done.rewritten.clone())).collect();
    let built = assemble(&layers, images, &options, &kept)?;
    if let Some(smoke) = &request.smoke {
        for ((platform, done), _) in all.iter_mut().zip(&built.images) {
            let proofs = &mut done.report.proofs;
            if let (How::Slim(_, Some(how)), Some(before)) = (&request.how, &done.session) {
                *proofs = proof::prove_as_observed(store, client, before, &built, platform, how, events).await?;
            }
            // What was observed is the image's own command.
            if done.session.is_none() || !smoke.commands.is_empty() {
                let (before, after) = (&done.before, &done.rewritten);
                let rewriting = Rewriting {
                    platform,
                    layers: &layers,
                    before: (&before.config, &before.diff_ids),
                    after: (&after.config, &after.diff_ids),
                };
                proofs.extend(proof::prove(&rewriting, smoke, &StepOptions::default(), events).await?);
            }
        }
    }
    for ((_, done), image) in all.iter_mut().zip(&built.images) {
        done.report.layers_after = image.layers.len();
        done.report.compressed_after = Some(image.layers.iter().map(|(_, blob)| blob.size).sum());
        let before = &kept;
        done.report.layers_kept = image.layers.iter().filter(|(diff_id, _)| before.contains(diff_id)).count();
    }
    let whole = all.iter().map(|(platform, done)| (platform.clone(), with_dropped(done))).collect();
    save_dropped(store, &layers, request, whole, &built, &options, &kept)?;
    for (_, done) in &mut all {
        done.report.dropped_to = request.dropped.first().map(Reference::familiar);
    }
    if let Some(name) = &request.debug {
        save_debug_files(store, &layers, name, &all, &options)?;
    }
    built.bundle().save(store, &request.names.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    Ok(all.into_iter().map(|(_, done)| done.report).collect())
}

/// Runs the image if it is to be observed.
async fn observe(
    store: &Store,
    client: &Client,
    request: &RewriteRequest,
    platform: &Platform,
    events: &Events,
) -> Result<Option<Session>, BuildError> {
    let How::Slim(_, Some(how)) = &request.how else { return Ok(None) };
    let step = events.step(format!("observe for {platform}"));
    let session = Observed { store, client, name: &request.source, platform, events }.run(how, true).await;
    let session = session.and_then(|session| session.is_telling(events).map(|()| session));
    ended(step, session).map(Some)
}

fn one(
    store: &Store,
    request: &RewriteRequest,
    opened: &OpenImage,
    session: Option<Session>,
) -> Result<Done, BuildError> {
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
        dropped: None,
        dropped_to: None,
        notes: Vec::new(),
        proofs: Vec::new(),
    };
    let unchanged = || Rewritten { config: opened.config.clone(), diff_ids: opened.layers.clone() };
    let (rewritten, dropped, debug) = match &request.how {
        How::Split(_) if request.names.is_empty() => (unchanged(), None, None),
        How::Split(options) => (split::split(&image, *options, |_| true)?, None, None),
        How::Slim(options, how) => {
            let observed = session.as_ref().zip(how.as_ref()).map(|(session, how)| observed::Observed {
                paths: session.paths.iter().cloned().collect(),
                keep: how.keep.iter().map(|path| path.clone().into_bytes()).collect(),
            });
            let plan = slim::plan(&image, options, observed.as_ref())?;
            report.notes.clone_from(&plan.notes);
            report.dropped.clone_from(&plan.dropped);
            report.savings.clone_from(&plan.savings);
            report.removed.clone_from(&plan.removed);
            let makes = !request.names.is_empty();
            let dropped = if makes && !request.dropped.is_empty() { Some(plan.dropped(&image)?) } else { None };
            let debug = if makes && request.debug.is_some() { plan.debug_files(&image)? } else { None };
            (if makes { plan.make(&image)? } else { unchanged() }, dropped, debug)
        }
    };
    Ok(Done { report, before: unchanged(), rewritten, dropped, debug, session })
}

/// The slim image and one more layer.
fn with_dropped(done: &Done) -> Rewritten {
    let mut rewritten = done.rewritten.clone();
    if let Some(dropped) = done.dropped {
        rewritten.diff_ids.push(dropped);
        rewritten.config.history.push(History {
            created: None,
            created_by: Some("slim: what was removed".to_owned()),
            author: None,
            comment: None,
            empty_layer: false,
        });
    }
    rewritten
}

/// Saves what was removed, on top of the slim images that it belongs to, which it names as its base
/// (image-spec `annotations.md`).
fn save_dropped(
    store: &Store,
    layers: &Layers,
    request: &RewriteRequest,
    whole: Vec<(Platform, Rewritten)>,
    slim: &BuiltIndex,
    options: &ImageOptions,
    kept: &[DiffId],
) -> Result<(), BuildError> {
    let Some(name) = request.names.first().filter(|_| !request.dropped.is_empty()) else { return Ok(()) };
    let say = |image: &BuiltImage, key: &str, value: String| Annotation {
        level: AnnotationLevel::Manifest,
        platform: Some(image.platform.clone()),
        key: format!("org.opencontainers.image.base.{key}"),
        value,
    };
    let said = slim.images.iter().flat_map(|image| {
        [say(image, "name", name.to_string()), say(image, "digest", image.manifest.digest.to_string())]
    });
    let options = ImageOptions { annotations: said.collect(), ..options.clone() };
    let names: Vec<String> = request.dropped.iter().map(ToString::to_string).collect();
    assemble(layers, whole, &options, kept)?.bundle().save(store, &names)?;
    Ok(())
}

/// Saves debug sections as an image of their own, of the platforms that have some.
fn save_debug_files(
    store: &Store,
    layers: &Layers,
    name: &Reference,
    all: &[(Platform, Done)],
    options: &ImageOptions,
) -> Result<(), BuildError> {
    let image = |(platform, done): &(Platform, Done)| {
        let config = ImageConfig::for_platform(platform);
        Some((platform.clone(), Rewritten { config, diff_ids: vec![done.debug?] }))
    };
    let images: Vec<_> = all.iter().filter_map(image).collect();
    if images.is_empty() {
        return Err(BuildError::Rewrite("no program has debug sections, so there is no image of them".to_owned()));
    }
    assemble(layers, images, options, &[])?.bundle().save(store, &[name.to_string()])?;
    Ok(())
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
