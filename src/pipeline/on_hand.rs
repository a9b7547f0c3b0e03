//! Images on hand: named, fetched, sent, joined, without building anything.

use super::{BuildError, error::ended};
use crate::{
    export::{self, Bundle, Layout, PushReport, Sent},
    image::{Descriptor, Document, DocumentKind, Index, MediaType, STATEMENT},
    registry::{Client, Resolved},
    solver::event::{Events, Step},
    store::Store,
};
use flashbuild_frontend::{config::ImageConfig, platform::Platform, reference::Reference};
use futures_util::future::try_join_all;
use std::{collections::BTreeMap, io::Write};

/// Documents that one image may have.
const MOST_DOCUMENTS: usize = 256;
/// Bytes of a configuration.
const LARGEST_CONFIG: u64 = 8 << 20;

/// What an image of the local store leads to.
fn found(store: &Store, reference: &Reference) -> Result<Option<Descriptor>, BuildError> {
    let Some(row) = store.image(&reference.to_string())? else { return Ok(None) };
    let damaged = |error| BuildError::Environment(format!("{} is damaged: {error}", reference.familiar()));
    serde_json::from_str(&row).map(Some).map_err(damaged)
}

fn known(store: &Store, reference: &Reference) -> Result<Descriptor, BuildError> {
    found(store, reference)?.ok_or_else(|| not_in_store(reference))
}

/// The error for a name that no image of the local store has.
pub fn not_in_store(reference: &Reference) -> BuildError {
    BuildError::Input(format!(
        "no image {0} in the local store: `flashbuild images` lists what there is, `flashbuild pull {0}` fetches it",
        reference.familiar()
    ))
}

fn text(descriptor: &Descriptor) -> Result<String, BuildError> {
    serde_json::to_string(descriptor).map_err(|error| BuildError::Environment(error.to_string()))
}

/// Gives an image of the local store more names.
pub fn tag(store: &Store, source: &Reference, names: &[Reference]) -> Result<(), BuildError> {
    let descriptor = text(&known(store, source)?)?;
    names.iter().try_for_each(|name| Ok(store.put_image(&name.to_string(), &descriptor)?))
}

/// Takes a name away, and with its image the lists of what is said of it; the bytes go when nothing needs them any more.
pub fn remove(store: &Store, name: &Reference) -> Result<(), BuildError> {
    let image = Bundle::load(store, &known(store, name)?);
    store.remove_image(&name.to_string())?;
    match image {
        Ok(image) => Ok(export::forget_referrers(store, name, &image)?),
        // Of an image that is not whole there is nothing more to know.
        Err(_) => Ok(()),
    }
}

/// Writes an image of the local store as an archive.
pub fn save(store: &Store, name: &Reference, layout: Layout, writer: impl Write) -> Result<(), BuildError> {
    let bundle = Bundle::load(store, &known(store, name)?)?;
    Ok(export::write_archive(store, &bundle, &[name.to_string()], layout, writer)?)
}

/// Pushes an image of the local store under `names`.
pub async fn push(
    store: &Store,
    client: &Client,
    source: &Reference,
    names: &[Reference],
    events: &Events,
) -> Result<PushReport, BuildError> {
    let bundle = Bundle::load(store, &known(store, source)?)?.with_referrers(store, source)?;
    let shown: Vec<String> = names.iter().map(Reference::familiar).collect();
    let step = events.step(format!("push {}", shown.join(", ")));
    let moved = |item: &str, done: u64, total: u64| step.transfer(item, done, Some(total));
    let pushed = export::push(client, store, &bundle, names, &Sent::default(), moved).await;
    ended(step, pushed.map_err(BuildError::from))
}

/// Fetches an image into the local store, under the name it has at its registry: all of its documents, and the layers
/// for `platforms`; for all if there are none. `with_referrers` brings what its registry has that speaks of it, too.
pub async fn pull(
    store: &Store,
    client: &Client,
    reference: &Reference,
    platforms: &[Platform],
    with_referrers: bool,
    events: &Events,
) -> Result<Descriptor, BuildError> {
    let step = events.step(format!("pull {}", reference.familiar()));
    let pulled = fetch(store, client, reference, Some(platforms), &step).await;
    let pulled = pulled.and_then(|top| {
        store.put_image(&reference.to_string(), &text(&top)?)?;
        Ok(top)
    });
    let top = ended(step, pulled)?;
    if with_referrers {
        let step = events.step(format!("pull what is said of {}", reference.familiar()));
        let brought = fetch_referrers(store, client, reference, &top, &step).await;
        ended(step, brought)?;
    }
    Ok(top)
}

/// Brings the attestations, signatures and the like that have a manifest of the image as their subject.
async fn fetch_referrers(
    store: &Store,
    client: &Client,
    reference: &Reference,
    top: &Descriptor,
    step: &Step,
) -> Result<(), BuildError> {
    let mut count = 0;
    for subject in Bundle::load(store, top)?.documents() {
        for entry in client.referrers(reference, &subject).await? {
            count += 1;
            if count > MOST_DOCUMENTS {
                let text = format!("more than {MOST_DOCUMENTS} documents speak of {}", reference.familiar());
                return Err(BuildError::Environment(text));
            }
            let name = pinned(reference, &entry)?;
            let top = fetch(store, client, &name, Some(&[]), step).await?;
            let bytes = store.read_blob(&top.digest, LARGEST_CONFIG)?.unwrap_or_default();
            let speaks = Document::parse(&bytes, None).is_ok_and(|(_, document)| document.subject() == Some(subject));
            if speaks {
                export::refer(store, reference, subject, &top)?;
            } else {
                step.notice(format!(
                    "{} is left out: it does not speak of {subject}, as its registry says",
                    top.digest
                ));
            }
        }
    }
    step.notice(format!("{count} documents"));
    Ok(())
}

/// Joins images, local or not, to an index, and gives it a name in the local store. Layers stay where they are: a push
/// links or fetches what its registry lacks.
pub async fn create_index(
    store: &Store,
    client: &Client,
    name: &Reference,
    parts: &[Reference],
    events: &Events,
) -> Result<Descriptor, BuildError> {
    let step = events.step(format!("join {}", name.familiar()));
    let joined = join(store, client, name, parts, &step).await;
    ended(step, joined)
}

async fn join(
    store: &Store,
    client: &Client,
    name: &Reference,
    parts: &[Reference],
    step: &Step,
) -> Result<Descriptor, BuildError> {
    let mut manifests: Vec<Descriptor> = Vec::new();
    for part in parts {
        let top = match found(store, part)? {
            Some(top) => top,
            None => fetch(store, client, part, None, step).await?,
        };
        for entry in entries(store, &top)? {
            // The one named last counts, as with `index append` of an image that was built again.
            manifests.retain(|there| !takes_the_place_of(&entry, there));
            manifests.push(entry);
        }
    }
    // What is said of an image goes with it, behind all images.
    let images: Vec<_> = manifests.iter().map(|entry| entry.digest).collect();
    manifests.retain(|entry| entry.attested().is_none_or(|subject| images.contains(&subject)));
    manifests.sort_by_key(Descriptor::is_attestation);
    let index = Index { manifests, ..Index::empty() };
    let bytes = serde_json::to_vec(&index).map_err(|error| BuildError::Environment(error.to_string()))?;
    let top = Descriptor::of(MediaType::ImageIndex, &bytes);
    store.put_blob(&bytes)?;
    store.put_image(&name.to_string(), &text(&top)?)?;
    Ok(top)
}

/// Whether of two entries of an index only `new` can stay.
fn takes_the_place_of(new: &Descriptor, old: &Descriptor) -> bool {
    match (new.is_attestation(), old.is_attestation()) {
        (true, true) => new.digest == old.digest,
        (false, false) => old.platform.is_some() && new.platform == old.platform,
        (true, false) | (false, true) => false,
    }
}

/// What an image adds to an index: its own entries, or itself with its platform.
fn entries(store: &Store, top: &Descriptor) -> Result<Vec<Descriptor>, BuildError> {
    let damaged = |why: String| BuildError::Environment(format!("{}: {why}", top.digest));
    let bytes = store.read_blob(&top.digest, LARGEST_CONFIG)?.ok_or_else(|| damaged("it is gone".to_owned()))?;
    let (_, document) = Document::parse(&bytes, None).map_err(|error| damaged(error.to_string()))?;
    match document {
        Document::Index(index) => Ok(index.manifests),
        Document::Manifest(manifest) => {
            let config = store.read_blob(&manifest.config.digest, LARGEST_CONFIG)?;
            let config = config.ok_or_else(|| damaged("its configuration is gone".to_owned()))?;
            let config: ImageConfig = serde_json::from_slice(&config).map_err(|error| damaged(error.to_string()))?;
            let described = Descriptor::new(top.media_type.clone(), top.digest, top.size);
            Ok(vec![described.with_platform(&config.platform())])
        }
    }
}

/// Brings an image's documents here, and the layers of `platforms`: `None` brings no layers, an empty list all.
async fn fetch(
    store: &Store,
    client: &Client,
    reference: &Reference,
    platforms: Option<&[Platform]>,
    step: &Step,
) -> Result<Descriptor, BuildError> {
    let first = client.resolve(reference).await?;
    let top = first.descriptor.clone();
    let mut pending: Vec<Resolved> = vec![first];
    let mut blobs: BTreeMap<_, Descriptor> = BTreeMap::new();
    let mut seen = 0;
    while let Some(resolved) = pending.pop() {
        seen += 1;
        store.put_blob(&resolved.bytes)?;
        match resolved.document {
            Document::Index(index) => {
                let entries = index.manifests.iter().filter(|entry| DocumentKind::of(&entry.media_type).is_some());
                let names = entries.map(|entry| pinned(reference, entry)).collect::<Result<Vec<_>, _>>()?;
                if seen + pending.len() + names.len() > MOST_DOCUMENTS {
                    let text = format!("{} has more than {MOST_DOCUMENTS} documents", reference.familiar());
                    return Err(BuildError::Environment(text));
                }
                pending.extend(try_join_all(names.iter().map(|name| client.resolve(name))).await?);
            }
            Document::Manifest(manifest) => {
                client.fetch_to_store(reference, &manifest.config, store, &|_| ()).await?;
                let digests: Vec<_> = manifest.layers.iter().map(|layer| layer.digest).collect();
                store.note_places(reference.host(), reference.path(), &digests)?;
                let config = store.read_blob(&manifest.config.digest, LARGEST_CONFIG)?.unwrap_or_default();
                // What is said of images is small, and whoever has one of them may want to see it.
                let is_said = manifest.layers.iter().any(|layer| layer.media_type.as_ref() == STATEMENT);
                let is_wanted = |wanted: &[Platform]| match serde_json::from_slice::<ImageConfig>(&config) {
                    Ok(config) => {
                        let platform = config.platform();
                        wanted.is_empty() || wanted.iter().any(|machine| crate::image::runs_on(&platform, machine))
                    }
                    // An artifact is for no platform, or for all.
                    Err(_) => true,
                };
                if platforms.is_some_and(|wanted| is_said || is_wanted(wanted)) {
                    blobs.extend(manifest.layers.into_iter().map(|layer| (layer.digest, layer)));
                }
            }
        }
    }
    let fetched = blobs.values().map(|blob| async move {
        let item: String = blob.digest.to_string().chars().take(19).collect();
        let moved = |done| step.transfer(&item, done, Some(blob.size));
        client.fetch_to_store(reference, blob, store, &moved).await
    });
    try_join_all(fetched).await?;
    Ok(top)
}

fn pinned(reference: &Reference, entry: &Descriptor) -> Result<Reference, BuildError> {
    let name = format!("{}/{}@{}", reference.host(), reference.path(), entry.digest);
    name.parse().map_err(|error| BuildError::Environment(format!("{name}: {error}")))
}
