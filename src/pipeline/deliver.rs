//! An image to where it was asked for.

use super::BuildError;
use crate::{
    exec::{Need, Sources},
    export::{self, BuiltIndex, Bundle, ImageOptions, Layout, Sent},
    image::{DiffId, PREDICATE_TYPE},
    layer::Layers,
    registry::Client,
    solver::event::{Events, Step},
    store::Store,
};
use bytes::Bytes;
use flashbuild_frontend::reference::Reference;
use std::{
    fs,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

/// Where an image goes, and what it is like there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// The place.
    pub target: Target,
    /// What the image's documents are like.
    pub image: ImageOptions,
    /// Names of its own, in place of the build's.
    pub names: Option<Vec<Reference>>,
}

/// A place for an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The local store, under its names.
    Store,
    /// The registries of its names.
    Registry {
        /// Without giving it tags.
        by_digest: bool,
    },
    /// A layout, as an archive.
    Archive {
        /// Where.
        dest: Dest,
        /// Who reads it.
        layout: Layout,
    },
    /// A layout, as a folder.
    Folder {
        /// Where.
        dest: PathBuf,
        /// Who reads it.
        layout: Layout,
    },
    /// The container engine of this machine.
    Engine,
    /// Files, in a tar.
    Tar {
        /// Where.
        dest: Dest,
        /// A folder for each platform; `None`: if there are several.
        split: Option<bool>,
    },
    /// Files.
    Local {
        /// The folder.
        dest: PathBuf,
        /// A folder for each platform; `None`: if there are several.
        split: Option<bool>,
        /// Whether what is in the folder goes first.
        deletes: bool,
    },
}

/// A file to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dest {
    /// By its path.
    File(PathBuf),
    /// Standard output.
    Stdout,
}

impl Target {
    /// Gives each platform a folder, unless it was said that there is to be none.
    pub fn split_platforms(&mut self) {
        match self {
            Self::Tar { split, .. } | Self::Local { split, .. } => *split = Some(split.unwrap_or(true)),
            Self::Store | Self::Registry { .. } | Self::Archive { .. } | Self::Folder { .. } | Self::Engine => {}
        }
    }

    /// Whether the image goes there as an image, and not as files.
    pub(super) fn takes_images(&self) -> bool {
        match self {
            Self::Store | Self::Registry { .. } | Self::Archive { .. } | Self::Folder { .. } | Self::Engine => true,
            Self::Tar { .. } | Self::Local { .. } => false,
        }
    }
}

/// An image on its way out. What was never pulled is brought as far as its destination needs it.
pub(super) struct Delivery<'a> {
    pub(super) store: &'a Store,
    pub(super) client: &'a Client,
    pub(super) layers: &'a Layers,
    pub(super) sources: &'a Sources,
    pub(super) image: &'a BuiltIndex,
    /// What went ahead.
    pub(super) sent: &'a Sent,
}

impl Delivery<'_> {
    /// Sends the image to one place, under `tags` unless that has names of its own.
    pub(super) async fn to(&self, output: &Destination, tags: &[Reference], events: &Events) -> Result<(), BuildError> {
        let tags = output.names.as_deref().unwrap_or(tags);
        let step = match &output.target {
            Target::Store if output.names.is_none() => return Ok(()),
            Target::Store => events.step(format!("name {}", shown(tags))),
            Target::Registry { .. } => events.step(format!("push {}", shown(tags))),
            Target::Engine => events.step("load into the engine"),
            Target::Archive { dest, .. } | Target::Tar { dest, .. } => events.step(format!("write {}", dest.shown())),
            Target::Folder { dest, .. } | Target::Local { dest, .. } => {
                events.step(format!("write {}", dest.display()))
            }
        };
        match self.deliver(&output.target, tags, &step).await {
            Ok(()) => {
                step.ran();
                Ok(())
            }
            Err(error) => {
                step.failed(error.to_string());
                Err(error)
            }
        }
    }

    async fn deliver(&self, target: &Target, tags: &[Reference], step: &Step) -> Result<(), BuildError> {
        let bundle = self.image.bundle();
        let names: Vec<String> = tags.iter().map(ToString::to_string).collect();
        match target {
            Target::Store => {
                self.bring(Need::Blobs, step).await?;
                bundle.save(self.store, &names)?;
            }
            Target::Registry { by_digest } => {
                let moved = |item: &str, done: u64, total: u64| step.transfer(item, done, Some(total));
                let pinned: Result<Vec<Reference>, _> = match by_digest {
                    true => tags.iter().map(|tag| pinned(tag, &bundle)).collect(),
                    false => Ok(tags.to_vec()),
                };
                for built in &self.image.images {
                    let diff_ids: Vec<DiffId> = built.layers.iter().map(|(diff_id, _)| *diff_id).collect();
                    let brought = self.sources.bring_for_push(self.layers, &diff_ids, tags, Some(step)).await;
                    brought.map_err(|error| BuildError::Environment(error.to_string()))?;
                }
                // A layer that is not here is linked by the registry or, if that cannot be, pulled on the way.
                export::push(self.client, self.store, &bundle, &pinned?, self.sent, moved).await?;
            }
            Target::Archive { dest, layout } => {
                self.bring(Need::Blobs, step).await?;
                dest.write(|writer| export::write_archive(self.store, &bundle, &names, *layout, writer))?;
            }
            Target::Folder { dest, layout } => {
                self.bring(Need::Blobs, step).await?;
                export::write_folder(self.store, &bundle, &names, *layout, dest)?;
            }
            Target::Engine => {
                let socket = export::engine_socket()?;
                self.bring(Need::Blobs, step).await?;
                let stage = self.store.stage_dir()?;
                let archive = stage.path().join("image.tar");
                let write =
                    |writer: &mut dyn Write| export::write_archive(self.store, &bundle, &names, Layout::Docker, writer);
                Dest::File(archive.clone()).write(write)?;
                export::load(&socket, &archive).await?;
            }
            Target::Tar { dest, split } => {
                self.bring(Need::Files, step).await?;
                let trees = self.trees(*split);
                let write = |writer: &mut dyn Write| export::write_tarball(self.layers, &trees, writer);
                tokio::task::block_in_place(|| dest.write(write))?;
            }
            Target::Local { dest, split, deletes } => {
                self.bring(Need::Files, step).await?;
                if *deletes {
                    clear(dest)?;
                }
                for (folder, diff_ids) in self.trees(*split) {
                    let dest = if folder.is_empty() { dest.clone() } else { dest.join(folder) };
                    tokio::task::block_in_place(|| {
                        export::write_tree(self.layers, &diff_ids, &dest, export::HardLinks::Kept)
                    })?;
                }
                for (name, bytes) in self.statements(*split) {
                    let path = dest.join(name);
                    fs::write(&path, bytes)
                        .map_err(|error| BuildError::Environment(format!("{}: {error}", path.display())))?;
                }
            }
        }
        Ok(())
    }

    /// The trees, each with the folder that it goes to.
    fn trees(&self, split: Option<bool>) -> Vec<(String, Vec<DiffId>)> {
        let splits = split.unwrap_or(self.image.images.len() > 1);
        let images = self.image.images.iter().map(|image| {
            let folder = if splits { image.platform.to_string().replace('/', "_") } else { String::new() };
            (folder, image.layers.iter().map(|(diff_id, _)| *diff_id).collect())
        });
        images.collect()
    }

    /// What is said of the images, as files beside theirs: `provenance.json`, `sbom.spdx.json`; with the platform in their
    /// names where several have one folder.
    fn statements(&self, split: Option<bool>) -> Vec<(PathBuf, &Bytes)> {
        let splits = split.unwrap_or(self.image.images.len() > 1);
        let mut files = Vec::new();
        for image in &self.image.images {
            let platform = image.platform.to_string().replace('/', "_");
            let about = self.image.attestations.iter().find(|it| it.subject == image.manifest.digest);
            for (blob, bytes) in about.into_iter().flat_map(|about| &about.blobs) {
                let Some(predicate_type) = blob.annotations.get(PREDICATE_TYPE) else { continue };
                let name = match predicate_type.as_str() {
                    "https://spdx.dev/Document" => "sbom.spdx",
                    "https://cyclonedx.org/bom" => "sbom.cdx",
                    _ => "provenance",
                };
                files.push(match (splits, self.image.images.len()) {
                    (true, _) => (Path::new(&platform).join(format!("{name}.json")), bytes),
                    (false, 1) => (PathBuf::from(format!("{name}.json")), bytes),
                    (false, _) => (PathBuf::from(format!("{name}.{platform}.json")), bytes),
                });
            }
        }
        files
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

impl Dest {
    fn shown(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Stdout => "standard output".to_owned(),
        }
    }

    /// Writes the file as a whole: until the end it is there under another name.
    pub(super) fn write<E>(&self, write: impl FnOnce(&mut dyn Write) -> Result<(), E>) -> Result<(), BuildError>
    where
        BuildError: From<E>,
    {
        let path = match self {
            Self::Stdout => return Ok(write(&mut io::stdout().lock())?),
            Self::File(path) => path,
        };
        let at = |error: io::Error| BuildError::Environment(format!("{}: {error}", path.display()));
        let mut name = path.clone().into_os_string();
        name.push(".partial");
        let partial = PathBuf::from(name);
        let written = fs::File::create(&partial).map_err(at).and_then(|file| Ok(write(&mut BufWriter::new(file))?));
        match written.and_then(|()| fs::rename(&partial, path).map_err(at)) {
            Ok(()) => Ok(()),
            Err(error) => {
                // It may never have been there.
                let _ = fs::remove_file(&partial);
                Err(error)
            }
        }
    }
}

fn shown(tags: &[Reference]) -> String {
    tags.iter().map(Reference::familiar).collect::<Vec<_>>().join(", ")
}

/// The name for a push that gives no tag.
fn pinned(tag: &Reference, bundle: &Bundle) -> Result<Reference, BuildError> {
    let name = format!("{}/{}@{}", tag.host(), tag.path(), bundle.top.digest);
    name.parse().map_err(|error| BuildError::Environment(format!("{name}: {error}")))
}

/// Empties a folder. Links in it go, and not what they lead to.
fn clear(folder: &Path) -> Result<(), BuildError> {
    let at = |path: &Path, error: io::Error| BuildError::Environment(format!("{}: {error}", path.display()));
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(at(folder, error)),
    };
    for entry in entries {
        let entry = entry.map_err(|error| at(folder, error))?;
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let path = entry.path();
        let removed = if is_folder { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.map_err(|error| at(&path, error))?;
    }
    Ok(())
}
