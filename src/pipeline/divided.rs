//! Images of a build, before they are assembled: large layers are divided, and what nobody needs is left out.

use super::{BuildError, CacheTo, Request, attempt::Attempt, results::Unassembled};
use crate::{
    exec::{Divided, Exec, Need},
    image::DiffId,
    layer::{Layers, View},
    optimize::rewrite::{self, slim, split},
    solver::event::Step,
};
use flashbuild_frontend::config::ImageConfig;

/// What becomes of layers that were built.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Division {
    /// From which size on they are split; `None`: never.
    pub split: Option<split::Options>,
    /// What is left out of them.
    pub slim: slim::Options,
}

/// Bytes of a blob in a cache below which a layer is not fetched to see whether it is worth dividing: dividing it would save
/// next to nothing.
const SMALL_BLOB: u64 = 2 << 20;

impl Division {
    /// Which layers of files will become others.
    pub(super) fn of_files(&self) -> Option<Divided> {
        let slims = !self.slim.passes.is_empty();
        let from = if slims { Some(0) } else { self.split.map(|options| options.from) }?;
        let from_small = self.split.map_or(u64::MAX, |options| options.from.max(split::MANY_FILES));
        Some(Divided { from, from_small, small: split::LARGE_FILE })
    }

    /// Whether a layer, once it is made, may still become others.
    pub(super) fn may_divide(&self, layers: &Layers, diff_id: &DiffId) -> bool {
        let large = |options: split::Options| layers.toc(diff_id).is_ok_and(|toc| toc.content_size() >= options.from);
        !self.slim.passes.is_empty() || self.split.is_some_and(large)
    }
}

/// Divides the layers of `images` that this build made by `RUN` and `COPY`. Those of `DEPS` are divided already.
pub(super) async fn divide(attempt: &Attempt<'_>, images: Vec<Unassembled>) -> Result<Vec<Unassembled>, BuildError> {
    let Attempt { exec, request, events, .. } = *attempt;
    let division = &request.division;
    if *division == Division::default() {
        return Ok(images);
    }
    if request.cache_to.iter().any(|export| export.to == CacheTo::Inline) {
        events.notice("layers are not divided: a cache inside of the image names them by their places");
        return Ok(images);
    }
    let mut divided = Vec::with_capacity(images.len());
    for (platform, config, diff_ids) in images {
        let base = diff_ids.iter().take_while(|diff_id| exec.sources.has(diff_id)).count();
        if let Some((config, diff_ids)) = divided_before(exec, division, base, &config, &diff_ids)? {
            divided.push((platform, config, diff_ids));
            continue;
        }
        // A layer that only a cache has is looked at too, or the image would depend on what is here.
        let worth_a_look =
            |diff_id: &&DiffId| exec.sources.imported().size(diff_id).is_none_or(|size| size >= SMALL_BLOB);
        let looked_at: Vec<DiffId> = diff_ids[base..].iter().filter(worth_a_look).copied().collect();
        let brought = exec.sources.bring(&exec.layers, &looked_at, Need::Tables, None).await;
        brought.map_err(|error| BuildError::Environment(error.to_string()))?;
        let is_large = |diff_id: &DiffId| division.may_divide(&exec.layers, diff_id);
        if !diff_ids[base..].iter().any(is_large) {
            divided.push((platform, config, diff_ids));
            continue;
        }
        let step = events.step(format!("divide layers for {platform}"));
        let need = if division.slim.passes.is_empty() { Need::Tables } else { Need::Files };
        let done = match exec.sources.bring(&exec.layers, &diff_ids, need, Some(&step)).await {
            Ok(()) => tokio::task::block_in_place(|| one(exec, request, base, &config, &diff_ids, &step)),
            Err(error) => Err(BuildError::Environment(error.to_string())),
        };
        match done {
            Ok((config, diff_ids)) => {
                step.ran();
                divided.push((platform, config, diff_ids));
            }
            Err(error) => {
                step.failed(error.to_string());
                return Err(error);
            }
        }
    }
    Ok(divided)
}

/// What became of an image that consisted of the same layers. If files are to be left out, they are looked for, and told of.
fn divided_before(
    exec: &Exec,
    division: &Division,
    base: usize,
    config: &ImageConfig,
    diff_ids: &[DiffId],
) -> Result<Option<(ImageConfig, Vec<DiffId>)>, BuildError> {
    let (true, Some(options)) = (division.slim.passes.is_empty(), division.split) else { return Ok(None) };
    let deps = layers_of_deps(config, diff_ids.len());
    let known = split::known(&exec.store, config, (diff_ids, base), options, |index| !deps[index]);
    let known = known.map_err(|error| BuildError::Environment(error.to_string()))?;
    Ok(known.map(|known| (known.config, known.diff_ids)))
}

fn one(
    exec: &Exec,
    request: &Request,
    base: usize,
    config: &ImageConfig,
    diff_ids: &[DiffId],
    step: &Step,
) -> Result<(ImageConfig, Vec<DiffId>), BuildError> {
    let broken = |error: crate::layer::LayerError| BuildError::Environment(error.to_string());
    let view = exec.layers.view(diff_ids).map_err(broken)?;
    let image = |config, diff_ids, view| rewrite::Image {
        config,
        diff_ids,
        view,
        layers: &exec.layers,
        base,
        compression: request.image.compression,
    };
    let mut current = (config.clone(), diff_ids.to_vec());
    if !request.division.slim.passes.is_empty() {
        let before = image(config, diff_ids, &view);
        let plan = slim::plan(&before, &request.division.slim, None)?;
        for saving in plan.savings.iter().filter(|saving| saving.files > 0) {
            let (pass, size) = (saving.pass, crate::progress::ByteSize(saving.bytes));
            step.notice(format!("slim: {size} saved in {} files: {}; {}", saving.files, pass.title, pass.safe));
        }
        for note in &plan.notes {
            step.notice(format!("slim: {note}"));
        }
        let made = plan.make(&before)?;
        current = (made.config, made.diff_ids);
    }
    if let Some(options) = request.division.split {
        let view: View = exec.layers.view(&current.1).map_err(broken)?;
        let deps = layers_of_deps(&current.0, current.1.len());
        let made = split::split(&image(&current.0, &current.1, &view), options, |index| !deps[index])?;
        current = (made.config, made.diff_ids);
    }
    Ok(current)
}

/// Which layers `DEPS` made, as the history says.
fn layers_of_deps(config: &ImageConfig, count: usize) -> Vec<bool> {
    let made: Vec<bool> = (config.history.iter().filter(|entry| !entry.empty_layer))
        .map(|entry| entry.created_by.as_deref().is_some_and(|text| text.starts_with("DEPS ")))
        .collect();
    let unknown = count.saturating_sub(made.len());
    (0..count).map(|index| index.checked_sub(unknown).is_some_and(|index| made[index])).collect()
}
