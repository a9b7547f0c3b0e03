//! The story of a build: parse, resolve, lower, solve, assemble, export.

mod ahead;
mod analyze;
mod attestations;
mod begin;
mod build_file;
mod caches;
mod call;
mod container;
mod deliver;
mod divided;
mod entitlements;
mod error;
mod health;
mod inputs;
mod inspect;
mod lock;
mod observe;
mod on_hand;
mod open;
mod outcome;
mod proof;
mod request;
mod restore;
mod rewrite;
mod team;
mod warm;

pub use analyze::analyze;
pub use caches::{CacheExport, CacheTo};
pub use call::{Answer, AnswerFormat, Question, call};
pub use container::{Container, ContainerOptions, Trial, TrialEnd};
pub use deliver::{Dest, Destination, Target};
pub use divided::Division;
pub use entitlements::Entitlement;
pub use error::BuildError;
pub use inspect::{Inspected, InspectedImage, InspectedStatement, inspect, predicate};
pub use lock::lock;
pub use observe::Observation;
pub use on_hand::{create_index, pull, push, remove, save, tag};
pub use open::{OpenImage, open};
pub use outcome::StepOutcome;
pub use proof::{Proof, Smoke};
pub use request::Request;
pub use restore::{RestoreRequest, restore, sibling};
pub use rewrite::{How, RewriteReport, RewriteRequest, rewrite};
pub use team::{TeamSelection, export_team, import_team};
pub use warm::{WarmRequest, warm};

use crate::{
    attest::Provenance,
    context::Prepared,
    exec::{EmulatedSteps, Exec, Need, Sources, StepGroups, StepNetworks},
    export::{self, BuiltImage, BuiltIndex, ImageOptions, Sent},
    image::DiffId,
    packages::{self, ContextFiles, LOCK_FILE_NAME, Lock, Packages},
    registry::Client,
    sandbox::Isolation,
    solver::{self, Solved, event::Events},
    store::Store,
};
use ahead::PushAhead;
use attestations::Attesting;
use begin::{Begun, begin};
use build_file::BuildFile;
use caches::Caches;
use deliver::Delivery;
use flashbuild_frontend::{
    config::{History, ImageConfig},
    dockerfile::{Dockerfile, HISTORY_COMMENT, Inputs},
    graph::Output,
    platform::Platform,
};
use std::sync::{Arc, Mutex};

/// What a build came to.
#[derive(Debug)]
pub struct Built {
    /// The image.
    pub image: BuiltIndex,
    /// What became of each step.
    pub steps: Vec<StepOutcome>,
    /// How the image of each platform came to be, if that was asked for.
    pub provenance: Vec<(Platform, Provenance)>,
}

/// Builds, exports, and leaves a durable store, also when it fails.
pub async fn build(store: &Store, client: &Client, request: Request, events: &Events) -> Result<Built, BuildError> {
    let keeper = request.gc.as_ref().map(|policy| store.keep_within(policy));
    let lease = store.lease()?;
    let built = run(store, client, request, events).await;
    drop(lease);
    // What it may have to collect is on the disk when others hear that the build is done.
    tokio::task::block_in_place(|| drop(keeper));
    store.make_durable()?;
    built
}

async fn run(store: &Store, client: &Client, mut request: Request, events: &Events) -> Result<Built, BuildError> {
    let (Begun { layers, web, prepared, source }, dockerfile) = read(store, client, &mut request, events).await?;
    let lock = Lock::open(source.folder.join(LOCK_FILE_NAME), false)?;
    let packages = packages(store, client, &request, &prepared, Arc::new(lock))?;
    let (inputs, images) =
        inputs::resolve(store, client, Some(&packages), &request, &prepared.layouts, &dockerfile, events)
            .await
            .map_err(|unknown| unknown.into_error(&dockerfile, &request.options, &source))?;
    let graph = Arc::new(dockerfile.lower(&request.options, &inputs).map_err(|errors| source.refuse(&errors))?);
    entitlements::check(&graph, &request.allow).map_err(|errors| source.refuse(&errors))?;
    call::warn(&dockerfile, &request.options, &inputs, &source, events)?;

    let imported = Arc::new(caches::import(&request.cache_from, store, client, &layers, events).await);
    let proxies = request.options.proxy_variables();
    let (division, made) = (request.division.clone(), layers.clone());
    let may_divide = move |diff_id: &DiffId| division.may_divide(&made, diff_id);
    let (settled, route) = ahead::route(&graph, &request.outputs, &request.tags, may_divide);
    let exec = Arc::new(Exec {
        graph: Arc::clone(&graph),
        layers: layers.clone(),
        store: store.clone(),
        sources: Sources::new(client.clone(), images, &layers, imported)
            .map_err(|error| source.failed(&error, None))?,
        web,
        downloads: Mutex::default(),
        commits: Mutex::default(),
        events: events.clone(),
        packages,
        contexts: prepared.folders.clone(),
        compression: request.image.compression,
        proxies: proxies.into_iter().map(|(name, value)| format!("{name}={value}")).collect(),
        options: request.steps.clone(),
        emulated: EmulatedSteps::default(),
        groups: StepGroups::new(request.steps.group_limits.clone()),
        networks: match request.steps.isolation {
            Isolation::Namespaces => StepNetworks::find(),
            Isolation::Chroot => StepNetworks::of_host(),
        },
        grants: std::mem::take(&mut request.grants),
        single_id: request.single_id,
        listed: Mutex::default(),
        selected: Mutex::default(),
        settled,
    });
    let mut ahead = route.map(|route| route.start(client, &exec, events));
    // What a cache promised and did not keep is left out of the next attempt: the step runs.
    loop {
        let refused = exec.sources.imported().refused();
        match attempt(store, client, &request, &exec, &source, &mut ahead, events).await {
            Err(_) if exec.sources.imported().refused() > refused => {}
            built => return built,
        }
    }
}

/// Solves, assembles and delivers.
async fn attempt(
    store: &Store,
    client: &Client,
    request: &Request,
    exec: &Arc<Exec>,
    source: &BuildFile,
    ahead: &mut Option<PushAhead>,
    events: &Events,
) -> Result<Built, BuildError> {
    let (graph, layers) = (&exec.graph, &exec.layers);
    let project = source.folder.join(&source.name).display().to_string();
    let options =
        solver::Options { jobs: request.jobs, most_jobs: request.most_jobs, project, explains: request.explains };
    let solved = solver::solve(graph, exec, events, &options).await;
    let Solved { roots, steps, keys } = solved.map_err(|failed| {
        let span = failed.node.and_then(|node| graph.node(node).span);
        source.failed(&failed.error, span)
    })?;
    if let Some(cost) = exec.emulated.summary() {
        events.notice(cost);
    }
    let steps = outcome::report(graph, &steps, &exec.emulated);
    let sent = match ahead.take() {
        Some(ahead) => ahead.finish().await,
        None => Sent::default(),
    };

    let step = events.step("export layers");
    // The first output that takes images decides what the image is like under its name in the local store.
    let mut outputs: Vec<&Destination> = request.outputs.iter().collect();
    outputs.sort_by_key(|output| !output.target.takes_images());
    let first = outputs.first().map_or_else(|| request.image.clone(), |output| output.image.clone());
    let forces = outputs.iter().any(|output| output.image.force_compression) || first.force_compression;
    let pushes = outputs.iter().any(|output| matches!(output.target, Target::Registry { .. }));
    // A name in the local store is a promise that all of the image is here, or where it was pushed to.
    if forces || !request.tags.is_empty() && !pushes {
        for root in &roots {
            let brought = exec.sources.bring(layers, root.layers(), Need::Blobs, Some(&step)).await;
            brought.map_err(|error| source.failed(&error, None))?;
        }
    }
    let compressions: Vec<_> =
        outputs.iter().map(|output| output.image.compression).chain([first.compression]).collect();
    for root in &roots {
        let brought = exec.sources.bring_to_compress(layers, root.layers(), &compressions, Some(&step)).await;
        brought.map_err(|error| source.failed(&error, None))?;
    }
    let caches = Caches { exec, client, events, exports: &request.cache_to };
    let used = caches.used(&keys).map_err(|error| source.failed(&error, None))?;
    let images: Vec<_> = graph
        .outputs
        .iter()
        .zip(&roots)
        .map(|(output, root)| {
            let mut config = config(output, graph.epoch);
            caches.inline(&mut config, root.layers(), &used);
            (output.platform.clone(), config, root.layers().to_vec())
        })
        .collect();
    let images = divided::divide(exec, request, images, events).await?;
    let trees: Vec<&[DiffId]> = images.iter().map(|(_, _, layers)| layers.as_slice()).collect();
    let attesting = Attesting::gather(exec, request, source, &trees, events).await?;
    let about = |built: &BuiltImage| attesting.about(built);
    let assemble = |target: Option<&Target>, options: &ImageOptions| {
        let is_base = |diff_id: &DiffId| exec.sources.has(diff_id);
        let (options, goes_along) = attesting.options(target, options);
        let attestations = attesting.attestations(goes_along, &about);
        tokio::task::block_in_place(|| export::assemble(layers, images.clone(), &options, is_base, attestations))
    };
    let first = (outputs.first().map(|output| &output.target), &first);
    let like_first = attesting.options(first.0, first.1);
    let image = assemble(first.0, first.1)?;
    let names: Vec<String> = request.tags.iter().map(ToString::to_string).collect();
    image.bundle().save(store, &names)?;
    step.ran();
    for output in outputs {
        attesting.warn(&output.target, events);
        let is_first = attesting.options(Some(&output.target), &output.image) == like_first;
        let other = if is_first { None } else { Some(assemble(Some(&output.target), &output.image)?) };
        let image = other.as_ref().unwrap_or(&image);
        let delivery = Delivery { store, client, layers, sources: &exec.sources, image, sent: &sent };
        delivery.to(output, &request.tags, events).await?;
        if let (Some(signer), Target::Registry { .. }) = (&request.signer, &output.target) {
            let names = output.names.as_deref().unwrap_or(&request.tags);
            attestations::sign(signer, client, names, &image.descriptor.digest, events).await?;
        }
    }
    caches.export(&used).await?;
    let unnamed = [format!("untagged {}", image.descriptor.digest)];
    caches.note(&keys, if names.is_empty() { &unnamed } else { &names })?;
    exec.keep_imported().map_err(|error| source.failed(&error, None))?;
    Ok(Built { image, steps, provenance: attesting.into_provenance() })
}

async fn read(
    store: &Store,
    client: &Client,
    request: &mut Request,
    events: &Events,
) -> Result<(Begun, Dockerfile), BuildError> {
    let step = events.step("load build definition");
    let begun = begin(store, client, request, events).await?;
    let (dockerfile, errors) = Dockerfile::read_as(&begun.source.text, request.options.syntax);
    if !errors.is_empty() {
        return Err(begun.source.refuse(&dockerfile.survey(&request.options, &Inputs::default(), errors)));
    }
    step.ran();
    Ok((begun, dockerfile))
}

fn packages(
    store: &Store,
    registries: &Client,
    request: &Request,
    prepared: &Prepared,
    lock: Arc<Lock>,
) -> Result<Packages, BuildError> {
    let options = packages::Options {
        ca_certificates: registries.ca_certificates().to_vec(),
        offline: registries.is_offline(),
        ..packages::Options::default()
    };
    let client = packages::Client::new(&options)?;
    let files = ContextFiles::new(&prepared.folders[Prepared::MAIN].path);
    Ok(Packages::new(store.clone(), client, files, lock, request.pull))
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
        comment: Some(HISTORY_COMMENT.to_owned()),
        empty_layer: !step.layer,
        author: None,
    }));
    config
}
