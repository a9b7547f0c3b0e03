//! An image to where it was asked for.

use super::BuildError;
use crate::{
    exec::{Need, Sources},
    export::{self, BuiltIndex},
    image::DiffId,
    layer::Layers,
    registry::Client,
    solver::event::{Events, Step},
    store::Store,
};
use flashbuild_frontend::reference::Reference;
use std::{fs, path::PathBuf};

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

/// An image on its way out. What was never pulled is brought as far as its destination needs it.
pub(super) struct Delivery<'a> {
    pub(super) store: &'a Store,
    pub(super) client: &'a Client,
    pub(super) layers: &'a Layers,
    pub(super) sources: &'a Sources,
    pub(super) image: &'a BuiltIndex,
}

impl Delivery<'_> {
    /// Sends the image to one place, under `tags` unless that has a name of its own.
    pub(super) async fn to(&self, output: &Destination, tags: &[Reference], events: &Events) -> Result<(), BuildError> {
        let names = |name: &Option<String>| match name {
            Some(name) => vec![name.clone()],
            None => tags.iter().map(ToString::to_string).collect(),
        };
        let bundle = self.image.bundle();
        match output {
            Destination::Registry => {
                let shown: Vec<String> = tags.iter().map(Reference::familiar).collect();
                let step = events.step(format!("push {}", shown.join(", ")));
                let moved = |item: &str, done: u64, total: u64| step.transfer(item, done, Some(total));
                // A layer that is not here is linked by the registry or, if that cannot be, pulled on the way.
                if let Err(error) = export::push(self.client, self.store, &bundle, tags, moved).await {
                    step.failed(error.to_string());
                    return Err(error.into());
                }
                step.ran();
            }
            Destination::OciArchive { dest, name } => {
                let step = events.step(format!("write {}", dest.display()));
                self.bring(Need::Blobs, &step).await?;
                let partial = dest.with_extension("partial");
                let at = |error| BuildError::Environment(format!("{}: {error}", dest.display()));
                let file = fs::File::create(&partial).map_err(at)?;
                export::write_archive(self.store, &bundle, &names(name), std::io::BufWriter::new(file))?;
                fs::rename(&partial, dest).map_err(at)?;
                step.ran();
            }
            Destination::OciFolder { dest, name } => {
                let step = events.step(format!("write {}", dest.display()));
                self.bring(Need::Blobs, &step).await?;
                export::write_folder(self.store, &bundle, &names(name), dest)?;
                step.ran();
            }
            Destination::Local { dest } => {
                let step = events.step(format!("write {}", dest.display()));
                self.bring(Need::Files, &step).await?;
                for built in &self.image.images {
                    let folder = match self.image.images.len() {
                        1 => dest.clone(),
                        _ => dest.join(built.platform.to_string().replace('/', "_")),
                    };
                    let diff_ids: Vec<DiffId> = built.layers.iter().map(|(diff_id, _)| *diff_id).collect();
                    tokio::task::block_in_place(|| export::write_tree(self.layers, &diff_ids, &folder))?;
                }
                step.ran();
            }
        }
        Ok(())
    }

    async fn bring(&self, need: Need, step: &Step) -> Result<(), BuildError> {
        for built in &self.image.images {
            let diff_ids: Vec<DiffId> = built.layers.iter().map(|(diff_id, _)| *diff_id).collect();
            let brought = self.sources.bring(self.layers, &diff_ids, need, Some(step)).await;
            brought.map_err(|error| BuildError::Environment(error.to_string()))?;
        }
        Ok(())
    }
}
