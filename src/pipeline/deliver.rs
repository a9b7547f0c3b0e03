//! An image to where it was asked for.

use super::BuildError;
use crate::{
    export::{self, BuiltIndex},
    image::DiffId,
    layer::Layers,
    registry::Client,
    solver::event::Events,
    store::Store,
};
use flashbuild_frontend::reference::Reference;
use std::{collections::BTreeMap, fs, path::PathBuf};

/// Where an image goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// To the registries of its names.
    Registry,
    /// Into an OCI layout archive.
    OciArchive {
        /// The file.
        dest: PathBuf,
        /// What the image is called in it, in place of its names.
        name: Option<String>,
    },
    /// Into an OCI layout folder.
    OciFolder {
        /// The folder.
        dest: PathBuf,
        /// What the image is called in it, in place of its names.
        name: Option<String>,
    },
    /// As files, one folder a platform if there are several.
    Local {
        /// The folder.
        dest: PathBuf,
    },
}

/// Sends an image to one place.
pub(super) async fn deliver(
    store: &Store,
    client: &Client,
    layers: &Layers,
    image: &BuiltIndex,
    output: &Destination,
    tags: &[Reference],
    events: &Events,
) -> Result<(), BuildError> {
    let names = |name: &Option<String>| match name {
        Some(name) => vec![name.clone()],
        None => tags.iter().map(ToString::to_string).collect(),
    };
    match output {
        Destination::Registry => {
            for tag in tags {
                let step = events.step(format!("push {}", tag.familiar()));
                let moved = |item: &str, done: u64, total: u64| step.transfer(item, done, Some(total));
                if let Err(error) = export::push(client, store, image, tag, &BTreeMap::new(), moved).await {
                    step.failed(error.to_string());
                    return Err(error.into());
                }
                step.ran();
            }
        }
        Destination::OciArchive { dest, name } => {
            let step = events.step(format!("write {}", dest.display()));
            let partial = dest.with_extension("partial");
            let at = |error| BuildError::Environment(format!("{}: {error}", dest.display()));
            let file = fs::File::create(&partial).map_err(at)?;
            export::write_archive(store, image, &names(name), std::io::BufWriter::new(file))?;
            fs::rename(&partial, dest).map_err(at)?;
            step.ran();
        }
        Destination::OciFolder { dest, name } => {
            let step = events.step(format!("write {}", dest.display()));
            export::write_folder(store, image, &names(name), dest)?;
            step.ran();
        }
        Destination::Local { dest } => {
            let step = events.step(format!("write {}", dest.display()));
            for built in &image.images {
                let folder = match image.images.len() {
                    1 => dest.clone(),
                    _ => dest.join(built.platform.to_string().replace('/', "_")),
                };
                let diff_ids: Vec<DiffId> = built.layers.iter().map(|(diff_id, _)| *diff_id).collect();
                tokio::task::block_in_place(|| export::write_tree(layers, &diff_ids, &folder))?;
            }
            step.ran();
        }
    }
    Ok(())
}
