//! `Image`: the layers of a manifest, pulled no earlier and no further than something needs them.
//!
//! | who | needs of the image's layers |
//! |---|---|
//! | an output, or a `Merge` on its way to one | nothing: their descriptors are enough |
//! | a `File` operation on top | their tables, to know what is in its way |
//! | a copy *from* the image, names of users, a process | their files |
//!
//! The vertex of the image fetches what the graph says will be needed, so that the transfer does not wait for other
//! inputs. Whoever really needs something [asks](Sources::bring) again, because a vertex that was found by its key
//! never did.

use super::{Exec, ExecError, Product};
use crate::{
    cache::Imported,
    image::{BlobDigest, Descriptor, DiffId},
    layer::{Algorithm, Compression, Layers},
    registry::Client,
    resolve::Source,
    solver::event::Step,
};
use flashbuild_frontend::{
    graph::{Graph, ImageOp, NodeId, Op},
    reference::Reference,
};
use futures_util::FutureExt as _;
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

/// Where the images of a build come from.
pub struct Sources {
    /// How registries are asked.
    client: Client,
    /// What was resolved, by the digest of the manifest.
    images: BTreeMap<String, Source>,
    /// Where each of their layers is.
    blobs: HashMap<DiffId, (Reference, Descriptor)>,
    /// What caches have.
    imported: Arc<Imported>,
    /// Blobs that are on their way, so that two steps do not fetch the same one.
    under_way: Mutex<HashMap<BlobDigest, Arc<tokio::sync::Mutex<()>>>>,
}

/// What somebody needs of layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// That they exist.
    Nothing,
    /// What is in them.
    Tables,
    /// Their files, in whatever form.
    Files,
    /// A blob, to hand it on.
    Blobs,
}

impl Sources {
    /// The sources of a build whose images were resolved to `images`, by the digest of their manifests. `layers` gets
    /// to know them.
    pub fn new(
        client: Client,
        images: BTreeMap<String, Source>,
        layers: &Layers,
        imported: Arc<Imported>,
    ) -> Result<Self, ExecError> {
        let mut blobs = HashMap::new();
        for source in images.values() {
            let mut below: Vec<DiffId> = Vec::with_capacity(source.layers.len());
            for (diff_id, blob) in &source.layers {
                layers.pulled(diff_id, &below, &blob.digest, blob.size, blob.media_type.as_ref())?;
                layers.pulled_index(diff_id, &blob.digest, &blob.annotations)?;
                below.push(*diff_id);
                blobs.insert(*diff_id, (source.reference.clone(), blob.clone()));
            }
        }
        Ok(Self { client, images, blobs, imported, under_way: Mutex::default() })
    }

    /// What caches have.
    pub fn imported(&self) -> &Imported {
        &self.imported
    }

    /// Whether the layer came with an image, and a registry has it.
    pub fn has(&self, diff_id: &DiffId) -> bool {
        self.blobs.contains_key(diff_id)
    }

    /// Fetches what is missing of those of `diff_ids` that came with an image or are in a cache.
    pub async fn bring(
        &self,
        layers: &Layers,
        diff_ids: &[DiffId],
        need: Need,
        step: Option<&Step>,
    ) -> Result<(), ExecError> {
        let missing = |diff_id: &DiffId| -> Result<bool, ExecError> {
            Ok(match need {
                Need::Nothing => false,
                Need::Tables => !layers.has_table(diff_id)?,
                Need::Files => !layers.has_files(diff_id)?,
                Need::Blobs => !layers.has_blob(diff_id)?,
            })
        };
        let mut wanted = Vec::new();
        for diff_id in diff_ids {
            if let Some((reference, blob)) = self.blobs.get(diff_id)
                && missing(diff_id)?
            {
                wanted.push(self.fetch(layers, reference, blob, step).boxed());
            } else if self.is_cached(diff_id) && missing(diff_id)? {
                let fetched = self.imported.fetch(layers, diff_id, step);
                wanted.push(async { Ok(fetched.await?) }.boxed());
            }
        }
        futures_util::future::try_join_all(wanted).await?;
        Ok(())
    }

    /// Whether the layer is nowhere but in caches and, maybe, here.
    fn is_cached(&self, diff_id: &DiffId) -> bool {
        !self.has(diff_id) && self.imported.has(diff_id)
    }

    /// Fetches what a push to `names` needs of those of `diff_ids` that are in caches: what neither a registry that it goes
    /// to has, nor a cache in the same registry, from which it can be linked.
    pub async fn bring_for_push(
        &self,
        layers: &Layers,
        diff_ids: &[DiffId],
        names: &[Reference],
        step: Option<&Step>,
    ) -> Result<(), ExecError> {
        for diff_id in diff_ids.iter().filter(|diff_id| self.is_cached(diff_id)) {
            let Some(claimed) = layers.claimed(diff_id) else { continue };
            if layers.has_blob(diff_id)? {
                continue;
            }
            for name in names.iter().filter(|name| !self.imported.is_in_registry(diff_id, name.host())) {
                if !self.client.has_blob(name, &claimed.digest).await? {
                    self.imported.fetch(layers, diff_id, step).await?;
                    break;
                }
            }
        }
        Ok(())
    }

    /// Fetches those of `diff_ids` that are in caches only, and there in none of the forms that are wanted.
    pub async fn bring_to_compress(
        &self,
        layers: &Layers,
        diff_ids: &[DiffId],
        wanted: &[Compression],
        step: Option<&Step>,
    ) -> Result<(), ExecError> {
        for diff_id in diff_ids.iter().filter(|diff_id| self.is_cached(diff_id)) {
            let claimed = layers.claimed(diff_id).and_then(|blob| Algorithm::of_media_type(&blob.media_type));
            if wanted.iter().any(|wanted| Some(wanted.algorithm()) != claimed) {
                self.bring(layers, &[*diff_id], Need::Blobs, step).await?;
            }
        }
        Ok(())
    }

    async fn fetch(
        &self,
        layers: &Layers,
        reference: &Reference,
        blob: &Descriptor,
        step: Option<&Step>,
    ) -> Result<(), ExecError> {
        let turn = {
            let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(under_way.entry(blob.digest).or_default())
        };
        let _alone = turn.lock().await;
        let item: String = blob.digest.to_string().chars().take(19).collect();
        let told = |done| {
            if let Some(step) = step {
                step.transfer(&item, done, Some(blob.size));
            }
        };
        Ok(self.client.fetch_to_store(reference, blob, layers.store(), &told).await?)
    }
}

/// Brings of an image's layers what the vertices above `id` will ask for.
pub(super) async fn pull(exec: &Exec, id: NodeId, op: &ImageOp, step: &Step) -> Result<Product, ExecError> {
    let source = exec.sources.images.get(&op.digest).ok_or(ExecError::Internal("an image was not resolved"))?;
    let diff_ids: Vec<DiffId> = source.layers.iter().map(|(diff_id, _)| *diff_id).collect();
    let need = needed_of(&exec.graph, id);
    exec.sources.bring(&exec.layers, &diff_ids, need, Some(step)).await?;
    if need > Need::Nothing {
        // The tables are what later steps ask; making them checks each layer against its diff ID.
        tokio::task::block_in_place(|| exec.layers.view(&diff_ids))?;
    }
    Ok(Product::tree(diff_ids, Arc::default()))
}

/// What of the layers of `id` the nodes above need.
fn needed_of(graph: &Graph, id: NodeId) -> Need {
    let mut need = Need::Nothing;
    let mut on_top = vec![false; graph.len()];
    on_top[id.index()] = true;
    for (user, node) in graph.nodes().skip(id.index() + 1) {
        let is_under = |input: &NodeId| on_top[input.index()];
        match node.op {
            Op::Merge => on_top[user.index()] = node.inputs.iter().any(is_under),
            Op::Exec(_) if node.inputs.iter().any(is_under) => return Need::Files,
            Op::File(_) if node.inputs.iter().skip(1).any(is_under) => return Need::Files,
            Op::File(_) if node.inputs.first().is_some_and(is_under) => {
                on_top[user.index()] = true;
                need = Need::Tables;
            }
            Op::Exec(_) | Op::File(_) | Op::Image(_) | Op::Local(_) | Op::Http(_) | Op::Git(_) | Op::Package(_) => {}
        }
    }
    need
}
