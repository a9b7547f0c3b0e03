//! What is said of images, laid out as manifests beside them.
//!
//! | form | manifest | its configuration | leads there |
//! |---|---|---|---|
//! | index | an image for `unknown/unknown`, whose layers are statements | a configuration of such an image | an entry of the index |
//! | referrers | an artifact with a `subject` | the empty one | the registry's list of referrers |
//!
//! The first is what moby/buildkit writes and what `docker buildx imagetools inspect` reads; the second keeps the image's
//! own digest as it would be without (image-spec `manifest.md`, "Guidelines for Artifact Usage").

use super::{BuiltImage, Bundle, ExportError};
use crate::{
    image::{
        ATTESTATION_MANIFEST, BlobDigest, Descriptor, Document, Index, Manifest, MediaType, PREDICATE_TYPE, STATEMENT,
        referrers_tag,
    },
    store::Store,
};
use bytes::Bytes;
use flashbuild_frontend::reference::Reference;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Bytes of a list of referrers.
const LARGEST_LIST: u64 = 4 << 20;

/// A statement of in-toto about one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// What it is about, as a URI.
    pub predicate_type: String,
    /// The statement, in JSON.
    pub bytes: Vec<u8>,
}

/// Where statements are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AttestationForm {
    /// In the image's index, as moby/buildkit has them.
    #[default]
    Index,
    /// In the image's repository, with the image as their subject.
    Referrers,
}

/// What to say of images, and where.
#[derive(Clone, Copy)]
pub struct Attestations<'a> {
    /// Where.
    pub form: AttestationForm,
    /// What.
    pub of: &'a dyn Fn(&BuiltImage) -> Result<Vec<Statement>, ExportError>,
}

/// What is said of one image.
#[derive(Debug, Clone)]
pub struct BuiltAttestation {
    /// Where it is.
    pub form: AttestationForm,
    /// The image's manifest.
    pub subject: BlobDigest,
    /// The manifest of what is said.
    pub manifest: Descriptor,
    /// Its bytes.
    pub manifest_bytes: Bytes,
    /// Its configuration and the statements.
    pub blobs: Vec<(Descriptor, Bytes)>,
}

/// A manifest that has an image as its subject.
#[derive(Debug, Clone)]
pub struct Referrer {
    /// The image's manifest.
    pub subject: BlobDigest,
    /// The manifest, and what belongs to it.
    pub bundle: Bundle,
}

/// The configuration of an image that no machine runs.
#[derive(Serialize)]
struct UnknownConfig {
    architecture: &'static str,
    os: &'static str,
    config: BTreeMap<String, String>,
    rootfs: UnknownRootfs,
}

#[derive(Serialize)]
struct UnknownRootfs {
    #[serde(rename = "type")]
    kind: &'static str,
    diff_ids: Vec<BlobDigest>,
}

impl Attestations<'_> {
    /// The manifest of what is said of `image`; none if nothing is.
    pub(super) fn about(&self, image: &BuiltImage) -> Result<Option<BuiltAttestation>, ExportError> {
        let statements = (self.of)(image)?;
        if statements.is_empty() {
            return Ok(None);
        }
        let described = statements.into_iter().map(|statement| {
            let mut descriptor = Descriptor::of(MediaType::from(STATEMENT), &statement.bytes);
            descriptor.annotations.insert(PREDICATE_TYPE.to_owned(), statement.predicate_type);
            (descriptor, Bytes::from(statement.bytes))
        });
        let mut blobs: Vec<(Descriptor, Bytes)> = described.collect();
        let layers: Vec<Descriptor> = blobs.iter().map(|(descriptor, _)| descriptor.clone()).collect();
        let subject = image.manifest.digest;
        let (config_type, config) = match self.form {
            AttestationForm::Index => {
                let rootfs =
                    UnknownRootfs { kind: "layers", diff_ids: layers.iter().map(|layer| layer.digest).collect() };
                let config = UnknownConfig { architecture: "unknown", os: "unknown", config: BTreeMap::new(), rootfs };
                (MediaType::ImageConfig, serde_json::to_vec(&config)?)
            }
            AttestationForm::Referrers => (MediaType::EmptyJSON, b"{}".to_vec()),
        };
        let config_descriptor = Descriptor::of(config_type, &config);
        let mut manifest = Manifest {
            schema_version: 2,
            media_type: Some(MediaType::ImageManifest),
            config: config_descriptor.clone(),
            layers,
            annotations: BTreeMap::new(),
            other: BTreeMap::new(),
        };
        if self.form == AttestationForm::Referrers {
            let described = Descriptor::new(image.manifest.media_type.clone(), subject, image.manifest.size);
            manifest.other.insert("artifactType".to_owned(), ATTESTATION_MANIFEST.into());
            manifest.other.insert("subject".to_owned(), serde_json::to_value(described)?);
        }
        let manifest_bytes = Bytes::from(serde_json::to_vec(&manifest)?);
        let descriptor = Descriptor::of(MediaType::ImageManifest, &manifest_bytes);
        let manifest = match self.form {
            AttestationForm::Index => descriptor.attesting(&subject),
            AttestationForm::Referrers => descriptor,
        };
        blobs.push((config_descriptor, Bytes::from(config)));
        Ok(Some(BuiltAttestation { form: self.form, subject, manifest, manifest_bytes, blobs }))
    }
}

impl BuiltAttestation {
    /// Puts it into the bundle of its image.
    pub(super) fn add_to(&self, bundle: &mut Bundle) {
        let blobs = self.blobs.iter().map(|(blob, bytes)| (blob.digest, (blob.clone(), Some(bytes.clone()))));
        let (top, bytes) = (self.manifest.clone(), self.manifest_bytes.clone());
        match self.form {
            AttestationForm::Index => {
                bundle.blobs.extend(blobs);
                bundle.documents.push((top, bytes));
            }
            AttestationForm::Referrers => {
                let own = Bundle { top, bytes, documents: Vec::new(), blobs: blobs.collect(), referrers: Vec::new() };
                bundle.referrers.push(Referrer { subject: self.subject, bundle: own });
            }
        }
    }
}

impl Referrer {
    /// Keeps it in the store, found beside each of `names` by the tag that registries without a list of referrers use.
    pub(super) fn save(&self, store: &Store, names: &[String]) -> Result<(), ExportError> {
        self.bundle.save(store, &[])?;
        let tag = referrers_tag(&self.subject);
        let references = names.iter().filter_map(|name| name.parse::<Reference>().ok());
        let lists: BTreeSet<String> =
            references.filter_map(|name| Some(name.with_tag(&tag).ok()?.to_string())).collect();
        let _alone = store.lock(&format!("referrers {}", self.subject.hex()))?;
        for list in lists {
            let mut index = listed(store, &list)?;
            index.refer(self.bundle.top.as_referrer(&self.document()?));
            let bytes = serde_json::to_vec(&index)?;
            store.put_blob(&bytes)?;
            store.put_image(&list, &serde_json::to_string(&Descriptor::of(MediaType::ImageIndex, &bytes))?)?;
        }
        Ok(())
    }

    /// What it is, parsed.
    pub(super) fn document(&self) -> Result<Document, ExportError> {
        let Bundle { top, bytes, .. } = &self.bundle;
        let damaged = |why: String| ExportError::Damaged { digest: top.digest, why };
        Ok(Document::parse(bytes, None).map_err(|error| damaged(error.to_string()))?.1)
    }
}

impl Bundle {
    /// The same, with what the store has of referrers of the image called `name`.
    pub fn with_referrers(mut self, store: &Store, name: &Reference) -> Result<Self, ExportError> {
        for subject in self.documents() {
            let Ok(list) = name.with_tag(&referrers_tag(&subject)) else { continue };
            for entry in listed(store, &list.to_string())?.manifests {
                self.referrers.push(Referrer { subject, bundle: Self::load(store, &entry)? });
            }
        }
        Ok(self)
    }
}

/// Brings a manifest that is in the store under the lists of what speaks of `subject`, as one beside `name`.
pub fn refer(store: &Store, name: &Reference, subject: BlobDigest, top: &Descriptor) -> Result<(), ExportError> {
    Referrer { subject, bundle: Bundle::load(store, top)? }.save(store, &[name.to_string()])
}

/// Takes away the lists of what speaks of an image that was called `name`, but for what other names of its repository
/// still lead to. A list that is not of our making stays.
pub fn forget_referrers(store: &Store, name: &Reference, image: &Bundle) -> Result<(), ExportError> {
    let mut subjects = image.documents();
    let lists: BTreeSet<String> = subjects.iter().map(referrers_tag).collect();
    for row in store.images()? {
        let Ok(other) = row.name.parse::<Reference>() else { continue };
        let is_beside = other.host() == name.host() && other.path() == name.path();
        if !is_beside || other.tag().is_some_and(|tag| lists.contains(tag)) {
            continue;
        }
        let top: Descriptor = serde_json::from_str(&row.descriptor)?;
        // What is not whole says of nothing that it is not part of it.
        let Ok(bundle) = Bundle::load(store, &top) else { return Ok(()) };
        for document in bundle.documents() {
            subjects.remove(&document);
        }
    }
    for subject in subjects {
        let Ok(list) = name.with_tag(&referrers_tag(&subject)) else { continue };
        let _alone = store.lock(&format!("referrers {}", subject.hex()))?;
        let is_about = |entry: &Descriptor| {
            let bytes = store.read_blob(&entry.digest, LARGEST_LIST).ok().flatten().unwrap_or_default();
            Document::parse(&bytes, None).is_ok_and(|(_, document)| document.subject() == Some(subject))
        };
        let entries = listed(store, &list.to_string())?.manifests;
        if !entries.is_empty() && entries.iter().all(is_about) {
            store.remove_image(&list.to_string())?;
        }
    }
    Ok(())
}

/// The list of referrers that the store has under a name.
fn listed(store: &Store, name: &str) -> Result<Index, ExportError> {
    let Some(row) = store.image(name)? else { return Ok(Index::empty()) };
    let top: Descriptor = serde_json::from_str(&row)?;
    let bytes = store.read_blob(&top.digest, LARGEST_LIST)?.unwrap_or_default();
    Ok(match Document::parse(&bytes, None) {
        Ok((_, Document::Index(index))) => index,
        Ok((_, Document::Manifest(_))) | Err(_) => Index::empty(),
    })
}
