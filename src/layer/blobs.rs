//! Blobs of layers: compressed once per encoding, and never where a pulled one will do.

use super::{
    Algorithm, Compression, Layers,
    compress::{Compressor, Description},
    decompress,
    error::{At, LayerError},
    folder::open_root,
    pack::{Check, Packable, Packed, Source, pack, pack_and_spool},
    spool::Spool,
};
use crate::{
    image::{BlobDigest, DiffId, Sha256},
    store::{BlobIndex, BlobWriter, LayerBlob},
};
use std::{
    fs::File,
    io::{self, Read, Write},
    time::Instant,
};

/// A new blob: its digest and size, and what there is to say of it if it can be read file by file.
pub(super) type Compressed = ((BlobDigest, u64), Option<BlobIndex>);

/// What the encoding of a blob that was pulled begins with; its media type follows.
pub(super) const ORIGINAL: &str = "original:";
/// What that of a blob begins with whose content was read, and is the layer; its digest follows.
const READ: &str = "read:";

impl Layers {
    /// The layer as a blob, compressed now if it was not. A pulled layer's own blob is taken if its algorithm is the
    /// one asked for, whatever its level: it is what registries already have.
    pub fn blob(&self, diff_id: &DiffId, compression: &Compression) -> Result<LayerBlob, LayerError> {
        if let Some(blob) = self.known_blob(diff_id, *compression)? {
            return Ok(blob);
        }
        let _alone = self.store.lock(&format!("layer {diff_id} {}", compression.encoding()))?;
        if let Some(blob) = self.known_blob(diff_id, *compression)? {
            return Ok(blob);
        }
        let began = Instant::now();
        let (blob, index) = self.compress(diff_id, *compression)?;
        self.packed(*diff_id, *compression, began);
        self.note_blob(diff_id, *compression, blob, index)
    }

    /// The blob that the layer was pulled as, whether it is in the store or not.
    pub fn original_blob(&self, diff_id: &DiffId) -> Result<Option<LayerBlob>, LayerError> {
        for blob in self.store.layer_blobs(diff_id)? {
            if blob.encoding.starts_with(ORIGINAL) && (!blob.here || self.is_believed(diff_id, &blob)?) {
                return Ok(Some(blob));
            }
        }
        Ok(None)
    }

    /// A blob of the layer that is in the store and is what [`Layers::blob`] would give.
    pub fn known_blob(&self, diff_id: &DiffId, compression: Compression) -> Result<Option<LayerBlob>, LayerError> {
        let fits = |blob: &LayerBlob| {
            blob.encoding == compression.encoding()
                || blob.encoding.starts_with(ORIGINAL)
                    && Algorithm::of_media_type(&blob.media_type) == Some(compression.algorithm())
        };
        for blob in self.store.layer_blobs(diff_id)? {
            if blob.here && fits(&blob) && self.is_believed(diff_id, &blob)? {
                return Ok(Some(blob));
            }
        }
        Ok(None)
    }

    /// Writes the layer's tar to `output`; returns how many bytes that were. If it is an error, what was written is not
    /// the layer.
    pub fn tar(&self, diff_id: &DiffId, output: impl Write) -> Result<u64, LayerError> {
        if let Some(items) = self.canonical_items(diff_id)? {
            let (packed, _) = pack(items, None, self.store.root(), output)?;
            return verified(diff_id, packed.diff_id, packed.size);
        }
        let blob = self.any_blob(diff_id)?.ok_or_else(|| self.why_absent(diff_id))?;
        let mut output = output;
        let (actual, size) = copy_tar(blob, &mut output).at(self.store.root())?;
        verified(diff_id, actual, size)
    }

    fn compress(&self, diff_id: &DiffId, compression: Compression) -> Result<Compressed, LayerError> {
        if let Some(items) = self.canonical_items(diff_id)? {
            let compressor = Compressor::new(compression, &self.store, self.store.blob_writer()?);
            let (packed, compressor) = pack(items, None, self.store.root(), compressor)?;
            verified(diff_id, packed.diff_id, packed.size)?;
            return self.finish(compressor);
        }
        let blob = self.any_blob(diff_id)?.ok_or_else(|| self.why_absent(diff_id))?;
        let mut compressor = Compressor::new(compression, &self.store, self.store.blob_writer()?);
        let (actual, size) = copy_tar(blob, &mut compressor).at(self.store.root())?;
        verified(diff_id, actual, size)?;
        self.finish(compressor)
    }

    fn finish(&self, compressor: Compressor<BlobWriter>) -> Result<Compressed, LayerError> {
        let (writer, Description { index, blocks }) = compressor.finish().at(self.store.root())?;
        let (digest, size) = writer.finish(None)?;
        if !blocks.is_empty() {
            self.store.put_blocks(&digest, &blocks)?;
        }
        Ok(((digest, size), index))
    }

    /// Packs `items` into a new blob, which is nobody's yet.
    pub(super) fn pack_blob(
        &self,
        items: Vec<Packable>,
        compression: Compression,
    ) -> Result<(Packed, Compressed), LayerError> {
        let began = Instant::now();
        let compressor = Compressor::new(compression, &self.store, self.store.blob_writer()?);
        let (packed, compressor) = pack(items, None, self.store.root(), compressor)?;
        let blob = self.finish(compressor)?;
        self.packed(packed.diff_id, compression, began);
        Ok((packed, blob))
    }

    /// The same, for who reads the files once more.
    pub(super) fn pack_blob_and_spool(
        &self,
        items: Vec<Packable>,
        compression: Compression,
        spool: &mut Spool,
    ) -> Result<(Packed, Compressed), LayerError> {
        let began = Instant::now();
        let compressor = Compressor::new(compression, &self.store, self.store.blob_writer()?);
        let (packed, compressor) = pack_and_spool(items, spool, self.store.root(), compressor)?;
        let blob = self.finish(compressor)?;
        self.packed(packed.diff_id, compression, began);
        Ok((packed, blob))
    }

    pub(super) fn note_blob(
        &self,
        diff_id: &DiffId,
        compression: Compression,
        (digest, size): (BlobDigest, u64),
        index: Option<BlobIndex>,
    ) -> Result<LayerBlob, LayerError> {
        let (encoding, media_type) = (compression.encoding(), compression.media_type().to_owned());
        // First: a blob that is known to be there has to be found with all that there is to say of it.
        if let Some(index) = &index {
            self.store.put_blob_index(&digest, index)?;
        }
        self.store.put_layer_blob(diff_id, &encoding, &digest, size, &media_type)?;
        Ok(LayerBlob { encoding, digest, size, media_type, here: true, index })
    }

    /// The blobs of the layer that are here and hold its tar.
    pub fn blobs_here(&self, diff_id: &DiffId) -> Result<Vec<LayerBlob>, LayerError> {
        let mut holding = Vec::new();
        for blob in self.store.layer_blobs(diff_id)? {
            if blob.here && blob.content(diff_id) == *diff_id && self.is_believed(diff_id, &blob)? {
                holding.push(blob);
            }
        }
        Ok(holding)
    }

    /// Whether a blob that is here is the layer. What was compressed here is. Of a pulled one only its image says so: that
    /// is enough for what is made of that image, but not if the layer was made here as well or images disagree, because
    /// what one image says must not change what becomes of another. Then it has to be one that was compressed here too, or its
    /// content is looked into, once.
    fn is_believed(&self, diff_id: &DiffId, blob: &LayerBlob) -> Result<bool, LayerError> {
        if !blob.encoding.starts_with(ORIGINAL) {
            return Ok(true);
        }
        let key = (*diff_id, blob.digest);
        let claims = {
            let known = self.known();
            if let Some(is_so) = known.looked_into.get(&key) {
                return Ok(*is_so);
            }
            known.pulled.get(diff_id).cloned().unwrap_or_default()
        };
        let made_here = self.store.layer(diff_id)?.is_some_and(|layer| layer.canonical);
        if !made_here && claims.len() == 1 && claims.contains(&blob.digest) {
            return Ok(true);
        }
        let known = self.store.layer_blobs(diff_id)?;
        let is_it = |known: &LayerBlob| known.digest == blob.digest && known.content(diff_id) == *diff_id;
        if known.iter().any(|known| !known.encoding.starts_with(ORIGINAL) && is_it(known)) {
            return Ok(true);
        }
        let Some(file) = self.store.open_blob(&blob.digest)? else { return Ok(false) };
        let is_so = matches!(copy_tar(file, &mut io::sink()), Ok((actual, _)) if actual == *diff_id);
        if is_so {
            let encoding = format!("{READ}{}", blob.digest);
            self.store.put_layer_blob(diff_id, &encoding, &blob.digest, blob.size, &blob.media_type)?;
        }
        self.known().looked_into.insert(key, is_so);
        Ok(is_so)
    }

    /// Any blob of the layer that is here, opened.
    pub(super) fn any_blob(&self, diff_id: &DiffId) -> Result<Option<File>, LayerError> {
        for blob in self.blobs_here(diff_id)? {
            if let Some(file) = self.store.open_blob(&blob.digest)? {
                return Ok(Some(file));
            }
        }
        Ok(None)
    }

    /// What the layer's tar is made of, if it follows from a folder that is here.
    fn canonical_items(&self, diff_id: &DiffId) -> Result<Option<Vec<Packable>>, LayerError> {
        if *diff_id == DiffId::empty() {
            return Ok(Some(Vec::new()));
        }
        if !self.store.layer(diff_id)?.is_some_and(|layer| layer.canonical) {
            return Ok(None);
        }
        let (Some(folder), Some(toc)) = (self.store.layer_dir(diff_id)?, self.known_toc(diff_id)?) else {
            return Ok(None);
        };
        let root = open_root(&folder)?;
        let items = toc.entries().iter().map(|entry| Packable {
            entry: entry.clone(),
            source: Source::beneath(&root, entry),
            // The digest of the whole tells.
            check: Check::Trust,
        });
        Ok(Some(items.collect()))
    }

    /// Why there is no tar: a pulled layer whose folder is all that is left cannot be packed again.
    fn why_absent(&self, diff_id: &DiffId) -> LayerError {
        match self.store.layer_dir(diff_id) {
            Ok(Some(_)) => LayerError::NotReproducible(*diff_id),
            Ok(None) => LayerError::Absent(*diff_id),
            Err(error) => error.into(),
        }
    }
}

fn verified(expected: &DiffId, actual: DiffId, size: u64) -> Result<u64, LayerError> {
    if actual == *expected { Ok(size) } else { Err(LayerError::WrongLayer { expected: *expected, actual }) }
}

/// Copies what `blob` holds, and names it.
fn copy_tar(blob: impl Read + Send, output: &mut impl Write) -> io::Result<(DiffId, u64)> {
    let mut content = decompress::reader(blob)?;
    let mut hash = Sha256::default();
    let mut piece = vec![0; 256 * 1024];
    let mut size = 0;
    loop {
        match content.read(&mut piece) {
            Ok(0) => return Ok((DiffId(hash.finish()), size)),
            Ok(count) => {
                hash.update(&piece[..count]);
                output.write_all(&piece[..count])?;
                size += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
