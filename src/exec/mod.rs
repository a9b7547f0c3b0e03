//! How each operation runs: the solver's [`Executor`] over layers, sandboxes, registries and the context.
//!
//! | op | file | result |
//! |---|---|---|
//! | `Image` | `image` | the layers of a manifest, pulled if they are not here |
//! | `Local` | `context` | a listing of the files of the person who builds |
//! | `Http` | `http` | a listing of one file that was downloaded |
//! | `Git` | `repository` | a listing of a checkout |
//! | `File` | `file` | the base and one layer: the plan of its entries is its content key |
//! | `Exec` | `run` | the base and one layer: what a process changed |
//! | `Merge` | here | the layers of all inputs |
//! | `Package` | `package` | one layer: what is in artifacts, unpacked |

mod agent;
mod cache_mount;
mod certificates;
pub mod context;
mod debug_shell;
mod devices;
mod emulated;
mod error;
mod file;
mod grants;
mod http;
mod image;
mod limits;
mod mode;
mod mount_points;
mod mounts;
mod needed;
mod network;
mod options;
mod package;
mod past;
mod redact;
mod repository;
mod run;
mod select;
mod settled;
mod users;

pub use agent::{AgentSource, Agents};
pub use certificates::Certificates;
pub use debug_shell::DebugShell;
pub use emulated::{EmulatedRun, EmulatedSteps, ForeignPrograms};
pub use error::ExecError;
pub use grants::Grants;
pub use image::{Need, Sources};
pub use limits::{Measured, MemoryLimit, StepGroups};
pub use mount_points::MountPoints;
pub use mounts::overlaid;
pub use network::StepNetworks;
pub use options::StepOptions;
pub use run::environment;
pub use settled::SettledLayers;
pub use users::process_user;

use crate::{
    context::Folder,
    git::Commit,
    http::{Download, Web},
    image::DiffId,
    layer::{Compression, Contents, Form, Layers, View},
    packages::Packages,
    sandbox::Helpers,
    solver::{
        Executor, FileFact, Identity, Key, Past, Recipe,
        event::{Events, Step},
    },
    store::{FoundRecord, NameLock, RecordKey, RecordKind, RecordLayer, Store},
};
use context::Context;
use flashbuild_frontend::graph::{FileOp, Graph, NodeId, Op};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex},
};

/// The result of a vertex.
#[derive(Debug, Clone)]
pub enum Product {
    /// Layers, lowest first, and the caches that they rest on.
    Tree(Arc<Vec<DiffId>>, Origins),
    /// Files that are in no layer yet.
    Files(Arc<Context>),
}

impl Product {
    /// The layers; none for files that are in no layer yet.
    pub fn layers(&self) -> &[DiffId] {
        match self {
            Self::Tree(layers, _) => layers,
            Self::Files(_) => &[],
        }
    }

    fn tree(layers: Vec<DiffId>, origins: Origins) -> Self {
        Self::Tree(Arc::new(layers), origins)
    }
}

/// The imported caches that a result rests on: what was found there, and whatever was made of that.
pub type Origins = Arc<BTreeSet<String>>;

fn origins(inputs: &[Product]) -> Origins {
    let all = inputs.iter().flat_map(|input| match input {
        Product::Tree(_, origins) => origins.iter().cloned().collect(),
        Product::Files(_) => Vec::new(),
    });
    Arc::new(all.collect())
}

/// Which layers of files will become others.
#[derive(Debug, Clone, Copy)]
pub struct Divided {
    /// Those of unpacked archives of so many bytes.
    pub from: u64,
    /// Those of so many bytes in small files.
    pub from_small: u64,
    /// Bytes below which a file is small.
    pub small: u64,
}

/// What a build's operations run with.
pub struct Exec {
    /// The graph.
    pub graph: Arc<Graph>,
    /// Where layers are made.
    pub layers: Layers,
    /// Where they and the records are kept.
    pub store: Store,
    /// Where the images came from that were resolved for this build.
    pub sources: Sources,
    /// How files at addresses are downloaded.
    pub web: Web,
    /// What was downloaded for this build.
    pub downloads: Mutex<BTreeMap<NodeId, Download>>,
    /// What references of repositories meant.
    pub commits: Mutex<BTreeMap<NodeId, Commit>>,
    /// Who hears of the work before keys are made.
    pub events: Events,
    /// Where the artifacts of packages come from.
    pub packages: Packages,
    /// Folders of files to copy, by name.
    pub contexts: BTreeMap<String, Folder>,
    /// How layers that nothing runs on are compressed at once.
    pub compression: Compression,
    /// Which layers will become others, of which images are made.
    pub divided: Option<Divided>,
    /// The contents of such layers, for who divides them.
    pub contents: Mutex<Vec<Contents>>,
    /// `NAME=value` for processes, in no key and no layer.
    pub proxies: Vec<String>,
    /// How processes run on this machine.
    pub options: StepOptions,
    /// Processes that ran emulated.
    pub emulated: EmulatedSteps,
    /// What lies below trees that lack it.
    pub mount_points: MountPoints,
    /// Who starts processes.
    pub helpers: Arc<Helpers>,
    /// The control groups that limit processes.
    pub groups: StepGroups,
    /// The networks that processes are lent.
    pub networks: StepNetworks,
    /// What steps may use.
    pub grants: Arc<Grants>,
    /// Whether owners other than root are out of reach (a namespace with one id).
    pub single_id: bool,
    /// Contexts that were listed already.
    pub listed: Mutex<BTreeMap<NodeId, Arc<Context>>>,
    /// What nodes select from them.
    pub selected: Mutex<BTreeMap<NodeId, Vec<FileFact>>>,
    /// Who hears of layers that are certain to be in the image.
    pub settled: SettledLayers,
}

impl Exec {
    fn listing(&self, id: NodeId) -> Result<Arc<Context>, ExecError> {
        let mut listed = self.listed.lock().expect("no panic while listing");
        if let Some(context) = listed.get(&id) {
            return Ok(Arc::clone(context));
        }
        let Op::Local(local) = &self.graph.node(id).op else {
            return Err(ExecError::Internal("only a Local operation has a listing"));
        };
        let root = self.contexts.get(&local.name).ok_or_else(|| ExecError::NoContext(local.name.clone()))?;
        let context = Arc::new(Context::of_folder(root, &local.exclude)?);
        listed.insert(id, Arc::clone(&context));
        Ok(context)
    }

    /// The merged tree of a product.
    fn view(&self, product: &Product) -> Result<View, ExecError> {
        match product {
            Product::Tree(layers, _) => Ok(self.layers.view(layers)?),
            Product::Files(context) => Ok(View::new(vec![Arc::clone(&context.toc)])),
        }
    }

    /// Brings the tables that a plan looks into, and the files of those inputs in which it looks users up.
    async fn bring_for_plan(&self, op: &FileOp, inputs: &[Product], step: Option<&Step>) -> Result<(), ExecError> {
        for (index, input) in inputs.iter().enumerate() {
            let need = if file::looks_names_up_in(op, index) { Need::Files } else { Need::Tables };
            self.sources.bring(&self.layers, input.layers(), need, step).await?;
        }
        Ok(())
    }

    /// Nodes on whose trees some process runs: their layers are wanted as folders.
    fn runs_on(&self, id: NodeId) -> bool {
        let mut above = BTreeSet::from([id]);
        for (user, node) in self.graph.nodes().skip(id.index() + 1) {
            let built_on = match node.op {
                // Of an `Exec`, all but the first are what it mounts.
                Op::Merge | Op::Exec(_) => node.inputs.iter().any(|input| above.contains(input)),
                Op::File(_) => node.inputs.first().is_some_and(|input| above.contains(input)),
                Op::Image(_) | Op::Local(_) | Op::Http(_) | Op::Git(_) | Op::Package(_) => false,
            };
            if built_on {
                if matches!(node.op, Op::Exec(_)) {
                    return true;
                }
                above.insert(user);
            }
        }
        false
    }

    /// Whether the layer can be had without asking a cache.
    fn has_layer(&self, diff_id: &DiffId) -> bool {
        self.sources.has(diff_id) || self.layers.has_files(diff_id).unwrap_or(false)
    }

    fn named(&self, layers: &[DiffId]) -> Vec<RecordLayer> {
        let used = |diff_id: &DiffId| RecordLayer { diff_id: *diff_id, remote: self.sources.has(diff_id) };
        layers.iter().filter(|diff_id| **diff_id != DiffId::empty()).map(used).collect()
    }

    /// Keeps those records that this build found in caches and whose layers it fetched, marked with their origin.
    pub fn keep_imported(&self) -> Result<(), ExecError> {
        for (key, found) in self.sources.imported().hits() {
            if found.layers.iter().all(|diff_id| self.layers.has_files(diff_id).unwrap_or(false)) {
                self.put_records(key, found.content, &found.layers, &BTreeSet::from([found.origin.to_string()]))?;
            }
        }
        Ok(())
    }

    /// Keeps what a definition came to, and if it has a content key, its topmost layer under that.
    fn put_records(
        &self,
        definition: RecordKey,
        content: Option<RecordKey>,
        layers: &[DiffId],
        origins: &BTreeSet<String>,
    ) -> Result<(), ExecError> {
        if let (Some(content), Some(layer)) = (content, layers.last()) {
            let value = serde_json::to_vec(layer).expect("a digest is plain data");
            self.store.put_record_from(content, RecordKind::Content, &value, &self.named(&[*layer]), origins)?;
        }
        let value = serde_json::to_vec(layers).expect("digests are plain data");
        self.store.put_record_from(definition, RecordKind::Definition, &value, &self.named(layers), origins)?;
        if let Some(content) = content {
            self.store.put_record_content(definition, content)?;
        }
        Ok(())
    }

    fn form(&self, id: NodeId) -> Form {
        if self.runs_on(id) { Form::Folder } else { Form::Blob(self.compression) }
    }
}

impl Executor for Exec {
    type Value = Product;
    type Error = ExecError;
    type Guard = NameLock;

    async fn definition_facts(&self, id: NodeId) -> Result<Vec<u8>, ExecError> {
        let node = self.graph.node(id);
        match &node.op {
            Op::File(op) => {
                let selected = || file::selected_from_contexts(self, node, op);
                let (facts, files) = tokio::task::block_in_place(selected)?;
                self.selected.lock().expect("no panic while holding it").insert(id, files);
                Ok(facts)
            }
            Op::Http(op) => http::facts(self, id, op).await,
            Op::Git(op) => repository::facts(self, id, op).await,
            Op::Image(_) | Op::Local(_) | Op::Exec(_) | Op::Merge | Op::Package(_) => Ok(Vec::new()),
        }
    }

    fn find_definitions(&self, keys: &[Key]) -> Result<HashMap<Key, Product>, ExecError> {
        let imported = self.sources.imported();
        let wanted: Vec<RecordKey> = keys.iter().map(|key| RecordKey(key.0)).collect();
        let records = self.store.records_from(&wanted, imported.origins())?;
        let product = |record: FoundRecord| {
            let layers = serde_json::from_slice(&record.value).ok()?;
            Some(Product::tree(layers, Arc::new(record.origins)))
        };
        let mut found: HashMap<Key, Product> =
            records.into_iter().filter_map(|(key, record)| Some((Key(key.0), product(record)?))).collect();
        for key in keys {
            if !found.contains_key(key)
                && let Some(cached) = imported.definition(RecordKey(key.0), |diff_id| self.has_layer(diff_id))
            {
                let origins = Arc::new(BTreeSet::from([cached.origin.to_string()]));
                found.insert(*key, Product::tree(cached.layers, origins));
            }
        }
        Ok(found)
    }

    async fn content_facts(&self, id: NodeId, inputs: &[Product]) -> Result<Option<Vec<u8>>, ExecError> {
        match &self.graph.node(id).op {
            Op::Exec(op) => {
                for input in mounts::looked_into(op, inputs) {
                    self.sources.bring(&self.layers, input.layers(), Need::Tables, None).await?;
                }
                tokio::task::block_in_place(|| mounts::facts(self, op, inputs).map(Some))
            }
            Op::File(op) => {
                self.bring_for_plan(op, inputs, None).await?;
                tokio::task::block_in_place(|| Ok(Some(file::Plan::new(self, id, op, inputs)?.facts())))
            }
            Op::Image(_) | Op::Local(_) | Op::Http(_) | Op::Git(_) | Op::Merge | Op::Package(_) => Ok(None),
        }
    }

    fn find_content(&self, key: Key, inputs: &[Product]) -> Result<Option<Product>, ExecError> {
        let (imported, key) = (self.sources.imported(), RecordKey(key.0));
        let found = self.store.records_from(&[key], imported.origins())?.remove(&key);
        if let Some(record) = found
            && let Ok(layer) = serde_json::from_slice::<DiffId>(&record.value)
        {
            return Ok(Some(on_top(inputs, layer, record.origins)));
        }
        let cached = imported.content(key, |diff_id| self.has_layer(diff_id));
        Ok(cached.map(|cached| on_top(inputs, cached.layers[0], [cached.origin.to_string()])))
    }

    async fn lock(&self, key: Key) -> Result<NameLock, ExecError> {
        let store = self.store.clone();
        let name = format!("step-{}", key.hex());
        if let Some(lock) = store.try_lock(&name)? {
            return Ok(lock);
        }
        let waited = tokio::task::spawn_blocking(move || store.lock(&name)).await;
        Ok(waited.map_err(|_| ExecError::Internal("waiting for a lock was cut off"))??)
    }

    async fn execute(&self, id: NodeId, inputs: &[Product], step: &Step) -> Result<Product, ExecError> {
        let node = self.graph.node(id);
        match &node.op {
            Op::Local(_) => Ok(Product::Files(tokio::task::block_in_place(|| self.listing(id))?)),
            Op::Http(op) => Ok(Product::Files(Arc::new(tokio::task::block_in_place(|| http::listing(self, id, op))?))),
            Op::Git(op) => Ok(Product::Files(Arc::new(repository::listing(self, id, op, step).await?))),
            Op::Merge => {
                let layers = inputs.iter().flat_map(Product::layers).copied().collect();
                Ok(Product::tree(layers, origins(inputs)))
            }
            Op::Image(op) => image::pull(self, id, op, step).await,
            Op::File(op) => {
                self.bring_for_plan(op, inputs, Some(step)).await?;
                for input in &inputs[1..] {
                    self.sources.bring(&self.layers, input.layers(), Need::Files, Some(step)).await?;
                }
                tokio::task::block_in_place(|| {
                    let layer = file::Plan::new(self, id, op, inputs)?.make(self, id)?;
                    Ok(on_top(inputs, layer, []))
                })
            }
            Op::Package(op) => package::make(self, id, op, inputs, step).await,
            Op::Exec(op) => {
                for input in inputs {
                    self.sources.bring(&self.layers, input.layers(), Need::Files, Some(step)).await?;
                }
                let layer = run::run(self, id, op, inputs, step).await?;
                Ok(on_top(inputs, layer, []))
            }
        }
    }

    fn settled(&self, id: NodeId, value: &Product) {
        self.settled.tell(id, value.layers());
    }

    fn record(&self, id: NodeId, definition: Key, content: Option<Key>, value: &Product) -> Result<(), ExecError> {
        let Product::Tree(layers, origins) = value else { return Ok(()) };
        let definition = RecordKey(definition.0);
        if matches!(self.graph.node(id).op, Op::Image(_)) {
            // What an image consists of stays true whatever is here of it.
            let value = serde_json::to_vec(&**layers).expect("digests are plain data");
            return Ok(self.store.put_record(definition, RecordKind::Definition, &value, &[])?);
        }
        self.put_records(definition, content.map(|key| RecordKey(key.0)), layers, origins)
    }

    fn selected(&self, id: NodeId) -> Vec<FileFact> {
        self.selected.lock().expect("no panic while holding it").get(&id).cloned().unwrap_or_default()
    }

    fn keep_recipe(&self, step: &Identity, definition: Key, recipe: &Recipe) -> Result<(), ExecError> {
        past::keep(self, step, definition, recipe)
    }

    fn past(&self, step: &Identity) -> Result<Vec<Past>, ExecError> {
        past::find(self, step)
    }

    fn changed_lines(&self, id: NodeId, path: &str, before: Key) -> Option<usize> {
        tokio::task::block_in_place(|| past::changed_lines(self, id, path, before))
    }
}

/// What `inputs` came to with one more layer, which was found in the caches `found_in`.
fn on_top(inputs: &[Product], layer: DiffId, found_in: impl IntoIterator<Item = String>) -> Product {
    let mut layers = inputs[0].layers().to_vec();
    layers.push(layer);
    let mut origins = Arc::unwrap_or_clone(origins(inputs));
    origins.extend(found_in);
    Product::tree(layers, Arc::new(origins))
}
