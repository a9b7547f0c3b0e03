//! What the graph came to, on its way to images: assembled once for each way in which destinations want them.

use super::{
    BuildError, Destination, Target,
    attempt::Attempt,
    attestations::{self, Attesting},
    caches,
    deliver::Delivery,
    divided, proof,
};
use crate::{
    attest::Provenance,
    cache::Used,
    exec::{Need, Product},
    export::{self, BuiltImage, BuiltIndex, ImageOptions, Sent},
    image::DiffId,
    solver::event::Step,
};
use flashbuild_frontend::{
    config::{History, ImageConfig},
    dockerfile::HISTORY_COMMENT,
    graph::Output,
    platform::Platform,
};

/// An image that is still to be assembled.
pub(super) type Unassembled = (Platform, ImageConfig, Vec<DiffId>);

/// The images of a build that are still to be assembled.
pub(super) struct Results<'a> {
    attempt: &'a Attempt<'a>,
    /// Where they go, those that take images first.
    outputs: Vec<&'a Destination>,
    images: Vec<Unassembled>,
    attesting: Attesting,
}

impl<'a> Results<'a> {
    /// Brings what assembling takes, divides large layers, proves what was made smaller, and finds out what is to be said of the images.
    pub(super) async fn of(
        attempt: &'a Attempt<'a>,
        roots: &[Product],
        used: &[Used],
        step: &Step,
    ) -> Result<Self, BuildError> {
        let Attempt { request, exec, .. } = *attempt;
        let mut outputs: Vec<&Destination> = request.outputs.iter().collect();
        outputs.sort_by_key(|output| !output.target.takes_images());
        let wanted: Vec<&ImageOptions> = match outputs.as_slice() {
            [] => vec![&request.image],
            some => some.iter().map(|output| &output.image).collect(),
        };
        bring(attempt, roots, &wanted, step).await?;
        let image = |(output, root): (&Output, &Product)| {
            let mut config = config(output, exec.graph.epoch);
            caches::inline(&request.cache_to, &mut config, root.layers(), used);
            (output.platform.clone(), config, root.layers().to_vec())
        };
        let whole: Vec<Unassembled> = exec.graph.outputs.iter().zip(roots).map(image).collect();
        let images = divided::divide(attempt, whole.clone()).await?;
        proof::prove_slim(attempt, &whole, &images).await?;
        let trees: Vec<&[DiffId]> = images.iter().map(|(_, _, layers)| layers.as_slice()).collect();
        let attesting = Attesting::gather(attempt, &trees).await?;
        Ok(Self { attempt, outputs, images, attesting })
    }

    /// Assembles the image, as it is under its names in the local store, and puts it there.
    pub(super) fn save(&self) -> Result<BuiltIndex, BuildError> {
        let (target, options) = self.first();
        let image = self.assemble(target, options)?;
        let names: Vec<String> = self.attempt.request.tags.iter().map(ToString::to_string).collect();
        image.bundle().save(self.attempt.store, &names)?;
        Ok(image)
    }

    /// Sends everything where it is to be. `image` is what was saved.
    pub(super) async fn deliver(&self, image: &BuiltIndex, sent: &Sent) -> Result<(), BuildError> {
        let Attempt { store, client, request, exec, events, .. } = *self.attempt;
        let (target, options) = self.first();
        let like_first = self.attesting.options(target, options);
        for &output in &self.outputs {
            self.attesting.warn(&output.target, events);
            let is_first = self.attesting.options(Some(&output.target), &output.image) == like_first;
            let other = if is_first { None } else { Some(self.assemble(Some(&output.target), &output.image)?) };
            let image = other.as_ref().unwrap_or(image);
            let delivery = Delivery { store, client, layers: &exec.layers, sources: &exec.sources, image, sent };
            delivery.to(output, &request.tags, events).await?;
            if let (Some(signer), Target::Registry { .. }) = (&request.signer, &output.target) {
                let names = output.names.as_deref().unwrap_or(&request.tags);
                attestations::sign(signer, client, names, &image.descriptor.digest, events).await?;
            }
        }
        Ok(())
    }

    /// How each image came to be.
    pub(super) fn into_provenance(self) -> Vec<(Platform, Provenance)> {
        self.attesting.into_provenance()
    }

    /// The first output that takes images decides what the image is like under its name in the local store.
    fn first(&self) -> (Option<&Target>, &ImageOptions) {
        match self.outputs.first() {
            Some(output) => (Some(&output.target), &output.image),
            None => (None, &self.attempt.request.image),
        }
    }

    fn assemble(&self, target: Option<&Target>, options: &ImageOptions) -> Result<BuiltIndex, BuildError> {
        let exec = self.attempt.exec;
        let is_base = |diff_id: &DiffId| exec.sources.has(diff_id);
        let about = |built: &BuiltImage| self.attesting.about(built);
        let (options, goes_along) = self.attesting.options(target, options);
        let said = self.attesting.attestations(goes_along, &about);
        let images = self.images.clone();
        Ok(tokio::task::block_in_place(|| export::assemble(&exec.layers, images, &options, is_base, said))?)
    }
}

/// Brings what images like `wanted` need of layers that only a registry or a cache has.
async fn bring(
    attempt: &Attempt<'_>,
    roots: &[Product],
    wanted: &[&ImageOptions],
    step: &Step,
) -> Result<(), BuildError> {
    let Attempt { request, source, exec, .. } = attempt;
    let forces = wanted.iter().any(|image| image.force_compression);
    let pushes = request.outputs.iter().any(|output| matches!(output.target, Target::Registry { .. }));
    let compressions: Vec<_> = wanted.iter().map(|image| image.compression).collect();
    for root in roots {
        // A name in the local store is a promise that all of the image is here, or where it was pushed to.
        if forces || !request.tags.is_empty() && !pushes {
            let brought = exec.sources.bring(&exec.layers, root.layers(), Need::Blobs, Some(step)).await;
            brought.map_err(|error| source.failed(&error, None))?;
        }
        let brought = exec.sources.bring_to_compress(&exec.layers, root.layers(), &compressions, Some(step)).await;
        brought.map_err(|error| source.failed(&error, None))?;
    }
    Ok(())
}

/// The configuration of an output, complete but for its layers. Times are the epoch's, or the beginning of time, so
/// that equal builds are equal images.
fn config(output: &Output, epoch: Option<i64>) -> ImageConfig {
    let created = jiff::Timestamp::from_second(epoch.unwrap_or(0)).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string();
    let mut config = output.config.clone();
    config.created = Some(created.clone());
    config.history.extend(output.steps.iter().map(|step| History {
        created: Some(created.clone()),
        created_by: Some(step.created_by.clone()),
        comment: Some(HISTORY_COMMENT.to_owned()),
        empty_layer: !step.layer,
        author: None,
    }));
    config
}
