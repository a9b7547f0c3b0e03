//! Packages: lock file -> artifacts -> layers, without running an installer and for any platform.
//!
//! 1. [`Packages::plan`] answers what a `DEPS` asks for one platform: which artifacts, by hash, and how each is laid out. That
//!    is the ecosystem's own business (a module each, one row in `plan_of` and in `items_of`). Where an artifact can be
//!    fetched from is remembered beside the plan, because no key may depend on it.
//! 2. [`Packages::fetch`] brings one artifact into the store's blobs, checked against its hash, unless it is there.
//! 3. [`Packages::unpack`] lists the files of the layer that a [`PackageOp`] is: `exec` makes the layer of them.
//!
//! What holds throughout:
//!
//! - Nothing that an artifact says makes anything be written outside of its layer, and a layer with one bad entry is not made
//!   at all. An artifact is refused by name.
//! - Nothing is fetched that no hash vouches for, and from nowhere but public addresses and those that the person who builds
//!   configured (module `address`).
//! - Credentials go to the host that they are for, and are in no plan, layer, message or key.

mod address;
mod apt;
mod client;
mod error;
mod fetch;
mod files;
mod lock;
mod netrc;
mod node;
mod packing;
mod python;

pub use address::Address;
pub use apt::AptError;
pub(crate) use apt::Paragraph;
pub use client::{Client, Options};
pub use error::PackageError;
pub use files::ContextFiles;
pub use lock::{FILE_NAME as LOCK_FILE_NAME, Lock};
pub(crate) use python::csv_fields;

use crate::{
    image::BlobDigest,
    layer::{Item, Layers},
    solver::event::Step,
    store::Store,
};
use flashbuild_frontend::package::{ArtifactHash, DepsPlan, DepsRequest, Ecosystem, Package, PackageLayout, PackageOp};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

/// The packages of a build. Clones are the same.
#[derive(Clone)]
pub struct Packages {
    store: Store,
    client: Client,
    /// Where the lock files are.
    files: Arc<ContextFiles>,
    lock: Arc<Lock>,
    /// Whether indexes are asked again for what is known already.
    ask: bool,
    addresses: Arc<Mutex<HashMap<ArtifactHash, Vec<Address>>>>,
}

/// What an ecosystem answers.
#[derive(Debug, Default)]
pub struct Planned {
    /// The layers.
    pub plan: DepsPlan,
    /// Where each artifact can be fetched from, the best address first.
    pub addresses: Vec<(ArtifactHash, Address)>,
    /// What a person should know, a sentence each.
    pub notes: Vec<String>,
}

impl Packages {
    /// Packages whose lock files are among `files`; what has none is in `lock`. With `ask`, indexes are asked again for what
    /// is known already and not locked.
    pub fn new(store: Store, client: Client, files: ContextFiles, lock: Arc<Lock>, ask: bool) -> Self {
        let ask = ask || lock.renews();
        Self { store, client, files: Arc::new(files), lock, ask, addresses: Arc::default() }
    }

    /// Which layers a request comes to, and what to tell about it.
    pub async fn plan(&self, request: &DepsRequest) -> Result<(DepsPlan, Vec<String>), PackageError> {
        let Planned { plan, addresses, notes } = plan_of(self, request).await?;
        let mut known = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        for (hash, address) in addresses {
            known.entry(hash).or_default().push(address);
        }
        Ok((plan, notes))
    }

    /// Brings the artifact of `package` into the store.
    pub async fn fetch(&self, package: &Package, step: &Step) -> Result<BlobDigest, PackageError> {
        let addresses = {
            let known = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
            known.get(&package.artifact).cloned().unwrap_or_default()
        };
        fetch::artifact(&self.store, &self.client, package, &addresses, step).await
    }

    /// The files of the layer of `op`; `artifacts` are the blobs of its packages. No time in it is after `epoch`.
    pub fn unpack(
        &self,
        layers: &Layers,
        op: &PackageOp,
        artifacts: &[BlobDigest],
        epoch: Option<i64>,
    ) -> Result<Vec<Item>, PackageError> {
        let time = epoch.map_or(PackageOp::TIME, |epoch| epoch.min(PackageOp::TIME));
        let mut tree = files::Tree::new(time);
        for (package, artifact) in op.packages.iter().zip(artifacts) {
            let blob = self.store.open_blob(artifact)?.ok_or_else(|| PackageError::Gone(package.name.clone()))?;
            tree.put_all(items_of(layers, package, blob, time)?);
        }
        tree.put_files(&op.files);
        Ok(tree.into_items())
    }
}

/// Asks the ecosystem.
async fn plan_of(packages: &Packages, request: &DepsRequest) -> Result<Planned, PackageError> {
    match request.ecosystem {
        Ecosystem::Apt => apt::plan(packages, request).await,
        Ecosystem::Node => node::plan(packages, request).await,
        Ecosystem::Python => python::plan(packages, request).await,
    }
}

/// The files of one artifact where its layout puts them, with the modification time `time`.
fn items_of(layers: &Layers, package: &Package, artifact: std::fs::File, time: i64) -> Result<Vec<Item>, PackageError> {
    match &package.layout {
        PackageLayout::Deb(layout) => Ok(apt::unpack(layers, package, layout, artifact, time)?),
        PackageLayout::Tarball(layout) => node::unpack(layers, package, layout, artifact, time),
        PackageLayout::Wheel(layout) => python::unpack(package, layout, artifact, time),
    }
}
