//! A file for a team, written.

use super::{
    BuildNote, TeamReport,
    document::{ARTIFACT_TYPE, Answer, CONFIG_TYPE, NamedImage, TeamDocument},
};
use crate::{
    cache::{CacheDocument, CacheError, CachedLayer, CachedMount, CachedRecord, MountIds, error::At, mounts},
    image::{BlobDigest, Descriptor, DiffId, Document, Index, Manifest, MediaType},
    layer::{Algorithm, Compression, LayerError, Layers},
    packages::Packages,
    store::{RecordKey, Store},
};
use flashbuild_frontend::{config::ImageConfig, package::ArtifactHash};
use serde::Serialize;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io::{self, Read, Write},
    path::Path,
};

/// Bytes of a manifest or a configuration of a base image.
const LARGEST_DOCUMENT: u64 = 8 << 20;
const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// Writes what `note` names. What is not here is left out, and said in the report.
pub fn export_team(
    layers: &Layers,
    note: &BuildNote,
    mounts: &MountIds,
    writer: impl Write,
) -> Result<TeamReport, CacheError> {
    let mut packing = Packing { layers, store: layers.store(), blobs: BTreeMap::new(), report: TeamReport::default() };
    let images = packing.images(note)?;
    let (listed, records) = packing.records(note)?;
    let answers = packing.artifacts(note)?;
    let mut cache = CacheDocument::new(listed, records);
    cache.mounts = packing.mounts(mounts)?;
    let document = TeamDocument { cache, answers, images };
    packing.write(&document, writer)
}

/// What goes into the file.
struct Packing<'a> {
    layers: &'a Layers,
    store: &'a Store,
    /// Everything that the manifest names, and the bytes of what is not in the store.
    blobs: BTreeMap<BlobDigest, (Descriptor, Option<Vec<u8>>)>,
    report: TeamReport,
}

impl Packing<'_> {
    /// Adds a blob of the store; whether it is there.
    fn add(&mut self, blob: &Descriptor) -> Result<bool, CacheError> {
        if !self.blobs.contains_key(&blob.digest) {
            if self.store.blob_size(&blob.digest)? != Some(blob.size) {
                return Ok(false);
            }
            let described = Descriptor::new(blob.media_type.clone(), blob.digest, blob.size);
            self.blobs.insert(blob.digest, (described, None));
        }
        Ok(true)
    }

    /// Base images of which all documents are here, by name, with those of their layers that are.
    fn images(&mut self, note: &BuildNote) -> Result<Vec<NamedImage>, CacheError> {
        let mut named: BTreeMap<&str, Vec<Descriptor>> = BTreeMap::new();
        for (name, digest) in &note.images {
            let Ok(digest) = digest.parse() else { continue };
            if let Some(manifest) = self.image(&digest)? {
                named.entry(name).or_default().push(manifest);
            }
        }
        let mut images = Vec::with_capacity(named.len());
        for (name, manifests) in named {
            let top = match manifests.as_slice() {
                [only] => only.clone(),
                several => self.index(several)?,
            };
            self.report.images += 1;
            images.push(NamedImage { name: name.to_owned(), top, manifests });
        }
        Ok(images)
    }

    /// A manifest, with its platform, once all that belongs to it was added.
    fn image(&mut self, digest: &BlobDigest) -> Result<Option<Descriptor>, CacheError> {
        let Some(bytes) = self.store.read_blob(digest, LARGEST_DOCUMENT)? else { return Ok(None) };
        let Ok((media_type, Document::Manifest(manifest))) = Document::parse(&bytes, None) else { return Ok(None) };
        let Some(config) = self.store.read_blob(&manifest.config.digest, LARGEST_DOCUMENT)? else { return Ok(None) };
        let Ok(config) = serde_json::from_slice::<ImageConfig>(&config) else { return Ok(None) };
        self.add(&manifest.config)?;
        for layer in &manifest.layers {
            self.add(layer)?;
        }
        let described = Descriptor::of(media_type, &bytes);
        self.add(&described)?;
        Ok(Some(described.with_platform(&config.platform())))
    }

    fn index(&mut self, manifests: &[Descriptor]) -> Result<Descriptor, CacheError> {
        let bytes = json(&index_of(manifests.to_vec()))?;
        let described = Descriptor::of(MediaType::ImageIndex, &bytes);
        self.blobs.insert(described.digest, (described.clone(), Some(bytes)));
        Ok(described)
    }

    /// The records whose layers are all here, and these layers.
    fn records(&mut self, note: &BuildNote) -> Result<(Vec<CachedLayer>, Vec<CachedRecord>), CacheError> {
        let keys: Vec<RecordKey> = note.records.iter().copied().collect();
        let contents = self.store.record_contents(&keys)?;
        let mut found: Vec<_> = self.store.records(&keys)?.into_iter().collect();
        found.sort();
        let mut positions: HashMap<DiffId, Option<usize>> = HashMap::new();
        let (mut listed, mut records) = (Vec::new(), Vec::new());
        for (definition, value) in found {
            let Ok(diff_ids) = serde_json::from_slice::<Vec<DiffId>>(&value) else { continue };
            for diff_id in &diff_ids {
                if !positions.contains_key(diff_id) {
                    let layer = self.layer(diff_id)?;
                    positions.insert(*diff_id, layer.is_some().then_some(listed.len()));
                    listed.extend(layer);
                }
            }
            match diff_ids.iter().map(|diff_id| positions[diff_id]).collect::<Option<_>>() {
                Some(layers) => {
                    let content = contents.get(&definition).copied();
                    records.push(CachedRecord { definition, content, layers });
                }
                None => self.report.incomplete += 1,
            }
        }
        self.report.records = records.len();
        self.report.layers = listed.len();
        Ok((listed, records))
    }

    fn layer(&mut self, diff_id: &DiffId) -> Result<Option<CachedLayer>, CacheError> {
        if *diff_id == DiffId::empty() {
            return Ok(Some(CachedLayer { diff_id: *diff_id, blob: None }));
        }
        let here = self.store.layer_blobs(diff_id)?.into_iter().find(|blob| blob.here);
        let blob = match here.map_or_else(|| self.layers.blob(diff_id, &Compression::default()), Ok) {
            Err(LayerError::Absent(_) | LayerError::NotReproducible(_)) => return Ok(None),
            blob => blob?,
        };
        let media_type = match Algorithm::of_media_type(&blob.media_type) {
            Some(algorithm) => algorithm.media_type(),
            None => &blob.media_type,
        };
        let described = Descriptor::new(media_type.into(), blob.digest, blob.size);
        Ok(self.add(&described)?.then_some(CachedLayer { diff_id: *diff_id, blob: Some(described) }))
    }

    /// Caches of steps; one that is in use is left out.
    fn mounts(&mut self, wanted: &MountIds) -> Result<Vec<CachedMount>, CacheError> {
        let (mounts, _) = mounts::pack(self.layers, wanted, &HashSet::new())?;
        for chunk in mounts.iter().flat_map(|mount| &mount.chunks) {
            self.add(&chunk.describe())?;
        }
        self.report.mounts = mounts.len();
        Ok(mounts)
    }

    /// Adds artifacts of packages, and returns what spares looking for them.
    fn artifacts(&mut self, note: &BuildNote) -> Result<Vec<Answer>, CacheError> {
        let hashes: Vec<ArtifactHash> = note.artifacts.iter().filter_map(|hash| hash.parse().ok()).collect();
        for hash in &hashes {
            if let Some(digest) = Packages::artifact_blob(self.store, hash)?
                && let Some(size) = self.store.blob_size(&digest)?
            {
                let added = self.add(&Descriptor::new(ARTIFACT_TYPE.into(), digest, size))?;
                self.report.artifacts += usize::from(added);
            }
        }
        let keys: Vec<RecordKey> = note.answers.iter().copied().chain(Packages::artifact_records(&hashes)).collect();
        let mut answers: Vec<_> = self.store.records(&keys)?.into_iter().collect();
        answers.sort();
        let text = |(key, value)| Some(Answer { key, value: String::from_utf8(value).ok()? });
        Ok(answers.into_iter().filter_map(text).collect())
    }

    fn write(mut self, document: &TeamDocument, writer: impl Write) -> Result<TeamReport, CacheError> {
        let config = json(document)?;
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(MediaType::ImageManifest),
            config: Descriptor::of(CONFIG_TYPE.into(), &config),
            layers: self.blobs.values().map(|(blob, _)| blob.clone()).collect(),
            annotations: BTreeMap::new(),
            other: BTreeMap::new(),
        };
        let manifest = json(&manifest)?;
        let index = json(&index_of(vec![Descriptor::of(MediaType::ImageManifest, &manifest)]))?;

        let mut archive = Archive::new(writer)?;
        archive.file("oci-layout", LAYOUT.len() as u64, &mut &*LAYOUT)?;
        archive.file("index.json", index.len() as u64, &mut &*index)?;
        for bytes in [&manifest, &config] {
            let digest = crate::image::Digest::of(bytes);
            archive.file(&format!("blobs/sha256/{}", digest.hex()), bytes.len() as u64, &mut &**bytes)?;
        }
        for (digest, (blob, bytes)) in &self.blobs {
            let name = format!("blobs/sha256/{}", digest.hex());
            if let Some(bytes) = bytes {
                archive.file(&name, blob.size, &mut &**bytes)?;
            } else {
                let lost = || CacheError::Lost { origin: "the store".to_owned(), digest: *digest };
                archive.file(&name, blob.size, &mut self.store.open_blob(digest)?.ok_or_else(lost)?)?;
            }
            self.report.bytes += blob.size;
        }
        archive.finish()?;
        Ok(self.report)
    }
}

fn index_of(manifests: Vec<Descriptor>) -> Index {
    let media_type = Some(MediaType::ImageIndex);
    Index { schema_version: 2, media_type, manifests, annotations: BTreeMap::new(), other: BTreeMap::new() }
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, CacheError> {
    serde_json::to_vec(value).map_err(|error| CacheError::unusable("the file", error))
}

/// The tar in zstd. Nothing of this machine or this moment is in it.
struct Archive<W: Write> {
    tar: tar::Builder<zstd::Encoder<'static, W>>,
}

impl<W: Write> Archive<W> {
    /// Most of what goes in is compressed already.
    const LEVEL: i32 = 1;

    fn new(writer: W) -> Result<Self, CacheError> {
        let encoder = zstd::Encoder::new(writer, Self::LEVEL).at(Path::new("the file"))?;
        Ok(Self { tar: tar::Builder::new(encoder) })
    }

    fn file(&mut self, name: &str, size: u64, content: &mut dyn Read) -> Result<(), CacheError> {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_mode(0o644);
        header.set_size(size);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        // Not a byte more than was promised, or all that follows is nonsense.
        self.tar.append_data(&mut header, name, content.take(size)).at(Path::new(name))
    }

    fn finish(self) -> Result<(), CacheError> {
        let finish = || -> io::Result<()> { self.tar.into_inner()?.finish()?.flush() };
        finish().at(Path::new("the file"))
    }
}
