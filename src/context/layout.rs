//! Images of OCI layouts (image-spec `image-layout.md`) that a build may name.
//!
//! A layout is somebody else's: every blob of it is checked against its digest while it is copied into the store.

use super::ContextError;
use crate::{
    image::{BlobDigest, Descriptor, Digest, Document, candidates, runs_on},
    resolve::{Pinned, ResolveError, pin},
    store::Store,
};
use flashbuild_frontend::{config::ImageConfig, platform::Platform, reference::Reference};
use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

/// Largest index, manifest or configuration that is read, in bytes.
const MAX_DOCUMENT: u64 = 8 << 20;
/// What the name of an image in a layout is annotated with.
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// How often an index may lead to an index.
const DEEPEST: usize = 4;

/// Images of layouts, by the references that they are given in the graph.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layouts(BTreeMap<String, Layout>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Layout {
    folder: PathBuf,
    tag: Option<String>,
    digest: Option<String>,
}

impl Layouts {
    /// Gives an image of a layout a reference that no registry has.
    pub(super) fn add(
        &mut self,
        name: &str,
        folder: &Path,
        tag: Option<&str>,
        digest: Option<&str>,
    ) -> Result<Reference, ContextError> {
        let named: String =
            name.chars().map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' }).collect();
        let reference = format!("oci-layout.invalid/{}x{}", self.0.len(), named.trim_matches('-'));
        let reference: Reference =
            reference.parse().map_err(|error| ContextError::Typed(format!("--build-context {name}: {error}")))?;
        let layout =
            Layout { folder: folder.to_owned(), tag: tag.map(str::to_owned), digest: digest.map(str::to_owned) };
        self.0.insert(reference.to_string(), layout);
        Ok(reference)
    }

    /// Resolves `reference` for `platform`, and brings the image into the store; `None` if it is in no layout.
    pub fn resolve(
        &self,
        store: &Store,
        reference: &Reference,
        platform: &Platform,
    ) -> Option<Result<Pinned, ResolveError>> {
        Some(self.0.get(&reference.to_string())?.import(store, reference, platform))
    }
}

impl Layout {
    fn import(&self, store: &Store, reference: &Reference, platform: &Platform) -> Result<Pinned, ResolveError> {
        let mut descriptor = self.top()?;
        for _ in 0..DEEPEST {
            let bytes = self.document(&descriptor)?;
            let (_, document) = Document::parse(&bytes, None).map_err(|error| self.broken(&error))?;
            match document {
                Document::Index(index) => {
                    let found = candidates(&index, platform).into_iter().next().cloned();
                    descriptor = found.ok_or_else(|| self.broken(&format!("it has no image for {platform}")))?;
                }
                Document::Manifest(manifest) => {
                    let config: ImageConfig = serde_json::from_slice(&self.document(&manifest.config)?)
                        .map_err(|error| self.broken(&error))?;
                    if !runs_on(&config.platform(), platform) {
                        return Err(self.broken(&format!("it is for {}, not for {platform}", config.platform())));
                    }
                    for layer in &manifest.layers {
                        self.copy(store, layer)?;
                    }
                    let mut pinned = pin(reference, descriptor.digest.to_string(), &manifest.layers, config)?;
                    // Where the layout lies is no part of what the image is.
                    "oci-layout".clone_into(&mut pinned.image.reference);
                    return Ok(pinned);
                }
            }
        }
        Err(self.broken(&"its indexes lead nowhere"))
    }

    /// The image that is meant, as `index.json` names it.
    fn top(&self) -> Result<Descriptor, ResolveError> {
        let bytes = self.read(&self.folder.join("index.json"))?;
        let index = match Document::parse(&bytes, None) {
            Ok((_, Document::Index(index))) => index,
            Ok((_, Document::Manifest(_))) => return Err(self.broken(&"its index.json is no index")),
            Err(error) => return Err(self.broken(&error)),
        };
        let fits = |entry: &&Descriptor| {
            self.digest.as_ref().is_none_or(|digest| entry.digest.to_string() == *digest)
                && self.tag.as_ref().is_none_or(|tag| entry.annotations.get(REF_NAME) == Some(tag))
        };
        let mut found = index.manifests.iter().filter(fits);
        match (found.next(), found.next()) {
            (Some(only), None) => Ok(only.clone()),
            (Some(_), Some(_)) => Err(self.broken(&"it has several images: add :TAG or @DIGEST")),
            (None, _) => Err(self.broken(&"it has no such image")),
        }
    }

    fn blob(&self, digest: &BlobDigest) -> PathBuf {
        self.folder.join("blobs/sha256").join(digest.hex())
    }

    fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, ResolveError> {
        let bytes = self.read(&self.blob(&descriptor.digest))?;
        if BlobDigest(Digest::of(&bytes)) != descriptor.digest {
            return Err(self.broken(&format!("{} is damaged", descriptor.digest)));
        }
        Ok(bytes)
    }

    fn read(&self, path: &Path) -> Result<Vec<u8>, ResolveError> {
        let mut bytes = Vec::new();
        let read = File::open(path).and_then(|file| file.take(MAX_DOCUMENT).read_to_end(&mut bytes));
        read.map_err(|error| self.broken(&format!("{}: {error}", path.display())))?;
        Ok(bytes)
    }

    fn copy(&self, store: &Store, layer: &Descriptor) -> Result<(), ResolveError> {
        if store.blob_path(&layer.digest)?.is_some() {
            return Ok(());
        }
        let path = self.blob(&layer.digest);
        let mut writer = store.blob_writer()?;
        let file = File::open(&path).map(|file| file.take(layer.size.saturating_add(1)));
        let copied = file.and_then(|mut file| io::copy(&mut file, &mut writer));
        let copied = copied.map_err(|error| self.broken(&format!("{}: {error}", path.display())))?;
        writer.finish(Some(&layer.digest))?;
        if copied != layer.size {
            return Err(
                self.broken(&format!("{} has not the {} bytes that it is said to have", layer.digest, layer.size))
            );
        }
        Ok(())
    }

    fn broken(&self, problem: &dyn std::fmt::Display) -> ResolveError {
        ResolveError::Image(format!("the OCI layout {} cannot be used: {problem}", self.folder.display()))
    }
}
