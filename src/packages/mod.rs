//! Packages: lock file -> artifacts -> layers, without running an installer and for any platform.
//!
//! 1. [`Packages::plan`] answers what a `DEPS` asks for one platform: which artifacts, by hash, and how each is laid out. That
//!    is the ecosystem's own business (a module each, one row in `plan_of` and in `items_of`). Where an artifact can be
//!    fetched from is remembered beside the plan, because no key may depend on it.
//! 2. [`Packages::fetch`] brings one artifact into the store's blobs, checked against its hash, unless it is there. A package
//!    that a step makes ([`PackageBuild`](flashbuild_frontend::package::PackageBuild)) has what the step left in its place.
//! 3. [`Packages::unpack`] lists the files of the layer that a [`PackageOp`] is: `exec` makes the layer of them. Of a huge package
//!    that is one of its `parts`.
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
mod keyring;
mod libc;
mod lock;
mod netrc;
mod node;
pub(crate) mod packing;
mod parts;
mod preset;
mod python;

pub use address::Address;
pub use apt::AptError;
pub(crate) use apt::Paragraph;
pub use client::{Client, Options};
pub use error::PackageError;
pub use files::{ContextFiles, TreeBelow};
pub use lock::{FILE_NAME as LOCK_FILE_NAME, Lock};
pub use preset::{PRESETS, Preset};
pub(crate) use python::csv_fields;

use crate::{
    image::BlobDigest,
    layer::{Item, Layers, View},
    solver::event::Step,
    store::{RecordKey, Store},
};
use flashbuild_frontend::{
    package::{ArtifactHash, DepsPlan, DepsRequest, Ecosystem, Package, PackageLayout, PackageOp},
    platform::Platform,
};
use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
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
    /// What resolvers answered in this build. Held while one is asked, because platforms ask for the same.
    answers: Arc<tokio::sync::Mutex<HashMap<RecordKey, String>>>,
    /// Packages of which it shows only when they are unpacked whether they want something to be run, which they are not
    /// allowed; and those that do.
    unsure: Arc<Mutex<Unsure>>,
    /// Records that spare questions.
    noted: Arc<Mutex<BTreeSet<RecordKey>>>,
    /// Packages that are unpacked in parts.
    opened: Arc<parts::Opened>,
}

/// See [`Packages::unsure`].
#[derive(Debug, Default)]
struct Unsure {
    /// Names with versions, by artifact.
    packages: HashMap<ArtifactHash, String>,
    not_run: BTreeSet<String>,
}

/// How much of an image somebody has to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Below {
    /// None of it.
    Nothing,
    /// Its lowest layer, which has the C library.
    LowestLayer,
    /// All of its layers.
    Everything,
}

/// What a package is unpacked from.
#[derive(Debug)]
pub enum Artifact {
    /// What its lock names.
    Blob(BlobDigest),
    /// What a step made of that.
    Made(Made),
}

/// What a step left.
#[derive(Debug)]
pub struct Made {
    /// The file's name.
    pub name: String,
    /// The file.
    pub file: std::fs::File,
    /// The platform that the step ran on.
    pub platform: Platform,
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
    /// Packages that may want something to be run and are not allowed to: names with versions.
    pub unsure: Vec<(ArtifactHash, String)>,
}

impl Unsure {
    fn note(&mut self, artifact: &ArtifactHash) {
        if let Some(name) = self.packages.get(artifact) {
            self.not_run.insert(name.clone());
        }
    }
}

impl Packages {
    /// Packages whose lock files are among `files`; what has none is in `lock`. With `ask`, indexes are asked again for what
    /// is known already and not locked.
    pub fn new(store: Store, client: Client, files: ContextFiles, lock: Arc<Lock>, ask: bool) -> Self {
        let ask = ask || lock.renews();
        Self {
            store,
            client,
            files: Arc::new(files),
            lock,
            ask,
            addresses: Arc::default(),
            answers: Arc::default(),
            unsure: Arc::default(),
            noted: Arc::default(),
            opened: Arc::default(),
        }
    }

    /// The same packages, whose lock files are among `files`.
    #[must_use]
    pub fn reading(&self, files: ContextFiles) -> Self {
        Self { files: Arc::new(files), ..self.clone() }
    }

    /// The keys of the records that would have answered all questions so far to indexes.
    pub fn answers(&self) -> BTreeSet<RecordKey> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The records by which `artifacts` are found again whose hash is not that of their blob.
    pub fn artifact_records<'a>(artifacts: impl IntoIterator<Item = &'a ArtifactHash>) -> BTreeSet<RecordKey> {
        artifacts.into_iter().map(fetch::record_key).collect()
    }

    /// The blob of an artifact that was fetched before.
    pub fn artifact_blob(store: &Store, artifact: &ArtifactHash) -> Result<Option<BlobDigest>, PackageError> {
        fetch::known(store, artifact)
    }

    /// The notice about packages that turned out to want something to be run when they were unpacked.
    pub fn scripts_not_run(&self) -> Option<String> {
        node::not_run(&self.unsure().not_run.iter().cloned().collect::<Vec<_>>())
    }

    fn unsure(&self) -> MutexGuard<'_, Unsure> {
        self.unsure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_answer(&self, key: RecordKey) {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner).insert(key);
    }

    /// How much of the image below has to be known for the plan of `request`.
    pub fn needs_below(&self, request: &DepsRequest) -> Below {
        match request.ecosystem {
            Ecosystem::Apt => Below::Nothing,
            Ecosystem::Node => node::needs_below(self, request),
            Ecosystem::Python => python::needs_below(request),
        }
    }

    /// Which layers of the [tree below](DepsRequest::below) have files that a plan depends on: positions, the lowest 0.
    pub fn reads_below(view: &View) -> BTreeSet<usize> {
        apt::reads_below(view)
    }

    /// Which layers of a tree have settings that a layer [of a tree](PackageOp::is_of_tree) depends on: positions, the lowest 0.
    pub fn settings_in(tree: &TreeBelow) -> BTreeSet<usize> {
        apt::settings_in(tree.view())
    }

    /// Which layers of `tree` have other files that the layer of `op` depends on; those with settings are here.
    pub fn libraries_in(op: &PackageOp, tree: &TreeBelow) -> Result<BTreeSet<usize>, PackageError> {
        apt::libraries_in(op, tree)
    }

    /// The files of the layer of `op`, which is [of a tree](PackageOp::is_of_tree): of `tree`, given what was there `before` its
    /// packages and what these [say](flashbuild_frontend::package::Settled::said). No time in it is after `epoch`.
    pub fn settle(
        op: &PackageOp,
        tree: &TreeBelow,
        before: &View,
        said: &TreeBelow,
        epoch: Option<i64>,
    ) -> Result<Vec<Item>, PackageError> {
        apt::settle(op, tree, before, said, time(epoch))
    }

    /// Which layers a request comes to, and what to tell about it. `below` is the image or the tree below, as far as it is
    /// [needed](Self::needs_below).
    pub async fn plan(
        &self,
        request: &DepsRequest,
        below: &TreeBelow,
    ) -> Result<(DepsPlan, Vec<String>), PackageError> {
        let Planned { plan, addresses, notes, unsure } = plan_of(self, request, below).await?;
        self.unsure().packages.extend(unsure);
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

    /// The files of the layer of `op`; `artifacts` are what its packages are made of. No time in it is after `epoch`.
    pub fn unpack(
        &self,
        layers: &Layers,
        op: &PackageOp,
        artifacts: Vec<Artifact>,
        epoch: Option<i64>,
    ) -> Result<Vec<Item>, PackageError> {
        let time = time(epoch);
        let mut tree = files::Tree::new(time);
        let (mut noted, mut replaced) = (Vec::new(), Vec::new());
        for (package, artifact) in op.packages.iter().zip(artifacts) {
            let file = match artifact {
                Artifact::Blob(blob) => {
                    self.store.open_blob(&blob)?.ok_or_else(|| PackageError::Gone(package.name.clone()))?
                }
                Artifact::Made(made) => {
                    python::check_made(package, &made)?;
                    made.file
                }
            };
            match &package.layout {
                PackageLayout::DebDatabase => noted.push((package, file)),
                PackageLayout::DebStatus => replaced.push((package, file)),
                PackageLayout::Deb(_)
                | PackageLayout::DebAlternatives
                | PackageLayout::File(_)
                | PackageLayout::MadeWheel(_)
                | PackageLayout::Tarball(_)
                | PackageLayout::Wheel(_) => {
                    let open = || self.items_of(layers, package, file, time);
                    tree.put_all(self.opened.take(package, open)?);
                }
            }
        }
        if !noted.is_empty() {
            tree.put_all(apt::database(layers, noted, time)?);
        }
        tree.put_files(&op.files);
        if !replaced.is_empty() {
            tree.put_all(apt::status(layers, replaced, &op.files, time)?);
        }
        Ok(tree.into_items())
    }

    /// All files of a package.
    fn items_of(
        &self,
        layers: &Layers,
        package: &Package,
        file: std::fs::File,
        time: i64,
    ) -> Result<Vec<Item>, PackageError> {
        match &package.layout {
            PackageLayout::Deb(layout) => Ok(apt::unpack(layers, package, layout, file, time)?),
            PackageLayout::DebAlternatives => Ok(apt::said(layers, package, file, time)?),
            // What dpkg notes is put together of all packages of a layer.
            PackageLayout::DebDatabase | PackageLayout::DebStatus => Ok(Vec::new()),
            PackageLayout::File(path) => files::one_file(package, path, file, time),
            PackageLayout::MadeWheel(layout) => python::unpack(package, &layout.wheel, file, time),
            PackageLayout::Tarball(layout) => {
                let (items, has_install_script) = node::unpack(layers, package, layout, file, time)?;
                if has_install_script {
                    self.unsure().note(&package.artifact);
                }
                Ok(items)
            }
            PackageLayout::Wheel(layout) => python::unpack(package, layout, file, time),
        }
    }
}

/// The time of what is in a layer.
fn time(epoch: Option<i64>) -> i64 {
    epoch.map_or(PackageOp::TIME, |epoch| epoch.min(PackageOp::TIME))
}

/// Whose lock the file of this name is.
pub fn ecosystem_of(name: &str) -> Result<Ecosystem, PackageError> {
    if node::is_lock(name) {
        return Ok(Ecosystem::Node);
    }
    python::check_lock(name).map(|()| Ecosystem::Python)
}

/// Asks the ecosystem.
async fn plan_of(packages: &Packages, request: &DepsRequest, below: &TreeBelow) -> Result<Planned, PackageError> {
    match request.ecosystem {
        Ecosystem::Apt => apt::plan(packages, request, below).await,
        Ecosystem::Node => node::plan(packages, request, below.view()).await,
        Ecosystem::Python => python::plan(packages, request, below.view()).await,
    }
}
