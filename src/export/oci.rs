//! An OCI layout (image-spec `image-layout.md`), as a tar archive or as a folder, and Docker's archive, which is one
//! with another list.

use super::{Bundle, ExportError, error::At};
use crate::{
    image::{BlobDigest, Descriptor, Document, Index, MediaType},
    store::Store,
};
use bytes::Bytes;
use flashbuild_frontend::reference::Reference;
use serde::Serialize;
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read, Write},
    path::Path,
};

const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
/// The tag, by image-spec `annotations.md`.
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The whole name, for containerd and those who import as it does.
const IMAGE_NAME: &str = "io.containerd.image.name";

/// Who is to read a layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Those who know OCI's.
    Oci,
    /// `docker load` and its like, too: with the `manifest.json` of Docker's own archives.
    Docker,
}

/// Docker's list of the images in an archive: of the only one.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct DockerImage {
    config: String,
    repo_tags: Vec<String>,
    layers: Vec<String>,
}

/// The files of a layout beside the blobs and `oci-layout`, in the order in which they are written.
fn lists(bundle: &Bundle, names: &[String], layout: Layout) -> Result<Vec<(&'static str, Vec<u8>)>, ExportError> {
    let index = ("index.json", serde_json::to_vec(&index(bundle, names))?);
    Ok(match layout {
        Layout::Oci => vec![index],
        Layout::Docker => vec![("manifest.json", serde_json::to_vec(&[docker_image(bundle, names)?])?), index],
    })
}

fn docker_image(bundle: &Bundle, names: &[String]) -> Result<DockerImage, ExportError> {
    let content_type = bundle.top.media_type.to_string();
    let (_, Document::Manifest(manifest)) = Document::parse(&bundle.bytes, Some(&content_type))
        .map_err(|error| ExportError::Damaged { digest: bundle.top.digest, why: error.to_string() })?
    else {
        return Err(ExportError::OneImage("Docker's archive"));
    };
    let path = |descriptor: &Descriptor| format!("blobs/sha256/{}", descriptor.digest.hex());
    let tag = |name: &String| name.parse::<Reference>().map_or_else(|_| name.clone(), |name| name.familiar());
    Ok(DockerImage {
        config: path(&manifest.config),
        repo_tags: names.iter().map(tag).collect(),
        layers: manifest.layers.iter().map(path).collect(),
    })
}

/// Writes `bundle` as an archive. Equal images under equal names make equal archives.
pub fn write_archive(
    store: &Store,
    bundle: &Bundle,
    names: &[String],
    layout: Layout,
    writer: impl Write,
) -> Result<(), ExportError> {
    let lists = lists(bundle, names, layout)?;
    let mut archive = tar::Builder::new(writer);
    let failed = ExportError::Archive;
    for folder in ["blobs/", "blobs/sha256/"] {
        let mut header = header(tar::EntryType::Directory, 0o755, 0);
        archive.append_data(&mut header, folder, io::empty()).map_err(failed)?;
    }
    let mut append = |name: &str, size, content: &mut dyn Read| {
        archive.append_data(&mut header(tar::EntryType::Regular, 0o644, size), name, content).map_err(failed)
    };
    for (digest, (size, bytes)) in bundle.all() {
        append(&format!("blobs/sha256/{}", digest.hex()), size, &mut *open(store, &digest, bytes)?)?;
    }
    for (name, list) in lists {
        append(name, list.len() as u64, &mut &*list)?;
    }
    append("oci-layout", LAYOUT.len() as u64, &mut &*LAYOUT)?;
    archive.into_inner().and_then(|mut writer| writer.flush()).map_err(failed)
}

/// Writes `bundle` as the folder `dest`. Blobs that are there stay; `index.json` comes last and at once.
pub fn write_folder(
    store: &Store,
    bundle: &Bundle,
    names: &[String],
    layout: Layout,
    dest: &Path,
) -> Result<(), ExportError> {
    let lists = lists(bundle, names, layout)?;
    let blobs = dest.join("blobs/sha256");
    fs::create_dir_all(&blobs).at(&blobs)?;
    for (digest, (size, bytes)) in bundle.all() {
        let path = blobs.join(digest.hex());
        if !fs::metadata(&path).is_ok_and(|there| there.is_file() && there.len() == size) {
            replace(&path, &mut *open(store, &digest, bytes)?)?;
        }
    }
    replace(&dest.join("oci-layout"), &mut &*LAYOUT)?;
    lists.iter().try_for_each(|(name, list)| replace(&dest.join(name), &mut &**list))
}

/// The `index.json`: the image once under each name, or once without.
fn index(bundle: &Bundle, names: &[String]) -> Index {
    let under = |name: &String| {
        let mut annotations = annotations(name);
        annotations.extend(bundle.top.annotations.clone());
        Descriptor { annotations, ..bundle.top.clone() }
    };
    let mut manifests: Vec<_> = names.iter().map(under).collect();
    if manifests.is_empty() {
        manifests.push(bundle.top.clone());
    }
    Index {
        schema_version: 2,
        media_type: Some(MediaType::ImageIndex),
        manifests,
        annotations: BTreeMap::new(),
        other: BTreeMap::new(),
    }
}

fn annotations(name: &str) -> BTreeMap<String, String> {
    let reference = name.parse::<Reference>().ok();
    let tag = reference.as_ref().and_then(Reference::tag).unwrap_or(name).to_owned();
    let whole = reference.as_ref().map_or_else(|| name.to_owned(), Reference::to_string);
    BTreeMap::from([(REF_NAME.to_owned(), tag), (IMAGE_NAME.to_owned(), whole)])
}

fn open<'a>(store: &Store, digest: &BlobDigest, bytes: Option<&'a Bytes>) -> Result<Box<dyn Read + 'a>, ExportError> {
    Ok(match bytes {
        Some(bytes) => Box::new(&bytes[..]),
        None => Box::new(store.open_blob(digest)?.ok_or(ExportError::BlobAbsent(*digest))?),
    })
}

/// A header in which nothing is of this machine or this moment.
fn header(kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

/// Writes a file under a name of its own, then renames it.
fn replace(path: &Path, content: &mut dyn Read) -> Result<(), ExportError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    let mut staged = builder.prefix(".flashbuild-").permissions(mode).tempfile_in(folder).at(folder)?;
    io::copy(content, staged.as_file_mut()).at(path)?;
    let _: File = staged.persist(path).map_err(|error| error.error).at(path)?;
    Ok(())
}
