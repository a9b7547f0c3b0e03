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
    image::{BlobDigest, Descriptor, DiffId},
    layer::Layers,
    registry::Client,
    resolve::Source,
    solver::event::Step,
};
use flashbuild_frontend::{
    graph::{Graph, ImageOp, NodeId, Op},
    reference::Reference,
};
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
    pub fn new(client: Client, images: BTreeMap<String, Source>, layers: &Layers) -> Result<Self, ExecError> {
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
        Ok(Self { client, images, blobs, under_way: Mutex::default() })
    }

    /// Whether a registry has the layer.
    pub fn has(&self, diff_id: &DiffId) -> bool {
        self.blobs.contains_key(diff_id)
    }

    /// Fetches what is missing of those of `diff_ids` that came with an image.
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
                wanted.push(self.fetch(layers, reference, blob, step));
            }
        }
        futures_util::future::try_join_all(wanted).await?;
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
    Ok(Product::Tree(Arc::new(diff_ids)))
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
