//! A file for a team, read: in one pass, from anybody, and checked.

use super::{
    TeamReport,
    document::{ARTIFACT_TYPE, CONFIG_TYPE, TeamDocument},
};
use crate::{
    cache::{CacheError, error::At, import::claim, mounts},
    image::{BlobDigest, Descriptor, DiffId, Digest, Document, Manifest},
    layer::Layers,
    store::{CacheUse, EXPLICIT_IMPORT, RecordKind, RecordLayer, Store, StoreError},
};
use flashbuild_frontend::config::ImageConfig;
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    io::{self, Read},
    path::Path,
};

/// Bytes of the file's own lists.
const LARGEST_LIST: u64 = 256 << 20;
/// Bytes of a base image's documents.
const LARGEST_DOCUMENT: u64 = 8 << 20;
/// Largest window that a frame may ask for, as a power of two.
const MAX_WINDOW_LOG: u32 = 27;

/// Imports a file. What came whole before an error stays, and need not come again.
pub fn import_team(layers: &Layers, reader: impl Read) -> Result<TeamReport, CacheError> {
    let mut decoder = zstd::Decoder::new(reader).at(Path::new("the file"))?;
    decoder.window_log_max(MAX_WINDOW_LOG).at(Path::new("the file"))?;
    let mut archive = tar::Archive::new(decoder);
    let mut files = Files { entries: archive.entries().map_err(unreadable)? };
    let (manifest, document) = lists(&mut files)?;
    let mut importing = Importing { layers, store: layers.store(), report: TeamReport::default() };
    importing.blobs(&manifest, &mut files)?;
    let accepted = importing.images(&document)?;
    importing.cache(&document, accepted)?;
    importing.answers(&document)?;
    importing.mounts(&document)?;
    importing.report.artifacts =
        manifest.layers.iter().filter(|blob| blob.media_type.as_ref() == ARTIFACT_TYPE).count();
    Ok(importing.report)
}

fn unusable(problem: impl ToString) -> CacheError {
    CacheError::unusable("the file", problem)
}

#[expect(clippy::needless_pass_by_value, reason = "an error is passed on as it comes")]
fn unreadable(error: io::Error) -> CacheError {
    unusable(format!("it is no archive of a cache, or not all of one: {error}"))
}

/// The files of the archive.
struct Files<'a, R: Read> {
    entries: tar::Entries<'a, R>,
}

impl<'a, R: Read> Files<'a, R> {
    fn next(&mut self) -> Result<Option<(String, tar::Entry<'a, R>)>, CacheError> {
        let Some(entry) = self.entries.next() else { return Ok(None) };
        let entry = entry.map_err(unreadable)?;
        if entry.header().entry_type() != tar::EntryType::Regular {
            return Err(unusable("there is something else in it than files"));
        }
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        Ok(Some((name, entry)))
    }

    /// The next file, which has to be called `name`.
    fn list(&mut self, name: &str) -> Result<Vec<u8>, CacheError> {
        let (found, entry) = self.next()?.ok_or_else(|| unusable(format!("it ends before {name}")))?;
        if found != name {
            return Err(unusable(format!("{found:?} is where {name} should be")));
        }
        let mut bytes = Vec::new();
        entry.take(LARGEST_LIST + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > LARGEST_LIST {
            return Err(unusable(format!("{name} is larger than {LARGEST_LIST} bytes")));
        }
        Ok(bytes)
    }

    /// The next file, which has to be this blob.
    fn document(&mut self, blob: &Descriptor) -> Result<Vec<u8>, CacheError> {
        let bytes = self.list(&format!("blobs/sha256/{}", blob.digest.hex()))?;
        if BlobDigest(Digest::of(&bytes)) == blob.digest { Ok(bytes) } else { Err(damaged(&blob.digest)) }
    }
}

fn damaged(digest: &BlobDigest) -> CacheError {
    unusable(format!("{digest} is damaged; nothing of it was used"))
}

/// What comes before the blobs.
fn lists<R: Read>(files: &mut Files<'_, R>) -> Result<(Manifest, TeamDocument), CacheError> {
    files.list("oci-layout")?;
    let index = files.list("index.json")?;
    let entry = match Document::parse(&index, None).map_err(unusable)? {
        (_, Document::Index(index)) => index.manifests.into_iter().next(),
        (_, Document::Manifest(_)) => None,
    };
    let entry = entry.ok_or_else(|| unusable("its index.json leads nowhere"))?;
    let bytes = files.document(&entry)?;
    let (_, Document::Manifest(manifest)) = Document::parse(&bytes, None).map_err(unusable)? else {
        return Err(unusable("it is no archive of `flashbuild cache export`"));
    };
    if manifest.config.media_type.as_ref() != CONFIG_TYPE {
        return Err(unusable("it is no archive of `flashbuild cache export`"));
    }
    let bytes = files.document(&manifest.config)?;
    let document: TeamDocument = serde_json::from_slice(&bytes).map_err(unusable)?;
    document.cache.check(Some(&manifest)).map_err(unusable)?;
    Ok((manifest, document))
}

struct Importing<'a> {
    layers: &'a Layers,
    store: &'a Store,
    report: TeamReport,
}

impl Importing<'_> {
    /// Takes in the blobs that the manifest names and that are not here.
    fn blobs<R: Read>(&mut self, manifest: &Manifest, files: &mut Files<'_, R>) -> Result<(), CacheError> {
        let mut expected: BTreeMap<String, &Descriptor> =
            manifest.layers.iter().map(|blob| (format!("blobs/sha256/{}", blob.digest.hex()), blob)).collect();
        while let Some((name, mut entry)) = files.next()? {
            let Some(blob) = expected.remove(&name) else {
                return Err(unusable(format!("{name:?} is not in its manifest")));
            };
            self.report.bytes += blob.size;
            if self.store.blob_size(&blob.digest)?.is_some() {
                continue;
            }
            let mut writer = self.store.blob_writer()?;
            let came = io::copy(&mut entry, &mut writer).map_err(unreadable)?;
            if came < blob.size {
                return Err(unusable(format!("it ends before {} of its blobs; what came is kept", expected.len() + 1)));
            }
            match writer.finish(Some(&blob.digest)) {
                Err(StoreError::DigestMismatch { .. }) => return Err(damaged(&blob.digest)),
                written => drop(written?),
            }
            self.report.new_bytes += blob.size;
        }
        match expected.len() {
            0 => Ok(()),
            missing => Err(unusable(format!("it ends before {missing} of its blobs; what came is kept"))),
        }
    }

    /// Gives base images their names, unless these mean something here already. Returns the layers that are theirs.
    fn images(&mut self, document: &TeamDocument) -> Result<HashSet<DiffId>, CacheError> {
        let mut accepted = HashSet::new();
        for image in &document.images {
            for manifest in &image.manifests {
                self.image(manifest, &mut accepted)?;
            }
            if self.store.image(&image.name)?.is_none() {
                let descriptor = serde_json::to_string(&image.top).map_err(unusable)?;
                self.store.put_image(&image.name, &descriptor)?;
            }
            self.report.images += 1;
        }
        Ok(accepted)
    }

    /// Takes those layers of an image in that are here.
    fn image(&self, manifest: &Descriptor, accepted: &mut HashSet<DiffId>) -> Result<(), CacheError> {
        let lost = || unusable(format!("it lacks the image {}", manifest.digest));
        let bytes = self.store.read_blob(&manifest.digest, LARGEST_DOCUMENT)?.ok_or_else(lost)?;
        let (_, Document::Manifest(manifest)) = Document::parse(&bytes, None).map_err(unusable)? else {
            return Err(unusable("an image in it is none"));
        };
        let config = self.store.read_blob(&manifest.config.digest, LARGEST_DOCUMENT)?.ok_or_else(lost)?;
        let config: ImageConfig = serde_json::from_slice(&config).map_err(unusable)?;
        let diff_ids: Result<Vec<DiffId>, _> = config.rootfs.diff_ids.iter().map(|text| text.parse()).collect();
        let diff_ids = diff_ids.map_err(unusable)?;
        for (position, (diff_id, blob)) in diff_ids.iter().zip(&manifest.layers).enumerate() {
            if self.store.blob_size(&blob.digest)?.is_some() {
                self.accept(diff_id, &diff_ids[..position], blob)?;
                accepted.insert(*diff_id);
            }
        }
        Ok(())
    }

    fn accept(&self, diff_id: &DiffId, lower: &[DiffId], blob: &Descriptor) -> Result<(), CacheError> {
        let blobs = self.store.layer_blobs(diff_id)?;
        let is_known = blobs.iter().any(|known| known.here && known.digest == blob.digest);
        if !is_known || self.store.layer(diff_id)?.is_none_or(|layer| layer.toc.is_none()) {
            self.layers.accept(diff_id, lower, &claim(blob))?;
        }
        Ok(())
    }

    /// Takes the layers of records in, and then the records.
    fn cache(&mut self, document: &TeamDocument, mut accepted: HashSet<DiffId>) -> Result<(), CacheError> {
        let cache = &document.cache;
        for layer in &cache.layers {
            if let Some(blob) = &layer.blob
                && accepted.insert(layer.diff_id)
            {
                self.accept(&layer.diff_id, &[], blob)?;
            }
        }
        let origins = BTreeSet::from([EXPLICIT_IMPORT.to_owned()]);
        for record in &cache.records {
            let diff_ids: Vec<DiffId> = record.layers.iter().map(|layer| cache.layers[*layer].diff_id).collect();
            let named = |diff_ids: &[DiffId]| -> Vec<RecordLayer> {
                let kept = diff_ids.iter().filter(|diff_id| **diff_id != DiffId::empty());
                kept.map(|diff_id| RecordLayer { diff_id: *diff_id, remote: false }).collect()
            };
            if let (Some(content), Some(top)) = (record.content, diff_ids.last()) {
                let value = serde_json::to_vec(top).map_err(unusable)?;
                self.store.put_record_from(content, RecordKind::Content, &value, &named(&[*top]), &origins)?;
            }
            let value = serde_json::to_vec(&diff_ids).map_err(unusable)?;
            let (definition, kind) = (record.definition, RecordKind::Definition);
            self.store.put_record_from(definition, kind, &value, &named(&diff_ids), &origins)?;
            if let Some(content) = record.content {
                self.store.put_record_content(definition, content)?;
            }
        }
        self.report.records = cache.records.len();
        self.report.layers = cache.layers.len();
        Ok(())
    }

    /// Makes the caches of steps that the store does not have.
    fn mounts(&mut self, document: &TeamDocument) -> Result<(), CacheError> {
        for mount in &document.cache.mounts {
            let fill = |data: &Path| mounts::unpack(self.layers, mount, data);
            self.store.try_cache_mount(&mount.identity, CacheUse::Together, fill)?;
            self.report.mounts += 1;
        }
        Ok(())
    }

    fn answers(&self, document: &TeamDocument) -> Result<(), CacheError> {
        let origins = BTreeSet::from([EXPLICIT_IMPORT.to_owned()]);
        for answer in &document.answers {
            let (key, value) = (answer.key, answer.value.as_bytes());
            self.store.put_record_from(key, RecordKind::Definition, value, &[], &origins)?;
        }
        Ok(())
    }
}
