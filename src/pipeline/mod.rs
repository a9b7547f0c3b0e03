//! The story of a build: parse, resolve, lower, solve, assemble, export.
//!
//! | stage | file |
//! |---|---|
//! | what was asked for, made ready | `request`, `begin`, `build_file` |
//! | parse | here, in the frontend |
//! | resolve | `inputs`; for `DEPS`, locks that lie in stages and images by `lock_files` |
//! | lower | here, in the frontend; `entitlements` |
//! | solve | `attempt`, over the `executor`; `ahead` pushes meanwhile, `outcome` tells |
//! | assemble | `results`, with `divided`, `attestations` |
//! | export | `deliver`, `caches` |
//!
//! The other files are stories of their own: `analyze`, `inspect`, `lock`, `rewrite` with `observe`, `proof` and `restore`,
//! `container`, `team`, `warm`, and images `on_hand`.

mod ahead;
mod analyze;
mod attempt;
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
mod executor;
mod health;
mod inputs;
mod inspect;
mod lock;
mod lock_files;
mod observe;
mod on_hand;
mod open;
mod outcome;
mod proof;
mod request;
mod restore;
mod results;
mod rewrite;
mod team;
mod warm;

pub use analyze::{analyze, files};
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
pub use on_hand::{create_index, not_in_store, pull, push, remove, save, tag};
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
    exec::SettledLayers,
    export::BuiltIndex,
    packages::{self, ContextFiles, LOCK_FILE_NAME, Lock, Packages},
    registry::Client,
    solver::event::Events,
    store::Store,
};
use attempt::Attempt;
use begin::{Begun, begin};
use error::ended;
use executor::Lowered;
use flashbuild_frontend::{
    dockerfile::{Dockerfile, Inputs},
    platform::Platform,
};
use std::sync::Arc;

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
    let (begun, dockerfile) = read(store, client, &mut request, events).await?;
    let lowered = lower(store, client, &request, &begun, &dockerfile, events).await?;
    let settled = SettledLayers::default();
    let route = ahead::route(&lowered.graph, &request, &begun.layers, &settled);
    let exec = Arc::new(executor::executor(store, client, &request, &begun, lowered, settled, events)?);
    let mut ahead = Some(route.start(client, &exec, events));
    let (request, source) = (&request, &begun.source);
    let attempt = Attempt { store, client, request, source, exec: &exec, events };
    // What a cache promised and did not keep is left out of the next attempt: the step runs.
    loop {
        let refused = exec.sources.imported().refused();
        match attempt.run(&mut ahead).await {
            Err(_) if exec.sources.imported().refused() > refused => {}
            built => return built,
        }
    }
}

async fn read(
    store: &Store,
    client: &Client,
    request: &mut Request,
    events: &Events,
) -> Result<(Begun, Dockerfile), BuildError> {
    let step = events.step("load build definition");
    let read = async {
        let begun = begin(store, client, request, events).await?;
        let (dockerfile, errors) = Dockerfile::read_as(&begun.source.text, request.options.syntax);
        if !errors.is_empty() {
            return Err(begun.source.refuse(&dockerfile.survey(&request.options, &Inputs::default(), errors)));
        }
        Ok((begun, dockerfile))
    };
    ended(step, read.await)
}

/// Resolves all that the file names, and lowers it. What is wrong with it is found here at the latest.
async fn lower(
    store: &Store,
    client: &Client,
    request: &Request,
    begun: &Begun,
    dockerfile: &Dockerfile,
    events: &Events,
) -> Result<Lowered, BuildError> {
    let Begun { layers, prepared, source, .. } = begun;
    let lock = Lock::open(source.folder.join(LOCK_FILE_NAME), false)?;
    let packages = packages(store, client, request, prepared, Arc::new(lock))?;
    let asking = inputs::Asking { store, client, packages: Some(&packages), request, begun, events };
    let (inputs, images) =
        asking.resolve(dockerfile).await.map_err(|unknown| unknown.into_error(dockerfile, &request.options, source))?;
    let graph = dockerfile.lower(&request.options, &inputs).map_err(|errors| source.refuse(&errors))?;
    entitlements::check(&graph, &request.allow).map_err(|errors| source.refuse(&errors))?;
    call::warn(dockerfile, &request.options, &inputs, source, events)?;
    let imported = Arc::new(caches::import(&request.cache_from, store, client, layers, events).await);
    Ok(Lowered { graph: Arc::new(graph), images, packages, imported })
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
