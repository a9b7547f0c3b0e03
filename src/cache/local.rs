//! A cache as a folder: an OCI layout (image-spec `image-layout.md`), with a name for each cache in it.
//!
//! The folder may be shared by builds that run at the same time: everything appears by a rename, the index last. Two that
//! export under one name leave the result of one of them.

use super::{Backend, CacheError, Published, error::At};
use crate::{
    image::{BlobDigest, Descriptor, Digest, Document, Index, Manifest, MediaType},
    registry::{BlobSource, Progress},
    store::{BlobWriter, Store, StoreError},
};
use futures_util::{FutureExt as _, future::BoxFuture};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

/// Bytes of an index or a manifest.
const LARGEST_DOCUMENT: u64 = 4 << 20;
const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
/// The name of a manifest, by image-spec `annotations.md`.
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// Indexes on the way to a manifest, the folder's own not counted.
const DEEPEST: usize = 2;

pub(super) struct LocalCache {
    folder: PathBuf,
    tag: String,
    digest: Option<BlobDigest>,
    origin: String,
}

impl LocalCache {
    pub(super) fn new(folder: &Path, tag: &str, digest: Option<BlobDigest>) -> Result<Self, CacheError> {
        let folder = std::path::absolute(folder).at(folder)?;
        let origin = format!("{}:{tag}", folder.display());
        Ok(Self { folder, tag: tag.to_owned(), digest, origin })
    }

    fn blob(&self, digest: &BlobDigest) -> PathBuf {
        self.folder.join("blobs/sha256").join(digest.hex())
    }

    /// The list of what is in the folder; nothing if it does not exist.
    fn index(&self) -> Result<Option<Index>, CacheError> {
        let path = self.folder.join("index.json");
        let Some(bytes) = read_regular(&path, LARGEST_DOCUMENT)? else { return Ok(None) };
        match Document::parse(&bytes, None) {
            Ok((_, Document::Index(index))) => Ok(Some(index)),
            Ok((_, Document::Manifest(_))) => Err(CacheError::unusable(&self.origin, "its index.json is no index")),
            Err(error) => Err(CacheError::unusable(&self.origin, error)),
        }
    }

    fn read(&self) -> Result<Vec<Manifest>, CacheError> {
        let Some(index) = self.index()? else { return Ok(Vec::new()) };
        let is_ours = |entry: &&Descriptor| match self.digest {
            Some(digest) => entry.digest == digest,
            None => entry.annotations.get(REF_NAME) == Some(&self.tag),
        };
        let Some(entry) = index.manifests.iter().find(is_ours) else { return Ok(Vec::new()) };
        let mut manifests = Vec::new();
        self.follow(entry, DEEPEST, &mut manifests)?;
        Ok(manifests)
    }

    fn follow(&self, entry: &Descriptor, depth: usize, manifests: &mut Vec<Manifest>) -> Result<(), CacheError> {
        let lost = || CacheError::Lost { origin: self.origin.clone(), digest: entry.digest };
        let bytes = read_regular(&self.blob(&entry.digest), LARGEST_DOCUMENT)?.ok_or_else(lost)?;
        if BlobDigest(Digest::of(&bytes)) != entry.digest {
            return Err(CacheError::unusable(&self.origin, format!("{} is damaged", entry.digest)));
        }
        let (_, document) = Document::parse(&bytes, Some(entry.media_type.as_ref()))
            .map_err(|error| CacheError::unusable(&self.origin, error))?;
        match document {
            Document::Manifest(manifest) => manifests.push(manifest),
            Document::Index(index) if depth > 0 => {
                index.manifests.iter().try_for_each(|entry| self.follow(entry, depth - 1, manifests))?;
            }
            Document::Index(_) => {
                return Err(CacheError::unusable(&self.origin, "its indexes lead to too many others"));
            }
        }
        Ok(())
    }

    fn copy_in(&self, blob: &Descriptor, store: &Store) -> Result<(), CacheError> {
        if store.blob_size(&blob.digest)?.is_some() {
            return Ok(());
        }
        let path = self.blob(&blob.digest);
        let lost = || CacheError::Lost { origin: self.origin.clone(), digest: blob.digest };
        let file = open_regular(&path)?.ok_or_else(lost)?;
        let mut writer: BlobWriter = store.blob_writer()?;
        // One byte more than there should be, to notice that there is more.
        io::copy(&mut file.take(blob.size + 1), &mut writer).at(&path)?;
        match writer.finish(Some(&blob.digest)) {
            Ok(_) => Ok(()),
            Err(error @ StoreError::DigestMismatch { .. }) => Err(CacheError::unusable(&self.origin, error)),
            Err(error) => Err(error.into()),
        }
    }

    fn copy_out(&self, blob: &Descriptor, source: &BlobSource) -> Result<u64, CacheError> {
        if self.has_blob(blob)? {
            return Ok(0);
        }
        let path = self.blob(&blob.digest);
        match source {
            BlobSource::Bytes(bytes) => replace(&path, &mut &bytes[..])?,
            BlobSource::File(file) => replace(&path, &mut File::open(file).at(file)?)?,
        }
        Ok(blob.size)
    }

    fn has_blob(&self, blob: &Descriptor) -> Result<bool, CacheError> {
        let path = self.blob(&blob.digest);
        match fs::symlink_metadata(&path) {
            Ok(metadata) => Ok(metadata.is_file() && metadata.len() == blob.size),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error).at(&path),
        }
    }

    fn write(&self, published: &Published) -> Result<(), CacheError> {
        for (document, bytes) in [Some(&published.manifest), published.index.as_ref()].into_iter().flatten() {
            self.copy_out(document, &BlobSource::Bytes(bytes.clone()))?;
        }
        let mut index = self.index()?.unwrap_or_else(|| Index {
            schema_version: 2,
            media_type: Some(MediaType::ImageIndex),
            manifests: Vec::new(),
            annotations: BTreeMap::new(),
            other: BTreeMap::new(),
        });
        let mut top = published.index.as_ref().unwrap_or(&published.manifest).0.clone();
        top.annotations.insert(REF_NAME.to_owned(), self.tag.clone());
        if index.manifests.contains(&top) {
            return Ok(());
        }
        index.manifests.retain(|entry| entry.annotations.get(REF_NAME) != Some(&self.tag));
        index.manifests.push(top);
        replace(&self.folder.join("oci-layout"), &mut &*LAYOUT)?;
        let bytes = serde_json::to_vec(&index).map_err(|error| CacheError::unusable(&self.origin, error))?;
        replace(&self.folder.join("index.json"), &mut &*bytes)
    }
}

impl Backend for LocalCache {
    fn origin(&self) -> &str {
        &self.origin
    }

    fn manifests<'a>(&'a self, _: &'a Store) -> BoxFuture<'a, Result<Vec<Manifest>, CacheError>> {
        async move { tokio::task::block_in_place(|| self.read()) }.boxed()
    }

    fn fetch<'a>(
        &'a self,
        blob: &'a Descriptor,
        store: &'a Store,
        _: Progress<'a>,
    ) -> BoxFuture<'a, Result<(), CacheError>> {
        async move { tokio::task::block_in_place(|| self.copy_in(blob, store)) }.boxed()
    }

    fn has<'a>(&'a self, blob: &'a Descriptor) -> BoxFuture<'a, Result<bool, CacheError>> {
        async move { self.has_blob(blob) }.boxed()
    }

    fn put<'a>(
        &'a self,
        blob: &'a Descriptor,
        source: &'a BlobSource,
        _: &'a Store,
        _: Progress<'a>,
    ) -> BoxFuture<'a, Result<u64, CacheError>> {
        async move { tokio::task::block_in_place(|| self.copy_out(blob, source)) }.boxed()
    }

    fn publish<'a>(&'a self, published: &'a Published) -> BoxFuture<'a, Result<(), CacheError>> {
        async move { tokio::task::block_in_place(|| self.write(published)) }.boxed()
    }
}

/// A regular file, opened; nothing if there is none.
fn open_regular(path: &Path) -> Result<Option<File>, CacheError> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(Some(File::open(path).at(path)?)),
        Ok(_) => Err(io::Error::other("not a regular file")).at(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).at(path),
    }
}

fn read_regular(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, CacheError> {
    let Some(file) = open_regular(path)? else { return Ok(None) };
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).at(path)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::other(format!("it is larger than {limit} bytes"))).at(path);
    }
    Ok(Some(bytes))
}

/// Writes a file under a name of its own, then renames it.
fn replace(path: &Path, content: &mut dyn io::Read) -> Result<(), CacheError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).at(folder)?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    let mut staged =
        tempfile::Builder::new().prefix(".flashbuild-").permissions(mode).tempfile_in(folder).at(folder)?;
    io::copy(content, staged.as_file_mut()).at(path)?;
    staged.as_file_mut().flush().at(path)?;
    let _: File = staged.persist(path).map_err(|error| error.error).at(path)?;
    Ok(())
}
