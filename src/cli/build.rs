//! `build`.

use super::{
    AttestArgs, Failed, GrantArgs, OutputArgs, RegistriesArgs, StepArgs, StoreArgs,
    build_args::ForBuilder,
    cache_spec,
    call::{Call, CallArgs},
    config,
    debug_shell::Shell,
    gc, interruption,
};
use crate::{
    attest,
    config::Config,
    context::{Given, Main, Named},
    exec::{DebugShell, StepOptions},
    export::ImageOptions,
    history::{Asked, Bounds, Ended, Recorder},
    pipeline::{self, Answer, Built, Division, Request, Target},
    progress::{self, Mode, Screen},
    registry::{self, Client},
    sandbox::{Isolation, Privilege},
    solver::event::Events,
    store::Store,
};
use clap::Args;
use flashbuild_frontend::{
    dockerfile::{NoCache, Options},
    graph::Network,
    platform::Platform,
    reference::Reference,
    remote::shown,
};
use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

const EPOCH: &str = "SOURCE_DATE_EPOCH";

/// How many steps run at once, if nobody says how many may, while the machine has something left.
const MOST_JOBS: usize = 64;

#[derive(Debug, Args)]
pub(super) struct BuildArgs {
    #[command(flatten)]
    definition: DefinitionArgs,
    #[command(flatten)]
    call: CallArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    attest: AttestArgs,
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
    /// Write what took how long to FILE, a trace for Perfetto or a browser
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
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
    /// Open a shell in the sandbox of a step that fails; it sees what the step left, and its mounts
    #[arg(long, value_name = "PROGRAM", num_args = 0..=1, require_equals = true, default_missing_value = "/bin/sh")]
    debug_shell: Option<String>,
    /// How many steps may run at once [default: the number of cores, at least 4, and more while the machine is idle]
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
}

impl RunArgs {
    fn debug_shell(&self) -> Option<Arc<dyn DebugShell>> {
        self.debug_shell.clone().map(|program| -> Arc<dyn DebugShell> { Arc::new(Shell { program }) })
    }
}

/// What need not be done again.
#[derive(Debug, Args)]
#[command(next_help_heading = "Cache")]
struct CacheArgs {
    /// A cache of other builds to look into: type=registry|local|s3|gha, ref=NAME or src=DIR; a name alone is that of an image or
    /// a cache in a registry (repeatable)
    #[arg(long, value_name = "SPEC")]
    cache_from: Vec<String>,
    /// Where other builds find what this one did: type=registry|local|inline|s3|gha, ref=NAME or dest=DIR, mode=min|max, and more
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
    let (privilege, isolation) = args.steps.enter()?;
    let config = config::load()?;
    let mut request = request(args, &config, privilege, isolation)?;
    let progress = match config::progress_mode(args.progress, &config)? {
        // Lines that are rewritten, and a shell in between, would be in each other's way.
        Mode::Auto | Mode::Tty if args.run.debug_shell.is_some() => Mode::Plain,
        other @ (Mode::Auto | Mode::Tty | Mode::Plain | Mode::RawJson | Mode::Quiet) => other,
    };
    let store = args.store.open()?;
    request.gc = gc::policy(&config, store.disk_total())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failed::environment)?;
    let options = registry::Options {
        ca_certificates: args.grants.ca_certificates(&config).to_vec(),
        ..args.registries.options(&config)
    };
    let trace = args.trace.as_deref().map(trace_file).transpose()?;
    let done = runtime.block_on(async {
        let client = Client::new(options).map_err(Failed::environment)?;
        let (events, receiver) = Events::channel();
        let mut recorder = recorder(args, &config, &store)?;
        let receiver = match &mut recorder {
            Some(recorder) => recorder.listen(receiver),
            None => receiver,
        };
        let shown = tokio::spawn(progress::show_and_trace(progress, receiver, Screen::stderr(), trace));
        StepArgs::warn(isolation, &events);
        if matches!(privilege, Privilege::OneId) {
            events.notice("no subordinate ids for this user: every file belongs to root in the image's eyes");
        }
        let done = tokio::select! {
            done = build_or_call(args, &store, &client, request, &events) => done,
            () = interruption() => Err(Failed::interrupted()),
        };
        drop(events);
        shown.await.map_err(Failed::environment)?;
        let id = recorder.as_ref().map(|recorder| recorder.id().to_owned());
        if let Some(recorder) = recorder {
            recorder.finish(ended(&done));
        }
        done.map(|done| (done, id))
    })?;
    match done {
        (Done::Built(built), id) => args.output.write_results(&built, id),
        (Done::Asked(call, answer), _) => call.tell(answer),
    }
}

fn trace_file(path: &Path) -> Result<Box<dyn Write + Send>, Failed> {
    let file = File::create(path).map_err(|error| Failed::usage(format!("--trace {}: {error}", path.display())))?;
    Ok(Box::new(BufWriter::new(file)))
}

/// Writes the build down, if it is one.
fn recorder(args: &BuildArgs, config: &Config, store: &Store) -> Result<Option<Recorder>, Failed> {
    if args.call.asked().is_some() {
        return Ok(None);
    }
    let definition = &args.definition;
    let asked = Asked {
        context: shown(&definition.context),
        file: definition.file.as_deref().map(shown),
        target: definition.target.clone(),
        platforms: definition.platforms(config).iter().map(ToString::to_string).collect(),
        names: args.output.tags()?.iter().map(Reference::familiar).collect(),
        build_args: pairs("--build-arg", &definition.build_arg, true)?.into_keys().collect(),
        outputs: args.output.outputs(),
    };
    let usual = Bounds::default();
    let bounds = Bounds {
        builds: config.history.builds.value.map_or(usual.builds, usize::from),
        bytes: config.history.max_size.value.map_or(usual.bytes, |space| space.of(store.disk_total())),
    };
    // A build that cannot be written down is built all the same.
    Ok(Recorder::begin(store, asked, bounds).ok())
}

fn ended(done: &Result<Done, Failed>) -> Ended {
    match done {
        Ok(Done::Built(built)) => Ended::Done { digest: built.image.descriptor.digest.to_string() },
        Ok(Done::Asked(..)) => Ended::Done { digest: String::new() },
        Err(failed) => Ended::Failed { error: failed.text().to_owned() },
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
        let keep_git_dir = self.for_builder()?.keep_git_dir;
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

    /// What to build for: as was typed, else as is configured, else this machine.
    fn platforms(&self, config: &Config) -> Vec<Platform> {
        match (self.platform.as_slice(), config.platforms.value.as_slice()) {
            ([], []) => vec![Platform::host()],
            ([], usual) => usual.to_vec(),
            (typed, _) => typed.to_vec(),
        }
    }

    /// What build arguments say to the builder.
    fn for_builder(&self) -> Result<ForBuilder, Failed> {
        let said = ForBuilder::read(&pairs("--build-arg", &self.build_arg, true)?)?;
        if said.multi_platform == Some(false) && self.platform.len() > 1 {
            return Err(Failed::usage("BUILDKIT_MULTI_PLATFORM is false, but there are several platforms"));
        }
        Ok(said)
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
        let ForBuilder { hostname, syntax, .. } = self.for_builder()?;
        Ok(Options {
            hostname,
            syntax,
            platforms: self.platforms(config),
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
            division: Division::default(),
            smoke: None,
            attest: attest::Options::default(),
            signer: None,
            steps: StepOptions::default(),
            jobs: 1,
            most_jobs: 1,
            explains: false,
            gc: None,
            cache_from: Vec::new(),
            cache_to: Vec::new(),
            pull: false,
            allow: Vec::new(),
            grants: Arc::default(),
            single_id: false,
        })
    }
}

fn request(args: &BuildArgs, config: &Config, privilege: Privilege, isolation: Isolation) -> Result<Request, Failed> {
    let definition = &args.definition;
    let mut outputs = args.output.destinations()?;
    let said = definition.for_builder()?;
    let inline_cache = (said.inline_cache == Some(true)).then_some("type=inline");
    let caches = args.cache.cache_to.iter().map(String::as_str).chain(inline_cache);
    if said.multi_platform == Some(true) {
        for output in &mut outputs {
            output.target.split_platforms();
        }
    }
    let asked = args.run.jobs.or(config.jobs.value.map(usize::from));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let pushes = outputs.iter().any(|output| matches!(output.target, Target::Registry { .. }));
    Ok(Request {
        attest: args.attest.options(jiff::Timestamp::now().as_second())?,
        signer: args.attest.signer(pushes)?,
        given: definition.given()?,
        options: Options { no_cache: args.cache.no_cache(), ..definition.options(args.grants.network(), config)? },
        tags: args.output.tags()?,
        outputs,
        image: args.output.image()?,
        division: args.output.division()?,
        smoke: args.output.smoke()?,
        steps: StepOptions { debug_shell: args.run.debug_shell(), ..args.steps.options(isolation)? },
        jobs: asked.unwrap_or(cores.max(4)),
        most_jobs: asked.unwrap_or(MOST_JOBS),
        explains: args.cache.explain,
        gc: None,
        cache_from: cache_spec::sources(&args.cache.cache_from)?,
        cache_to: caches.map(cache_spec::target).collect::<Result<_, _>>()?,
        pull: args.cache.pull,
        allow: args.grants.allowed(),
        grants: Arc::new(args.grants.grants(config)?),
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
