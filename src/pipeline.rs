//! The story of a build: parse, resolve, lower, solve, assemble, export.

use crate::{
    exec::{Exec, ExecError, Sources},
    export::{self, BuiltIndex, ExportError},
    image::DiffId,
    layer::{Compression, Layers, OverlayXattrs},
    registry::{Client, RegistryError},
    resolve::{self, ResolveError, Source},
    solver::{
        self, Solved, StepReport,
        event::{Events, Hit},
    },
    store::{Store, StoreError},
};
use flashbuild_frontend::{
    config::{History, ImageConfig},
    diagnostic::Diagnostic,
    dockerfile::{Dockerfile, Inputs, Missing, Options},
    graph::{Graph, Output},
    ignore::IgnoreRules,
    reference::Reference,
};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

/// What was asked for.
#[derive(Debug)]
pub struct Request {
    /// The folder whose files `COPY` takes.
    pub context: PathBuf,
    /// The Dockerfile; `None` looks for one in the context.
    pub file: Option<PathBuf>,
    /// What lowering needs, but for the ignore patterns.
    pub options: Options,
    /// Names of the image.
    pub tags: Vec<Reference>,
    /// Where it goes besides the local store.
    pub outputs: Vec<Destination>,
    /// How layers are compressed.
    pub compression: Compression,
    /// How many processes may run at once.
    pub jobs: usize,
    /// Whether records are not looked up.
    pub no_cache: bool,
    /// Whether names are always asked of their registry.
    pub pull: bool,
    /// Whether this process is root of a namespace with a single id.
    pub single_id: bool,
}

/// Where an image goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// To the registries of its names.
    Registry,
    /// Into an OCI layout archive.
    OciArchive {
        /// The file.
        dest: PathBuf,
        /// What the image is called in it, in place of its names.
        name: Option<String>,
    },
    /// Into an OCI layout folder.
    OciFolder {
        /// The folder.
        dest: PathBuf,
        /// What the image is called in it, in place of its names.
        name: Option<String>,
    },
    /// As files, one folder a platform if there are several.
    Local {
        /// The folder.
        dest: PathBuf,
    },
}

/// What a build came to.
#[derive(Debug)]
pub struct Built {
    /// The image.
    pub image: BuiltIndex,
    /// What became of each step.
    pub steps: Vec<StepOutcome>,
}

/// What became of a step.
#[derive(Debug, serde::Serialize)]
pub struct StepOutcome {
    /// As shown.
    pub name: String,
    /// The platforms that it serves.
    pub platforms: Vec<String>,
    /// `ran`, `definition` or `content`.
    pub outcome: &'static str,
}

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The Dockerfile, or a step of it; rendered with its lines.
    #[error("{0}")]
    Dockerfile(String),
    /// There is no Dockerfile.
    #[error("{0}")]
    NoDockerfile(String),
    /// The machine, the disk or a registry.
    #[error("{0}")]
    Environment(String),
}

impl From<StoreError> for BuildError {
    fn from(error: StoreError) -> Self {
        Self::Environment(error.to_string())
    }
}

impl From<ExportError> for BuildError {
    fn from(error: ExportError) -> Self {
        Self::Environment(error.to_string())
    }
}

impl From<RegistryError> for BuildError {
    fn from(error: RegistryError) -> Self {
        Self::Environment(error.to_string())
    }
}

/// Builds, exports, and leaves a durable store, also when it fails.
pub async fn build(store: &Store, client: &Client, request: Request, events: &Events) -> Result<Built, BuildError> {
    let lease = store.lease()?;
    let built = run(store, client, request, events).await;
    drop(lease);
    store.make_durable()?;
    built
}

async fn run(store: &Store, client: &Client, mut request: Request, events: &Events) -> Result<Built, BuildError> {
    let step = events.step("load build definition");
    let source = BuildFile::read(&request)?;
    request.options.ignore = source.ignore.clone();
    let dockerfile = Dockerfile::parse(&source.text).map_err(|errors| source.refuse(&errors))?;
    step.ran();

    let (inputs, images) = resolve_all(store, client, &request, &dockerfile, &source, events).await?;
    let graph = Arc::new(dockerfile.lower(&request.options, &inputs).map_err(|errors| source.refuse(&errors))?);

    let overlay =
        if request.single_id || !initial_user_namespace() { OverlayXattrs::User } else { OverlayXattrs::Trusted };
    let layers = Layers::new(store.clone(), overlay);
    let proxies = request.options.proxy_variables();
    let exec = Arc::new(Exec {
        graph: Arc::clone(&graph),
        layers: layers.clone(),
        store: store.clone(),
        sources: Sources { client: client.clone(), images },
        contexts: BTreeMap::from([("context".to_owned(), request.context.clone())]),
        compression: request.compression,
        proxies: proxies.into_iter().map(|(name, value)| format!("{name}={value}")).collect(),
        emulator: None,
        single_id: request.single_id,
        listed: std::sync::Mutex::default(),
    });
    let solved = solver::solve(&graph, &exec, events, request.jobs, request.no_cache).await;
    let Solved { roots, steps } = solved.map_err(|failed| {
        let span = failed.node.and_then(|node| graph.node(node).span);
        source.failed(&failed.error, span)
    })?;
    let steps = report(&graph, &steps);

    let step = events.step("export layers");
    let images: Vec<_> = graph
        .outputs
        .iter()
        .zip(&roots)
        .map(|(output, root)| (output.platform.clone(), config(output, graph.epoch), root.layers().to_vec()))
        .collect();
    let image = tokio::task::block_in_place(|| -> Result<BuiltIndex, BuildError> {
        let image = export::assemble(&layers, images, &request.compression)?;
        let names: Vec<String> = request.tags.iter().map(ToString::to_string).collect();
        export::save(store, &image, &names)?;
        Ok(image)
    })?;
    step.ran();
    for output in &request.outputs {
        deliver(store, client, &layers, &image, output, &request.tags, events).await?;
    }
    Ok(Built { image, steps })
}

async fn resolve_all(
    store: &Store,
    client: &Client,
    request: &Request,
    dockerfile: &Dockerfile,
    source: &BuildFile,
    events: &Events,
) -> Result<(Inputs, BTreeMap<String, Source>), BuildError> {
    let mut inputs = Inputs::default();
    let mut images = BTreeMap::new();
    loop {
        let missing = dockerfile.missing(&request.options, &inputs).map_err(|errors| source.refuse(&errors))?;
        if missing.is_empty() {
            return Ok((inputs, images));
        }
        let ask = missing.iter().map(|missing| async move {
            let Missing::ImageConfig { reference, platform, .. } = missing;
            let step = events.step(format!("resolve {} for {platform}", reference.familiar()));
            let pinned = resolve::resolve(store, client, reference, platform, request.pull).await;
            match &pinned {
                Ok(_) => step.ran(),
                Err(error) => step.failed(error.to_string()),
            }
            (missing, pinned)
        });
        for (missing, pinned) in futures_util::future::join_all(ask).await {
            let Missing::ImageConfig { reference, platform, .. } = missing;
            let pinned = pinned.map_err(|error| source.unresolved(missing, &error))?;
            images.insert(pinned.image.digest.clone(), pinned.source);
            inputs.insert(reference, platform, pinned.image);
        }
    }
}

/// The configuration of an output, complete but for its layers. Times are the epoch's, or the beginning of time, so
/// that equal builds are equal images.
fn config(output: &Output, epoch: Option<i64>) -> ImageConfig {
    let created = jiff::Timestamp::from_second(epoch.unwrap_or(0)).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string();
    let mut config = output.config.clone();
    config.created = Some(created.clone());
    config.history.extend(output.steps.iter().map(|step| History {
        created: Some(created.clone()),
        created_by: Some(step.created_by.clone()),
        comment: Some("flashbuild".to_owned()),
        empty_layer: !step.layer,
        author: None,
    }));
    config
}

fn report(graph: &Graph, steps: &[StepReport]) -> Vec<StepOutcome> {
    let mut steps: Vec<&StepReport> = steps.iter().collect();
    steps.sort_by_key(|step| step.node);
    let outcome = |step: &StepReport| {
        let node = graph.node(step.node);
        StepOutcome {
            name: node.name.clone(),
            platforms: node.targets.iter().map(ToString::to_string).collect(),
            outcome: match step.hit {
                None => "ran",
                Some(Hit::Definition) => "definition",
                Some(Hit::Content) => "content",
            },
        }
    };
    steps.into_iter().map(outcome).collect()
}

async fn deliver(
    store: &Store,
    client: &Client,
    layers: &Layers,
    image: &BuiltIndex,
    output: &Destination,
    tags: &[Reference],
    events: &Events,
) -> Result<(), BuildError> {
    let names = |name: &Option<String>| match name {
        Some(name) => vec![name.clone()],
        None => tags.iter().map(ToString::to_string).collect(),
    };
    match output {
        Destination::Registry => {
            for tag in tags {
                let step = events.step(format!("push {}", tag.familiar()));
                let moved = |item: &str, done: u64, total: u64| step.transfer(item, done, Some(total));
                if let Err(error) = export::push(client, store, image, tag, &BTreeMap::new(), moved).await {
                    step.failed(error.to_string());
                    return Err(error.into());
                }
                step.ran();
            }
        }
        Destination::OciArchive { dest, name } => {
            let step = events.step(format!("write {}", dest.display()));
            let partial = dest.with_extension("partial");
            let at = |error| BuildError::Environment(format!("{}: {error}", dest.display()));
            let file = fs::File::create(&partial).map_err(at)?;
            export::write_archive(store, image, &names(name), std::io::BufWriter::new(file))?;
            fs::rename(&partial, dest).map_err(at)?;
            step.ran();
        }
        Destination::OciFolder { dest, name } => {
            let step = events.step(format!("write {}", dest.display()));
            export::write_folder(store, image, &names(name), dest)?;
            step.ran();
        }
        Destination::Local { dest } => {
            let step = events.step(format!("write {}", dest.display()));
            for built in &image.images {
                let folder = match image.images.len() {
                    1 => dest.clone(),
                    _ => dest.join(built.platform.to_string().replace('/', "_")),
                };
                let diff_ids: Vec<DiffId> = built.layers.iter().map(|(diff_id, _)| *diff_id).collect();
                tokio::task::block_in_place(|| export::write_tree(layers, &diff_ids, &folder))?;
            }
            step.ran();
        }
    }
    Ok(())
}

/// What `flashbuild inspect` shows of an image in the local store: its digest, size, and each platform's
/// configuration and layers. `None` if there is no such image.
pub fn inspect(store: &Store, reference: &Reference) -> Result<Option<serde_json::Value>, BuildError> {
    use crate::image::{Descriptor, Document};
    let Some(row) = store.image(&reference.to_string())? else { return Ok(None) };
    let broken = |error: &dyn std::fmt::Display| BuildError::Environment(format!("the image is damaged: {error}"));
    let read = |descriptor: &Descriptor| {
        store.read_blob(&descriptor.digest, 8 << 20)?.ok_or_else(|| broken(&format!("{} is gone", descriptor.digest)))
    };
    let top: Descriptor = serde_json::from_str(&row).map_err(|error| broken(&error))?;
    let parse =
        |bytes: &[u8]| Document::parse(bytes, None).map_err(|error| broken(&error)).map(|(_, document)| document);
    let manifests = match parse(&read(&top)?)? {
        Document::Index(index) => index.manifests,
        Document::Manifest(_) => vec![top.clone()],
    };
    let mut images = Vec::new();
    for descriptor in manifests {
        let Document::Manifest(manifest) = parse(&read(&descriptor)?)? else { continue };
        let config: ImageConfig = serde_json::from_slice(&read(&manifest.config)?).map_err(|error| broken(&error))?;
        images.push(serde_json::json!({
            "digest": descriptor.digest,
            "platform": config.platform().to_string(),
            "layers": manifest.layers,
            "config": config,
        }));
    }
    Ok(Some(serde_json::json!({
        "name": reference.to_string(), "digest": top.digest, "size": top.size, "images": images,
    })))
}

/// Whether this process is in the machine's first user namespace, where all ids map to themselves.
pub fn initial_user_namespace() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.split_whitespace().collect::<Vec<_>>() == ["0", "0", "4294967295"]
}

/// The text of the build, and how to talk about it.
struct BuildFile {
    name: String,
    text: String,
    ignore: Vec<String>,
}

impl BuildFile {
    fn read(request: &Request) -> Result<Self, BuildError> {
        if !request.context.is_dir() {
            return Err(BuildError::NoDockerfile(format!(
                "the build context {} is not a folder",
                request.context.display()
            )));
        }
        let path = match &request.file {
            Some(path) => path.clone(),
            None => ["Dockerfile", "dockerfile"]
                .map(|name| request.context.join(name))
                .into_iter()
                .find(|path| path.is_file())
                .ok_or_else(|| {
                    BuildError::NoDockerfile(format!(
                        "no Dockerfile in {}: write one, or name it with --file",
                        request.context.display()
                    ))
                })?,
        };
        let at = |path: &Path, error: &dyn std::fmt::Display| {
            BuildError::NoDockerfile(format!("cannot read {}: {error}", path.display()))
        };
        let text = fs::read_to_string(&path).map_err(|error| at(&path, &error))?;
        let mut beside = path.clone().into_os_string();
        beside.push(".dockerignore");
        let candidates = [PathBuf::from(beside), request.context.join(".dockerignore")];
        let ignore = match candidates.iter().find(|path| path.is_file()) {
            None => Vec::new(),
            Some(path) => {
                let text = fs::read_to_string(path).map_err(|error| at(path, &error))?;
                IgnoreRules::parse(&text).map_err(|error| at(path, &error))?
            }
        };
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        Ok(Self { name, text, ignore })
    }

    fn refuse(&self, errors: &[Diagnostic]) -> BuildError {
        let rendered: Vec<String> = errors.iter().map(|error| error.render(&self.name, &self.text, false)).collect();
        BuildError::Dockerfile(rendered.join("\n\n"))
    }

    fn unresolved(&self, missing: &Missing, error: &ResolveError) -> BuildError {
        let rendered = missing.failed(&error.to_string()).render(&self.name, &self.text, false);
        match error {
            ResolveError::Registry(RegistryError::Unreachable { .. }) | ResolveError::Store(_) => {
                BuildError::Environment(rendered)
            }
            ResolveError::Registry(_) | ResolveError::Image(_) => BuildError::Dockerfile(rendered),
        }
    }

    fn failed(&self, error: &ExecError, span: Option<flashbuild_frontend::diagnostic::Span>) -> BuildError {
        let rendered = match span {
            Some(span) => Diagnostic::error(error.to_string(), span).render(&self.name, &self.text, false),
            None => format!("error: {error}"),
        };
        match error {
            ExecError::Store(_) | ExecError::Sandbox(_) | ExecError::NoEmulator { .. } => {
                BuildError::Environment(rendered)
            }
            error if error.is_no_space() => BuildError::Environment(rendered),
            ExecError::Layer(_)
            | ExecError::Registry(_)
            | ExecError::Exit { .. }
            | ExecError::NotFound { .. }
            | ExecError::Path(_)
            | ExecError::NoUser { .. }
            | ExecError::Mode(_)
            | ExecError::Context { .. }
            | ExecError::NoContext(_)
            | ExecError::Image(_)
            | ExecError::Internal(_) => BuildError::Dockerfile(rendered),
        }
    }
}
