//! `build`.

use super::{
    Failed, GrantArgs, OutputArgs, RegistriesArgs, StepArgs, StoreArgs, cache_spec,
    call::{Call, CallArgs},
    config, interruption,
};
use crate::{
    config::Config,
    context::{Given, Main, Named},
    exec::{Grants, StepOptions},
    export::ImageOptions,
    pipeline::{self, Answer, Built, Request},
    progress::{self, Mode, Screen},
    registry::{self, Client},
    sandbox::{self, Privilege},
    solver::event::Events,
    store::Store,
};
use clap::Args;
use flashbuild_frontend::{
    dockerfile::{NoCache, Options},
    graph::Network,
    platform::Platform,
};
use std::collections::BTreeMap;

const EPOCH: &str = "SOURCE_DATE_EPOCH";

#[derive(Debug, Args)]
pub(super) struct BuildArgs {
    #[command(flatten)]
    definition: DefinitionArgs,
    #[command(flatten)]
    call: CallArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    steps: StepArgs,
    #[command(flatten)]
    grants: GrantArgs,
    #[command(flatten)]
    cache: CacheArgs,
    /// How progress is shown: auto, tty, plain, rawjson or quiet [default: auto]
    #[arg(long, value_name = "MODE")]
    progress: Option<Mode>,
    #[command(flatten)]
    registries: RegistriesArgs,
    #[command(flatten)]
    store: StoreArgs,
}

/// What to build.
#[derive(Debug, Args)]
#[command(next_help_heading = "Definition")]
pub(super) struct DefinitionArgs {
    /// Files to copy: a folder, the URL of an archive or a repository (#REF:DIR), or - for an archive on standard input
    #[arg(default_value = ".")]
    context: String,
    /// The Dockerfile, or - for standard input [default: CONTEXT/Dockerfile]
    #[arg(short, long, value_name = "FILE")]
    file: Option<String>,
    /// What a name means in FROM and --from: a folder, a URL, a repository, `docker-image://IMAGE` or
    /// `oci-layout://DIR[:TAG]` (repeatable)
    #[arg(long, value_name = "NAME[::PLATFORM]=SOURCE")]
    build_context: Vec<String>,
    /// Platforms to build for, such as linux/amd64,linux/arm64 [default: this machine's]
    #[arg(long, value_delimiter = ',', value_name = "PLATFORM")]
    platform: Vec<Platform>,
    /// Stage to build
    #[arg(long, value_name = "STAGE")]
    target: Option<String>,
    /// Value of an ARG (repeatable); without a value, that of the environment
    #[arg(long, value_name = "NAME=VALUE")]
    build_arg: Vec<String>,
    /// Label of the image (repeatable)
    #[arg(long, value_name = "NAME=VALUE")]
    label: Vec<String>,
}

/// How steps run.
#[derive(Debug, Args)]
#[command(next_help_heading = "Steps")]
struct RunArgs {
    /// How many steps may run at once [default: the number of cores, at least 4]
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
}

/// What need not be done again.
#[derive(Debug, Args)]
#[command(next_help_heading = "Cache")]
struct CacheArgs {
    /// A cache of other builds to look into: type=registry|local, ref=NAME or src=DIR; a name alone is that of an image or
    /// a cache in a registry (repeatable)
    #[arg(long, value_name = "SPEC")]
    cache_from: Vec<String>,
    /// Where other builds find what this one did: type=registry|local|inline, ref=NAME or dest=DIR, mode=min|max, and more
    /// keys as buildx has them (repeatable)
    #[arg(long, value_name = "SPEC")]
    cache_to: Vec<String>,
    /// Run every step, whatever ran before
    #[arg(long)]
    no_cache: bool,
    /// Run every step of these stages, whatever ran before (repeatable)
    #[arg(long, value_delimiter = ',', value_name = "STAGE")]
    no_cache_filter: Vec<String>,
    /// Say of each step that runs why it does
    #[arg(long)]
    explain: bool,
    /// Always ask the registry what a name means
    #[arg(long)]
    pull: bool,
}

impl CacheArgs {
    fn no_cache(&self) -> NoCache {
        match self.no_cache_filter.as_slice() {
            [] if self.no_cache => NoCache::Everything,
            [] => NoCache::Nothing,
            stages => NoCache::Stages(stages.to_vec()),
        }
    }
}

pub(super) fn build(args: &BuildArgs) -> Result<(), Failed> {
    let privilege = sandbox::enter_user_namespace().map_err(Failed::environment)?;
    let config = config::load()?;
    let request = request(args, &config, privilege)?;
    let progress = config::progress_mode(args.progress, &config)?;
    let store = args.store.open()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failed::environment)?;
    let options = registry::Options {
        ca_certificates: args.grants.ca_certificates(&config).to_vec(),
        ..args.registries.options(&config)
    };
    let done = runtime.block_on(async {
        let client = Client::new(options).map_err(Failed::environment)?;
        let (events, receiver) = Events::channel();
        let shown = tokio::spawn(progress::show(progress, receiver, Screen::stderr()));
        if matches!(privilege, Privilege::OneId) {
            events.notice("no subordinate ids for this user: every file belongs to root in the image's eyes");
        }
        let done = tokio::select! {
            done = build_or_call(args, &store, &client, request, &events) => done,
            () = interruption() => Err(Failed::interrupted()),
        };
        drop(events);
        shown.await.map_err(Failed::environment)?;
        done
    })?;
    match done {
        Done::Built(built) => args.output.write_results(&built),
        Done::Asked(call, answer) => call.tell(answer),
    }
}

/// What came of it.
enum Done {
    Built(Box<Built>),
    Asked(Call, Answer),
}

async fn build_or_call(
    args: &BuildArgs,
    store: &Store,
    client: &Client,
    request: Request,
    events: &Events,
) -> Result<Done, Failed> {
    match args.call.asked() {
        None => Ok(Done::Built(Box::new(pipeline::build(store, client, request, events).await?))),
        Some(call) => {
            let answer = pipeline::call(store, client, request, call.question, call.format, events).await?;
            Ok(Done::Asked(call, answer))
        }
    }
}

impl DefinitionArgs {
    /// The files, the Dockerfile, and what it may name.
    fn given(&self) -> Result<Given, Failed> {
        let build_args = pairs("--build-arg", &self.build_arg, true)?;
        let keep_git_dir = match build_args.get("BUILDKIT_CONTEXT_KEEP_GIT_DIR").map(String::as_str) {
            None | Some("") => None,
            Some("1" | "true") => Some(true),
            Some("0" | "false") => Some(false),
            Some(other) => {
                let text = format!("BUILDKIT_CONTEXT_KEEP_GIT_DIR is {other:?}, but must be true or false");
                return Err(Failed::usage(text));
            }
        };
        Ok(Given {
            main: Main::read(&self.context).map_err(Failed::usage)?,
            file: self.file.clone(),
            named: self
                .build_context
                .iter()
                .map(|text| Named::read(text))
                .collect::<Result<_, _>>()
                .map_err(Failed::usage)?,
            keep_git_dir,
        })
    }

    /// What lowering needs of it.
    fn options(&self, network: Network, config: &Config) -> Result<Options, Failed> {
        let mut build_args = pairs("--build-arg", &self.build_arg, true)?;
        let asked = build_args.remove(EPOCH).or_else(|| std::env::var(EPOCH).ok()).filter(|text| !text.is_empty());
        if asked.as_deref() == Some("context") {
            build_args.insert(EPOCH.to_owned(), "context".to_owned());
        }
        let epoch = epoch(asked)?;
        let host = Platform::host();
        Ok(Options {
            platforms: match (self.platform.as_slice(), config.platforms.value.as_slice()) {
                ([], []) => vec![host.clone()],
                ([], usual) => usual.to_vec(),
                (typed, _) => typed.to_vec(),
            },
            target: self.target.clone(),
            build_args,
            labels: pairs("--label", &self.label, false)?,
            epoch,
            network,
            ..Options::for_platform(host)
        })
    }

    /// A request to look into it, from which nothing comes out.
    pub(super) fn request(&self, config: &Config) -> Result<Request, Failed> {
        Ok(Request {
            given: self.given()?,
            options: self.options(Network::Default, config)?,
            tags: Vec::new(),
            outputs: Vec::new(),
            image: ImageOptions::default(),
            steps: StepOptions::default(),
            jobs: 1,
            explains: false,
            cache_from: Vec::new(),
            cache_to: Vec::new(),
            pull: false,
            allow: Vec::new(),
            grants: Grants::default(),
            single_id: false,
        })
    }
}

fn request(args: &BuildArgs, config: &Config, privilege: Privilege) -> Result<Request, Failed> {
    let definition = &args.definition;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Ok(Request {
        given: definition.given()?,
        options: Options { no_cache: args.cache.no_cache(), ..definition.options(args.grants.network(), config)? },
        tags: args.output.tags()?,
        outputs: args.output.destinations()?,
        image: args.output.image()?,
        steps: args.steps.options()?,
        jobs: args.run.jobs.or(config.jobs.value.map(usize::from)).unwrap_or(cores.max(4)),
        explains: args.cache.explain,
        cache_from: cache_spec::sources(&args.cache.cache_from)?,
        cache_to: args.cache.cache_to.iter().map(|spec| cache_spec::target(spec)).collect::<Result<_, _>>()?,
        pull: args.cache.pull,
        allow: args.grants.allowed(),
        grants: args.grants.grants(config)?,
        single_id: matches!(privilege, Privilege::OneId),
    })
}

/// Reads `SOURCE_DATE_EPOCH`. `context` is left to lowering: what it means is known when the context is here.
fn epoch(asked: Option<String>) -> Result<Option<i64>, Failed> {
    match asked.filter(|text| text != "context") {
        None => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|_| {
            Failed::usage(format!("{EPOCH} is {text:?}, but must be a number of seconds since 1970, or `context`"))
        }),
    }
}

/// Reads `NAME=VALUE` pairs; a name alone takes its value from the environment, if that is allowed and set.
fn pairs(flag: &str, texts: &[String], from_environment: bool) -> Result<BTreeMap<String, String>, Failed> {
    let mut all = BTreeMap::new();
    for text in texts {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => {
                all.insert(name.to_owned(), value.to_owned());
            }
            None if from_environment && !text.is_empty() => {
                all.extend(std::env::var(text).ok().map(|value| (text.clone(), value)));
            }
            _ => return Err(Failed::usage(format!("{flag} {text:?}: expected NAME=VALUE"))),
        }
    }
    Ok(all)
}
