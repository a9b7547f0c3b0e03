//! An image that a command names: in the local store, in a registry, or in an OCI layout.

use super::{ContextError, Layouts};
use crate::{
    registry::Client,
    resolve::{self, Pinned, ResolveError},
    store::Store,
};
use flashbuild_frontend::{platform::Platform, reference::Reference};
use std::{fmt, path::PathBuf, str::FromStr};

/// What a layout is written with in front.
const LAYOUT: &str = "oci-layout://";

/// An image, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageName {
    /// In the local store, else in its registry.
    Reference(Reference),
    /// In an OCI layout: `oci-layout://FOLDER[:TAG][@DIGEST]`.
    Layout(LayoutName),
}

/// An image in a layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayoutName {
    /// The folder of the layout.
    pub(super) folder: PathBuf,
    /// The name that it has there.
    pub(super) tag: Option<String>,
    /// Its digest.
    pub(super) digest: Option<String>,
}

impl LayoutName {
    /// Reads `FOLDER[:TAG][@DIGEST]`.
    pub(super) fn read(text: &str) -> Self {
        let (text, digest) = text.split_once('@').map_or((text, None), |(path, digest)| (path, Some(digest)));
        let tagged = text.rsplit_once(':').filter(|(_, tag)| !tag.contains('/'));
        let (folder, tag) = tagged.map_or((text, None), |(folder, tag)| (folder, Some(tag)));
        Self { folder: folder.into(), tag: tag.map(str::to_owned), digest: digest.map(str::to_owned) }
    }
}

impl ImageName {
    /// What the image of a platform is, and where its layers are; those of a layout are brought into the store.
    pub async fn resolve(
        &self,
        store: &Store,
        client: &Client,
        platform: &Platform,
        always_ask: bool,
    ) -> Result<Pinned, ResolveError> {
        let LayoutName { folder, tag, digest } = match self {
            Self::Reference(reference) => {
                return resolve::resolve(store, client, reference, platform, always_ask).await;
            }
            Self::Layout(layout) => layout,
        };
        let mut layouts = Layouts::default();
        let reference = layouts
            .add("image", folder, tag.as_deref(), digest.as_deref())
            .map_err(|error| ResolveError::Image(error.to_string()))?;
        tokio::task::block_in_place(|| layouts.resolve(store, &reference, platform))
            .unwrap_or_else(|| Err(ResolveError::Image("the layout is not known".to_owned())))
    }
}

impl FromStr for ImageName {
    type Err = ContextError;

    fn from_str(text: &str) -> Result<Self, ContextError> {
        match text.strip_prefix(LAYOUT) {
            Some(layout) => Ok(Self::Layout(LayoutName::read(layout))),
            None => {
                text.parse().map(Self::Reference).map_err(|error| ContextError::Typed(format!("{text:?}: {error}")))
            }
        }
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reference(reference) => f.write_str(&reference.familiar()),
            Self::Layout(layout) => write!(f, "{LAYOUT}{}", layout.folder.display()),
        }
    }
}
