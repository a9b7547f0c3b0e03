//! Names to digests and configurations.
//!
//! A name that was built or loaded here is looked up in the local store first; any other, or every name with
//! `--pull`, at its registry.

use crate::{
    image::{BlobDigest, Descriptor, DiffId, Document, candidates},
    registry::{Client, RegistryError, Resolved},
    store::{Store, StoreError},
};
use flashbuild_frontend::{config::ImageConfig, dockerfile::ResolvedImage, platform::Platform, reference::Reference};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Largest manifest or index that is read, in bytes.
const MAX_DOCUMENT: u64 = 4 << 20;
/// Largest configuration that is read, in bytes.
const MAX_CONFIG: u64 = 8 << 20;

/// Why a name could not be resolved.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// The registry said no, or nothing.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The local store has the image, but for other platforms, and its registry did not help.
    #[error("the local store has it for {here} only, and its registry was asked in vain: {error}")]
    OtherPlatforms {
        /// For which.
        here: String,
        /// What came of asking the registry.
        error: Box<ResolveError>,
    },
    /// The image cannot be used.
    #[error("{0}")]
    Image(String),
}

impl ResolveError {
    /// Whether this machine, its network or a registry is at fault, and not what was asked for.
    pub fn is_environment(&self) -> bool {
        match self {
            Self::Registry(error) => error.is_environment(),
            Self::Store(_) => true,
            Self::OtherPlatforms { error, .. } => error.is_environment(),
            Self::Image(_) => false,
        }
    }
}

/// Where the layers of a resolved image are.
#[derive(Debug, Clone)]
pub struct Source {
    /// The repository that has the blobs.
    pub reference: Reference,
    /// Its layers, lowest first: what they are uncompressed, and their blobs.
    pub layers: Vec<(DiffId, Descriptor)>,
}

/// An image of one platform, pinned: what the frontend needs, and where its layers are.
#[derive(Debug, Clone)]
pub struct Pinned {
    /// For lowering.
    pub image: ResolvedImage,
    /// For pulling.
    pub source: Source,
}

/// What names led to in one build: each is asked once, so that all platforms are of one index, even if its tag moves.
#[derive(Default)]
pub struct Names(Mutex<HashMap<String, Answer>>);

/// What a name led to. The lock is held while it is asked, so that one question serves all who wait.
type Answer = Arc<tokio::sync::Mutex<Option<Arc<Resolved>>>>;

impl Names {
    /// Resolves `reference` for `platform`.
    pub async fn image(
        &self,
        store: &Store,
        client: &Client,
        reference: &Reference,
        platform: &Platform,
        always_ask: bool,
    ) -> Result<Pinned, ResolveError> {
        let here = if always_ask { Local::Absent } else { local(store, reference, platform)? };
        let asked = async || self.ask(store, client, reference, platform).await;
        match here {
            Local::Here(pinned) => Ok(*pinned),
            Local::Absent => asked().await,
            Local::For(platforms) => asked().await.map_err(|error| ResolveError::OtherPlatforms {
                here: platforms.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
                error: Box::new(error),
            }),
        }
    }

    /// Asks the registry.
    async fn ask(
        &self,
        store: &Store,
        client: &Client,
        reference: &Reference,
        platform: &Platform,
    ) -> Result<Pinned, ResolveError> {
        let first = self.resolve(client, reference).await?;
        let known = |digest: &BlobDigest| store.read_blob(digest, MAX_CONFIG).ok().flatten();
        let image = client.image_of(reference, &first, platform, &known).await?;
        let blobs: Vec<_> = image.manifest.layers.iter().map(|layer| layer.digest).collect();
        store.note_places(reference.host(), reference.path(), &blobs)?;
        // What the name means can be taken elsewhere.
        store.put_blob(&image.manifest_bytes)?;
        store.put_blob(&image.config_bytes)?;
        pin(reference, image.descriptor.digest.to_string(), &image.manifest.layers, image.config)
    }

    async fn resolve(&self, client: &Client, reference: &Reference) -> Result<Arc<Resolved>, RegistryError> {
        let slot = {
            let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(slots.entry(reference.to_string()).or_default())
        };
        let mut known = slot.lock().await;
        if let Some(known) = &*known {
            return Ok(Arc::clone(known));
        }
        let found = Arc::new(client.resolve(reference).await?);
        Ok(Arc::clone(known.insert(found)))
    }
}

/// Resolves `reference` for `platform`, alone.
pub async fn resolve(
    store: &Store,
    client: &Client,
    reference: &Reference,
    platform: &Platform,
    always_ask: bool,
) -> Result<Pinned, ResolveError> {
    Names::default().image(store, client, reference, platform, always_ask).await
}

/// What the local store has of a name.
enum Local {
    /// The image.
    Here(Box<Pinned>),
    /// The image, for other platforms.
    For(Vec<Platform>),
    /// Nothing, or not all of it.
    Absent,
}

/// The image of a name in the local store, if all of it is there.
fn local(store: &Store, reference: &Reference, platform: &Platform) -> Result<Local, ResolveError> {
    let Some(row) = store.image(&reference.to_string())? else { return Ok(Local::Absent) };
    let broken = |error: &dyn std::fmt::Display| ResolveError::Image(format!("the local image is damaged: {error}"));
    let mut descriptor: Descriptor = serde_json::from_str(&row).map_err(|error| broken(&error))?;
    for _ in 0..4 {
        let Some(bytes) = store.read_blob(&descriptor.digest, MAX_DOCUMENT)? else { return Ok(Local::Absent) };
        let (_, document) = Document::parse(&bytes, None).map_err(|error| broken(&error))?;
        match document {
            Document::Index(index) => {
                let Some(found) = candidates(&index, platform).into_iter().next().cloned() else {
                    let images = index.manifests.iter().filter(|entry| !entry.is_attestation());
                    return Ok(Local::For(
                        images.filter_map(|entry| Some(entry.platform.as_ref()?.normal())).collect(),
                    ));
                };
                descriptor = found;
            }
            Document::Manifest(manifest) => {
                let Some(config) = store.read_blob(&manifest.config.digest, MAX_CONFIG)? else {
                    return Ok(Local::Absent);
                };
                let config: ImageConfig = serde_json::from_slice(&config).map_err(|error| broken(&error))?;
                if !crate::image::runs_on(&config.platform(), platform) {
                    return Ok(Local::For(vec![config.platform()]));
                }
                let pinned = pin(reference, descriptor.digest.to_string(), &manifest.layers, config)?;
                return Ok(Local::Here(Box::new(pinned)));
            }
        }
    }
    Ok(Local::Absent)
}

/// An image of these layers, pinned.
pub fn pin(
    reference: &Reference,
    digest: String,
    layers: &[Descriptor],
    config: ImageConfig,
) -> Result<Pinned, ResolveError> {
    if config.rootfs.diff_ids.len() != layers.len() {
        return Err(ResolveError::Image("its configuration and its manifest count different layers".to_owned()));
    }
    let diff_ids: Result<Vec<DiffId>, _> = config.rootfs.diff_ids.iter().map(|text| text.parse()).collect();
    let diff_ids = diff_ids.map_err(|error| ResolveError::Image(format!("its configuration has an {error}")))?;
    let source =
        Source { reference: reference.clone(), layers: diff_ids.into_iter().zip(layers.iter().cloned()).collect() };
    let image = ResolvedImage { reference: reference.to_string(), digest, config };
    Ok(Pinned { image, source })
}
